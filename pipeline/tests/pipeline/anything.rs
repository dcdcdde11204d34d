//! Whatever the text is: a plan or diagnostics with places inside of it, never a panic.

use proptest::prelude::*;

use crate::fakes::plan;

const VALID: &str = r#"version: 1
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

fn check(text: &str) {
    if let Err(diagnostics) = plan(text) {
        assert!(!diagnostics.list().is_empty());
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
}

#[test]
fn the_starting_point_is_right() {
    let found: Vec<String> = plan(VALID)
        .err()
        .map(|d| crate::fakes::shown(&d))
        .unwrap_or_default();
    assert_eq!(found, [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn any_yaml_like_text(text in "[a-z0-9:\\- \n\t\\[\\]{}&*!|>'\"%@`#,?~<$.\r]{0,200}") {
        check(&text);
        check(&format!("version: 1\npipeline: p\n{text}"));
    }

    #[test]
    fn a_valid_text_with_a_piece_replaced(
        start in 0..VALID.len(),
        length in 0..60_usize,
        piece in prop_oneof![
            Just(String::new()),
            "[a-z0-9:\\- \n\\[\\]{}&*!|>'\"#,?~<$.ñ€]{0,12}",
            (0..VALID.len(), 0..80_usize).prop_map(|(at, n)| VALID.chars().skip(at).take(n).collect()),
        ],
    ) {
        let end = (start + length).min(VALID.len());
        check(&format!("{}{piece}{}", &VALID[..start], &VALID[end..]));
    }
}
