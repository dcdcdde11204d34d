use std::path::Path;

use tokio::process::Child;

use crate::{
    apache_kafka::ApacheKafka,
    support::{Workplace, finish},
};

const V1: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}]}"#;
const V2: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"city","type":"string","default":""}]}"#;
const BAD: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"int"},{"name":"amount","type":"double"}]}"#;

fn place() -> Workplace {
    let place = Workplace::new();
    for (file, text) in [("v1.avsc", V1), ("v2.avsc", V2), ("bad.avsc", BAD)] {
        place.write(file, text);
    }
    place
}

async fn stop(place: &Workplace, mut child: Child) -> String {
    place.signal(&mut child, "TERM").await;
    let finished = finish(child).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.stderr
}

const SERVE: &str = "broker serve --data-dir data --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0";

#[tokio::test]
async fn a_broker_has_a_registry_that_commands_use() {
    let place = place();
    let broker = place.start(SERVE);
    let address = place.registry("data").await;
    let at = format!("--registry http://{address}");
    let registered = place
        .ok(&format!("registry register v1.avsc --subject orders-value {at}"))
        .await;
    assert_eq!(registered, "orders-value version 1 has id 1\n");
    let registered = place
        .json(&format!("registry register v2.avsc --subject orders-value {at}"))
        .await;
    assert_eq!(
        registered,
        serde_json::json!({"subject": "orders-value", "version": 2, "id": 2})
    );
    let refused = place
        .run(&format!("registry register bad.avsc --subject orders-value {at}"))
        .await;
    refused.assert_fails(1, &["incompatible with an earlier schema", "'amount'", "(40901)"]);

    let list = place.ok(&format!("registry list {at}")).await;
    assert!(list.contains("orders-value        2   2  AVRO"), "{list}");
    let schema = place
        .json(&format!("registry get orders-value --version 1 {at}"))
        .await;
    assert_eq!(schema["schema"], V1);
    let text = place.ok(&format!("registry get --id 2 {at}")).await;
    let expected: serde_json::Value = serde_json::from_str(V2).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text).unwrap(),
        expected
    );
    let diff = place.ok(&format!("registry diff orders-value {at}")).await;
    assert!(diff.contains("field added  city  -    string = \"\""), "{diff}");

    let config = place
        .ok(&format!(
            "registry config orders-value --set compatibility=FULL --set mode=READONLY {at}"
        ))
        .await;
    assert!(
        config.contains("compatibility  FULL") && config.contains("mode           READONLY"),
        "{config}"
    );
    let refused = place.run(&format!("registry delete orders-value {at}")).await;
    refused.assert_fails(1, &["is in read-only mode (42205)"]);
    place
        .ok(&format!("registry config orders-value --unset mode {at}"))
        .await;
    place
        .ok(&format!("registry delete orders-value --version 2 {at}"))
        .await;
    let deleted = place
        .json(&format!("registry delete orders-value --permanent {at}"))
        .await;
    assert_eq!(deleted["versions"], serde_json::json!([1, 2]));
    assert_eq!(
        place.json(&format!("registry list {at}")).await,
        serde_json::json!([])
    );
    place
        .run(&format!("registry config orders-value --set size=7 {at}"))
        .await
        .assert_fails(1, &["no setting 'size'"]);
    let said = stop(&place, broker).await;
    assert!(
        said.contains(&format!("schema registry at http://{address}")),
        "{said}"
    );
    place.run(&format!("registry list {at}")).await.assert_fails(
        1,
        &[
            "no schema registry answers at http://",
            "--registry names another",
        ],
    );
}

#[tokio::test]
async fn a_registry_is_reached_through_its_data_directory_running_or_not() {
    let place = place();
    let broker = place.start(SERVE);
    place.registry("data").await;
    place
        .ok("registry register v1.avsc --subject s --data-dir data")
        .await;
    let topics = place.ok("topic list --data-dir data").await;
    assert!(topics.contains("_schemas"), "{topics}");
    stop(&place, broker).await;
    let list = place.json("registry list --data-dir data").await;
    assert_eq!(list[0]["subject"], "s");
    assert!(!Path::new(&place.path("data/registry.address")).exists());
    place
        .run("registry list --data-dir nowhere")
        .await
        .assert_fails(1, &["there is no data directory 'nowhere'"]);
}

#[tokio::test]
async fn a_broker_nobody_uses_schemas_with_has_no_topic_for_them_and_can_go_without() {
    let place = place();
    let broker = place.start("broker serve --data-dir data --listen 127.0.0.1:0 --registry-listen none");
    place.listening("data").await;
    assert!(!place.ok("topic list --data-dir data").await.contains("_schemas"));
    place
        .run("registry list --data-dir data")
        .await
        .assert_fails(1, &["has no schema registry"]);
    stop(&place, broker).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!(
        "broker serve --data-dir data --listen 127.0.0.1:0 --registry-listen {}",
        taken.local_addr().unwrap()
    );
    place
        .run(&line)
        .await
        .assert_fails(1, &["cannot listen on", "--registry-listen"]);
}

