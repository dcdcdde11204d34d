use serde_json::json;

use crate::support::Served;

#[tokio::test(flavor = "multi_thread")]
async fn a_context_has_ids_of_its_own() {
    let registry = Served::start().await;
    registry.register("s", "\"int\"").await;
    registry.register("s", "\"long\"").await;
    assert_eq!(registry.get("/contexts").await, json!(["."]));
    let schema = |text: &str| Some(json!({ "schema": text }));
    let answer = registry
        .ok(
            "POST",
            "/contexts/.staging/subjects/s/versions",
            schema("\"long\""),
        )
        .await;
    assert_eq!(answer["id"], 1);
    assert_eq!(registry.get("/contexts").await, json!([".", ".staging"]));
    assert_eq!(
        registry.get("/subjects/:.staging:s/versions/1").await["subject"],
        ":.staging:s"
    );
    assert_eq!(
        registry.get("/contexts/staging/subjects").await,
        json!([":.staging:s"])
    );
    assert_eq!(
        registry
            .get("/contexts/:.staging:/schemas")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        registry.get("/contexts/.staging/schemas/ids/1").await["schema"],
        "\"long\""
    );
    assert_eq!(
        registry.get("/schemas/ids/1?subject=:.staging:").await["schema"],
        "\"long\""
    );
    assert_eq!(registry.get("/schemas/ids/1").await["schema"], "\"int\"");
    assert_eq!(registry.get("/subjects").await, json!([":.staging:s", "s"]));
    assert_eq!(
        registry.get("/subjects?subjectPrefix=").await,
        json!([":.staging:s", "s"])
    );

    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_is_configured_and_goes_when_it_is_empty() {
    let registry = Served::start().await;
    let schema = |text: &str| Some(json!({ "schema": text }));
    registry.register(":.staging:s", "\"long\"").await;
    registry
        .ok(
            "PUT",
            "/contexts/.staging/config",
            Some(json!({"compatibility": "NONE"})),
        )
        .await;
    assert_eq!(
        registry.get("/config/:.staging:").await["compatibilityLevel"],
        "NONE"
    );
    assert_eq!(
        registry
            .get("/contexts/.staging/config/s?defaultToGlobal=true")
            .await["compatibilityLevel"],
        "NONE"
    );
    assert_eq!(registry.get("/config").await["compatibilityLevel"], "BACKWARD");
    registry
        .ok(
            "PUT",
            "/contexts/.staging/mode",
            Some(json!({"mode": "READONLY"})),
        )
        .await;
    let message = registry
        .refused(
            "POST",
            "/contexts/.staging/subjects/s/versions",
            schema("\"float\""),
            42205,
        )
        .await;
    assert_eq!(
        message,
        "Subject :.staging:s in context :.staging: is in read-only mode"
    );
    registry.ok("DELETE", "/contexts/.staging/mode", None).await;
    let check = "/contexts/.staging/compatibility/subjects/s/versions/latest";
    assert_eq!(
        registry.ok("POST", check, schema("\"string\"")).await,
        json!({"is_compatible": true})
    );

    registry
        .refused("DELETE", "/contexts/.staging", None, 42211)
        .await;
    registry.ok("DELETE", "/contexts/.staging/subjects/s", None).await;
    registry
        .ok("DELETE", "/contexts/.staging/subjects/s?permanent=true", None)
        .await;
    assert_eq!(
        registry.call("DELETE", "/contexts/.staging", None).await.status,
        204
    );
    assert_eq!(registry.get("/contexts").await, json!(["."]));
    registry
        .refused("DELETE", "/contexts/.staging", None, 40401)
        .await;
    registry.refused("GET", "/contexts/a:b/subjects", None, 400).await;
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn references_stay_within_their_context_unless_they_name_one() {
    let registry = Served::start().await;
    let base = r#"{"type":"record","name":"B","fields":[]}"#;
    registry.register(":.c:base", base).await;
    let body = |subject: &str| {
        Some(json!({
            "schema": r#"{"type":"record","name":"R","fields":[{"name":"b","type":"B"}]}"#,
            "references": [{"name": "B", "subject": subject, "version": 1}],
        }))
    };
    registry
        .ok("POST", "/subjects/:.c:r/versions", body("base"))
        .await;
    assert_eq!(
        registry.get("/subjects/:.c:base/versions/1/referencedby").await,
        json!([2])
    );
    registry
        .refused("POST", "/subjects/r/versions", body("base"), 42201)
        .await;
    registry
        .ok("POST", "/subjects/r/versions", body(":.c:base"))
        .await;
    registry.stop().await;
}
