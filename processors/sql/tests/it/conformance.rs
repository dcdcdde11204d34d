//! The processor against the suite of the sdk.

use millstream_sdk::{Output, testing};
use millstream_types::Record;

use super::{plan, properties::QUERIES, record};

/// More than go through the operators at once.
const RECORDS: usize = 1_200;

/// Rows with NULLs, zeros and values that overflow in all combinations; now and then no row, no value, no text.
fn input() -> Vec<Record> {
    let carriers = ["UA", "12", "NA", "1x", "7"];
    let flights = ["0", "5", "NA", "7", "3", "2147483647", "1"];
    let delays = ["NA", "-4", "11", "38"];
    let bigs = ["NA", "2", "9223372036854775807"];
    let input = (0..RECORDS).map(|n| {
        let row = format!(
            "{},{},{},EWR,,{},{},1.50,,{},",
            carriers[n % carriers.len()],
            flights[n % flights.len()],
            delays[n % delays.len()],
            bigs[n % bigs.len()],
            n % 128,
            n % 2 == 0
        );
        match n % 101 {
            13 => record(n, "a,\""),
            29 => Record {
                value: None,
                ..record(n, "")
            },
            47 => Record {
                key: Some(vec![0xff].into()),
                ..record(n, &row)
            },
            _ => record(n, &row),
        }
    });
    input.collect()
}

#[test]
fn every_query_conforms() {
    let input = input();
    for sql in QUERIES {
        let plan = plan(sql, &Output::default()).unwrap();
        testing::processor(|| plan.open().unwrap(), &input);
    }
}

#[test]
fn a_query_that_sets_the_key_conforms() {
    let output = Output {
        key: Some("carrier".into()),
        format: None,
    };
    let sql = "SELECT carrier, 100 / flight AS x FROM flights WHERE dep_delay > 0";
    let plan = plan(sql, &output).unwrap();
    testing::processor(|| plan.open().unwrap(), &input());
}
