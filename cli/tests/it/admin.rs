use serde_json::json;

use crate::support::Workplace;

#[tokio::test]
async fn configurations_are_shown_and_changed() {
    let place = Workplace::new();
    place.ok("topic create t --config retention.ms=60000").await;
    let get = "config get --topic t";
    assert_eq!(
        place.json(get).await,
        json!([{"key": "retention.ms", "value": "60000", "source": "topic", "read_only": false, "sensitive": false}])
    );
    place
        .ok("config set --topic t segment.ms=7000 retention.ms=70000")
        .await;
    let table = place.ok(get).await;
    assert!(table.contains("segment.ms") && table.contains("70000"), "{table}");
    place.ok("config unset --topic t retention.ms segment.ms").await;
    assert_eq!(place.json(get).await, json!([]));
    let one = place.json("config get --topic t cleanup.policy").await;
    assert_eq!(
        (&one[0]["value"], &one[0]["source"]),
        (&json!("delete"), &json!("default"))
    );
    let all = place.json("config get --topic t --all").await;
    assert!(all.as_array().unwrap().len() > 15, "{all}");

    place.ok("config set --broker log.retention.ms=1234567").await;
    let broker = place.json("config get --broker log.retention.ms").await;
    assert_eq!(
        (&broker[0]["value"], &broker[0]["source"]),
        (&json!("1234567"), &json!("dynamic-broker"))
    );
    // It is the default of topics that set nothing themselves.
    let topic = place.json("config get --topic t retention.ms").await;
    assert_eq!(topic[0]["value"], "1234567");

    for (line, wanted) in [
        ("config set --topic t speed=9", "speed"),
        ("config set --topic nope retention.ms=9", "'nope'"),
        ("config set --topic t retention.ms=soon", "retention.ms"),
        ("config get --topic t speed", "no configuration key 'speed'"),
        ("config get --broker=77", "there is no broker 77"),
    ] {
        place.run(line).await.assert_fails(1, &["error: ", wanted]);
    }
    for line in [
        "config get",
        "config set --topic t",
        "config get --topic t --broker",
    ] {
        assert_eq!(place.run(line).await.code, Some(2), "{line}");
    }
}

#[tokio::test]
async fn topics_are_altered_and_emptied() {
    let place = Workplace::new();
    place.ok("topic create t").await;
    place.ok_with("topic produce t", "a\nb\nc\n").await;
    place
        .ok("topic alter t --partitions 3 --config retention.ms=60000")
        .await;
    let topic = place.json("topic describe t").await;
    assert_eq!(topic["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(topic["config"], json!({"retention.ms": "60000"}));
    place.ok("topic alter t --unset retention.ms").await;
    assert_eq!(place.json("topic describe t").await["config"], json!({}));

    assert_eq!(
        place
            .json("topic delete-records t --partition 0 --before 2")
            .await,
        json!([{"partition": 0, "log_start": 2}])
    );
    assert_eq!(place.ok("topic consume t").await, "c\n");
    let emptied = place.json("topic delete-records t --all").await;
    assert_eq!(emptied[0], json!({"partition": 0, "log_start": 3}));
    assert_eq!(place.ok("topic consume t").await, "");

    for (line, wanted) in [
        ("topic alter t --partitions 2", "INVALID_PARTITIONS"),
        ("topic alter nope --partitions 2", "'nope'"),
        ("topic alter t", "nothing to change"),
        (
            "topic delete-records t --partition 0 --before 99",
            "OFFSET_OUT_OF_RANGE",
        ),
    ] {
        place.run(line).await.assert_fails(1, &["error: ", wanted]);
    }
    assert_eq!(place.run("topic delete-records t").await.code, Some(2));
}