/// Two registries on one log: that of the broker, and one beside it over Kafka's protocol.
#[tokio::test]
async fn a_registry_serves_a_kafka_cluster_beside_others() {
    let place = place();
    let broker = place.start(SERVE);
    let own = place.registry("data").await;
    let kafka = place.listening("data").await;
    let (beside, address) = place.registry_beside(&kafka).await;
    let register =
        |file: &str, address: &str| format!("registry register {file} --subject s --registry {address}");
    assert_eq!(
        place.ok(&register("v1.avsc", &address)).await,
        "s version 1 has id 1\n"
    );
    assert_eq!(
        place.ok(&register("v2.avsc", &own)).await,
        "s version 2 has id 2\n"
    );
    assert_eq!(
        place.ok(&register("v1.avsc", &own)).await,
        "s version 1 has id 1\n"
    );
    assert_eq!(
        place.ok(&register("v2.avsc", &address)).await,
        "s version 2 has id 2\n"
    );
    place
        .run(&register("bad.avsc", &address))
        .await
        .assert_fails(1, &["{oldSchemaVersion: 2}"]);
    stop(&place, beside).await;
    stop(&place, broker).await;
}

#[tokio::test]
async fn schemas_are_checked_without_a_registry_by_the_same_rules() {
    let place = place();
    for (version, text) in [("1", V1), ("2", V2), ("10", V2)] {
        place.write(&format!("history/v{version}.avsc"), text);
    }
    let good = place
        .ok("registry check v2.avsc --versions history --level FULL_TRANSITIVE")
        .await;
    assert_eq!(good, "compatible: FULL_TRANSITIVE with 3 versions\n");
    let bad = place.run("registry check bad.avsc --versions history").await;
    bad.assert_fails(1, &["may not follow: 2 findings at level BACKWARD"]);
    for line in [
        "v10.avsc  BACKWARD   TYPE_MISMATCH                       /fields/0/type  reader type: INT not compatible with writer type: STRING",
        "v10.avsc  BACKWARD   READER_FIELD_MISSING_DEFAULT_VALUE  /fields/1       amount",
    ] {
        assert!(bad.stdout.contains(line), "{}", bad.stdout);
    }
    let json = place
        .run("registry check bad.avsc --versions history --level BACKWARD_TRANSITIVE -o json")
        .await;
    assert_eq!(json.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["compatible"], false);
    let versions: Vec<_> = json["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["version"].as_str().unwrap())
        .collect();
    assert_eq!(
        versions,
        ["v10.avsc", "v10.avsc", "v2.avsc", "v2.avsc", "v1.avsc", "v1.avsc"]
    );
    place.write(
        "broken.avsc",
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"strin"}]}"#,
    );
    place
        .run("registry check broken.avsc --versions history")
        .await
        .assert_fails(1, &["'broken.avsc' is not a schema", "/fields/0"]);
    place
        .run("registry check v1.avsc --versions data")
        .await
        .assert_fails(1, &["cannot read folder 'data'"]);

    // A registry that has the same versions says the same.
    let broker = place.start(SERVE);
    let at = format!("--registry {}", place.registry("data").await);
    for file in ["v1.avsc", "v2.avsc"] {
        place
            .ok(&format!("registry register {file} --subject s {at}"))
            .await;
    }
    let registered = place
        .run(&format!("registry check bad.avsc --subject s {at} -o json"))
        .await;
    let registered: serde_json::Value = serde_json::from_str(&registered.stdout).unwrap();
    assert_eq!(registered["violations"][0]["path"], json["violations"][0]["path"]);
    assert_eq!(registered["violations"].as_array().unwrap().len(), 2);
    let fresh = place
        .ok(&format!("registry check bad.avsc --subject new {at}"))
        .await;
    assert_eq!(fresh, "compatible: BACKWARD with 0 versions\n");
    stop(&place, broker).await;
}

/// Orders with a schema id in front.
const OF_V1: &str = "\0\0\0\0\u{1}\u{4}ab\n";
const OF_V2: &str = "\0\0\0\0\u{2}\u{4}ab\u{2}x\n";
const OF_ANOTHER: &str = "\0\0\0\0\u{9}\u{4}ab\n";

