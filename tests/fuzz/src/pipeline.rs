//! A pipeline file. Whatever the text is: a plan, or diagnostics with places inside of the text.

use crate::whole::{self, SHOP};

pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        whole::check(text);
    }
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
