use serde_json::{Value, json};

use crate::support::{Served, record};

const LATEST: &str = "/compatibility/subjects/s/versions/latest";
const HISTORY: &str = "/compatibility/subjects/s/versions";

fn schema(text: &str) -> Option<Value> {
    Some(json!({ "schema": text }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_compared_without_being_registered() {
    let registry = Served::start().await;
    // Without versions there is nothing to contradict.
    assert_eq!(
        registry.ok("POST", LATEST, schema("\"int\"")).await,
        json!({"is_compatible": true})
    );
    registry.register("s", "\"int\"").await;
    assert_eq!(
        registry.ok("POST", LATEST, schema("\"long\"")).await,
        json!({"is_compatible": true})
    );
    assert_eq!(
        registry.ok("POST", LATEST, schema("\"string\"")).await,
        json!({"is_compatible": false})
    );
    let verbose = registry
        .ok("POST", &format!("{LATEST}?verbose=true"), schema("\"string\""))
        .await;
    assert_eq!(
        verbose,
        json!({"is_compatible": false, "messages": [
            "{errorType:'TYPE_MISMATCH', description:'The type (path '/') of a field in the new schema does not match with the old schema', additionalInfo:'reader type: STRING not compatible with writer type: INT'}",
            "{oldSchemaVersion: 1}",
            "{oldSchema: '\"int\"'}",
            "{validateFields: 'false', compatibility: 'BACKWARD'}",
        ]})
    );
    let good = registry
        .ok("POST", &format!("{LATEST}?verbose=true"), schema("\"long\""))
        .await;
    assert_eq!(good, json!({"is_compatible": true, "messages": []}));
    registry
        .refused(
            "POST",
            "/compatibility/subjects/s/versions/7",
            schema("\"long\""),
            40402,
        )
        .await;
    registry
        .refused(
            "POST",
            "/compatibility/subjects/s/versions/x",
            schema("\"long\""),
            42202,
        )
        .await;
    registry.refused("POST", LATEST, schema("nonsense"), 42201).await;
    let told = registry
        .ok("POST", &format!("{LATEST}?verbose=true"), schema("nonsense"))
        .await;
    assert_eq!(told["is_compatible"], false);
    assert!(
        told["messages"][0]
            .as_str()
            .unwrap()
            .starts_with("Invalid schema of type AVRO"),
        "{told}"
    );
    assert_eq!(registry.get("/subjects/s/versions").await, json!([1]));
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_say_who_must_read_whom_and_how_far_back() {
    let registry = Served::start().await;
    registry
        .ok("PUT", "/config/s", Some(json!({"compatibility": "NONE"})))
        .await;
    for fields in [&["a", "b"][..], &["a"], &["a", "c"]] {
        registry.register("s", &record("R", fields)).await;
    }
    // b comes back: the last reader knows nothing of it; the new one misses it in what the second and third wrote.
    let new = record("R", &["a", "b", "c"]);
    for (level, latest, history) in [
        ("NONE", true, true),
        ("BACKWARD", false, false),
        ("BACKWARD_TRANSITIVE", false, false),
        ("FORWARD", true, true),
        ("FORWARD_TRANSITIVE", true, true),
        ("FULL", false, false),
        ("FULL_TRANSITIVE", false, false),
    ] {
        registry
            .ok("PUT", "/config/s", Some(json!({ "compatibility": level })))
            .await;
        let answer = registry.ok("POST", LATEST, schema(&new)).await;
        assert_eq!(answer["is_compatible"], latest, "{level}");
        let answer = registry.ok("POST", HISTORY, schema(&new)).await;
        assert_eq!(answer["is_compatible"], history, "{level}");
    }
    // Only the transitive levels see the first version.
    let without_b = record("R", &["a", "c"]);
    for (level, expected) in [("FORWARD", true), ("FORWARD_TRANSITIVE", false)] {
        registry
            .ok("PUT", "/config/s", Some(json!({ "compatibility": level })))
            .await;
        let answer = registry
            .ok("POST", &format!("{HISTORY}?verbose=true"), schema(&without_b))
            .await;
        assert_eq!(answer["is_compatible"], expected, "{level}: {answer}");
    }
    // Both ways: first what the old schema cannot read, then what the new one cannot, as Confluent tells it.
    registry
        .ok("PUT", "/config/s", Some(json!({"compatibility": "FULL"})))
        .await;
    let answer = registry
        .ok(
            "POST",
            &format!("{LATEST}?verbose=true"),
            schema(&record("R", &["a", "d"])),
        )
        .await;
    let messages: Vec<_> = answer["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m.as_str().unwrap())
        .collect();
    assert_eq!(messages.len(), 5, "{messages:?}");
    assert!(messages[0].contains("The field 'c' at path '/fields/1' in the old schema has no default value and is missing in the new schema"), "{messages:?}");
    assert!(messages[1].contains("The field 'd' at path '/fields/1' in the new schema has no default value and is missing in the old schema"), "{messages:?}");
    assert_eq!(messages[2], "{oldSchemaVersion: 3}");
    assert_eq!(messages[4], "{validateFields: 'false', compatibility: 'FULL'}");
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logical_types_count_where_that_is_wanted() {
    let registry = Served::start().await;
    let decimal =
        |scale: u8| format!(r#"{{"type":"bytes","logicalType":"decimal","precision":9,"scale":{scale}}}"#);
    registry.register("s", &decimal(2)).await;
    assert_eq!(
        registry.ok("POST", LATEST, schema(&decimal(3))).await,
        json!({"is_compatible": true})
    );
    registry
        .ok(
            "PUT",
            "/config/s",
            Some(json!({"compatibilityPolicy": "LOGICAL_STRICT"})),
        )
        .await;
    let answer = registry
        .ok("POST", &format!("{LATEST}?verbose=true"), schema(&decimal(3)))
        .await;
    assert!(
        answer["messages"][0]
            .as_str()
            .unwrap()
            .contains("LOGICAL_TYPE_MISMATCH"),
        "{answer}"
    );
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_fields_are_kept_free() {
    let registry = Served::start().await;
    registry
        .ok("PUT", "/config/s", Some(json!({"validateFields": true})))
        .await;
    let body = |schema: &str, reserved: &str| {
        Some(json!({"schema": schema, "metadata": {"properties": {"confluent:reserved": reserved}}}))
    };
    registry
        .ok("POST", "/subjects/s/versions", body(&record("R", &["a"]), "b"))
        .await;
    let optional = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"b","type":"string","default":""}]}"#;
    let message = registry
        .refused("POST", "/subjects/s/versions", body(optional, "b"), 40901)
        .await;
    assert!(
        message.contains("conflicts with the reserved field b"),
        "{message}"
    );
    let message = registry
        .refused(
            "POST",
            "/subjects/s/versions",
            body(&record("R", &["a"]), "c"),
            40901,
        )
        .await;
    assert!(message.contains("has reserved field b removed"), "{message}");
    assert!(
        message.ends_with("{validateFields: 'true', compatibility: 'BACKWARD'}]"),
        "{message}"
    );
    registry.stop().await;
}
