//! Schemas in files, and whether one may follow others: the registry's own rules, without a registry.

use std::{
    cmp::Ordering,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use millstream_schema_registry_avro::{
    Schema, SchemaError, Strictness,
    compat::{Direction, Level, Policy, violations},
};
use serde::Serialize;

use crate::output::Row;

/// What a registry takes of one schema.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A version that a schema is compared with.
#[derive(Debug)]
pub(crate) struct Earlier {
    /// A number, or the name of a file.
    pub(crate) name: String,
    pub(crate) schema: Schema,
}

/// Why a schema may not follow a version.
#[derive(Debug, Serialize)]
pub(crate) struct Violation {
    version: String,
    /// Who reads: `BACKWARD` is the new schema, `FORWARD` the earlier one.
    direction: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    /// A JSON pointer into the schema of the reader.
    path: String,
    message: String,
}

impl Row for Violation {
    const TITLES: &'static [&'static str] = &["VERSION", "DIRECTION", "TYPE", "PATH", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.version.clone(),
            self.direction.to_owned(),
            self.kind.to_owned(),
            self.path.clone(),
            self.message.clone(),
        ]
    }
}

/// The text of a file, which is short enough for a schema.
pub(crate) fn read(file: &Path) -> anyhow::Result<String> {
    let name = || format!("cannot read schema '{}'", file.display());
    if fs::metadata(file).with_context(name)?.len() > MAX_FILE_BYTES {
        bail!("schema '{}' has more than {MAX_FILE_BYTES} bytes", file.display());
    }
    fs::read_to_string(file).with_context(name)
}

/// A schema, with an error that says where it is wrong.
pub(crate) fn parse(
    name: &str,
    text: &str,
    references: &[&str],
    strictness: Strictness,
) -> anyhow::Result<Schema> {
    Schema::parse(text, references, strictness).map_err(|SchemaError { pointer, message }| {
        let place = if pointer.is_empty() {
            String::new()
        } else {
            format!(" at {pointer}")
        };
        anyhow!("'{name}' is not a schema{place}: {message}")
    })
}

/// The schemas of a folder, the oldest first: by the numbers in their names.
pub(crate) fn versions_in(folder: &Path) -> anyhow::Result<Vec<Earlier>> {
    let files = fs::read_dir(folder).with_context(|| format!("cannot read folder '{}'", folder.display()))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "avsc") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        bail!("folder '{}' has no .avsc files", folder.display());
    }
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    paths.sort_by(|a, b| natural(&name(a), &name(b)));
    let earlier = paths.iter().map(|path| {
        let name = name(path);
        let schema = parse(&name, &read(path)?, &[], Strictness::Stored)?;
        Ok(Earlier { name, schema })
    });
    earlier.collect()
}

/// Numbers by their value, the rest as text: `v2` comes before `v10`.
fn natural(a: &str, b: &str) -> Ordering {
    parts(a).cmp(parts(b)).then_with(|| a.cmp(b))
}

/// Text and, behind it, a number without its zeros, so that a longer one is larger.
fn parts(text: &str) -> impl Iterator<Item = (&str, usize, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let words = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(words);
        let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let (number, behind) = behind.split_at(digits);
        rest = behind;
        let number = number.trim_start_matches('0');
        Some((word, number.len(), number))
    })
}

/// All that speaks against a schema after others, the newest of them first.
pub(crate) fn compare(new: &Schema, earlier: &[Earlier], level: Level, policy: Policy) -> Vec<Violation> {
    let schemas: Vec<_> = earlier.iter().map(|version| version.schema.clone()).collect();
    let found = violations(new, &schemas, level, policy);
    let rows = found.flat_map(|violation| {
        let version = earlier[violation.version].name.clone();
        let direction = match violation.direction {
            Direction::Backward => "BACKWARD",
            Direction::Forward => "FORWARD",
        };
        violation.findings.into_iter().map(move |finding| Violation {
            version: version.clone(),
            direction,
            kind: finding.kind.as_str(),
            path: finding.location,
            message: finding.message,
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_ordered_by_their_numbers() {
        let mut names = [
            "v10.avsc",
            "v2.avsc",
            "v1.avsc",
            "v002.avsc",
            "w1.avsc",
            "a.avsc",
            "v1-b.avsc",
        ];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            [
                "a.avsc",
                "v1-b.avsc",
                "v1.avsc",
                "v002.avsc",
                "v2.avsc",
                "v10.avsc",
                "w1.avsc"
            ]
        );
    }
}
