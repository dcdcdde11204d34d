//! Topics of Avro: in pipelines, and from the command line.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};

use crate::support::{Workplace, finish};

const PEOPLE: &str = "\
version: 1
pipeline: people
log: { embedded: { dir: ./state, listen: null } }
sources:
  people:
    type: file
    path: people-*.csv
    format: { csv: { columns: { name: varchar, age: int } } }
    into: { topic: people, key: name, format: avro }
processors:
  adults:
    sql: SELECT name, age, CAST(age AS SMALLINT) AS small FROM people WHERE age >= 18
    into: { topic: adults, format: avro }
sinks:
  out:
    type: file
    from: adults
    path: out/
    format: ndjson
";

const RUN: &str = "run pipeline.yaml --until-end --registry-listen none";

fn people() -> Workplace {
    let place = Workplace::new();
    place.write("pipeline.yaml", PEOPLE);
    place.write("people-1.csv", "name,age\nAda,36\nBob,7\nCyd,old\nDan,18\n");
    place
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn a_pipeline_writes_and_reads_avro_and_registers_its_schemas() {
    let place = people();
    place.ok(RUN).await;
    assert_eq!(
        place.lines_in("out"),
        [
            r#"{"name":"Ada","age":36,"small":36}"#,
            r#"{"name":"Dan","age":18,"small":18}"#
        ]
    );
    let shown = place.ok("topic consume people --avro --data-dir state").await;
    assert_eq!(
        sorted(&shown),
        [
            r#"{"name":"Ada","age":36}"#,
            r#"{"name":"Bob","age":7}"#,
            r#"{"name":"Dan","age":18}"#
        ]
    );
    let records = place.json_lines("topic consume people --data-dir state").await;
    let ada = records.iter().find(|record| record["key"] == "Ada").unwrap();
    assert_eq!(
        ada["value"], "\u{0}\u{0}\u{0}\u{0}\u{2}\u{2}\u{6}Ada\u{2}H",
        "a zero, the id, the datum"
    );
    let registered = place.json("registry list --data-dir state").await;
    let text = place.ok("registry get adults-value --data-dir state").await;
    let schema: Value = serde_json::from_str(&text).unwrap();
    let field = |name: &str, kind: &str| json!({"name": name, "type": ["null", kind], "default": null});
    assert_eq!(
        schema,
        json!({"type": "record", "name": "adults", "fields": [
            field("name", "string"), field("age", "int"), field("small", "int")
        ]})
    );

    // The same again registers nothing new and writes nothing twice.
    place.ok(RUN).await;
    assert_eq!(place.lines_in("out").len(), 2);
    assert_eq!(place.json("registry list --data-dir state").await, registered);
}

/// Nothing is there before, and nothing of the pipeline is there afterwards.
#[tokio::test]
async fn a_pipeline_whose_first_record_would_break_readers_writes_none() {
    let place = people();
    let readers = r#"{"type": "record", "name": "adults", "fields": [{"name": "name", "type": "long"}]}"#;
    place.write("adults.avsc", readers);
    place.ok("topic create other --data-dir state").await;
    place
        .ok("registry register adults.avsc --subject adults-value --data-dir state")
        .await;
    place.run(RUN).await.assert_fails(
        1,
        &[
            "the schema of 'adults' cannot follow those of subject 'adults-value'",
            "/fields/0/type",
            "--set compatibility=NONE",
        ],
    );
    let topics = place.json("topic list --data-dir state").await.to_string();
    assert!(
        topics.contains("other") && !topics.contains("people") && !topics.contains("adults"),
        "{topics}"
    );
    let subjects = place.ok("registry list --data-dir state").await;
    assert!(
        !subjects.contains("people-value"),
        "nothing is registered either: {subjects}"
    );

    place
        .ok("registry config adults-value --set compatibility=NONE --data-dir state")
        .await;
    place.ok(RUN).await;
    assert_eq!(place.lines_in("out").len(), 2);
}

#[tokio::test]
async fn a_change_that_readers_could_not_follow_stops_the_pipeline_before_it_writes() {
    let place = people();
    place.ok(RUN).await;
    let before = place.ok("topic consume adults --data-dir state").await;
    place.write(
        "pipeline.yaml",
        &PEOPLE.replace(
            "SELECT name, age, CAST(age AS SMALLINT) AS small",
            "SELECT name, upper(name) AS age, true AS small",
        ),
    );
    place.write("people-2.csv", "name,age\nEve,50\n");
    let refused = place.run(RUN).await;
    refused.assert_fails(
        1,
        &[
            "the schema of 'adults' cannot follow those of subject 'adults-value'",
            "MISSING_UNION_BRANCH",
            "pipeline.yaml:13",
        ],
    );
    assert_eq!(place.ok("topic consume adults --data-dir state").await, before);
    assert_eq!(
        place
            .ok("topic consume people --avro --data-dir state")
            .await
            .lines()
            .count(),
        3
    );

    // A column that may be missing is no harm.
    let wider = PEOPLE.replace(
        "CAST(age AS SMALLINT) AS small",
        "CAST(age AS SMALLINT) AS small, upper(name) AS loud",
    );
    place.write("pipeline.yaml", &wider);
    place.ok(RUN).await;
    let shown = place.ok("topic consume adults --avro --data-dir state").await;
    assert!(
        shown.contains(r#"{"name":"Eve","age":50,"small":50,"loud":"EVE"}"#),
        "{shown}"
    );
    assert!(shown.contains(r#"{"name":"Ada","age":36,"small":36}"#), "{shown}");
}

const ORDER: &str = r#"{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "long"}, {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}}]}"#;

const ORDERS: &str = "\
version: 1
pipeline: orders
log: { embedded: { dir: ./state, listen: null } }
streams:
  orders: { format: avro }
processors:
  dear:
    sql: SELECT id, price, tags FROM orders WHERE price > 1
    into: dear
sinks:
  out: { type: file, from: dear, path: out/, format: ndjson }
";

#[tokio::test]
async fn lines_of_json_become_avro_and_a_pipeline_reads_them_by_their_schema() {
    let place = Workplace::new();
    place.write("order.avsc", ORDER);
    place.write("pipeline.yaml", ORDERS);
    place.ok("topic create orders --data-dir state").await;
    place
        .run("topic produce orders --avro --data-dir state")
        .await
        .assert_fails(1, &["no schema is registered under 'orders-value'"]);
    place
        .ok("registry register order.avsc --subject orders-value --data-dir state")
        .await;
    let lines = "{\"id\": 1, \"price\": 12.50, \"tags\": [\"a\", \"b\"]}\n{\"id\": 2, \"price\": \"0.99\"}\n";
    place
        .ok_with("topic produce orders --avro --data-dir state", lines)
        .await;
    place
        .run_with(
            "topic produce orders --avro --data-dir state",
            "{\"id\": 3, \"price\": 0.001}\n",
        )
        .await
        .assert_fails(1, &["line 1 of stdin", "'price': 0.001 is no decimal(8, 2)"]);
    place
        .ok_with("topic produce orders --data-dir state", "no avro\n")
        .await;

    let shown = place.run("topic consume orders --avro --data-dir state").await;
    assert_eq!(
        sorted(&shown.stdout),
        [
            "no avro",
            r#"{"id":1,"tags":["a","b"],"price":12.50}"#,
            r#"{"id":2,"tags":[],"price":0.99}"#
        ]
    );
    assert!(shown.stderr.contains("unknown magic byte"), "{shown:?}");

    let validated = place.run("validate pipeline.yaml").await;
    validated.assert_fails(1, &["the columns of 'orders' are those of its schema"]);
    place.ok(RUN).await;
    assert_eq!(
        place.lines_in("out"),
        [r#"{"id":1,"price":12.50,"tags":"[\"a\",\"b\"]"}"#]
    );
}

/// Values that no schema explains are dead letters with the reason; the rest goes on.
#[tokio::test]
async fn values_of_unknown_schemas_are_named_and_kept() {
    let place = Workplace::new();
    place.write("order.avsc", ORDER);
    place.write("pipeline.yaml", ORDERS);
    place.ok("topic create orders --data-dir state").await;
    place
        .ok("registry register order.avsc --subject orders-value --data-dir state")
        .await;
    place
        .ok_with(
            "topic produce orders --avro --data-dir state",
            "{\"id\": 1, \"price\": 2}\n",
        )
        .await;
    // The magic byte, ids 77 and 1, and data that ends too early.
    for bad in ["\0\0\0\0M\u{2}\n", "\0\0\0\0\u{1}\u{2}\n", "{\"id\": 2}\n"] {
        place.ok_with("topic produce orders --data-dir state", bad).await;
    }
    let shown = place.run("topic consume orders --avro --data-dir state").await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for text in [
        "orders-0@1: schema 77 is not registered",
        "3 values are no Avro of a registered schema: printed as they are",
    ] {
        assert!(
            shown.stderr.contains(text),
            "'{text}' is missing in: {}",
            shown.stderr
        );
    }

    place.ok(RUN).await;
    assert_eq!(place.lines_in("out").len(), 1);
    let letters = place
        .json_lines("dlq show orders.dear.dlq --data-dir state")
        .await;
    let mut reasons: Vec<_> = letters
        .iter()
        .map(|letter| letter["reason"].as_str().unwrap())
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "byte 1, tags: the data ends too early",
            "schema 77 is not registered",
            "the value names no schema: unknown magic byte 123",
        ]
    );
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_named() {
    let place = Workplace::new();
    let mut broker =
        place.start("broker serve --data-dir data --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0");
    let kafka = place.listening("data").await;
    place
        .ok(&format!("topic create orders --bootstrap {kafka}"))
        .await;
    place
        .ok_with(
            &format!("topic produce orders --bootstrap {kafka}"),
            "\0\0\0\0\u{1}x\n",
        )
        .await;
    // Nothing listens on port 1.
    for command in ["consume", "produce"] {
        place
            .run(&format!(
                "topic {command} orders --avro --bootstrap {kafka} --registry 127.0.0.1:1"
            ))
            .await
            .assert_fails(
                1,
                &[
                    "no schema registry answers at http://127.0.0.1:1",
                    "--registry names another",
                ],
            );
    }
    // A broker speaks another protocol.
    place
        .run(&format!(
            "topic consume orders --avro --bootstrap {kafka} --registry {kafka}"
        ))
        .await
        .assert_fails(1, &[&format!("no schema registry answers at http://{kafka}")]);

    // The registry of a data directory that somebody holds is found by itself.
    place.write("order.avsc", ORDER);
    place
        .ok("registry register order.avsc --subject orders-value --data-dir data")
        .await;
    place
        .ok_with(
            "topic produce orders --avro --data-dir data",
            "{\"id\": 1, \"price\": 2}\n",
        )
        .await;
    let shown = place.ok("topic consume orders --avro --data-dir data").await;
    assert!(shown.contains(r#"{"id":1,"tags":[],"price":2.00}"#), "{shown}");
    place.signal(&mut broker, "TERM").await;
    assert_eq!(finish(broker).await.code, Some(0));
}

const EVERYTHING: &str = r#"{"type": "record", "name": "everything", "namespace": "com.acme", "fields": [
    {"name": "flag", "type": "boolean"}, {"name": "n", "type": "int"}, {"name": "big", "type": ["null", "long"], "default": null},
    {"name": "real", "type": "float"}, {"name": "ratio", "type": "double"}, {"name": "name", "type": "string"},
    {"name": "raw", "type": "bytes"}, {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 2}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["OLD", "NEW"]}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "clock", "type": {"type": "int", "logicalType": "time-millis"}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "here", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
    {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "either", "type": ["long", "string"]}, {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "counts", "type": {"type": "map", "values": "int"}},
    {"name": "tree", "type": {"type": "record", "name": "Tree", "fields": [
        {"name": "v", "type": "int"}, {"name": "next", "type": ["null", "Tree"], "default": null}]}}]}"#;

const EVERY_ROW: &str = r#"{"flag":true,"n":-7,"big":null,"real":0.5,"ratio":1e300,"name":"näme","raw":"AP8=","hash":"AQI=","kind":"NEW","price":-0.05,"day":"2024-02-29","clock":"12:30:01.250","at":"2024-02-29T12:30:01.000250Z","here":"2024-02-29T12:30:01.250","id":"00000000-0000-0000-0000-000000000001","either":5,"tags":["a"],"counts":{"k":1},"tree":{"v":1,"next":{"v":2,"next":null}}}"#;

/// A row whose columns hold what is nested as JSON text.
fn unfolded(line: &str) -> Value {
    let mut row: Value = serde_json::from_str(line).unwrap();
    for nested in ["either", "tags", "counts", "tree"] {
        // A source of CSV takes a column of numbers for one.
        if let Some(text) = row[nested].as_str() {
            row[nested] = serde_json::from_str(text).unwrap();
        }
    }
    row
}

/// Through SQL into Avro again, and into files of every format.
#[tokio::test]
async fn values_of_every_type_pass_through_pipelines() {
    let place = Workplace::new();
    place.write("everything.avsc", EVERYTHING);
    let sinks = ["ndjson", "csv", "parquet"]
        .map(|format| {
            format!("  {format}: {{ type: file, from: everything, path: out/{format}/, format: {format} }}\n")
        })
        .concat();
    place.write(
        "pipeline.yaml",
        &format!(
            "version: 1\npipeline: all\nlog: {{ embedded: {{ dir: ./state, listen: null }} }}\nstreams:\n  \
             everything: {{ format: avro }}\nprocessors:\n  copy:\n    sql: SELECT * FROM everything\n    \
             into: {{ topic: copy, format: avro }}\nsinks:\n{sinks}"
        ),
    );
    place.ok("topic create everything --data-dir state").await;
    place
        .ok("registry register everything.avsc --subject everything-value --data-dir state")
        .await;
    place
        .ok_with(
            "topic produce everything --avro --data-dir state",
            &format!("{EVERY_ROW}\n"),
        )
        .await;
    place.ok(RUN).await;

    let written: Value = serde_json::from_str(EVERY_ROW).unwrap();
    let shown = place.ok("topic consume everything --avro --data-dir state").await;
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), written);
    let shown = place.ok("topic consume copy --avro --data-dir state").await;
    assert_eq!(unfolded(&shown), written);
    assert_eq!(unfolded(&place.lines_in("out/ndjson")[0]), written);

    // Parquet and CSV have the same columns.
    for format in ["csv", "parquet"] {
        place.write(
            "back.yaml",
            &format!(
                "version: 1\npipeline: back-{format}\nlog: {{ embedded: {{ dir: ./back-{format}, listen: null }} }}\n\
                 sources:\n  file: {{ type: file, path: 'out/{format}/*.{format}', format: {format}, into: rows }}\nsinks:\n  \
                 back: {{ type: file, from: rows, path: back-out/{format}/, format: ndjson }}\n"
            ),
        );
        place.ok("run back.yaml --until-end").await;
        let lines = place.lines_in(&format!("back-out/{format}"));
        let back = unfolded(&lines[0]);
        for name in ["n", "name", "kind", "price", "id", "tags", "tree"] {
            assert_eq!(back[name], written[name], "{name} of {format}");
        }
    }
}

/// Status and body for the path of a request.
type Answers = fn(&str) -> (u16, String);

/// Answers every request in a way that no registry does, until the test ends.
fn nonsense(answers: Answers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut first = String::new();
            stream.read_line(&mut first).unwrap();
            let mut line = first.clone();
            while line.trim() != "" {
                line.clear();
                stream.read_line(&mut line).unwrap();
            }
            let (status, body) = answers(first.split(' ').nth(1).unwrap());
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} So\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            // Who has seen enough may hang up.
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    address
}

