//! `verify`: a directory that is whole, and one in which a byte has turned.

use std::fs;

use crate::support::{Workplace, finish};

#[tokio::test]
async fn a_sound_directory_is_told_from_a_damaged_one() {
    let place = Workplace::new();
    place.ok("topic create t --data-dir state").await;
    let lines = "a line that can be found again\n".repeat(1000);
    place.ok_with("topic produce t --data-dir state", &lines).await;
    let report = place.json("verify --data-dir state").await;
    assert_eq!(
        (&report["sound"], &report["records"]),
        (&true.into(), &1000.into())
    );
    let verified = place.run("verify --data-dir state").await;
    assert_eq!(verified.code, Some(0));
    assert!(verified.stderr.contains("read 1,000 records") && verified.stderr.contains("nothing is damaged"));

    let checkpoint = place.path("state/checkpoint");
    let mut bytes = fs::read(&checkpoint).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&checkpoint, bytes).unwrap();

    let damaged = place.run("verify --data-dir state -o json").await;
    damaged.assert_fails(1, &["damaged"]);
    let report: serde_json::Value = serde_json::from_str(&damaged.stdout).unwrap();
    assert_eq!(report["sound"], false);
    let finding = &report["findings"][0];
    let name = "checkpoint";
    assert!(finding["file"].as_str().unwrap().ends_with(name), "{finding}");
    let table = place.run("verify --data-dir state").await;
    assert!(
        table.stdout.contains(name) && table.stdout.contains("damage"),
        "{table:?}"
    );
}

#[tokio::test]
async fn a_directory_that_a_broker_holds_is_left_alone() {
    let place = Workplace::new();
    place
        .run("verify --data-dir nowhere")
        .await
        .assert_fails(1, &["there is no data directory 'nowhere'"]);
    let mut server = place.start("broker serve --data-dir state --listen 127.0.0.1:0 --log-level warn");
    place.listening("state").await;
    place
        .run("verify --data-dir state")
        .await
        .assert_fails(1, &["is in use"]);
    place.signal(&mut server, "TERM").await;
    assert_eq!(finish(server).await.code, Some(0));
}
