use std::{collections::BTreeSet, sync::Arc};

use millstream_client::Log;
use millstream_schema_registry_core::{QualifiedSubject, Schemas, model::SchemaRequest};
use millstream_schema_registry_server::{AvroSchemas, Registry, SchemaText};
use millstream_types::{SchemaId, Subject};
use serde_json::json;
use tokio::{runtime::Handle, task::block_in_place};

use crate::support::{Served, settings};

fn page(registry: &Registry) -> String {
    let mut page = prometheus_client::registry::Registry::default();
    registry.show(&mut page);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &page).unwrap();
    text
}

#[track_caller]
fn assert_lines(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            page.lines().any(|shown| shown == *line),
            "'{line}' is missing in {page}"
        );
    }
}

async fn used() -> Served {
    let served = Served::start().await;
    for (subject, schema) in [("a", "\"int\""), ("a", "\"long\""), ("b", "\"int\"")] {
        let path = format!("/subjects/{subject}/versions");
        served
            .call("POST", &path, Some(json!({ "schema": schema })))
            .await;
    }
    served.call("GET", "/schemas/ids/1", None).await;
    served.call("GET", "/schemas/ids/9", None).await;
    served.call("GET", "/schemas/ids/x/y/z", None).await;
    served.call("PUT", "/contexts", Some(json!({}))).await;
    let subject = Subject::new("a").unwrap();
    let schemas = AvroSchemas::of(served.registry.clone());
    schemas.latest(&subject).unwrap();
    schemas.by_id(SchemaId(7)).await.unwrap_err();
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_shows_what_was_asked_and_what_is_known() {
    let served = used().await;
    let shown = page(&served.registry);
    assert_lines(
        &shown,
        &[
            r#"millstream_registry_requests_total{method="POST",path="/subjects/{subject}/versions",status="200"} 3"#,
            r#"millstream_registry_requests_total{method="GET",path="/schemas/ids/{id}",status="200"} 1"#,
            r#"millstream_registry_requests_total{method="GET",path="/schemas/ids/{id}",status="404"} 1"#,
            r#"millstream_registry_requests_total{method="GET",path="other",status="404"} 1"#,
            r#"millstream_registry_requests_total{method="PUT",path="/contexts",status="405"} 1"#,
            r#"millstream_registry_request_duration_seconds_count{method="POST",path="/subjects/{subject}/versions"} 3"#,
            r#"millstream_registry_lookups_total{by="subject",found="true"} 1"#,
            r#"millstream_registry_lookups_total{by="id",found="false"} 1"#,
            "millstream_registry_subjects 2",
            "millstream_registry_versions 3",
            "millstream_registry_schemas 2",
            "millstream_registry_write_conflicts_total 0",
        ],
    );
    assert_eq!(served.registry.obstacle(), None);
}

/// Registers a fixed of that name under it.
async fn register(registry: &Registry, name: &str) -> SchemaId {
    let text = format!(r#"{{"type":"fixed","name":"{name}","size":1}}"#);
    let subject = Subject::new(name).unwrap();
    let schemas = AvroSchemas::of(registry.clone());
    let registered = schemas.register(&subject, &SchemaText::new(text)).await;
    registered.unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_came_after_that_of_another_registry_is_a_conflict() {
    const ROUNDS: i32 = 10;
    let served = Served::start().await;
    let slow = &served.registry;
    register(slow, "first").await;
    let log: Arc<dyn Log> = Arc::new(served.log.clone());
    let quick = Registry::open(log, settings()).await.unwrap();
    assert_lines(&page(&quick), &["millstream_registry_replays_total 1"]);
    for round in 1..=ROUNDS {
        let request = SchemaRequest {
            schema: Some(format!(r#"{{"type":"fixed","name":"late{round}","size":1}}"#)),
            ..SchemaRequest::default()
        };
        let (other, mut has_met) = (quick.clone(), false);
        let registered = slow.write(move |state| {
            if !std::mem::replace(&mut has_met, true) {
                // It has decided, and has not written yet.
                let meanwhile = format!("meanwhile{round}");
                block_in_place(|| Handle::current().block_on(register(&other, &meanwhile)));
            }
            let subject = QualifiedSubject::new(&format!("late{round}"));
            state.register(&Schemas::default(), &subject, &request, false)
        });
        assert_eq!(registered.await.unwrap().id, 1 + 2 * round);
    }
    // The other one does not put right at once what the loser is about to put right, or that would lose again.
    let page_of_slow = page(slow);
    let count = |name: &str| -> i32 {
        let line = page_of_slow.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    let conflicts = count("millstream_registry_write_conflicts_total");
    assert!((ROUNDS..2 * ROUNDS).contains(&conflicts), "{conflicts}");
    assert_eq!(count("millstream_registry_writes_total"), 1 + ROUNDS + conflicts);
    assert_lines(&page(&quick), &["millstream_registry_write_conflicts_total 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented() {
    let served = used().await;
    let shown: BTreeSet<String> = page(&served.registry)
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total counter"),
            (name, kind) => format!("{name} {kind}"),
        })
        .collect();
    let documented: BTreeSet<String> = include_str!("../../../../docs/metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(name, _)| name.starts_with("millstream_registry_"))
        .map(|(name, rest)| format!("{name} {}", rest.split_once(" |").unwrap().0))
        .collect();
    assert_eq!(documented, shown);
}
