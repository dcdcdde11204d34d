//! Avro of a schema registry, between `millstream` and Confluent's serializers.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use millstream_tests_kit::Process;
use serde_json::{Value, json};

use crate::{
    clients::{python, script, stdout_of},
    millstream::millstream,
    serving::Serving,
};

const DEADLINE: Duration = Duration::from_secs(60);

/// A command with this text as its stdin; answers its stdout.
fn fed(command: &mut Command, text: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin.write_all(text.as_bytes()).expect("the command reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the command ends");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).expect("the output is text")
}

fn at(command: &mut Command, serving: &Serving) {
    command.args([
        "--bootstrap",
        &serving.kafka,
        "--registry",
        &serving.registry_url(),
    ]);
}

/// Confluent's serializers, as `avro_check.py` offers them.
struct Python<'a> {
    python: &'a Path,
    serving: &'a Serving,
}

impl Python<'_> {
    fn command(&self, action: &str, topic: &str) -> Command {
        let mut command = script(self.python, "avro_check.py");
        command.args([action, &self.serving.kafka, &self.serving.registry_url(), topic]);
        command
    }

    fn write(&self, action: &str, topic: &str, schema: &Path, rows: &[Value]) {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fed(self.command(action, topic).arg(schema), &lines);
    }

    fn read(&self, topic: &str, count: usize) -> Vec<Value> {
        let text = stdout_of(self.command("read", topic).arg(count.to_string()));
        let rows = text.lines().map(serde_json::from_str);
        rows.collect::<Result<_, _>>().expect("rows are JSON")
    }
}

#[test]
fn values_of_every_type_are_the_same_for_confluents_serializer_and_on_the_command_line() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serving = Serving::broker(folder.path());
    let python = Python {
        python: &python,
        serving: &serving,
    };
    stdout_of(&mut python.command("everything", "all"));
    let consume = || {
        let mut consume = millstream();
        consume.args(["topic", "consume", "all", "--avro"]);
        at(&mut consume, &serving);
        stdout_of(&mut consume)
    };
    let shown = consume();
    let second: Value = serde_json::from_str(shown.lines().nth(1).expect("three rows")).expect("it is JSON");
    assert_eq!(
        second,
        json!({
            "flag": true, "count": -1, "big": 1_099_511_627_776_i64, "ratio": 0.25, "name": "näme 1", "raw": "Af8=",
            "kind": "NEW", "price": 0.95, "day": "2024-02-28", "at": "2024-02-29T12:30:01.250Z",
            "key": "00000000-0000-0000-0000-000000000001", "note": null, "either": 1, "tags": ["t"],
            "counts": {"k": 1}, "place": {"city": "Bonn", "next": {"city": "Ulm", "next": null}}
        })
    );

    let mut produce = millstream();
    produce.args(["topic", "produce", "all", "--avro"]);
    at(&mut produce, &serving);
    fed(&mut produce, &shown);
    assert_eq!(consume(), format!("{shown}{shown}"));
    let rows = python.read("all", 6);
    assert_eq!(rows[..3], rows[3..]);
    assert_eq!(rows[1]["either"], 1);
}

const V1: &str = r#"{"type": "record", "name": "Order", "namespace": "com.acme", "fields": [
    {"name": "id", "type": "string"}, {"name": "cents", "type": "int"}, {"name": "old", "type": "string"}]}"#;
/// A renamed and wider field, a new one, and one less.
const V2: &str = r#"{"type": "record", "name": "Order", "namespace": "com.acme", "fields": [
    {"name": "id", "type": "string"}, {"name": "total", "aliases": ["cents"], "type": "long"},
    {"name": "city", "type": "string", "default": "Bonn"}]}"#;
/// Something that comes while the pipeline runs.
const V3: &str = r#"{"type": "record", "name": "Order", "namespace": "com.acme", "fields": [
    {"name": "more", "type": {"type": "array", "items": "int"}, "default": []}, {"name": "id", "type": "string"},
    {"name": "total", "aliases": ["cents"], "type": "long"}, {"name": "city", "type": ["null", "string"], "default": null}]}"#;

fn pipeline(select: &str) -> String {
    format!(
        "version: 1
pipeline: orders
log: {{ embedded: {{ dir: ./data }} }}
streams:
  orders: {{ format: avro }}
processors:
  dear:
    sql: SELECT {select} FROM orders WHERE total >= 100
    into: {{ topic: dear, key: id, format: avro }}
"
    )
}

/// A pipeline on its own broker and registry.
fn run(folder: &Path) -> Serving {
    let mut command = millstream();
    command.args(["run", "pipeline.yaml"]).current_dir(folder);
    Serving::start(command, &folder.join("data"))
}

#[test]
fn a_pipeline_follows_schemas_that_evolve_and_stops_before_it_breaks_its_own_readers() {
    let Some(interpreter) = python() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let schema = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("the folder can be written");
        path
    };
    let (v1, v2, v3) = (
        schema("v1.avsc", V1),
        schema("v2.avsc", V2),
        schema("v3.avsc", V3),
    );
    let serving = Serving::broker(&folder.path().join("data"));
    let python = Python {
        python: &interpreter,
        serving: &serving,
    };
    let order = |id: &str, cents: i64| json!({"id": id, "cents": cents, "old": "x"});
    python.write("write", "orders", &v1, &[order("a", 150), order("b", 50)]);
    let order = |id: &str, total: i64, city: &str| json!({"id": id, "total": total, "city": city});
    python.write("write", "orders", &v2, &[order("c", 1 << 40, "Ulm")]);
    python.write("headers", "orders", &v2, &[order("d", 200, "Trier")]);
    serving.stop();

    schema("pipeline.yaml", &pipeline("id, total, city"));
    let serving = run(folder.path());
    let python = Python {
        python: &interpreter,
        serving: &serving,
    };
    let more = json!({"id": "e", "total": 300, "city": "Kiel", "more": [1]});
    python.write("write", "orders", &v3, &[more]);
    let mut rows = python.read("dear", 4);
    rows.sort_by_key(|row| row["id"].to_string());
    assert_eq!(
        rows,
        [
            order("a", 150, "Bonn"),
            order("c", 1 << 40, "Ulm"),
            order("d", 200, "Trier"),
            order("e", 300, "Kiel"),
        ]
    );
    serving.stop();

    // A text is no long, and whoever reads `dear` expects one.
    schema(
        "pipeline.yaml",
        &pipeline("id, CAST(total AS VARCHAR) AS total, city"),
    );
    let mut command = millstream();
    command
        .args([
            "run",
            "pipeline.yaml",
            "--until-end",
            "--listen",
            "none",
            "--registry-listen",
            "none",
        ])
        .current_dir(folder.path());
    let mut refused = Process::spawn(command).expect("the binary starts");
    let code = refused
        .wait(DEADLINE)
        .expect("it can be waited for")
        .expect("it ends");
    let said = refused.stderr();
    assert_eq!(code.code(), Some(1), "{said}");
    assert!(
        said.contains("the schema of 'dear' cannot follow those of subject 'dear-value'"),
        "{said}"
    );
    let mut count = millstream();
    count
        .args(["topic", "consume", "dear", "--avro", "--data-dir"])
        .arg(folder.path().join("data"));
    assert_eq!(stdout_of(&mut count).lines().count(), 4);
}
