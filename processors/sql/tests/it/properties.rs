use millstream_sdk::{Output, Processed};
use millstream_types::Record;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{assert_accounted, plan, record};

const CASES: u32 = 96;

/// Queries in which many rows fail, in filters as in projections.
pub(super) const QUERIES: &[&str] = &[
    "SELECT * FROM flights",
    "SELECT carrier, dep_delay FROM flights WHERE dep_delay > 10 OR origin = 'EWR'",
    "SELECT 100 / flight AS x FROM flights",
    "SELECT carrier FROM flights WHERE 100 / flight > 5",
    "SELECT carrier FROM flights WHERE flight <> 0 AND 100 / flight > 5",
    "SELECT carrier FROM flights WHERE dep_delay > 10 AND 100 / flight > 5",
    "SELECT carrier FROM flights WHERE dep_delay > 10 OR 100 / flight > 5",
    "SELECT coalesce(dep_delay, 100 / flight) AS x FROM flights",
    "SELECT CAST(carrier AS INT) AS n, _offset FROM flights WHERE ok",
    "SELECT flight * big AS product, small + small AS twice FROM flights",
    "SELECT CASE WHEN flight > 3 THEN 1 / (flight - 5) ELSE CAST(origin AS INT) END AS x FROM flights",
    "SELECT b AS c FROM (SELECT 7 / flight AS a, flight AS b FROM flights) AS q WHERE a > 0",
    "SELECT upper(carrier) AS u, _key FROM flights WHERE carrier LIKE '1%' AND price > 1",
];

fn rows() -> impl Strategy<Value = String> {
    let carriers = option::of(select(vec!["UA", "12", "7", "1x", "\"a\"\"b\""]));
    let small = option::of(prop_oneof![0..6_i32, Just(i32::MAX)]);
    let row = (
        carriers,
        small,
        option::of(-20..40_i32),
        option::of(any::<i64>()),
        option::of(any::<i8>()),
    );
    let good = row.prop_map(|(carrier, flight, delay, big, tiny)| {
        let text = |value: Option<String>| value.unwrap_or_else(|| "NA".into());
        format!(
            "{},{},{},EWR,,{},{},1.50,,{},",
            carrier.unwrap_or("NA"),
            text(flight.map(|n| n.to_string())),
            text(delay.map(|n| n.to_string())),
            text(big.map(|n| n.to_string())),
            text(tiny.map(|n| n.to_string())),
            delay.is_some_and(|delay| delay > 0),
        )
    });
    prop_oneof![9 => good, 1 => "[a,\"]{0,12}"]
}

/// Runs the records in batches of `size` and puts the answers together.
fn run(sql: &str, records: &[Record], size: usize) -> Processed {
    let plan = plan(sql, &Output::default()).unwrap();
    let mut task = plan.open().unwrap();
    let mut all = Processed::default();
    for batch in records.chunks(size) {
        let processed = task.process(batch).unwrap();
        assert_accounted(batch, &processed);
        all.records.extend(processed.records);
        all.passed += processed.passed;
        all.filtered += processed.filtered;
        all.rejected.extend(processed.rejected);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_gives_what_its_records_give_one_by_one(
        query in select(QUERIES),
        rows in vec(rows(), 0..40),
        size in 2..40_usize,
    ) {
        let records: Vec<_> = rows.iter().enumerate().map(|(n, row)| record(n, row)).collect();
        prop_assert_eq!(run(query, &records, size), run(query, &records, 1));
    }

    #[test]
    fn garbage_in_place_of_sql_never_panics(sql in prop_oneof![
        any::<String>(),
        "(SELECT|FROM|WHERE|flights|carrier|AS|x|\\*|\\(|\\)|,|'|\"|;|1|/|=|CASE|WHEN|WITH|count|OVER|IN| ){0,24}",
    ]) {
        // Whatever it is, the answer is a plan or problems with places inside of the text.
        if let Err(problems) = plan(&sql, &Output::default()) {
            prop_assert!(!problems.is_empty());
        }
    }
}
