//! The columns of files: declared by the user, or found in the first file that holds a row.

use std::{fs::File, path::Path, sync::Arc};

use arrow_schema::DataType;
use millstream_sdk::{CsvDialect, Problem, StreamSchema, ValueFormat};
use serde_json::Value;

use super::{
    files::ListError,
    infer::Guess,
    input::Compression,
    parquet,
    position::Place,
    rows::{Framing, Row, Rows, RowsError},
    setup::{NO_AVRO, Setup},
};

/// How many rows of the first file are looked at.
const SAMPLE_ROWS: usize = 10_000;
const SAMPLE_BYTES: usize = 8 << 20;

type Columns = Vec<(String, DataType)>;

/// Blocking: reads the beginning of a file unless all is declared.
pub(crate) fn discover(setup: &Setup) -> Result<StreamSchema, Vec<Problem>> {
    let one = |problem: Problem| vec![problem];
    let columns = match &setup.format {
        ValueFormat::Raw => setup.declared.clone(),
        ValueFormat::Json if setup.is_parquet() => parquet_columns(setup).map_err(one)?,
        ValueFormat::Json if !setup.declared.is_empty() => setup.declared.clone(),
        ValueFormat::Json => json_columns(setup).map_err(one)?,
        ValueFormat::Csv(_) if !setup.has_header() && !setup.declared.is_empty() => setup.declared.clone(),
        ValueFormat::Csv(dialect) => csv_columns(setup, dialect).map_err(one)?,
        ValueFormat::Avro(_) => unreachable!("{NO_AVRO}"),
    };
    setup.schema(columns)
}

fn parquet_columns(setup: &Setup) -> Result<Columns, Problem> {
    let files = setup.patterns.list().map_err(|error| unlisted(setup, &error))?;
    let path = files.first().ok_or_else(|| no_file(setup))?;
    let problem = |error: String| setup.problem("path", format!("'{}': {error}", setup.show(path)));
    let file = File::open(path).map_err(|error| problem(error.to_string()))?;
    parquet::columns(file).map_err(|error| problem(error.to_string()))
}

fn csv_columns(setup: &Setup, dialect: &CsvDialect) -> Result<Columns, Problem> {
    let Some(sample) = Sample::of_first_file(setup, Framing::csv(dialect))? else {
        // Followed files need not be there yet.
        return if setup.declared.is_empty() {
            Err(no_file(setup))
        } else {
            Ok(setup.declared.clone())
        };
    };
    let mut rows = sample.rows.iter();
    let fields: Vec<_> = rows
        .clone()
        .next()
        .map(|row| split(row, dialect))
        .unwrap_or_default();
    let names: Vec<String> = if setup.has_header() {
        rows.next();
        fields.into_iter().map(|field| field.text).collect()
    } else {
        (1..=fields.len()).map(|n| format!("column_{n}")).collect()
    };
    check_declared(setup, &names, &sample.path)?;
    let mut guesses = vec![Guess::Unknown; names.len()];
    for row in rows {
        let fields = split(row, dialect);
        if fields.len() != names.len() {
            continue;
        }
        for (guess, field) in guesses.iter_mut().zip(&fields) {
            if field.is_quoted || (!field.text.is_empty() && dialect.null.as_ref() != Some(&field.text)) {
                *guess = guess.and(Guess::of_text(&field.text));
            }
        }
    }
    let declared = |name: &str| setup.declared.iter().find(|(known, _)| known == name);
    let typed = names.into_iter().zip(guesses).map(|(name, guess)| {
        let data_type = declared(&name).map_or_else(|| guess.data_type(), |(_, declared)| declared.clone());
        (name, data_type)
    });
    Ok(typed.collect())
}

fn check_declared(setup: &Setup, names: &[String], path: &str) -> Result<(), Problem> {
    match setup.declared.iter().find(|(name, _)| !names.contains(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let message = format!("column '{name}' is declared, but it is not in the header of '{path}'");
            let help = format!("the header has {}", names.join(", "));
            Err(setup.problem("format", message).help(help))
        }
    }
}

/// The fields whose values are single and of one type; others cannot be columns.
fn json_columns(setup: &Setup) -> Result<Columns, Problem> {
    let sample = Sample::of_first_file(setup, Framing::Lines { keep_blank: false })?;
    let Some(sample) = sample else {
        return Err(no_file(setup));
    };
    let mut guesses: Vec<(String, Option<Guess>)> = Vec::new();
    for row in &sample.rows {
        let Ok(Value::Object(fields)) = serde_json::from_slice(row) else {
            continue;
        };
        for (name, value) in fields {
            let guess = guess_json(&value);
            match guesses.iter_mut().find(|(known, _)| *known == name) {
                None => guesses.push((name, guess)),
                Some((_, so_far)) => {
                    *so_far = so_far.zip(guess).and_then(|(one, other)| and_json(one, other))
                }
            }
        }
    }
    let columns = guesses
        .into_iter()
        .filter_map(|(name, guess)| Some((name, guess?.data_type())));
    Ok(columns.collect())
}

