use serde_json::json;

use crate::support::Served;

#[tokio::test(flavor = "multi_thread")]
async fn configuration_is_global_then_by_subject() {
    let registry = Served::start().await;
    assert_eq!(
        registry.get("/config").await,
        json!({"compatibilityLevel": "BACKWARD"})
    );
    let message = registry.refused("GET", "/config/s", None, 40408).await;
    assert_eq!(
        message,
        "Subject 's' does not have subject-level compatibility configured"
    );
    assert_eq!(
        registry.get("/config/s?defaultToGlobal=true").await["compatibilityLevel"],
        "BACKWARD"
    );
    let put = |path: &'static str, body| registry.ok("PUT", path, Some(body));
    assert_eq!(
        put("/config", json!({"compatibility": "FULL"})).await,
        json!({"compatibility": "FULL"})
    );
    assert_eq!(
        registry.get("/config/s?defaultToGlobal=true").await["compatibilityLevel"],
        "FULL"
    );
    assert_eq!(
        put(
            "/config/s?defaultToGlobal=true",
            json!({"compatibility": "none", "compatibilityGroup": "major"})
        )
        .await,
        json!({"compatibility": "NONE", "compatibilityGroup": "major"})
    );
    assert_eq!(
        registry.get("/config/s").await,
        json!({"compatibilityLevel": "NONE", "compatibilityGroup": "major"})
    );
    registry
        .refused(
            "PUT",
            "/config/s",
            Some(json!({"compatibility": "sideways"})),
            42203,
        )
        .await;
    registry
        .refused(
            "PUT",
            "/config",
            Some(json!({"compatibility": "sideways"})),
            42203,
        )
        .await;
    registry
        .refused(
            "PUT",
            "/config/a%00b",
            Some(json!({"compatibility": "NONE"})),
            42208,
        )
        .await;
    let registry = registry.restart().await;
    assert_eq!(registry.get("/config/s").await["compatibilityLevel"], "NONE");
    assert_eq!(
        registry.ok("DELETE", "/config/s", None).await,
        json!({"compatibilityLevel": "NONE", "compatibilityGroup": "major"})
    );
    registry.refused("DELETE", "/config/s", None, 40401).await;
    assert_eq!(
        registry.ok("DELETE", "/config", None).await,
        json!({"compatibilityLevel": "FULL"})
    );
    assert_eq!(
        registry.get("/config").await,
        json!({"compatibilityLevel": "BACKWARD"})
    );
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_of_different_groups_are_not_compared() {
    let registry = Served::start().await;
    registry
        .ok("PUT", "/config/s", Some(json!({"compatibilityGroup": "major"})))
        .await;
    let body = |schema: &str, major: &str| {
        Some(json!({"schema": schema, "metadata": {"properties": {"major": major}}}))
    };
    registry
        .ok("POST", "/subjects/s/versions", body("\"int\"", "1"))
        .await;
    registry
        .refused("POST", "/subjects/s/versions", body("\"string\"", "1"), 40901)
        .await;
    registry
        .ok("POST", "/subjects/s/versions", body("\"string\"", "2"))
        .await;
    registry
        .ok("POST", "/subjects/s/versions", body("\"long\"", "1"))
        .await;
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_and_overrides_are_put_into_schemas() {
    let registry = Served::start().await;
    let config = json!({
        "defaultMetadata": {"properties": {"owner": "nobody", "team": "a"}},
        "overrideMetadata": {"properties": {"checked": "yes"}},
    });
    registry.ok("PUT", "/config/s", Some(config)).await;
    let body = json!({"schema": "\"int\"", "metadata": {"properties": {"owner": "me", "checked": "no"}}});
    registry.ok("POST", "/subjects/s/versions", Some(body)).await;
    assert_eq!(
        registry.get("/subjects/s/versions/1").await["metadata"]["properties"],
        json!({"owner": "me", "team": "a", "checked": "yes"})
    );
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_another_name_of_a_subject() {
    let registry = Served::start().await;
    registry.register("orders-value", "\"int\"").await;
    registry
        .ok(
            "PUT",
            "/config/old-orders-value",
            Some(json!({"alias": "orders-value"})),
        )
        .await;
    assert_eq!(
        registry.get("/subjects/old-orders-value/versions/latest").await["subject"],
        "orders-value"
    );
    assert_eq!(registry.register("old-orders-value", "\"long\"").await, 2);
    assert_eq!(registry.get("/subjects").await, json!(["orders-value"]));
    assert_eq!(
        registry.get("/schemas?aliases=true").await[0]["aliases"],
        json!(["old-orders-value"])
    );
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_says_what_may_be_done() {
    let registry = Served::start().await;
    assert_eq!(registry.get("/mode").await, json!({"mode": "READWRITE"}));
    registry.refused("GET", "/mode/s", None, 40409).await;
    assert_eq!(
        registry.get("/mode/s?defaultToGlobal=true").await,
        json!({"mode": "READWRITE"})
    );
    registry.register("s", "\"int\"").await;
    let set = |path: &'static str, mode| registry.ok("PUT", path, Some(json!({ "mode": mode })));
    assert_eq!(set("/mode/s", "READONLY").await, json!({"mode": "READONLY"}));
    let long = || Some(json!({"schema": "\"long\""}));
    let message = registry
        .refused("POST", "/subjects/s/versions", long(), 42205)
        .await;
    assert_eq!(message, "Subject s in context  is in read-only mode");
    // What is registered is answered all the same.
    assert_eq!(registry.register("s", "\"int\"").await, 1);
    registry.refused("DELETE", "/subjects/s", None, 42205).await;
    registry
        .refused("PUT", "/mode/s", Some(json!({"mode": "SIDEWAYS"})), 42204)
        .await;
    registry
        .refused("PUT", "/mode/a%0Ab", Some(json!({"mode": "IMPORT"})), 42208)
        .await;
    assert_eq!(
        registry.ok("DELETE", "/mode/s", None).await,
        json!({"mode": "READONLY"})
    );
    registry.refused("DELETE", "/mode/s", None, 40401).await;
    set("/mode", "READONLY_OVERRIDE").await;
    registry
        .refused("POST", "/subjects/s/versions", long(), 42205)
        .await;
    assert_eq!(
        registry.ok("DELETE", "/mode", None).await,
        json!({"mode": "READONLY_OVERRIDE"})
    );
    assert_eq!(registry.register("s", "\"long\"").await, 2);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_brings_its_ids_and_versions_along() {
    let registry = Served::start().await;
    let import =
        |schema: &str, version: i32, id: i32| Some(json!({"schema": schema, "version": version, "id": id}));
    let message = registry
        .refused("POST", "/subjects/s/versions", import("\"int\"", 1, 70), 42205)
        .await;
    assert_eq!(message, "Subject s in context  is not in import mode");
    registry.register("t", "\"int\"").await;
    registry
        .refused("PUT", "/mode", Some(json!({"mode": "IMPORT"})), 42205)
        .await;
    registry
        .ok("PUT", "/mode?force=true", Some(json!({"mode": "IMPORT"})))
        .await;
    let answer = registry
        .ok("POST", "/subjects/s/versions", import("\"double\"", 3, 70))
        .await;
    assert_eq!((&answer["id"], &answer["version"]), (&json!(70), &json!(3)));
    // Nothing is compared, and what comes twice is one.
    registry
        .ok("POST", "/subjects/s/versions", import("\"string\"", 5, 71))
        .await;
    registry
        .ok("POST", "/subjects/s/versions", import("\"string\"", 5, 71))
        .await;
    assert_eq!(registry.get("/subjects/s/versions").await, json!([3, 5]));
    let message = registry
        .refused("POST", "/subjects/u/versions", import("\"long\"", 1, 70), 42205)
        .await;
    assert_eq!(
        message,
        "Overwrite new schema with id 70 in context  is not permitted."
    );
    registry
        .refused(
            "POST",
            "/subjects/u/versions",
            Some(json!({"schema": "\"long\""})),
            42205,
        )
        .await;
    registry
        .ok("PUT", "/mode", Some(json!({"mode": "READWRITE"})))
        .await;
    assert_eq!(registry.register("u", "\"long\"").await, 72);
    let registry = registry.restart().await;
    assert_eq!(registry.register("u", "\"float\"").await, 73);
    registry.stop().await;
}
