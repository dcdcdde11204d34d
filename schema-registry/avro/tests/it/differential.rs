//! Apache Avro's Java library and ours, side by side: the same texts are taken, print the same, have the same fingerprints,
//! and of the same pairs the same is said in the same order.
//!
//! Without Java the recorded answers count (`tests/data/recorded.jsonl`). `MILLSTREAM_RECORD=1 cargo test -p
//! millstream-schema-registry-avro --test it differential` writes them anew; `MILLSTREAM_SEED` and `MILLSTREAM_PAIRS`
//! choose which pairs are compared live, and how many.

use std::path::{Path, PathBuf};

use millstream_schema_registry_avro::{
    Logical, Schema, SchemaError, Strictness,
    compat::{self, FindingKind},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::{
    generate::{Generator, spell},
    mutate::mutate,
    oracle,
};

const PAIRS: u64 = 4_000;
const RECORDED_PAIRS: u64 = 160;
const DESCRIBED: [&str; 7] = [
    "text",
    "resolved",
    "canonical",
    "crc64",
    "md5",
    "sha256",
    "logical",
];

/// A request for the oracle: a reader, a writer that it may be an evolution of, and what both refer to.
fn request(seed: u64, budget: usize) -> Value {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut references = Vec::new();
    let wild = rng.random_range(0..6) == 0;
    let count = match rng.random_range(0..8) {
        0 => rng.random_range(1..3),
        _ => 0,
    };
    let mut steps = rng.clone();
    let mut generator = Generator::new(&mut rng, budget);
    for _ in 0..count {
        let reference = generator.schema();
        references.push(spell(&reference, &mut steps));
    }
    generator.wild = wild;
    let reader = generator.schema();
    let mut writer = match steps.random_range(0..12) {
        0 => generator.schema(),
        _ => reader.clone(),
    };
    for _ in 0..steps.random_range(0..4) {
        mutate(&mut writer, &mut steps);
    }
    let stored = steps.random_range(0..4) == 0;
    let mut request = json!({
        "references": references,
        "schema": spell(&reader, &mut steps),
        "writer": spell(&writer, &mut steps),
    });
    if stored {
        request["stored"] = true.into();
    }
    request
}

/// What we say to a request, in the form of the oracle's answers.
fn answer(request: &Value) -> Value {
    let texts = |key: &str| request[key].as_str().expect("a text");
    let references: Vec<&str> = request["references"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|r| r.as_str().expect("a text"))
        .collect();
    let strictness = match request["stored"].as_bool() {
        Some(true) => Strictness::Stored,
        _ => Strictness::New,
    };
    let parse = |text: &str| Schema::parse(text, &references, strictness);
    let described = parse(texts("schema")).and_then(|schema| Ok((describe(&schema)?, schema)));
    let (mut answer, reader) = match described {
        Ok(described) => described,
        Err(error) => return json!({"error": error.message}),
    };
    let writer = match parse(texts("writer")) {
        Ok(writer) => writer,
        Err(error) => {
            answer["exception"] = error.message.into();
            return answer;
        }
    };
    let findings = compat::check(&reader, &writer);
    if let [finding] = findings.as_slice()
        && finding.kind == FindingKind::AmbiguousField
    {
        answer["exception"] = finding.message.clone().into();
        return answer;
    }
    answer["findings"] = findings
        .iter()
        .map(|finding| json!([finding.kind.as_str(), finding.location, finding.message]))
        .collect();
    answer
}

fn describe(schema: &Schema) -> Result<Value, SchemaError> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let logical = schema.node(schema.root()).logical.map(|logical| match logical {
        Logical::Decimal { precision, scale } => format!("decimal({precision}, {scale})"),
        logical => logical.name().to_owned(),
    });
    Ok(json!({
        "text": schema.text(),
        "resolved": schema.resolved_text()?,
        "canonical": schema.parsing_canonical_form(),
        "crc64": schema.crc64().to_string(),
        "md5": hex(&schema.md5()),
        "sha256": hex(&schema.sha256()),
        "logical": logical,
    }))
}

/// What was compared, so that a run that compares nothing does not pass.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    writer_refused: usize,
    lenient: usize,
    ambiguous: usize,
    compatible: usize,
    incompatible: usize,
    kinds: std::collections::BTreeMap<String, usize>,
}

