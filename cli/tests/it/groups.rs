use millstream_protocol::messages::{
    JoinGroupRequest, StrBytes, SyncGroupRequest, join_group_request::JoinGroupRequestProtocol,
};
use serde_json::json;

use crate::{
    kafka::Kafka,
    support::{Workplace, finish},
};

/// A topic with ten records in its first partition, the group `g` at its fourth.
async fn behind(target: &str, place: &Workplace) {
    place.ok(&format!("topic create t --partitions 2 {target}")).await;
    let lines: String = (0..10).map(|n| format!("{n}\n")).collect();
    place
        .ok_with(&format!("topic produce t --partition 0 {target}"), &lines)
        .await;
    place
        .ok(&format!(
            "group reset g --topic t --partition 0 --to-offset 4 --execute {target}"
        ))
        .await;
}

async fn check_commands(target: &str, place: &Workplace) {
    behind(target, place).await;
    let listed = place.json(&format!("group list {target}")).await;
    assert_eq!(
        (&listed[0]["group"], &listed[0]["state"]),
        (&json!("g"), &json!("Empty"))
    );
    assert_eq!(
        place.json(&format!("group list --state Stable {target}")).await,
        json!([])
    );

    let group = place.json(&format!("group describe g {target}")).await;
    assert_eq!(group["state"], "Empty");
    assert_eq!(group["members"], json!([]));
    let partition = &group["partitions"][0];
    assert_eq!(
        (
            &partition["committed"],
            &partition["high_watermark"],
            &partition["lag"]
        ),
        (&json!(4), &json!(10), &json!(6))
    );
    let seconds = partition["lag_seconds"].as_f64().unwrap();
    assert!((0.0..600.0).contains(&seconds), "{seconds}");
    let table = place.ok(&format!("group describe g {target}")).await;
    assert!(
        table.starts_with("g: Empty") && table.contains("BEHIND"),
        "{table}"
    );

    let status = place.json(&format!("group status --over 50ms {target}")).await;
    assert_eq!(
        (&status[0]["verdict"], &status[0]["lag"]),
        (&json!("stopped"), &json!(6))
    );

    let preview = place
        .run(&format!("group reset g --by-duration 1h -o json {target}"))
        .await;
    preview.assert_fails(3, &["preview"]);
    let preview: serde_json::Value = serde_json::from_str(&preview.stdout).unwrap();
    assert_eq!(preview["changes"][0]["new"], 0);
    place
        .ok(&format!("group reset g --to-latest --execute {target}"))
        .await;
    let status = place.json(&format!("group status g --over 50ms {target}")).await;
    assert_eq!(
        (&status[0]["verdict"], &status[0]["lag_seconds"]),
        (&json!("ok"), &json!(0.0))
    );

    place.ok(&format!("group delete g {target}")).await;
    assert_eq!(place.json(&format!("group list {target}")).await, json!([]));
    place
        .run(&format!("group delete g {target}"))
        .await
        .assert_fails(1, &["group 'g' is not deleted", "GROUP_ID_NOT_FOUND"]);
    place
        .run(&format!("group status g {target}"))
        .await
        .assert_fails(1, &["there is no group 'g'"]);
}

#[tokio::test]
async fn groups_are_shown_moved_and_deleted_in_a_directory_that_nobody_holds() {
    check_commands("--data-dir state", &Workplace::new()).await;
}

#[tokio::test]
async fn groups_are_shown_moved_and_deleted_beside_a_running_broker() {
    let place = Workplace::new();
    let mut server = place.start("broker serve --data-dir state --listen 127.0.0.1:0 --log-level warn");
    let address = place.listening("state").await;
    check_commands(&format!("--bootstrap {address}"), &place).await;
    // The same broker, found by its directory.
    place
        .ok("offsets reset --group h --topic t --partition 0 --to-earliest --execute --data-dir state")
        .await;
    let shown = place.json("offsets show --group h --data-dir state").await;
    assert_eq!(shown["groups"][0]["lag"], 10);
    place.signal(&mut server, "TERM").await;
    assert_eq!(finish(server).await.code, Some(0));
}

#[tokio::test]
async fn the_offsets_of_a_group_at_work_are_not_moved() {
    let place = Workplace::new();
    let mut server = place.start("broker serve --data-dir state --listen 127.0.0.1:0 --log-level warn");
    let address = place.listening("state").await;
    let target = format!("--bootstrap {address}");
    behind(&target, &place).await;

    let mut member = Kafka::connect(&address).await;
    let protocol = JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
    let join = JoinGroupRequest::default()
        .with_group_id(StrBytes::from_static_str("g").into())
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol]);
    let joined = member.call(&join, 3).await;
    assert_eq!(joined.error_code, 0, "{joined:?}");
    let sync = SyncGroupRequest::default()
        .with_group_id(StrBytes::from_static_str("g").into())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id);
    assert_eq!(member.call(&sync, 3).await.error_code, 0);

    let group = place.json(&format!("group describe g {target}")).await;
    assert_eq!(
        (&group["state"], &group["members"][0]["client"]),
        (&json!("Stable"), &json!("test"))
    );
    for command in [
        "group reset g --to-earliest --execute",
        "offsets reset --group g --to-earliest --execute",
    ] {
        let refused = place.run(&format!("{command} {target}")).await;
        refused.assert_fails(1, &["group 'g' has 1 members", "stop its consumers first"]);
    }
    // A preview changes nothing, so it is not refused.
    place
        .run(&format!("group reset g --to-earliest {target}"))
        .await
        .assert_fails(3, &["preview"]);
    place
        .run(&format!("group delete g {target}"))
        .await
        .assert_fails(1, &["NON_EMPTY_GROUP"]);
    place.signal(&mut server, "TERM").await;
    finish(server).await;
}