#[tokio::test]
async fn usage_says_where_schemas_occur_and_who_has_yet_to_read_them() {
    let place = place();
    let broker = place.start(SERVE);
    place.registry("data").await;
    let at = "--data-dir data";
    make_usage_of_orders(&place, at, at).await;
    check_usage_of_orders(&place, at).await;
    let usage = place
        .json(&format!(
            "registry usage orders-value --topic others --topic orders {at}"
        ))
        .await;
    assert_eq!(usage["topics"], serde_json::json!(["orders", "others"]));
    assert_eq!(usage["schemas"][1]["uses"][2]["topic"], "others");
    place
        .run(&format!("registry usage nothing {at}"))
        .await
        .assert_fails(1, &["there is no subject 'nothing'"]);
    place
        .ok(&format!("registry register v2.avsc --subject Order {at}"))
        .await;
    let usage = place.json(&format!("registry usage Order {at}")).await;
    assert_eq!(usage["topics"], serde_json::json!(["orders", "others"]));
    assert_eq!(usage["schemas"][0]["records"], 3);

    // The same beside a running broker by its address, and in a directory that nobody has.
    let address = place.registry("data").await;
    let kafka = place.listening("data").await;
    check_usage_of_orders(&place, &format!("--bootstrap {kafka} --registry {address}")).await;
    stop(&place, broker).await;
    check_usage_of_orders(&place, at).await;
}

/// Orders of three versions, the first of them deleted, and two groups that have read some.
async fn make_usage_of_orders(place: &Workplace, log: &str, registry: &str) {
    place.write("v3.avsc", &V2.replace("city", "town"));
    for file in ["v1", "v2", "v3"] {
        place
            .ok(&format!(
                "registry register {file}.avsc --subject orders-value {registry}"
            ))
            .await;
    }
    place
        .ok(&format!("registry delete orders-value --version 1 {registry}"))
        .await;
    place
        .ok(&format!("topic create orders --partitions 2 {log}"))
        .await;
    place.ok(&format!("topic create others {log}")).await;
    for (topic, lines) in [
        ("orders --partition 0", [OF_V1, OF_V1, OF_V2].concat()),
        (
            "orders --partition 1",
            ["text\n", OF_V1, OF_ANOTHER, OF_V2, OF_V1].concat(),
        ),
        ("others", OF_V2.to_owned()),
    ] {
        place
            .ok_with(&format!("topic produce {topic} {log}"), &lines)
            .await;
    }
    for (group, partition, offset) in [("slow", 0, 0), ("slow", 1, 2), ("quick", 0, 3), ("quick", 1, 4)] {
        let reset = format!("offsets reset --group {group} --topic orders --partition {partition}");
        place
            .ok(&format!("{reset} --to-offset {offset} --execute {log}"))
            .await;
    }
}

async fn check_usage_of_orders(place: &Workplace, at: &str) {
    let usage = place.json(&format!("registry usage orders-value {at}")).await;
    assert_eq!(usage["topics"], serde_json::json!(["orders"]), "{usage}");
    assert_eq!(usage["schemas"].as_array().unwrap().len(), 3, "{usage}");
    let first = &usage["schemas"][0];
    assert_eq!(
        first["versions"],
        serde_json::json!([{"version": 1, "deleted": true}])
    );
    assert_eq!(first["records"], 4);
    let brief = |used: &serde_json::Value| {
        let numbers = ["partition", "records", "first_offset", "last_offset"];
        let groups = used["groups"].as_array().unwrap().iter();
        let groups = groups.map(|group| {
            let text = |key: &str| group[key].as_str().unwrap().to_owned();
            format!("{} {} at {}", text("group"), text("read"), group["committed"])
        });
        (
            numbers.map(|key| used[key].as_i64().unwrap()),
            groups.collect::<Vec<_>>(),
        )
    };
    let uses: Vec<_> = first["uses"].as_array().unwrap().iter().map(brief).collect();
    let readers = |readers: [&str; 2]| readers.map(str::to_owned).to_vec();
    assert_eq!(
        uses,
        [
            ([0, 2, 0, 1], readers(["quick all at 3", "slow none at 0"])),
            ([1, 2, 1, 4], readers(["quick some at 4", "slow some at 2"])),
        ]
    );
    assert_eq!(usage["schemas"][2]["uses"], serde_json::json!([]));
    assert_eq!(usage["of_other_schemas"], 1);
    assert_eq!(usage["without_schema"], 1);
    let table = place.ok(&format!("registry usage orders-value {at}")).await;
    let line = |begin: &str| {
        let line = table.lines().find(|line| line.trim_start().starts_with(begin));
        line.unwrap_or_else(|| panic!("{begin}: {table}")).to_owned()
    };
    assert!(
        line("1 (deleted)   1  orders          0  value").ends_with("slow (at 0)"),
        "{table}"
    );
    assert!(line("3   3  -").ends_with('-'), "{table}");
}

