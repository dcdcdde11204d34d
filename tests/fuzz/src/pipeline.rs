//! A pipeline file. Whatever the text is: a plan, or diagnostics with places inside of the text.

use crate::fakes;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Err(diagnostics) = fakes::plan(text) else {
        return;
    };
    assert!(!diagnostics.list().is_empty(), "refused without a reason");
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in diagnostics.list() {
        let line = lines.get(problem.line - 1).expect("the line exists");
        assert!(problem.column <= line.chars().count() + 1, "{problem:?}");
    }
    let mut out = String::new();
    let handler = miette::NarratableReportHandler::new();
    handler
        .render_report(&mut out, &diagnostics)
        .expect("a place inside of the text");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [SHOP, ERRORS, "", "version: 1", "[", "a: &a [*a]", "? a\n: b"]
        .map(Into::into)
        .to_vec();
    seeds.extend([
        laughs(9, 9),
        laughs(2, 40),
        nested("[", 60),
        nested("a: {", 60),
        nested("- ", 300),
    ]);
    seeds
}

/// Each anchor repeats the one before it so often.
fn laughs(width: usize, height: usize) -> Vec<u8> {
    let mut text = String::from("version: 1\npipeline: p\na0: &a0 [lol, lol]\n");
    for n in 1..height {
        let aliases = vec![format!("*a{}", n - 1); width].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    text.into_bytes()
}

fn nested(piece: &str, depth: usize) -> Vec<u8> {
    format!("version: 1\npipeline: {}", piece.repeat(depth)).into_bytes()
}

const SHOP: &str = r#"version: 1
pipeline: shop
log: { embedded: { dir: ./data, listen: "127.0.0.1:9092" } }
defaults: { on_error: { retry: { max: 5, backoff: 1s..5m }, then: dlq } }
streams:
  clicks: { topic: clicks, format: json, columns: { id: BIGINT, at: TIMESTAMP } }
sources:
  a: &a
    type: shelf
    path: ${env.TOPIC}
    format: { csv: { delimiter: ";" } }
    into: { topic: "t.{stream}", key: id, partitions: 2, config: { retention.ms: 5 } }
processors:
  p:
    sql: |
      SELECT id
      FROM t.s
    into: u
  q: { from: u, select: { id: id }, filter: 'id > 5', into: v }
sinks:
  k: { type: bucket, from: [u, clicks], path: 'x', roll: { records: 5, every: 1s } }
"#;

const ERRORS: &str = r#"version: 2
pipeline: "no such name!"
sources:
  a: { type: shelf, path: [x, ${env.NOTHING}], into: t, on_error: { then: fail } }
  a: { type: tap }
processors:
  p: { sql: "SELECT nothing FROM nowhere", filter: 'x', into: p }
  loop: { from: p, select: { id: 'id' }, into: p }
sinks:
  k: !!binary "AAAA"
  l: { type: bucket, from: t, column: missing, rol: { records: -1 } }
tests: { <<: *x }
"#;
