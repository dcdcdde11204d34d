use std::collections::BTreeMap;

use millstream_processors_sql::SqlFactory;
use millstream_sdk::{CsvDialect, Output, ProcessorFactory, ValueFormat};
use millstream_types::{Header, Record};

use super::{FLIGHTS, assert_accounted, config, plan, record, run, stream, values};

const UA: &str = "UA,1545,31.5,EWR,2013-01-01T05:00:00Z,9,1,12.50,2013-01-01,true,AAE=";
const AA: &str = "AA,1141,-4,JFK,2013-03-31T23:30:00Z,NA,NA,0.01,2013-03-31,false,";
const NOTHING: &str = "NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA";

/// One expression over one row, as JSON.
fn check(expression: &str, row: &str, expected: &str) {
    let processed = run(&format!("SELECT {expression} AS x FROM flights"), &[row]);
    assert_eq!(processed.rejected, [], "{expression}");
    assert_eq!(
        values(&processed),
        [format!("{{\"x\":{expected}}}")],
        "{expression}"
    );
}

#[test]
fn selects_filters_and_renames() {
    let sql = "SELECT carrier, flight AS number, dep_delay / 60 AS hours FROM flights WHERE dep_delay > 15";
    let processed = run(sql, &[UA, AA, NOTHING]);
    assert_eq!(
        values(&processed),
        [r#"{"carrier":"UA","number":1545,"hours":0.525}"#]
    );
    assert_eq!((processed.passed, processed.filtered), (1, 2));
    let first = &processed.records[0];
    assert_eq!(
        (first.timestamp.0, first.key.as_deref()),
        (1_357_034_400_000, Some(&b"key-0"[..]))
    );
}

#[test]
fn computes_with_numbers() {
    check("flight + 1", UA, "1546");
    check("flight * 2.5", UA, "3862.5");
    check("-dep_delay", AA, "4.0");
    check("flight % 100", UA, "45");
    check("flight / 100", UA, "15");
    check("round(dep_delay / 7, 2)", UA, "4.5");
    check("abs(dep_delay) + power(2, 3)", AA, "12.0");
    check("price * 2", UA, "25.00");
    check("greatest(flight, 2000)", UA, "2000");
    check("CAST(dep_delay AS INT)", UA, "31");
    check("CAST(flight AS VARCHAR)", UA, r#""1545""#);
    check("flight::double", UA, "1545.0");
    check("TRY_CAST(carrier AS INT)", UA, "null");
    check("flight > 1000 AND dep_delay BETWEEN 30 AND 40", UA, "true");
    check("flight IN (1, 1545)", UA, "true");
}

#[test]
fn knows_null() {
    check("dep_delay > 15", NOTHING, "null");
    check("dep_delay IS NULL", NOTHING, "true");
    check("dep_delay IS NULL OR dep_delay > 15", NOTHING, "true");
    check("coalesce(dep_delay, 0)", NOTHING, "0.0");
    check("nullif(carrier, 'UA')", UA, "null");
    check("carrier || '!'", NOTHING, "null");
    check("concat(carrier, '!')", NOTHING, r#""!""#);
    check("NOT (carrier = 'UA')", NOTHING, "null");
    check("carrier IS DISTINCT FROM 'UA'", NOTHING, "true");
    check("NULL", UA, "null");
    let sql = "SELECT flight FROM flights WHERE carrier <> 'UA'";
    assert_eq!(run(sql, &[UA, AA, NOTHING]).filtered, 2);
}

#[test]
fn works_with_text() {
    check("upper(carrier) || '-' || lower(origin)", UA, r#""UA-ewr""#);
    check("substr(origin, 2)", UA, r#""WR""#);
    check("substring(origin FROM 1 FOR 2)", UA, r#""EW""#);
    check("position('W' IN origin)", UA, "2");
    check("length(origin)", UA, "3");
    check("trim(both 'E' from origin)", UA, r#""WR""#);
    check("replace(origin, 'W', '\"')", UA, r#""E\"R""#);
    check("lpad(CAST(flight AS VARCHAR), 6, '0')", UA, r#""001545""#);
    check("split_part('a,b', ',', 2)", UA, r#""b""#);
    check("origin LIKE 'E%'", UA, "true");
    check("origin ILIKE 'e%'", UA, "true");
    check("origin ~ '^E.R$'", UA, "true");
    check("regexp_replace(origin, '[EW]', 'x', 'g')", UA, r#""xxR""#);
    check("regexp_like(carrier, 'A')", UA, "true");
    check("md5(carrier)", UA, r#""3943d8795e03e8e3307b5b71eac1b669""#);
    check("array_to_string([carrier, origin], '/')", UA, r#""UA/EWR""#);
    check("array_length(string_to_array('a b c', ' '))", UA, "3");
    check("encode(raw, 'hex')", UA, r#""0001""#);
    check("raw", UA, r#""AAE=""#);
}

#[test]
fn decides_with_case() {
    let class = "CASE WHEN dep_delay > 30 THEN 'late' WHEN dep_delay > 0 THEN 'slow' ELSE 'on time' END";
    check(class, UA, r#""late""#);
    check(class, AA, r#""on time""#);
    check("CASE origin WHEN 'EWR' THEN 1 WHEN 'JFK' THEN 2 END", AA, "2");
    check(
        "CASE WHEN flight <> 1545 THEN 1 / (flight - 1545) ELSE 0 END",
        UA,
        "0",
    );
}

#[test]
fn works_with_time() {
    check("time_hour", UA, r#""2013-01-01T05:00:00Z""#);
    check("date_trunc('month', time_hour)", AA, r#""2013-03-01T00:00:00Z""#);
    check("extract(hour FROM time_hour)", AA, "23");
    check("date_part('dow', day)", UA, "2");
    check(
        "time_hour + INTERVAL '45 minutes'",
        AA,
        r#""2013-04-01T00:15:00Z""#,
    );
    check("day + INTERVAL '1 month'", UA, r#""2013-02-01""#);
    check("time_hour > TIMESTAMP '2013-02-01T00:00:00Z'", AA, "true");
    check("day >= DATE '2013-02-01'", UA, "false");
    check("to_char(day, '%d.%m.%Y')", UA, r#""01.01.2013""#);
    check("CAST(time_hour AS DATE)", UA, r#""2013-01-01""#);
    check("to_timestamp(0)", UA, r#""1970-01-01T00:00:00.000000000""#);
    check(
        "date_bin(INTERVAL '6 hours', time_hour)",
        AA,
        r#""2013-03-31T18:00:00.000000000Z""#,
    );
}

#[test]
fn offers_key_timestamp_and_offset_of_the_record() {
    check("_key", UA, r#""key-0""#);
    check("_ts", UA, r#""2013-01-01T10:00:00.000Z""#);
    check("_offset", UA, "100");
    assert_eq!(
        run(
            "SELECT * FROM flights WHERE _offset = 101 AND _key LIKE 'key-%'",
            &[UA, UA]
        )
        .passed,
        1
    );
    let all = FLIGHTS
        .split(", ")
        .map(|column| column.split_once(' ').unwrap().0)
        .collect::<Vec<_>>();
    for sql in [
        "SELECT * FROM flights",
        "SELECT f.* FROM flights AS f",
        "SELECT * FROM (SELECT * FROM flights) AS f",
    ] {
        let plan = plan(sql, &Output::default()).unwrap();
        let names: Vec<_> = plan
            .output()
            .columns
            .fields()
            .iter()
            .map(|field| field.name())
            .collect();
        assert_eq!(names, all, "{sql}");
    }
    let plan = plan("SELECT * EXCLUDE (raw, _ts) FROM flights", &Output::default()).unwrap();
    assert_eq!(plan.output().columns.fields().len(), all.len() - 1);
}

#[test]
fn a_column_hides_what_the_record_has_under_the_same_name() {
    let input = stream(ValueFormat::Json, "_key bigint, a bigint");
    let inputs = BTreeMap::from([("s".to_owned(), input)]);
    let plan = SqlFactory
        .plan(
            &config("SELECT * FROM s WHERE _key = 7"),
            &inputs,
            &Output::default(),
        )
        .unwrap();
    let processed = plan
        .open()
        .unwrap()
        .process(&[record(0, r#"{"_key":7,"a":1}"#)])
        .unwrap();
    assert_eq!(values(&processed), [r#"{"_key":7,"a":1}"#]);
}

#[test]
fn subselects_and_common_table_expressions_flatten() {
    let sql = "WITH late AS (SELECT carrier, dep_delay * 2 AS twice FROM flights WHERE dep_delay > 0) \
               SELECT l.carrier AS who, twice + 1 AS more FROM (SELECT * FROM late WHERE twice > 10) AS l \
               WHERE l.twice < 100";
    let processed = run(sql, &[UA, AA, NOTHING]);
    assert_eq!(values(&processed), [r#"{"who":"UA","more":64.0}"#]);
    assert_eq!(processed.filtered, 2);
}

#[test]
fn only_the_columns_that_are_read_are_decoded() {
    let decoded = |sql: &str| {
        let explained = plan(sql, &Output::default()).unwrap().explain();
        explained.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        decoded("SELECT carrier FROM flights WHERE dep_delay > 1"),
        "read flights: decode 2 of 11 columns (carrier, dep_delay)"
    );
    assert_eq!(
        decoded("SELECT a.carrier AS c FROM (SELECT *, flight * 2 AS twice FROM flights) AS a"),
        "read flights: decode 1 of 11 columns (carrier)"
    );
    assert_eq!(
        decoded("SELECT _key AS k FROM flights"),
        "read flights: decode 0 of 11 columns ()"
    );
    // Values that no column of the query has cannot hurt it.
    let processed = run("SELECT carrier FROM flights", &["UA,x,x,x,x,x,x,x,x,x,x"]);
    assert_eq!(values(&processed), [r#"{"carrier":"UA"}"#]);
}

#[test]
fn a_row_that_fails_is_rejected_and_the_rest_goes_on() {
    let rows =
        ["UA,0", "UA,5", "AA,x", "oops", "UA,2147483647", "UA,10"].map(|row| match row.split_once(',') {
            Some((carrier, flight)) => format!("{carrier},{flight},1,,,,,,,,"),
            None => row.to_owned(),
        });
    let rows: Vec<_> = rows.iter().map(String::as_str).collect();
    let sql = "SELECT 100 / flight AS x, flight + CAST(1 AS INT) AS y FROM flights WHERE carrier = 'UA'";
    let processed = run(sql, &rows);
    assert_eq!(values(&processed), [r#"{"x":20,"y":6}"#, r#"{"x":10,"y":11}"#]);
    let reasons: Vec<_> = processed
        .rejected
        .iter()
        .map(|rejected| (rejected.record.offset.0 - 100, rejected.reason.as_str()))
        .collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert_eq!(reasons[0], (0, "divide by zero error"));
    assert_eq!(reasons[1], (2, "column 'flight': 'x' is not a 32-bit integer"));
    assert_eq!(reasons[2], (3, "1 fields, expected 11"));
    assert_eq!(reasons[3].0, 4);
    assert!(reasons[3].1.contains("verflow"), "{reasons:?}");
    assert_eq!(
        processed.rejected[1].record.value.as_deref(),
        Some(rows[2].as_bytes())
    );
}

#[test]
fn an_expression_that_can_only_fail_rejects_every_row() {
    let processed = run("SELECT 1 / 0 AS x, carrier FROM flights", &[UA, AA]);
    let reasons: Vec<_> = processed
        .rejected
        .iter()
        .map(|rejected| rejected.reason.as_str())
        .collect();
    assert_eq!(reasons, ["divide by zero error"; 2]);
}

#[test]
fn a_failing_cast_names_the_value() {
    let processed = run("SELECT CAST(carrier AS INT) AS x FROM flights", &[UA, AA]);
    assert_eq!(processed.rejected.len(), 2);
    assert_eq!(
        processed.rejected[0].reason,
        "cast error: Cannot cast string 'UA' to value of Int32 type"
    );
}

#[test]
fn records_without_value_or_with_a_binary_key_are_rejected() {
    let plan = plan("SELECT _key AS k FROM flights", &Output::default()).unwrap();
    let tombstone = Record {
        value: None,
        ..record(0, "")
    };
    let binary = Record {
        key: Some(vec![0xff].into()),
        ..record(1, UA)
    };
    let keyless = Record {
        key: None,
        ..record(2, UA)
    };
    let records = [tombstone, binary, keyless];
    let processed = plan.open().unwrap().process(&records).unwrap();
    assert_accounted(&records, &processed);
    let reasons: Vec<_> = processed
        .rejected
        .iter()
        .map(|rejected| rejected.reason.as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "the record has no value",
            "the key is not UTF-8 text, which `_key` needs"
        ]
    );
    assert_eq!(values(&processed), [r#"{"k":null}"#]);
}

#[test]
fn keys_formats_and_headers_of_the_output() {
    let output = Output {
        key: Some("number".into()),
        format: Some(ValueFormat::Csv(Default::default())),
    };
    let plan = plan("SELECT carrier, flight AS number FROM flights", &output).unwrap();
    let mut input = vec![record(0, UA), record(1, NOTHING)];
    input[0].headers = vec![
        Header::new("trace", "1"),
        Header::new("__value_schema_id", "of the old value"),
        Header::new("__key_schema_id", "of the old key"),
    ];
    let processed = plan.open().unwrap().process(&input).unwrap();
    assert_eq!(values(&processed), ["UA,1545", ","]);
    assert_eq!(processed.records[0].key.as_deref(), Some(&b"1545"[..]));
    assert_eq!(processed.records[0].headers, input[0].headers[..1]);
    assert_eq!(processed.records[1].key, None);
    assert_eq!(plan.output().format, ValueFormat::Csv(Default::default()));
}

#[test]
fn the_flights_table_needs_no_quotes() {
    let columns = "year integer, month integer, day integer, dep_time integer, sched_dep_time integer, \
                   dep_delay integer, arr_time integer, sched_arr_time integer, arr_delay integer, carrier varchar, \
                   flight integer, tailnum varchar, origin varchar, dest varchar, air_time integer, \
                   distance integer, hour integer, minute integer, time_hour timestamptz(0)";
    let csv = CsvDialect {
        null: Some("NA".into()),
        ..CsvDialect::default()
    };
    let inputs = BTreeMap::from([("flights".to_owned(), stream(ValueFormat::Csv(csv), columns))]);
    let sql = "SELECT year, month, day, hour, minute, time_hour, hour * 60 + minute AS scheduled_minute, \
               make_date(year, month, day) AS date, distance / (air_time / 60.0) AS mph \
               FROM flights WHERE dep_delay > 1 AND dest = 'IAH' AND tailnum IS NOT NULL";
    let plan = SqlFactory
        .plan(&config(sql), &inputs, &Output::default())
        .unwrap();
    let rows = [
        "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z",
        "2013,1,1,NA,600,NA,NA,715,NA,EV,4308,N18120,EWR,RDU,NA,416,6,0,2013-01-01T11:00:00Z",
    ];
    let records = rows.map(|row| record(0, row));
    let processed = plan.open().unwrap().process(&records).unwrap();
    assert_accounted(&records, &processed);
    let expected =
        r#"{"year":2013,"month":1,"day":1,"hour":5,"minute":15,"time_hour":"2013-01-01T10:00:00Z","#;
    assert!(
        values(&processed)[0].starts_with(expected),
        "{:?}",
        values(&processed)
    );
    assert!(values(&processed)[0].contains(r#""scheduled_minute":315,"date":"2013-01-01","mph":370.0"#));
    assert_eq!(processed.filtered, 1);
}
