use serde_json::json;

use crate::support::Workplace;

/// A topic with ten records, the group `g` at its end.
async fn ten_records() -> Workplace {
    let place = Workplace::new();
    place.ok("topic create t --partitions 2").await;
    let lines: String = (0..10).map(|n| format!("{n}\n")).collect();
    place.ok_with("topic produce t --partition 0", &lines).await;
    let reset = "offsets reset --group g --topic t --partition 0 --to-latest --execute";
    assert_eq!(place.json(reset).await["executed"], true);
    place
}

#[tokio::test]
async fn a_reset_is_a_preview_until_it_is_executed() {
    let place = ten_records().await;
    let wanted = json!([{"topic": "t", "partition": 0, "committed": 10, "new": 4, "lag": 6}]);

    let preview = place.run("offsets reset --group g --to-offset 4 -o json").await;
    preview.assert_fails(3, &["preview", "--execute"]);
    let preview: serde_json::Value = serde_json::from_str(&preview.stdout).unwrap();
    assert_eq!(preview["executed"], false);
    assert_eq!(preview["changes"], wanted);
    assert_eq!(place.json("offsets show").await["groups"][0]["committed"], 10);

    let done = place
        .json("offsets reset --group g --to-offset 4 --execute")
        .await;
    assert_eq!(done["changes"], wanted);
    assert_eq!(
        place.json("offsets show --group g").await["groups"],
        json!([{"group": "g", "topic": "t", "partition": 0, "committed": 4, "high_watermark": 10, "lag": 6}])
    );
    let again = place.run("offsets reset --group g --to-offset 4").await;
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""), "{again:?}");
}

#[tokio::test]
async fn resets_to_a_time_and_stays_within_the_log() {
    let place = ten_records().await;
    for (to, new) in [
        ("--to-earliest", 0),
        ("--to-time 2001-01-01", 0),
        ("--to-time 2999-01-01T00:00:00Z", 10),
        ("--to-offset 5", 5),
        ("--to-offset 99", 10),
        ("--to-latest", 10),
    ] {
        place
            .run(&format!("offsets reset --group g {to} --execute"))
            .await;
        let groups = &place.json("offsets show").await["groups"];
        assert_eq!(groups[0]["committed"], new, "{to}");
    }
}

#[tokio::test]
async fn an_unknown_group_is_named() {
    let place = ten_records().await;
    let finished = place.run("offsets reset --group nobody --to-earliest").await;
    finished.assert_fails(
        1,
        &["group 'nobody' has not committed any offset", "offsets show"],
    );
}
