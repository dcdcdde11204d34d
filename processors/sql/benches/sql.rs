//! CSV -> filter and three expressions -> JSON: nanoseconds per record, by micro-batch.
//!
//! A plain program: `cargo bench -p millstream-processors-sql`.

use std::{collections::BTreeMap, hint::black_box, path::Path, sync::Arc, time::Instant};

use arrow_schema::{DataType, Field, Schema};
use millstream_processors_sql::SqlFactory;
use millstream_sdk::{Config, ConfigPath, Output, ProcessorFactory, StreamSchema, ValueFormat};
use millstream_types::Record;

const RECORDS: usize = 65_536;
const ROUNDS: usize = 5;
const SQL: &str = "SELECT carrier, flight, dep_delay, upper(origin) || '-' || dest AS route, \
                   CASE WHEN dep_delay > 60 THEN 'late' ELSE 'slow' END AS class \
                   FROM flights WHERE dep_delay > 15 AND carrier <> 'UA'";

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() {
    let columns = [
        ("year", DataType::Int32),
        ("month", DataType::Int32),
        ("day", DataType::Int32),
        ("dep_time", DataType::Int32),
        ("dep_delay", DataType::Float64),
        ("carrier", DataType::Utf8),
        ("flight", DataType::Int32),
        ("tailnum", DataType::Utf8),
        ("origin", DataType::Utf8),
        ("dest", DataType::Utf8),
        ("distance", DataType::Int32),
    ];
    let fields: Vec<_> = columns
        .map(|(name, data_type)| Field::new(name, data_type, true))
        .into();
    let schema = StreamSchema {
        format: ValueFormat::Csv(millstream_sdk::CsvDialect::default()),
        columns: Arc::new(Schema::new(fields)),
    };
    let config = Config::new(SQL.into(), ConfigPath::default(), Path::new("."));
    let inputs = BTreeMap::from([("flights".to_owned(), schema)]);
    let plan = SqlFactory
        .plan(&config, &inputs, &Output::default())
        .expect("the query is right");
    let records: Vec<_> = (0..RECORDS).map(record).collect();
    for batch in [64, 512, 4096] {
        let mut task = plan.open().expect("a task opens");
        let best = (0..ROUNDS)
            .map(|_| {
                let started = Instant::now();
                for records in records.chunks(batch) {
                    black_box(task.process(records).expect("the records are right"));
                }
                started.elapsed().as_nanos() / RECORDS as u128
            })
            .min();
        println!("batch {batch:>5}: {} ns/record", best.unwrap_or_default());
    }
}

fn record(n: usize) -> Record {
    let carriers = ["UA", "AA", "B6", "DL", "EV"];
    let value = format!(
        "2013,1,{},{},{}.0,{},{},N{:05},EWR,IAH,{}",
        n % 28 + 1,
        n % 2400,
        (n * 7) % 90,
        carriers[n % carriers.len()],
        n % 5000,
        n % 100_000,
        200 + n % 2000,
    );
    Record {
        value: Some(value.into()),
        ..Record::default()
    }
}
