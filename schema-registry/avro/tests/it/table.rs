//! The table of compatibility, `tests/data/compatibility.txt`: readable, and true of the Java library too.
//!
//! `MILLSTREAM_RECORD=1 cargo test -p millstream-schema-registry-avro --test it table` writes what Java finds behind each
//! case; the cases themselves are written by hand.

use std::path::{Path, PathBuf};

use millstream_schema_registry_avro::{Schema, Strictness, compat};
use serde_json::{Value, json};

use crate::oracle;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/compatibility.txt")
}

fn text() -> String {
    std::fs::read_to_string(path()).expect("the table is there")
}

/// A reader, a writer and what is found.
struct Row {
    name: String,
    reader: String,
    writer: String,
    findings: Vec<String>,
}

/// A type for each word of the matrix.
fn of_word(word: &str) -> String {
    match word {
        "array" => json!({"type": "array", "items": "int"}),
        "map" => json!({"type": "map", "values": "int"}),
        "fixed" => json!({"type": "fixed", "name": "F", "size": 1}),
        "enum" => json!({"type": "enum", "name": "E", "symbols": ["A"]}),
        "record" => json!({"type": "record", "name": "R", "fields": []}),
        word => json!(word),
    }
    .to_string()
}

fn matrix(text: &str) -> Vec<Row> {
    let mut lines = text
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("null boolean"));
    let writers: Vec<&str> = lines
        .next()
        .expect("the matrix has a head")
        .split_whitespace()
        .collect();
    let mut rows = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let mut cells = line.split_whitespace();
        let reader = cells.next().expect("a row has a name");
        let cells: Vec<&str> = cells.collect();
        assert_eq!(cells.len(), writers.len(), "{line}");
        for (writer, cell) in writers.iter().zip(cells) {
            let words = format!(
                "reader type: {} not compatible with writer type: {}",
                reader.to_uppercase(),
                writer.to_uppercase()
            );
            rows.push(Row {
                name: format!("{reader} reads {writer}"),
                reader: of_word(reader),
                writer: of_word(writer),
                findings: match cell {
                    "." => Vec::new(),
                    "x" => vec![format!("TYPE_MISMATCH / {words}")],
                    other => panic!("{other} is neither . nor x: {line}"),
                },
            });
        }
    }
    rows
}

/// Both ways of every case.
fn cases(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut section = "";
    for block in text.split("\n\n") {
        if let Some(title) = block.trim().strip_prefix("== ") {
            section = title;
        }
        let Some(name) = block.trim_start().strip_prefix("-- ") else {
            continue;
        };
        let mut lines = name.lines();
        let name = lines.next().expect("a block has a first line");
        let mut line = |prefix: &str| {
            let line = lines.next().unwrap_or_default();
            line.strip_prefix(prefix)
                .unwrap_or_else(|| panic!("{name}: {line} is not {prefix}"))
                .to_owned()
        };
        let (a, b) = (line("a "), line("b "));
        let mut found = [Vec::new(), Vec::new()];
        for line in lines {
            let (way, finding) = line.split_once("> ").unwrap_or_else(|| panic!("{name}: {line}"));
            if finding != "ok" {
                found[usize::from(way == "b")].push(finding.to_owned());
            }
        }
        let [of_a, of_b] = found;
        for (way, reader, writer, findings) in [("a", &a, &b, of_a), ("b", &b, &a, of_b)] {
            rows.push(Row {
                name: format!("{section}: {name} ({way} reads)"),
                reader: reader.clone(),
                writer: writer.clone(),
                findings,
            });
        }
    }
    rows
}

fn ours(row: &Row) -> Vec<String> {
    let parse = |text: &str| {
        Schema::parse(text, &[], Strictness::New)
            .unwrap_or_else(|error| panic!("{}: {text}: {error}", row.name))
    };
    compat::check(&parse(&row.reader), &parse(&row.writer))
        .into_iter()
        .map(|finding| {
            format!(
                "{} {} {}",
                finding.kind.as_str(),
                finding.location,
                finding.message
            )
        })
        .collect()
}

fn java(rows: &[Row]) -> Result<Vec<Vec<String>>, String> {
    let requests: Vec<Value> = rows
        .iter()
        .map(|row| json!({"schema": row.reader, "writer": row.writer}))
        .collect();
    let answers = oracle::ask(&requests)?;
    Ok(answers
        .iter()
        .zip(rows)
        .map(|(answer, row)| findings(answer, row))
        .collect())
}

fn findings(answer: &Value, row: &Row) -> Vec<String> {
    assert!(answer["error"].is_null(), "{}: {answer}", row.name);
    if let Some(exception) = answer["exception"].as_str() {
        // Where we have a place, Java has none.
        let place = ours(row)
            .first()
            .and_then(|f| f.split(' ').nth(1).map(str::to_owned))
            .unwrap_or_default();
        return vec![format!("AMBIGUOUS_FIELD {place} {exception}")];
    }
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    let findings = answer["findings"].as_array().expect("findings");
    findings
        .iter()
        .map(|f| format!("{} {} {}", word(&f[0]), word(&f[1]), word(&f[2])))
        .collect()
}

#[test]
fn every_row_of_the_table_is_what_we_find() {
    if std::env::var_os("MILLSTREAM_RECORD").is_some() {
        record();
    }
    let text = text();
    let rows: Vec<Row> = matrix(&text).into_iter().chain(cases(&text)).collect();
    assert!(rows.len() > 400, "the table has lost rows: {}", rows.len());
    for row in &rows {
        assert_eq!(ours(row), row.findings, "{}", row.name);
    }
}

#[test]
fn every_row_of_the_table_is_what_java_finds() {
    let text = text();
    let rows: Vec<Row> = matrix(&text).into_iter().chain(cases(&text)).collect();
    match java(&rows) {
        Ok(found) => {
            for (row, found) in rows.iter().zip(found) {
                assert_eq!(found, row.findings, "{}", row.name);
            }
        }
        Err(reason) => {
            millstream_tests_kit::skip(&format!("table of Avro compatibility against Java: {reason}"))
        }
    }
}

/// Writes what Java finds behind each case.
fn record() {
    let text = text();
    let rows = cases(&text);
    let mut found = java(&rows).expect("recording needs Java").into_iter();
    let mut blocks = Vec::new();
    for block in text.trim_end().split("\n\n") {
        if !block.trim_start().starts_with("-- ") {
            blocks.push(block.to_owned());
            continue;
        }
        let mut lines: Vec<String> = block.lines().take(3).map(str::to_owned).collect();
        for way in ["a", "b"] {
            let findings = found.next().expect("a case has two ways");
            lines.extend(findings.iter().map(|finding| format!("{way}> {finding}")));
            if findings.is_empty() {
                lines.push(format!("{way}> ok"));
            }
        }
        blocks.push(lines.join("\n"));
    }
    std::fs::write(path(), blocks.join("\n\n") + "\n").expect("the table can be written");
}