/// Without a log of ours: the topic of schemas, the records and the groups are those of Apache Kafka.
#[tokio::test]
async fn apache_kafka_is_told_where_schemas_occur() {
    let Some(mut kafka) = ApacheKafka::prepare() else {
        return;
    };
    let place = place();
    kafka.start().await;
    let (registry, address) = place.registry_beside(&kafka.address()).await;
    let (log, registry_at) = (
        format!("--bootstrap {}", kafka.address()),
        format!("--registry http://{address}"),
    );
    make_usage_of_orders(&place, &log, &registry_at).await;
    check_usage_of_orders(&place, &format!("{log} {registry_at}")).await;
    stop(&place, registry).await;
    kafka.stop().await;
}

/// Two registries on one topic of Apache Kafka, which end, are killed, and meet a Kafka that goes and comes back.
#[tokio::test]
async fn registries_keep_their_schemas_in_apache_kafka() {
    let Some(mut kafka) = ApacheKafka::prepare() else {
        return;
    };
    let place = place();
    kafka.start().await;
    let (first, one) = place.registry_beside(&kafka.address()).await;
    let topic = place
        .json(&format!(
            "topic describe _schemas --bootstrap {}",
            kafka.address()
        ))
        .await;
    assert_eq!(topic["config"]["cleanup.policy"], "compact", "{topic}");
    assert_eq!(topic["partitions"].as_array().map(Vec::len), Some(1), "{topic}");
    for (file, version) in [("v1.avsc", 1), ("v2.avsc", 2)] {
        let registered = register(&place, file, "s", &one).await;
        assert_eq!(registered, (version, version));
    }
    let refused = format!("registry register bad.avsc --subject s --registry {one}");
    place.run(&refused).await.assert_fails(1, &["(40901)"]);
    let level = format!("registry config s --set compatibility=FULL_TRANSITIVE --registry {one}");
    place.ok(&level).await;

    let (mut second, two) = place.registry_beside(&kafka.address()).await;
    let mut ids = std::collections::BTreeSet::from([1, 2]);
    for n in 0..6 {
        let text = |name: &str| format!(r#"{{"type":"enum","name":"{name}{n}","symbols":["A"]}}"#);
        for name in ["Shared", "Left", "Right"] {
            place.write(&format!("{name}{n}.avsc"), &text(name));
        }
        let file = |name: &str| format!("{name}{n}.avsc");
        let (shared, left, right) = (file("Shared"), file("Left"), file("Right"));
        let (of_shared, of_left, of_right) = (format!("shared{n}"), format!("left{n}"), format!("right{n}"));
        let (here, there, left, right) = tokio::join!(
            register(&place, &shared, &of_shared, &one),
            register(&place, &shared, &of_shared, &two),
            register(&place, &left, &of_left, &one),
            register(&place, &right, &of_right, &two),
        );
        assert_eq!(
            here, there,
            "one text of one subject has one id, whoever is asked"
        );
        for (_, id) in [here, left, right] {
            assert!(ids.insert(id), "{id} was given before");
        }
    }
    let known = everything(&place, &one).await;
    assert_eq!(known, everything(&place, &two).await);

    place.signal(&mut second, "KILL").await;
    stop(&place, first).await;
    drop(second);
    let (first, one) = place.registry_beside(&kafka.address()).await;
    assert_eq!(everything(&place, &one).await, known);
    let level = place.json(&format!("registry config s --registry {one}")).await;
    assert!(level.to_string().contains("FULL_TRANSITIVE"), "{level}");

    kafka.stop().await;
    kafka.start().await;
    // the registry finds its Kafka again
    let (_, id) = register(&place, "bad.avsc", "other", &one).await;
    assert!(ids.insert(id), "{id} was given before");
    assert_eq!(register(&place, "v2.avsc", "s", &one).await, (2, 2));
    stop(&place, first).await;
    kafka.stop().await;
}

/// Version and id.
async fn register(place: &Workplace, file: &str, subject: &str, address: &str) -> (i64, i64) {
    let line = format!("registry register {file} --subject {subject} --registry {address}");
    let registered = place.json(&line).await;
    let number = |key: &str| registered[key].as_i64().unwrap();
    (number("version"), number("id"))
}

/// All subjects with the texts and ids of their versions.
async fn everything(place: &Workplace, address: &str) -> Vec<serde_json::Value> {
    let at = format!("--registry {address}");
    let mut all = vec![place.json(&format!("registry list {at}")).await];
    for subject in ["s", "shared0", "left1", "right5"] {
        all.push(place.json(&format!("registry get {subject} {at}")).await);
    }
    all
}
