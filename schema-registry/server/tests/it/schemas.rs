use serde_json::json;

use crate::support::{Served, record};

#[tokio::test(flavor = "multi_thread")]
async fn an_id_says_where_it_is_used() {
    let registry = Served::start().await;
    let text = record("R", &["a"]);
    for subject in ["b", "a"] {
        assert_eq!(registry.register(subject, &text).await, 1);
    }
    assert_eq!(registry.get("/schemas/ids/1/subjects").await, json!(["a", "b"]));
    assert_eq!(
        registry.get("/schemas/ids/1/versions").await,
        json!([{"subject": "b", "version": 1}, {"subject": "a", "version": 1}])
    );
    let raw = registry.call("GET", "/schemas/ids/1/schema", None).await;
    assert_eq!(raw.text, text);
    assert_eq!(registry.get("/schemas/ids/1?fetchMaxId=true").await["maxId"], 1);
    assert_eq!(registry.get("/schemas/ids/1?subject=a").await["subject"], "a");
    registry.ok("DELETE", "/subjects/a", None).await;
    assert_eq!(registry.get("/schemas/ids/1/subjects").await, json!(["b"]));
    assert_eq!(
        registry.get("/schemas/ids/1/subjects?deleted=true").await,
        json!(["a", "b"])
    );
    // What consumers need is there as long as it was not deleted for good.
    registry.ok("DELETE", "/subjects/b", None).await;
    assert_eq!(registry.get("/schemas/ids/1").await["schema"], text);
    for path in [
        "/schemas/ids/9",
        "/schemas/ids/9/schema",
        "/schemas/ids/9/subjects",
        "/schemas/ids/9/versions",
    ] {
        registry.refused("GET", path, None, 40403).await;
    }
    registry.refused("GET", "/schemas/ids/one", None, 404).await;
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guid_names_a_schema_in_all_contexts() {
    let registry = Served::start().await;
    let text = record("R", &["a"]);
    registry.register("x", "\"int\"").await;
    registry.register("a", &text).await;
    registry.register(":.other:a", &text).await;
    let guid = registry.get("/schemas/ids/2").await["guid"]
        .as_str()
        .unwrap()
        .to_owned();
    let found = registry.get(&format!("/schemas/guids/{guid}")).await;
    assert_eq!(found, json!({"guid": guid, "schema": text}));
    assert_eq!(
        registry.get(&format!("/schemas/guids/{guid}/ids")).await,
        json!([{"context": ".", "id": 2}, {"context": ".other", "id": 1}])
    );
    for path in [
        "/schemas/guids/00000000-0000-0000-0000-000000000000",
        "/schemas/guids/x",
        "/schemas/guids/x/ids",
    ] {
        registry.refused("GET", path, None, 40403).await;
    }
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_come_in_pages() {
    let registry = Served::start().await;
    for n in 0..5 {
        registry.register(&format!("s{n}"), "\"int\"").await;
    }
    registry.register("s0", "\"long\"").await;
    registry.register("other", "\"int\"").await;
    assert_eq!(
        registry.get("/subjects").await,
        json!(["other", "s0", "s1", "s2", "s3", "s4"])
    );
    assert_eq!(
        registry.get("/subjects?subjectPrefix=s&offset=1&limit=2").await,
        json!(["s1", "s2"])
    );
    assert_eq!(registry.get("/subjects?limit=-1&offset=5").await, json!(["s4"]));
    registry.refused("GET", "/subjects?limit=many", None, 404).await;
    let list = |path: &'static str| {
        let registry = &registry;
        async move {
            let schemas = registry.get(path).await;
            let name = |s: &serde_json::Value| format!("{} {}", s["subject"].as_str().unwrap(), s["version"]);
            schemas.as_array().unwrap().iter().map(name).collect::<Vec<_>>()
        }
    };
    assert_eq!(list("/schemas?subjectPrefix=s0").await, ["s0 1", "s0 2"]);
    assert_eq!(list("/schemas?subjectPrefix=s0&latestOnly=true").await, ["s0 2"]);
    assert_eq!(list("/schemas?offset=1&limit=2").await, ["s0 1", "s0 2"]);
    assert_eq!(registry.get("/subjects/s0/versions?offset=1").await, json!([2]));
    assert_eq!(registry.get("/schemas/types").await, json!(["AVRO"]));
    assert_eq!(registry.get("/").await, json!({}));
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_exactly() {
    let registry = Served::start().await;
    registry.register("s", "\"int\"").await;
    assert_eq!(
        registry
            .refused("GET", "/subjects/t/versions/1", None, 40401)
            .await,
        "Subject 't' not found."
    );
    assert_eq!(
        registry
            .refused("GET", "/subjects/s/versions/2", None, 40402)
            .await,
        "Version 2 not found."
    );
    for version in ["0", "-2", "first", "99999999999"] {
        registry
            .refused("GET", &format!("/subjects/s/versions/{version}"), None, 42202)
            .await;
        registry
            .refused(
                "GET",
                &format!("/subjects/s/versions/{version}/schema"),
                None,
                42202,
            )
            .await;
        registry
            .refused(
                "GET",
                &format!("/subjects/s/versions/{version}/referencedby"),
                None,
                42202,
            )
            .await;
        registry
            .refused("DELETE", &format!("/subjects/s/versions/{version}"), None, 42202)
            .await;
    }
    registry.refused("GET", "/subjects/t/versions", None, 40401).await;
    registry
        .refused("POST", "/subjects/t", Some(json!({"schema": "\"int\""})), 40401)
        .await;
    registry
        .refused("POST", "/subjects/s", Some(json!({"schema": "\"long\""})), 40403)
        .await;
    registry
        .refused("POST", "/subjects/s", Some(json!({"schema": "nonsense"})), 42201)
        .await;
    registry
        .refused("GET", "/subjects/t/versions/1/referencedby", None, 40401)
        .await;
    registry.refused("GET", "/nothing/here", None, 404).await;
    registry.refused("PUT", "/subjects", Some(json!({})), 405).await;
    registry.stop().await;
}
