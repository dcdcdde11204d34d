use serde_json::{Value, json};

use crate::support::{Served, record};

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_registered_once_and_found_in_every_way() {
    let registry = Served::start().await;
    let text = record("Order", &["id"]);
    let answer = registry
        .ok(
            "POST",
            "/subjects/orders-value/versions",
            Some(json!({"schema": text})),
        )
        .await;
    assert_eq!((&answer["id"], &answer["version"]), (&json!(1), &json!(1)));
    assert_eq!(answer["schema"], text);
    assert_eq!(answer["guid"].as_str().unwrap().len(), 36);
    assert!(answer.get("schemaType").is_none());
    assert_eq!(registry.register("orders-value", &text).await, 1);
    assert_eq!(registry.register("returns-value", &text).await, 1);
    assert_eq!(registry.register("orders-key", "\"string\"").await, 2);

    let by_id = registry.get("/schemas/ids/1").await;
    assert_eq!(by_id["schema"], text);
    let by_version = registry.get("/subjects/orders-value/versions/1").await;
    let expected = json!({
        "subject": "orders-value", "version": 1, "id": 1, "guid": answer["guid"], "schema": text, "ts": 1000,
    });
    assert_eq!(by_version, expected);
    assert_eq!(
        registry.get("/subjects/orders-value/versions/latest").await,
        expected
    );
    assert_eq!(registry.get("/subjects/orders-value/versions/-1").await, expected);
    let found = registry
        .ok("POST", "/subjects/orders-value", Some(json!({"schema": text})))
        .await;
    assert_eq!(found, expected);
    assert_eq!(registry.get("/subjects/orders-value/versions").await, json!([1]));
    let raw = registry
        .call("GET", "/subjects/orders-value/versions/1/schema", None)
        .await;
    assert_eq!(raw.text, text);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_java_prints_alike_are_one_schema() {
    let registry = Served::start().await;
    let id = registry.register("a", r#"{"type": "string"}"#).await;
    assert_eq!(registry.register("b", "\"string\"").await, id);
    let id = registry
        .register(
            "c",
            r#"{"name":"com.acme.R","type":"record","fields":[{"type":"int","name":"a"}]}"#,
        )
        .await;
    let text = r#"{"type":"record","name":"R","namespace":"com.acme","fields":[{"name":"a","type":"int"}]}"#;
    assert_eq!(registry.register("d", text).await, id);
    assert_eq!(registry.get(&format!("/schemas/ids/{id}")).await["schema"], text);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_registered_is_refused_with_its_code() {
    let registry = Served::start().await;
    let register = |body: Value| registry.refused("POST", "/subjects/s/versions", Some(body), 42201);
    let message =
        register(json!({"schema": r#"{"type":"record","name":"R","fields":[{"name":"a","type":"strin"}]}"#}))
            .await;
    assert!(
        message.starts_with("Invalid schema of type AVRO, details: "),
        "{message}"
    );
    assert!(message.contains("strin"), "{message}");
    assert_eq!(register(json!({"schema": ""})).await, "Empty schema");
    assert_eq!(register(json!({})).await, "Empty schema");
    for kind in ["JSON", "PROTOBUF"] {
        let message = register(json!({"schema": "{}", "schemaType": kind})).await;
        assert_eq!(message, format!("Invalid schema type {kind}"));
    }
    let missing =
        json!({"schema": "\"int\"", "references": [{"name": "a", "subject": "gone", "version": 1}]});
    assert!(
        register(missing)
            .await
            .contains("No schema reference found for subject \"gone\" and version 1")
    );
    let default = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#;
    register(json!({"schema": default})).await;
    registry
        .refused(
            "POST",
            "/subjects/a%0Ab/versions",
            Some(json!({"schema": "\"int\""})),
            42208,
        )
        .await;
    registry
        .refused(
            "POST",
            "/subjects/__GLOBAL/versions",
            Some(json!({"schema": "\"int\""})),
            42208,
        )
        .await;
    let rules = json!({"schema": "\"int\"", "ruleSet": {"domainRules": [{"name": "1x", "type": "CEL"}]}});
    registry
        .refused("POST", "/subjects/s/versions", Some(rules), 42210)
        .await;
    assert_eq!(registry.get("/subjects").await, json!([]));
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incompatible_schema_is_refused_with_all_that_speaks_against_it() {
    let registry = Served::start().await;
    let old = record("Order", &["id"]);
    registry.register("s", &old).await;
    let body = json!({"schema": record("Order", &["id", "city", "street"])});
    let message = registry
        .refused("POST", "/subjects/s/versions", Some(body), 40901)
        .await;
    let expected = format!(
        "Schema being registered is incompatible with an earlier schema for subject \"s\", details: [\
         {{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'city' at path '/fields/1' in the new schema \
         has no default value and is missing in the old schema', additionalInfo:'city'}}, \
         {{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'street' at path '/fields/2' in the new schema \
         has no default value and is missing in the old schema', additionalInfo:'street'}}, \
         {{oldSchemaVersion: 1}}, {{oldSchema: '{old}'}}, {{validateFields: 'false', compatibility: 'BACKWARD'}}]"
    );
    assert_eq!(message, expected);
    registry
        .ok("PUT", "/config/s", Some(json!({"compatibility": "NONE"})))
        .await;
    assert_eq!(
        registry
            .register("s", &record("Order", &["id", "city", "street"]))
            .await,
        2
    );
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_refers_to_others_and_they_cannot_go() {
    let registry = Served::start().await;
    registry
        .register("address", &record("com.acme.Address", &["city"]))
        .await;
    let order = r#"{"type":"record","name":"Order","namespace":"com.acme","fields":[{"name":"to","type":"Address"}]}"#;
    let reference = json!([{"name": "com.acme.Address", "subject": "address", "version": 1}]);
    let body = json!({"schema": order, "references": reference});
    let id = registry
        .ok("POST", "/subjects/orders/versions", Some(body.clone()))
        .await["id"]
        .clone();
    let by_id = registry.get(&format!("/schemas/ids/{id}")).await;
    assert_eq!(by_id["references"], reference);
    assert!(
        by_id["schema"].as_str().unwrap().contains(r#""type":"Address""#),
        "{by_id}"
    );
    let resolved = registry.get(&format!("/schemas/ids/{id}?format=resolved")).await;
    assert!(
        resolved["schema"].as_str().unwrap().contains(r#""name":"city""#),
        "{resolved}"
    );
    assert_eq!(
        registry.get("/subjects/address/versions/1/referencedby").await,
        json!([id])
    );
    registry.refused("DELETE", "/subjects/address", None, 42206).await;
    registry
        .refused("DELETE", "/subjects/address/versions/latest", None, 42206)
        .await;
    assert_eq!(
        registry.ok("POST", "/subjects/orders", Some(body)).await["id"],
        id
    );
    // Sent with everything spelled out it is the same schema.
    let spelled_out = json!({"schema": resolved["schema"]});
    assert_eq!(
        registry
            .ok("POST", "/subjects/orders", Some(spelled_out.clone()))
            .await["id"],
        id
    );
    assert_eq!(
        registry
            .ok("POST", "/subjects/orders/versions", Some(spelled_out))
            .await["id"],
        id
    );
    registry.ok("DELETE", "/subjects/orders", None).await;
    assert_eq!(
        registry.get("/subjects/address/versions/1/referencedby").await,
        json!([])
    );
    registry.ok("DELETE", "/subjects/address", None).await;
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_rules_are_kept_and_carried_on() {
    let registry = Served::start().await;
    let metadata =
        json!({"tags": {"**.ssn": ["PII"]}, "properties": {"owner": "me"}, "sensitive": ["owner"]});
    let rules = json!({"domainRules": [
        {"name": "check", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "true", "disabled": false}
    ]});
    let body = json!({"schema": "\"int\"", "metadata": metadata, "ruleSet": rules});
    registry.ok("POST", "/subjects/s/versions", Some(body)).await;
    let first = registry.get("/subjects/s/versions/1").await;
    assert_eq!((&first["metadata"], &first["ruleSet"]), (&metadata, &rules));
    // The next version has them too unless it says otherwise; without a schema of its own it has the last one's.
    registry
        .ok(
            "POST",
            "/subjects/s/versions",
            Some(json!({"schema": "\"long\""})),
        )
        .await;
    let second = registry.get("/subjects/s/versions/2").await;
    assert_eq!((&second["metadata"], &second["ruleSet"]), (&metadata, &rules));
    let owner = json!({"properties": {"owner": "you"}});
    registry
        .ok("POST", "/subjects/s/versions", Some(json!({"metadata": owner})))
        .await;
    let third = registry.get("/subjects/s/versions/3").await;
    assert_eq!(
        (&third["schema"], &third["metadata"]),
        (&json!("\"long\""), &owner)
    );
    assert_eq!(
        registry.get("/subjects/s/metadata?key=owner&value=me").await["version"],
        2
    );
    assert_eq!(
        registry.get("/subjects/s/metadata?key=owner&value=you").await["version"],
        3
    );
    registry
        .refused("GET", "/subjects/s/metadata?key=owner&value=them", None, 40403)
        .await;
    registry
        .refused("GET", "/subjects/t/metadata?key=owner&value=me", None, 40401)
        .await;
    let registry = registry.restart().await;
    assert_eq!(registry.get("/subjects/s/versions/1").await, first);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_can_be_asked_for_and_are_written_down() {
    let registry = Served::start().await;
    let body = |schema: &str, version: i32| Some(json!({"schema": schema, "version": version}));
    let first = registry
        .ok("POST", "/subjects/s/versions", body("\"int\"", 1))
        .await;
    assert_eq!(first["metadata"]["properties"]["confluent:version"], "1");
    registry
        .refused("POST", "/subjects/s/versions", body("\"long\"", 5), 42201)
        .await;
    let next = registry
        .ok("POST", "/subjects/s/versions", body("\"long\"", -1))
        .await;
    assert_eq!(next["version"], 2);
    // Looked up without the version it is the same.
    let found = registry
        .ok("POST", "/subjects/s", Some(json!({"schema": "\"long\""})))
        .await;
    assert_eq!(found["version"], 2);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn normalising_makes_one_of_two_texts() {
    let registry = Served::start().await;
    let text = |properties: &str| {
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":"int",{properties}}}]}}"#)
    };
    let (ab, ba) = (text(r#""x":1,"y":2"#), text(r#""y":2,"x":1"#));
    let normalized = |schema: &str| Some(json!({ "schema": schema }));
    let first = registry
        .ok("POST", "/subjects/s/versions?normalize=true", normalized(&ab))
        .await;
    let second = registry
        .ok("POST", "/subjects/s/versions?normalize=true", normalized(&ba))
        .await;
    assert_eq!(first["id"], second["id"]);
    registry
        .ok("PUT", "/config/t", Some(json!({"normalize": true})))
        .await;
    assert_eq!(
        registry.register("t", &ba).await,
        registry.register("t", &ab).await
    );
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_answered_in_the_format_that_is_wanted() {
    let registry = Served::start().await;
    registry
        .register("inner", r#"{"type":"fixed","name":"Inner","size":1}"#)
        .await;
    let outer = r#"{"type":"record","name":"Outer","fields":[{"name":"i","type":"Inner"}]}"#;
    let request = json!({
        "schema": outer,
        "references": [{"name": "Inner", "subject": "inner", "version": 1}],
    });
    let path = "/subjects/outer/versions";
    let answer = registry.ok("POST", path, Some(request.clone())).await;
    assert_eq!(answer["schema"], outer);
    let answer = registry
        .ok("POST", &format!("{path}?format=resolved"), Some(request))
        .await;
    assert_eq!(
        answer["schema"],
        outer.replace(r#""Inner""#, r#"{"type":"fixed","name":"Inner","size":1}"#)
    );
    registry.stop().await;
}
