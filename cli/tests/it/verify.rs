//! `verify`: a directory that is whole, and one in which a byte has turned.

use std::{
    fs,
    path::{Path, PathBuf},
};

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

    // What a command leaves behind the next one seals, unless it ends before.
    let checkpoint = place.path("state/checkpoint");
    for _ in 0..100 {
        if checkpoint.exists() {
            break;
        }
        place.ok("topic list --data-dir state").await;
    }
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
async fn a_flipped_byte_early_in_the_write_ahead_log_is_no_torn_end() {
    let place = Workplace::new();
    let mut server = place.start("broker serve --data-dir state --listen 127.0.0.1:0 --log-level warn");
    place.listening("state").await;
    place.ok("topic create t --data-dir state").await;
    for line in ["first\n", "second\n"] {
        place.ok_with("topic produce t --data-dir state", line).await;
    }
    server.kill().await.unwrap();
    let file = newest_log(&place.path("state/wal"));
    let bytes = fs::read(&file).unwrap();
    let mut damaged = bytes.clone();
    // Behind the header of the file, in the first frame.
    damaged[80] ^= 1;
    fs::write(&file, damaged).unwrap();
    let verified = place.run("verify --data-dir state").await;
    verified.assert_fails(1, &["one thing is damaged"]);
    let refused = place.run("topic list --data-dir state").await;
    refused.assert_fails(1, &["is damaged", "records that were acknowledged"]);
    fs::write(&file, bytes).unwrap();
    assert_eq!(place.run("verify --data-dir state").await.code, Some(0));
    let lines = place.ok("topic consume t --data-dir state").await;
    assert_eq!(lines, "first\nsecond\n");
}

/// The file of the write-ahead log that was begun last: its number lies behind magic, version and flags.
fn newest_log(folder: &Path) -> PathBuf {
    let number = |path: &PathBuf| {
        let head = fs::read(path).unwrap();
        let is_used = head.starts_with(b"MSTRMWAL");
        is_used.then(|| u64::from_le_bytes(head[16..24].try_into().unwrap()))
    };
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.max_by_key(number).unwrap()
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
