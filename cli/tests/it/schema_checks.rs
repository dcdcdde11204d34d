use serde_json::json;

use crate::support::{Workplace, finish};

const ORDER: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}]}"#;
/// Order "ab" with schema id 1.
const GOOD: &str = "\0\0\0\0\u{1}\u{4}ab\n";
/// Its text ends before its end.
const CUT: &str = "\0\0\0\0\u{1}\u{8}ab\n";
const SERVE: &str = "broker serve --data-dir data --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0";
const AT: &str = "--data-dir data";

async fn count(place: &Workplace, topic: &str) -> usize {
    place
        .json_lines(&format!("topic consume {topic} {AT}"))
        .await
        .len()
}

/// Whether the broker runs or not: whoever opens the directory holds records against its schemas.
#[tokio::test]
async fn a_topic_takes_what_its_schemas_say() {
    let place = Workplace::new();
    place.write("order.avsc", ORDER);
    let mut broker = place.start(SERVE);
    place.listening("data").await;
    let create = format!("topic create orders --config millstream.value.schema.validation=body {AT}");
    place.ok(&create).await;
    let produce = format!("topic produce orders {AT}");
    let unknown = place.run_with(&produce, GOOD).await;
    unknown.assert_fails(1, &["record 0: its value: there is no schema 1"]);
    place
        .ok(&format!(
            "registry register order.avsc --subject orders-value {AT}"
        ))
        .await;
    place.ok_with(&produce, GOOD).await;
    for (bad, reason) in [
        ("text\n", "record 0: its value: unknown magic byte 116"),
        (CUT, "record 0: its value: it is not what schema 1 says"),
    ] {
        place.run_with(&produce, bad).await.assert_fails(1, &[reason]);
    }
    assert_eq!(count(&place, "orders").await, 1);
    place.signal(&mut broker, "TERM").await;
    assert_eq!(finish(broker).await.code, Some(0));

    place.ok_with(&produce, GOOD).await;
    let refused = place.run_with(&produce, CUT).await;
    refused.assert_fails(1, &["record 0: its value: it is not what schema 1 says"]);
    let alter = format!("topic alter orders --config millstream.schema.on.invalid=dlq {AT}");
    place.ok(&alter).await;
    place.ok_with(&produce, &format!("text\n{GOOD}")).await;
    assert_eq!(count(&place, "orders").await, 3);
    let letters = place.json_lines(&format!("dlq show orders.dlq {AT}")).await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["reason"], "its value: unknown magic byte 116");
    assert_eq!(letters[0]["from"]["topic"], "orders");
    assert_eq!(letters[0]["letter"]["value"], json!("text"));
}

/// What another registry has registered counts as soon as that one has answered.
#[tokio::test]
async fn schemas_of_a_registry_beside_the_broker_count() {
    let place = Workplace::new();
    place.write("order.avsc", ORDER);
    let none = "broker serve --data-dir data --listen 127.0.0.1:0 --registry-listen none";
    let mut broker = place.start(none);
    let kafka = place.listening("data").await;
    let (mut beside, address) = place.registry_beside(&kafka).await;
    let create = format!("topic create orders --config confluent.value.schema.validation=true {AT}");
    place.ok(&create).await;
    // The first record asks the broker to read the schemas: the command is told to come again, and does.
    let produce = format!("topic produce orders {AT}");
    let refused = place.run_with(&produce, GOOD).await;
    refused.assert_fails(1, &["there is no schema 1"]);
    place
        .ok(&format!(
            "registry register order.avsc --subject orders-value --registry {address}"
        ))
        .await;
    place.ok_with(&produce, GOOD).await;
    for child in [&mut beside, &mut broker] {
        place.signal(child, "TERM").await;
    }
    for child in [beside, broker] {
        assert_eq!(finish(child).await.code, Some(0));
    }
}
