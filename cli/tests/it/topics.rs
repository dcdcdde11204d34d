use std::process::Stdio;

use serde_json::json;
use tokio::{io::AsyncReadExt, process::Command, time::timeout};

use crate::support::{DEADLINE, Workplace};

#[tokio::test]
async fn what_is_produced_is_consumed() {
    let place = Workplace::new();
    place.ok("topic create t --partitions 1").await;
    let appended = place
        .run_with(
            "topic produce t --key-separator : --header source=test -o json",
            "a:1\nb:x:y\n",
        )
        .await;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&appended.stdout).unwrap(),
        json!({"topic": "t", "records": 2}),
        "{appended:?}"
    );

    assert_eq!(place.ok("topic consume t").await, "1\nx:y\n");
    assert_eq!(place.ok("topic consume t --keys").await, "a\t1\nb\tx:y\n");
    let records = place.json_lines("topic consume t").await;
    assert_eq!(records[1]["key"], "b");
    assert_eq!(records[1]["value"], "x:y");
    assert_eq!(records[1]["offset"], 1);
    assert_eq!(
        records[1]["headers"],
        json!([{"name": "source", "value": "test"}])
    );
    assert!(
        records[1]["timestamp"].as_str().unwrap().ends_with('Z'),
        "{records:?}"
    );
}

#[tokio::test]
async fn consume_begins_and_ends_where_it_is_told() {
    let place = Workplace::new();
    place.ok("topic create t").await;
    let lines: String = (0..10).map(|n| format!("{n}\n")).collect();
    place.ok_with("topic produce t", &lines).await;
    for (arguments, wanted) in [
        ("--from-beginning --max-records 2", "0\n1\n"),
        ("--offset 8", "8\n9\n"),
        ("--offset -3", "7\n8\n9\n"),
        ("--offset latest", ""),
        ("--offset 99", ""),
        ("--partition 0 --offset 4 --max-records 1", "4\n"),
        ("--max-records 0", ""),
    ] {
        assert_eq!(
            place.ok(&format!("topic consume t {arguments}")).await,
            wanted,
            "{arguments}"
        );
    }
}

#[tokio::test]
async fn a_key_always_finds_its_partition_and_the_rest_go_round() {
    let place = Workplace::new();
    place.ok("topic create keyed --partitions 3").await;
    for _ in 0..2 {
        place
            .ok_with("topic produce keyed --key-separator =", "a=1\nb=2\nc=3\nd=4\n")
            .await;
    }
    let records = place.json_lines("topic consume keyed").await;
    assert_eq!(records.len(), 8);
    for key in ["a", "b", "c", "d"] {
        let partitions: Vec<_> = records
            .iter()
            .filter(|r| r["key"] == key)
            .map(|r| &r["partition"])
            .collect();
        assert_eq!(partitions.len(), 2, "{records:?}");
        assert_eq!(partitions[0], partitions[1], "{key}");
    }
}

#[tokio::test]
async fn lists_and_describes_topics() {
    let place = Workplace::new();
    place
        .ok("topic create orders --partitions 2 --config retention.ms=60000")
        .await;
    place.ok("topic create __internal").await;
    place
        .ok_with("topic produce orders --partition 1", "x\ny\n")
        .await;

    assert_eq!(
        place.json("topic list").await,
        json!([{"topic": "orders", "partitions": 2, "offsets": 2}])
    );
    assert!(place.ok("topic list --all").await.contains("__internal"));
    let table = place.ok("topic list").await;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows,
        [vec!["TOPIC", "PARTITIONS", "OFFSETS"], vec!["orders", "2", "2"]]
    );

    let topic = place.json("topic describe orders").await;
    assert_eq!(topic["config"]["retention.ms"], "60000");
    assert_eq!(topic["partitions"][1]["high_watermark"], 2);
    assert!(
        place
            .ok("topic describe orders")
            .await
            .contains("retention.ms=60000")
    );

    place.ok("topic delete orders").await;
    assert_eq!(place.json("topic list").await, json!([]));
}

#[tokio::test]
async fn refuses_what_is_not_there_and_what_is_wrong() {
    let place = Workplace::new();
    place.ok("topic create t").await;
    for (line, wanted) in [
        ("topic create t", "topic 't' already exists"),
        ("topic create u --config speed=9", "speed"),
        ("topic describe nope", "topic 'nope' does not exist"),
        ("topic delete nope", "topic 'nope' does not exist"),
        ("topic consume nope", "topic 'nope' does not exist"),
        ("topic consume t --partition 7", "partition t-7 does not exist"),
        ("topic produce t --partition 7", "partition t-7 does not exist"),
    ] {
        place.run(line).await.assert_fails(1, &["error: ", wanted]);
    }
    let finished = place
        .run_with("topic produce t --key-separator :", "a:1\nno key\n")
        .await;
    finished.assert_fails(1, &["line 2 of stdin", "there is no key"]);
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure() {
    let place = Workplace::new();
    place.ok("topic create t").await;
    let lines: String = (0..50_000)
        .map(|n| format!("a line that is long enough to fill the pipe {n}\n"))
        .collect();
    place.ok_with("topic produce t", &lines).await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_millstream"))
        .current_dir(place.path("."))
        .args(["topic", "consume", "t"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 100]).await.unwrap();
    drop(stdout);
    let output = timeout(DEADLINE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""));
}
