//! SQL processors as the runtime sees them: through the contract of `sdk`.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod cases;
mod conformance;
mod problems;
mod properties;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_schema::{Field, Schema};
use bytes::Bytes;
use millstream_processors_sql::SqlFactory;
use millstream_sdk::parse_type;
use millstream_sdk::{
    Config, ConfigPath, CsvDialect, Output, Problem, Processed, ProcessorFactory, ProcessorPlan,
    StreamSchema, ValueFormat,
};
use millstream_types::{Offset, Record, Timestamp};

const FLIGHTS: &str = "carrier varchar, flight integer, dep_delay double, origin varchar, time_hour timestamptz(0), \
                       big bigint, small tinyint, price decimal(10,2), day date, ok boolean, raw binary";

fn flights() -> StreamSchema {
    let dialect = CsvDialect {
        null: Some("NA".into()),
        ..CsvDialect::default()
    };
    stream(ValueFormat::Csv(dialect), FLIGHTS)
}

fn stream(format: ValueFormat, columns: &str) -> StreamSchema {
    let field = |column: &str| {
        let (name, type_name) = column.trim().split_once(' ').expect("a name and a type");
        Field::new(name, parse_type(type_name).unwrap(), true)
    };
    let fields: Vec<_> = columns.split(", ").map(field).collect();
    StreamSchema {
        format,
        columns: Arc::new(Schema::new(fields)),
    }
}

fn config(sql: &str) -> Config {
    let path = ConfigPath::default().key("processors").key("late").key("sql");
    Config::new(sql.into(), path, Path::new("."))
}

fn plan(sql: &str, output: &Output) -> Result<Box<dyn ProcessorPlan>, Vec<Problem>> {
    let inputs = BTreeMap::from([("flights".to_owned(), flights())]);
    SqlFactory.plan(&config(sql), &inputs, output)
}

/// Runs a query over flights given as CSV rows, one record per row.
fn run(sql: &str, rows: &[&str]) -> Processed {
    let records: Vec<_> = rows.iter().enumerate().map(|(n, row)| record(n, row)).collect();
    let plan = plan(sql, &Output::default()).unwrap_or_else(|problems| panic!("{sql}: {problems:?}"));
    let processed = plan.open().unwrap().process(&records).unwrap();
    assert_accounted(&records, &processed);
    processed
}

fn record(n: usize, value: &str) -> Record {
    Record {
        offset: Offset(100 + n as i64),
        timestamp: Timestamp(1_357_034_400_000 + n as i64),
        key: Some(format!("key-{n}").into()),
        value: Some(value.to_owned().into()),
        headers: Vec::new(),
    }
}

fn assert_accounted(records: &[Record], processed: &Processed) {
    let sum = processed.passed + processed.filtered + processed.rejected.len() as u64;
    assert_eq!(sum, records.len() as u64, "passed + filtered + rejected = input");
    assert_eq!(processed.records.len() as u64, processed.passed);
}

fn values(processed: &Processed) -> Vec<String> {
    let text = |value: &Option<Bytes>| String::from_utf8(value.as_ref().unwrap().to_vec()).unwrap();
    processed
        .records
        .iter()
        .map(|record| text(&record.value))
        .collect()
}
