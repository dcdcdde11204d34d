use serde_json::json;

use crate::support::Served;

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_deleted_softly_then_for_good() {
    let registry = Served::start().await;
    registry.register("s", "\"int\"").await;
    registry.register("s", "\"long\"").await;
    registry.refused("DELETE", "/subjects/t", None, 40401).await;
    registry
        .refused("DELETE", "/subjects/s?permanent=true", None, 40405)
        .await;
    assert_eq!(registry.ok("DELETE", "/subjects/s", None).await, json!([1, 2]));
    assert_eq!(registry.get("/subjects").await, json!([]));
    assert_eq!(registry.get("/subjects?deleted=true").await, json!(["s"]));
    assert_eq!(registry.get("/subjects?deletedOnly=true").await, json!(["s"]));
    registry.refused("GET", "/subjects/s/versions", None, 40401).await;
    assert_eq!(
        registry.get("/subjects/s/versions?deleted=true").await,
        json!([1, 2])
    );
    registry
        .refused("GET", "/subjects/s/versions/1", None, 40401)
        .await;
    assert_eq!(
        registry.get("/subjects/s/versions/1?deleted=true").await["deleted"],
        true
    );
    let message = registry.refused("DELETE", "/subjects/s", None, 40404).await;
    assert_eq!(
        message,
        "Subject 's' was soft deleted. Set permanent=true to delete permanently"
    );
    registry
        .refused("POST", "/subjects/s", Some(json!({"schema": "\"int\""})), 40401)
        .await;
    let found = registry
        .ok(
            "POST",
            "/subjects/s?deleted=true",
            Some(json!({"schema": "\"int\""})),
        )
        .await;
    assert_eq!(found["version"], 1);
    // A restart changes nothing.
    let registry = registry.restart().await;
    assert_eq!(registry.get("/subjects?deletedOnly=true").await, json!(["s"]));
    assert_eq!(
        registry.ok("DELETE", "/subjects/s?permanent=true", None).await,
        json!([1, 2])
    );
    registry.refused("GET", "/schemas/ids/1", None, 40403).await;
    // An id is never given again, not even after a restart.
    let registry = registry.restart().await;
    assert_eq!(registry.register("s", "\"string\"").await, 3);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_deleted_softly_then_for_good() {
    let registry = Served::start().await;
    registry
        .ok("PUT", "/config/s", Some(json!({"compatibility": "NONE"})))
        .await;
    for schema in ["\"int\"", "\"long\"", "\"float\""] {
        registry.register("s", schema).await;
    }
    registry
        .refused("DELETE", "/subjects/s/versions/2?permanent=true", None, 40407)
        .await;
    assert_eq!(
        registry.ok("DELETE", "/subjects/s/versions/2", None).await,
        json!(2)
    );
    registry
        .refused("DELETE", "/subjects/s/versions/2", None, 40406)
        .await;
    registry
        .refused("DELETE", "/subjects/s/versions/9", None, 40402)
        .await;
    registry
        .refused("DELETE", "/subjects/t/versions/1", None, 40401)
        .await;
    registry
        .refused("GET", "/subjects/s/versions/2", None, 40402)
        .await;
    assert_eq!(registry.get("/subjects/s/versions").await, json!([1, 3]));
    assert_eq!(
        registry.get("/subjects/s/versions?deleted=true").await,
        json!([1, 2, 3])
    );
    assert_eq!(
        registry.get("/subjects/s/versions?deletedOnly=true").await,
        json!([2])
    );
    assert_eq!(
        registry.get("/subjects/s/versions?deletedAsNegative=true").await,
        json!([1, -2, 3])
    );
    // The same schema again is a new version with the old id, and the old version is gone.
    assert_eq!(registry.register("s", "\"long\"").await, 2);
    assert_eq!(
        registry.get("/subjects/s/versions?deleted=true").await,
        json!([1, 3, 4])
    );
    assert_eq!(
        registry.ok("DELETE", "/subjects/s/versions/latest", None).await,
        json!(4)
    );
    assert_eq!(
        registry
            .ok("DELETE", "/subjects/s/versions/4?permanent=true", None)
            .await,
        json!(4)
    );
    assert_eq!(
        registry.get("/subjects/s/versions?deleted=true").await,
        json!([1, 3])
    );
    registry.stop().await;
}
