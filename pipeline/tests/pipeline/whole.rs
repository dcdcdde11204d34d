//! What holds of a pipeline file whatever its text is: a plan, or diagnostics with places inside of the text. For the tests
//! of this crate and for the fuzz target.

use crate::fakes;

/// A file with a bit of everything.
pub(crate) const SHOP: &str = r#"version: 1
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

pub(crate) fn check(text: &str) {
    let Err(diagnostics) = fakes::plan(text) else {
        return;
    };
    assert!(!diagnostics.list().is_empty(), "refused without a reason");
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in diagnostics.list() {
        let line = lines.get(problem.line - 1).expect("the line exists");
        assert!(problem.column <= line.chars().count() + 1, "{problem:?}\n{text}");
    }
    let mut out = String::new();
    let handler = miette::NarratableReportHandler::new();
    handler
        .render_report(&mut out, &diagnostics)
        .expect("a place inside of the text");
}