/// A schema that refers to the one with the next larger number.
fn chain(number: u64) -> String {
    let references = json!([{"name": "R", "subject": "s", "version": number + 1}]);
    json!({"schema": r#"{"type":"enum","name":"R","symbols":["A"]}"#, "references": references}).to_string()
}

#[tokio::test]
async fn a_registry_that_answers_nonsense_does_no_harm() {
    let place = Workplace::new();
    place.ok("topic create t --data-dir data").await;
    place
        .ok_with("topic produce t --data-dir data", "\0\0\0\0\u{1}\u{2}\n")
        .await;
    let unread: [(Answers, &str); 5] = [
        (
            |_| (200, r#"{"schema": "x", "schemaType": "PROTOBUF"}"#.into()),
            "it is of type PROTOBUF, not AVRO",
        ),
        (|_| (200, "{}".into()), "the registry answers it without text"),
        (
            |_| (200, r#"{"schema": "{"}"#.into()),
            "data of schema 1 cannot be read",
        ),
        // Round in a circle, which ends; on and on, which must be ended.
        (|_| (200, chain(0)), "symbol 1 of an enum that has 1"),
        (
            |path| {
                let number = path
                    .split(['/', '?'])
                    .filter_map(|part| part.parse().ok())
                    .next_back();
                (200, chain(number.unwrap_or(0)))
            },
            "it refers to too many others",
        ),
    ];
    for (answers, reason) in unread {
        let address = nonsense(answers);
        let shown = place
            .run(&format!(
                "topic consume t --avro --data-dir data --registry {address}"
            ))
            .await;
        assert_eq!(shown.code, Some(0), "{shown:?}");
        assert!(
            shown.stderr.contains(reason),
            "'{reason}' is missing in: {}",
            shown.stderr
        );
    }
    let failed: [(Answers, &str); 3] = [
        (|_| (500, "oops".into()), "answers with status 500"),
        (|_| (200, "<html>".into()), "is no schema registry"),
        (|_| (200, " ".repeat(20 << 20)), "no schema registry answers"),
    ];
    for (answers, reason) in failed {
        let address = nonsense(answers);
        place
            .run(&format!(
                "topic consume t --avro --data-dir data --registry {address}"
            ))
            .await
            .assert_fails(1, &[reason]);
    }
}