impl Tally {
    /// Compares two answers. The words of errors are each library's own.
    fn compare(&mut self, name: &str, request: &Value, java: &Value) {
        let ours = answer(request);
        let context = || format!("{name}\n{request}\nJava: {java}\nours: {ours}");
        // The one deliberate difference: what is stored may name a record from within as Java did before 1.12.1.
        let stored = request["stored"].as_bool() == Some(true);
        let undefined = |answer: &Value| {
            answer
                .as_str()
                .is_some_and(|error| error.starts_with("Undefined schema"))
        };
        if stored && undefined(&java["error"]) && ours["error"].is_null() {
            self.lenient += 1;
            return;
        }
        if !java["error"].is_null() || !ours["error"].is_null() {
            assert!(
                !java["error"].is_null() && !ours["error"].is_null(),
                "one refuses: {}",
                context()
            );
            self.refused += 1;
            return;
        }
        for key in DESCRIBED {
            // A recorded answer has left out what follows from the rest.
            if java.get(key).is_some() {
                assert_eq!(java[key], ours[key], "{key} of {}", context());
            }
        }
        if stored && undefined(&java["exception"]) && !undefined(&ours["exception"]) {
            self.lenient += 1;
            return;
        }
        if !java["exception"].is_null() || !ours["exception"].is_null() {
            let both = !java["exception"].is_null() && !ours["exception"].is_null();
            assert!(both, "one refuses or throws: {}", context());
            if java["exception"] == ours["exception"] {
                self.ambiguous += 1;
            } else {
                assert!(
                    !java["exception"]
                        .as_str()
                        .is_some_and(|e| e.contains("matches multiple")),
                    "{}",
                    context()
                );
                self.writer_refused += 1;
            }
            return;
        }
        assert_eq!(java["findings"], ours["findings"], "findings of {}", context());
        let findings = java["findings"].as_array().expect("findings");
        match findings.is_empty() {
            true => self.compatible += 1,
            false => self.incompatible += 1,
        }
        for finding in findings {
            *self
                .kinds
                .entry(finding[0].as_str().expect("a kind").into())
                .or_default() += 1;
        }
    }
}

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded.jsonl")
}

#[test]
fn java_and_we_say_the_same_of_thousands_of_generated_pairs() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect("a number"))
    };
    let seed = number("MILLSTREAM_SEED").unwrap_or(1);
    let pairs = number("MILLSTREAM_PAIRS").unwrap_or(PAIRS);
    println!("MILLSTREAM_SEED={seed} MILLSTREAM_PAIRS={pairs}");
    let requests: Vec<Value> = (0..pairs)
        .map(|pair| request(seed.wrapping_mul(1 << 32) + pair, 4 + (pair % 40) as usize))
        .collect();
    let answers = match oracle::ask(&requests) {
        Ok(answers) => answers,
        Err(reason) => {
            return millstream_tests_kit::skip(&format!("differential test of Avro schemas: {reason}"));
        }
    };
    let mut tally = Tally::default();
    for (pair, (request, java)) in requests.iter().zip(&answers).enumerate() {
        tally.compare(&format!("pair {pair} of seed {seed}"), request, java);
    }
    println!("{tally:?}");
    let accepted = (tally.compatible + tally.incompatible + tally.ambiguous) as u64;
    assert!(
        accepted * 2 >= pairs,
        "most generated pairs must be schemas: {tally:?}"
    );
    assert!(
        tally.compatible * 5 > tally.incompatible && tally.incompatible * 5 > tally.compatible,
        "{tally:?}"
    );
    assert!(
        tally.kinds.len() == 6 && tally.refused > 0 && tally.ambiguous > 0,
        "something never happens: {tally:?}"
    );
}

#[test]
fn the_recorded_answers_of_java_are_ours() {
    if std::env::var_os("MILLSTREAM_RECORD").is_some() {
        record();
    }
    let text = std::fs::read_to_string(recorded()).expect("the recorded answers are there");
    let mut tally = Tally::default();
    for (line, text) in text.lines().enumerate() {
        let recorded: Value = serde_json::from_str(text).expect("a line is JSON");
        tally.compare(
            &format!("line {}", line + 1),
            &recorded["request"],
            &recorded["java"],
        );
    }
    assert!(
        tally.compatible + tally.incompatible > 100,
        "too few pairs: {tally:?}"
    );
}

/// Writes what Java says, but for what follows from the rest: the fingerprint stands for the canonical form.
fn record() {
    let requests: Vec<Value> = (0..RECORDED_PAIRS)
        .map(|pair| request(pair, 4 + (pair % 8) as usize))
        .collect();
    let answers = oracle::ask(&requests).expect("recording needs Java");
    let mut lines = String::new();
    for (request, mut java) in requests.iter().zip(answers) {
        let answer = java.as_object_mut().expect("an answer is an object");
        for key in ["canonical", "md5", "sha256"] {
            answer.remove(key);
        }
        if answer.get("resolved") == answer.get("text") {
            answer.remove("resolved");
        }
        lines.push_str(&json!({"request": request, "java": java}).to_string());
        lines.push('\n');
    }
    std::fs::create_dir_all(recorded().parent().expect("a folder")).expect("the folder can be made");
    std::fs::write(recorded(), lines).expect("the answers can be written");
}
