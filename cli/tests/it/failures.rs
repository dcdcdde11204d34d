use std::{fs, net::TcpListener};

use crate::{
    pipelines::people,
    support::{Workplace, finish},
};

#[tokio::test]
async fn a_port_in_use_is_named_with_the_cure() {
    let place = people();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let finished = place
        .run(&format!("run pipeline.yaml --until-end --listen {address}"))
        .await;
    finished.assert_fails(1, &["in use", &address.to_string(), "--listen none"]);
    assert_eq!(finished.stdout, "");
}

#[tokio::test]
async fn a_data_directory_has_one_owner() {
    let place = Workplace::new();
    let mut owner = place.start("broker serve --data-dir state --listen 127.0.0.1:0");
    place.listening("state").await;
    let pid = owner.id().unwrap().to_string();
    let second = place
        .run("broker serve --data-dir state --listen 127.0.0.1:0")
        .await;
    second.assert_fails(1, &["'state' is in use", &pid, "kcat -b"]);
    place.signal(&mut owner, "INT").await;
    assert_eq!(finish(owner).await.code, Some(0));
    place.ok("topic create t --data-dir state").await;
}

#[tokio::test]
async fn after_a_kill_the_directory_is_free_and_whole() {
    let place = Workplace::new();
    let mut owner = place.start("broker serve --data-dir state --listen 127.0.0.1:0");
    place.listening("state").await;
    place.ok("topic create t --data-dir state").await;
    place
        .ok_with("topic produce t --data-dir state", "durable\n")
        .await;
    owner.kill().await.unwrap();
    assert_eq!(place.ok("topic consume t --data-dir state").await, "durable\n");
    // The note of the dead process leads nobody astray.
    assert!(!place.path("state/kafka.address").exists());
}

#[tokio::test]
async fn a_directory_that_is_not_there_or_not_writable_is_named() {
    let place = Workplace::new();
    place
        .run("topic list --data-dir nowhere")
        .await
        .assert_fails(1, &["no data directory 'nowhere'", "--data-dir"]);
    assert!(!place.path("nowhere").exists());
    place.write("file", "not a directory");
    place
        .run("topic create t --data-dir file")
        .await
        .assert_fails(1, &["'file'"]);
    place
        .run("topic list --bootstrap 127.0.0.1:1")
        .await
        .assert_fails(1, &["no broker answers at 127.0.0.1:1"]);

    // Nobody, not even root, can make a folder there.
    place
        .run("topic create t --data-dir /proc/millstream")
        .await
        .assert_fails(1, &["'/proc/millstream' cannot be written"]);
}

#[tokio::test]
async fn a_data_directory_of_a_newer_format_is_left_alone() {
    let place = Workplace::new();
    place.ok("topic create t --data-dir state").await;
    let format = fs::read_dir(place.path("state"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().contains("format"))
        });
    let format = format.expect("the data directory names its format");
    let text = fs::read_to_string(&format).unwrap();
    let newer: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect();
    fs::write(&format, &newer).unwrap();
    place
        .run("topic list --data-dir state")
        .await
        .assert_fails(1, &["'state' has format", "newer"]);
    assert_eq!(fs::read_to_string(&format).unwrap(), newer);
}
