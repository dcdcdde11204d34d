use serde_json::json;

use crate::{
    pipelines::{PEOPLE, people},
    support::Workplace,
};

/// A processor fails for one record: 7 / 0.
async fn letters() -> Workplace {
    let place = Workplace::new();
    let pipeline = PEOPLE.replace("WHERE age >= 18", "WHERE 100 / (age - 7) > 0");
    place.write("pipeline.yaml", &pipeline);
    place.write("people.csv", "name,age\nAda,36\nBob,7\nDan,18\n");
    place.ok("run pipeline.yaml --until-end --listen none").await;
    place
}

const DIR: &str = "--pipeline pipeline.yaml";

#[tokio::test]
async fn letters_are_listed_and_shown_with_reason_and_origin() {
    let place = letters().await;
    let topics = place.json(&format!("dlq show {DIR}")).await;
    let row = json!({"topic": "people.adults.dlq", "letters": 1, "waiting": 1});
    assert!(topics.as_array().unwrap().contains(&row), "{topics}");

    let shown = place
        .json_lines(&format!("dlq show people.adults.dlq {DIR}"))
        .await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(
        (&shown[0]["node"], &shown[0]["from"]["topic"]),
        (&json!("adults"), &json!("people"))
    );
    assert!(
        shown[0]["reason"]
            .as_str()
            .unwrap()
            .to_lowercase()
            .contains("zero"),
        "{shown:?}"
    );
    assert!(
        shown[0]["letter"]["value"].as_str().unwrap().contains("Bob"),
        "{shown:?}"
    );
    let table = place.ok(&format!("dlq show people.adults.dlq {DIR}")).await;
    assert!(table.contains("people-0@1") && table.contains("Bob"), "{table}");
}

#[tokio::test]
async fn a_letter_is_replayed_once() {
    let place = letters().await;
    let before = place.json_lines(&format!("topic consume people {DIR}")).await;
    let replayed = place.json(&format!("dlq replay people.adults.dlq {DIR}")).await;
    assert_eq!(replayed["records"], 1);
    assert_eq!(replayed["into"], json!([{"topic": "people", "records": 1}]));

    let after = place.json_lines(&format!("topic consume people {DIR}")).await;
    assert_eq!(after.len(), before.len() + 1);
    let (original, copy) = (&before[1], after.last().unwrap());
    for field in ["key", "value", "timestamp", "headers"] {
        assert_eq!(copy[field], original[field], "{field}");
    }
    let again = place.json(&format!("dlq replay people.adults.dlq {DIR}")).await;
    assert_eq!(again["records"], 0);
    let waiting = place.json(&format!("dlq show {DIR}")).await;
    assert!(
        waiting.to_string().contains(r#""letters":1,"waiting":0"#),
        "{waiting}"
    );
    let forced = place
        .json(&format!("dlq replay people.adults.dlq --from-beginning {DIR}"))
        .await;
    assert_eq!(forced["records"], 1);
}

#[tokio::test]
async fn a_letter_of_a_source_needs_a_topic_to_go_to() {
    let place = people();
    place.write("people.csv", "name,age\nAda,36\nDan,18,too,many\n");
    place.ok("run pipeline.yaml --until-end --listen none").await;
    let refused = place.run(&format!("dlq replay people.people.dlq {DIR}")).await;
    refused.assert_fails(1, &["of source 'people' did not come from a topic", "--into"]);
    place.ok(&format!("topic create repaired {DIR}")).await;
    let replayed = place
        .json(&format!("dlq replay people.people.dlq --into repaired {DIR}"))
        .await;
    assert_eq!(replayed["records"], 1);
    assert!(
        place
            .ok(&format!("topic consume repaired {DIR}"))
            .await
            .contains("too")
    );
}
