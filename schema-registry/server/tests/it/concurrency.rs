use std::{collections::BTreeSet, sync::Arc};

use futures::future::join_all;
use serde_json::json;

use crate::support::{Served, memory, record, until};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_registrations_of_one_schema_at_once_get_one_id() {
    let registry = Served::start().await;
    let text = record("R", &["a"]);
    let ids = join_all((0..50).map(|_| registry.register("s", &text))).await;
    assert_eq!(BTreeSet::from_iter(ids), BTreeSet::from([1]));
    assert_eq!(registry.get("/subjects/s/versions").await, json!([1]));
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_schemas_at_once_get_fifty_ids_and_versions() {
    let registry = Arc::new(Served::start().await);
    registry
        .ok("PUT", "/config", Some(json!({"compatibility": "NONE"})))
        .await;
    let texts: Vec<_> = (0..50).map(|n| record(&format!("R{n}"), &["a"])).collect();
    let ids = join_all(texts.iter().map(|text| registry.register("s", text))).await;
    assert_eq!(BTreeSet::from_iter(ids), BTreeSet::from_iter(1..=50));
    let versions: Vec<_> = (1..=50).collect();
    assert_eq!(registry.get("/subjects/s/versions").await, json!(versions));
    Arc::into_inner(registry).unwrap().stop().await;
}

/// Two registries on one log, both writing: every answer stays true, for both of them and for one that starts later.
#[tokio::test(flavor = "multi_thread")]
async fn two_registries_write_to_one_log() {
    let log = memory();
    let registries = [Served::on(log.clone()).await, Served::on(log.clone()).await];
    registries[0]
        .ok("PUT", "/config", Some(json!({"compatibility": "NONE"})))
        .await;
    until(json!("NONE"), async || {
        registries[1].get("/config").await["compatibilityLevel"].clone()
    })
    .await;
    // Each schema is registered by both, each subject gets schemas from both.
    let work: Vec<_> = (0..40)
        .map(|n| (format!("s{}", n % 4), record(&format!("R{}", n % 20), &["a"])))
        .collect();
    let writing = registries.iter().map(|registry| {
        join_all(
            work.iter()
                .map(|(subject, text)| registry.register(subject, text)),
        )
    });
    let answers = join_all(writing).await;
    assert_eq!(answers[0], answers[1], "one schema has one id, whoever is asked");
    let late = Served::on(log).await;
    for ((subject, text), id) in work.iter().zip(&answers[0]) {
        for registry in registries.iter().chain([&late]) {
            let path = format!("/subjects/{subject}");
            until(json!(id), async || {
                let reply = registry
                    .call("POST", &path, Some(json!({ "schema": text })))
                    .await;
                reply.json()["id"].clone()
            })
            .await;
            assert_eq!(registry.get(&format!("/schemas/ids/{id}")).await["schema"], *text);
        }
    }
    let ids: BTreeSet<_> = answers[0].iter().copied().collect();
    assert_eq!(
        ids,
        BTreeSet::from_iter(1..=20),
        "ids have no gaps: nothing was written that was not true"
    );
    for subject in 0..4 {
        let path = format!("/subjects/s{subject}/versions");
        assert_eq!(registries[0].get(&path).await, registries[1].get(&path).await);
        assert_eq!(registries[0].get(&path).await, late.get(&path).await);
    }
    for registry in registries.into_iter().chain([late]) {
        registry.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_sees_what_another_one_deletes() {
    let log = memory();
    let (one, other) = (Served::on(log.clone()).await, Served::on(log).await);
    one.register("s", "\"int\"").await;
    // Whoever got an id from one can read it from the other at once.
    assert_eq!(other.get("/schemas/ids/1").await["schema"], "\"int\"");
    until(json!(["s"]), async || other.get("/subjects").await).await;
    other.ok("DELETE", "/subjects/s", None).await;
    until(json!([]), async || one.get("/subjects").await).await;
    assert_eq!(one.register("s", "\"int\"").await, 1);
    until(json!([2]), async || {
        other.get("/subjects/s/versions?deleted=true").await
    })
    .await;
    one.stop().await;
    other.stop().await;
}
