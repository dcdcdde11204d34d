//! What a registry does with schemas, in microseconds, beside `apache-avro` where it has the same: reading a text, comparing
//! two versions, comparing a new version with a thousand earlier ones.
//!
//! Each figure is the median of rounds; the last also has its 99th percentile, for it has a bar.

#![allow(clippy::print_stdout, reason = "a bench talks to its reader")]

use std::{hint::black_box, time::Instant};

use millstream_schema_registry_avro::{
    Schema, Strictness,
    compat::{self, Level, Policy},
};
use serde_json::{Value, json};

const VERSIONS: usize = 1_000;
const ROUNDS: usize = 500;

fn main() {
    let (text, earlier) = (version(VERSIONS), version(VERSIONS - 1));
    println!("a schema of {} fields, {} bytes", 20 + VERSIONS / 50, text.len());
    let parse = |text: &str| Schema::parse(text, &[], Strictness::New).expect("valid");
    let their = |text: &str| apache_avro::Schema::parse_str(text).expect("valid");
    compare(
        "read a text",
        median(ROUNDS, || parse(&text)),
        median(ROUNDS, || their(&text)),
    );
    let (new, old) = (parse(&text), parse(&earlier));
    assert!(compat::check(&new, &old).is_empty());
    let (their_new, their_old) = (their(&text), their(&earlier));
    let can_read =
        || apache_avro::schema_compatibility::SchemaCompatibility::can_read(&their_old, &their_new).is_ok();
    compare(
        "compare two versions",
        median(ROUNDS, || compat::check(&new, &old)),
        median(ROUNDS, can_read),
    );
    let canonical = median(ROUNDS, || new.sha256());
    println!("  canonical form and SHA-256: {canonical:.1} us");

    let versions: Vec<Schema> = (0..VERSIONS).map(|index| parse(&version(index))).collect();
    for level in [Level::BackwardTransitive, Level::FullTransitive] {
        let mut times = times(ROUNDS, || {
            compat::violations(&new, &versions, level, Policy::Java).next()
        });
        let [p50, p99] = [50, 99].map(|percent| percentile(&mut times, percent) / 1000.0);
        println!("{level} against {VERSIONS} versions: p50 {p50:.2} ms, p99 {p99:.2} ms (bar: p99 5 ms)");
    }
    let broken = parse(&text.replace("\"order_id\"", "\"order_number\""));
    let findings = compat::check_level(&broken, &versions, Level::BackwardTransitive);
    assert_eq!(findings.len(), VERSIONS);
    let all = median(50, || {
        compat::check_level(&broken, &versions, Level::BackwardTransitive)
    });
    println!(
        "{VERSIONS} versions that are all broken, every finding: {:.2} ms",
        all / 1000.0
    );
}

/// An order as it grows: a field every fifty versions, one that comes and goes, documentation that changes.
fn version(index: usize) -> String {
    let money =
        |scale: usize| json!({"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": scale});
    let mut fields: Vec<Value> = vec![
        json!({"name": "order_id", "type": {"type": "string", "logicalType": "uuid"}}),
        json!({"name": "created", "type": {"type": "long", "logicalType": "timestamp-millis"}}),
        json!({"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "PAID", "SENT"], "default": "NEW"}}),
        json!({"name": "customer", "type": {"type": "record", "name": "Customer", "fields": [
            {"name": "id", "type": "long"},
            {"name": "name", "type": ["null", "string"], "default": null},
            {"name": "address", "type": ["null", {"type": "record", "name": "Address", "fields": [
                {"name": "street", "type": "string"},
                {"name": "city", "type": "string"},
                {"name": "country", "type": {"type": "fixed", "name": "Country", "size": 2}}]}], "default": null}]}}),
        json!({"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
            {"name": "sku", "type": "string"},
            {"name": "count", "type": "int"},
            {"name": "price", "type": money(2)}]}}}),
        json!({"name": "billing", "type": ["null", "Address"], "default": null}),
        json!({"name": "tags", "type": {"type": "map", "values": "string"}, "default": {}}),
        json!({"name": "total", "type": money(2)}),
    ];
    for number in 0..12 + index / 50 {
        fields.push(json!({"name": format!("attribute_{number}"), "type": ["null", "string"], "default": null, "doc": format!("since {index}")}));
    }
    fields.push(json!({"name": format!("passing_{index}"), "type": "double", "default": 0.0}));
    json!({"type": "record", "name": "Order", "namespace": "shop", "fields": fields}).to_string()
}

/// Microseconds of each round.
fn times<T>(rounds: usize, mut f: impl FnMut() -> T) -> Vec<f64> {
    (0..rounds)
        .map(|_| {
            let start = Instant::now();
            black_box(f());
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect()
}

fn median<T>(rounds: usize, f: impl FnMut() -> T) -> f64 {
    percentile(&mut times(rounds, f), 50)
}

fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() - 1) * percent / 100]
}

fn compare(what: &str, ours: f64, theirs: f64) {
    println!("{what}: {ours:.1} us (apache-avro {theirs:.1} us)");
}