/// `None`: not a single value.
fn guess_json(value: &Value) -> Option<Guess> {
    match value {
        Value::Null => Some(Guess::Unknown),
        Value::Bool(_) => Some(Guess::Boolean),
        Value::Number(number) if number.is_i64() => Some(Guess::Integer),
        Value::Number(_) => Some(Guess::Double),
        Value::String(_) => Some(Guess::Text),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// In JSON a number is no text, so a column cannot be both.
fn and_json(one: Guess, other: Guess) -> Option<Guess> {
    let both = one.and(other);
    (both != Guess::Text || one == other || one == Guess::Unknown || other == Guess::Unknown).then_some(both)
}

/// The first rows of a file.
struct Sample {
    path: String,
    rows: Vec<bytes::Bytes>,
}

impl Sample {
    /// Of the first file, by name, that holds a row.
    fn of_first_file(setup: &Setup, framing: Framing) -> Result<Option<Self>, Problem> {
        for path in setup.patterns.list().map_err(|error| unlisted(setup, &error))? {
            let rows = sample(setup, &path, framing).map_err(|error| {
                setup.problem("path", format!("cannot read '{}': {error}", setup.show(&path)))
            })?;
            if !rows.is_empty() {
                let path = setup.show(&path);
                return Ok(Some(Self { path, rows }));
            }
        }
        Ok(None)
    }
}

fn sample(setup: &Setup, path: &Path, framing: Framing) -> Result<Vec<bytes::Bytes>, RowsError> {
    let file = Arc::new(File::open(path)?);
    if file.metadata()?.len() == 0 {
        return Ok(Vec::new());
    }
    let input = Compression::of(path, setup.config.compression).open(&file, 0)?;
    let mut rows = Rows::new(input, framing, Place::default());
    let mut sample = Vec::new();
    let mut bytes = 0;
    while sample.len() < SAMPLE_ROWS && bytes < SAMPLE_BYTES {
        let Some(Row {
            bytes: row, fault, ..
        }) = rows.next(true)?
        else {
            break;
        };
        bytes += row.len();
        // The header counts even if it is bad, so that it is not mistaken for a row.
        if fault.is_none() || sample.is_empty() {
            sample.push(row);
        }
    }
    Ok(sample)
}

fn no_file(setup: &Setup) -> Problem {
    let problem = setup.problem("path", "no file with a row is there, so the columns are unknown");
    problem
        .help("check the path, which is meant from the folder of the pipeline file, or declare the columns")
}

fn unlisted(setup: &Setup, error: &ListError) -> Problem {
    setup.problem("path", error)
}

/// One field of a row, unescaped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FieldText {
    pub(crate) text: String,
    pub(crate) is_quoted: bool,
}

/// The fields of a row. Lenient: for headers and samples only.
pub(crate) fn split(row: &[u8], dialect: &CsvDialect) -> Vec<FieldText> {
    let mut fields = Vec::new();
    let mut rest = row;
    loop {
        let mut text = Vec::new();
        let is_quoted = rest.first() == Some(&dialect.quote);
        if is_quoted {
            rest = &rest[1..];
            while let Some(byte) = rest.first() {
                rest = &rest[1..];
                if *byte == dialect.quote {
                    if rest.first() != Some(&dialect.quote) {
                        break;
                    }
                    rest = &rest[1..];
                }
                text.push(*byte);
            }
        }
        let end = memchr::memchr(dialect.delimiter, rest);
        text.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
        fields.push(FieldText {
            text: String::from_utf8_lossy(&text).into_owned(),
            is_quoted,
        });
        match end {
            None => return fields,
            Some(end) => rest = &rest[end + 1..],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_a_header_with_quotes() {
        let check = |row: &str, expected: &[&str]| {
            let fields = split(row.as_bytes(), &CsvDialect::default());
            let texts: Vec<_> = fields.iter().map(|field| field.text.as_str()).collect();
            assert_eq!(texts, expected);
        };
        check("a,b", &["a", "b"]);
        check("\"a,\"\"x\"\"\",,c", &["a,\"x\"", "", "c"]);
        check("", &[""]);
    }
}
