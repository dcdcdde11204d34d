use std::collections::BTreeMap;

use millstream_processors_sql::SqlFactory;
use millstream_sdk::{Output, Problem, ProcessorFactory, ValueFormat};

use super::{config, flights, plan};

fn problems(sql: &str) -> Vec<Problem> {
    match plan(sql, &Output::default()) {
        Ok(plan) => panic!("{sql} is accepted: {}", plan.explain()),
        Err(problems) => problems,
    }
}

/// The one problem of a query: its message, its help and its place in the text.
fn check(sql: &str, message: &str, help: Option<&str>, within: (usize, usize)) {
    let problems = problems(sql);
    let [problem] = problems.as_slice() else {
        panic!("{sql}: {problems:?}");
    };
    assert_eq!(problem.message, message, "{sql}");
    assert_eq!(problem.help.as_deref(), help, "{sql}");
    assert_eq!(problem.within, Some(within), "{sql}");
    assert_eq!(problem.path.to_string(), "processors.late.sql");
}

#[test]
fn a_wrong_name_is_answered_with_the_nearest() {
    check(
        "SELECT carrier\nFROM flights\nWHERE dep_dely > 15",
        "there is no column 'dep_dely'",
        Some("did you mean 'dep_delay'?"),
        (3, 7),
    );
    check(
        "SELECT f.Carrier AS c FROM flights f",
        "there is no column 'Carrier'",
        Some("did you mean 'carrier'?"),
        (1, 8),
    );
    check(
        "SELECT uppr(carrier) AS x FROM flights",
        "there is no function 'uppr'",
        Some("did you mean 'upper'?"),
        (1, 8),
    );
    let fault = problems("SELECT zzzzzz FROM flights").remove(0);
    assert!(fault.help.unwrap().starts_with("known columns: carrier, flight"));
}

#[test]
fn syntax_errors_have_their_place() {
    let problem = problems("SELECT carrier\nFROM flights WHRE x").remove(0);
    assert!(
        problem
            .message
            .starts_with("expected: end of statement, found: x"),
        "{problem}"
    );
    assert_eq!(problem.within, Some((2, 19)));
}

#[test]
fn what_needs_state_is_refused_by_name() {
    let check = |sql: &str, expected: &[&str]| {
        let messages: Vec<_> = problems(sql).into_iter().map(|problem| problem.message).collect();
        assert_eq!(messages, expected, "{sql}");
    };
    let from = "FROM flights";
    check(
        &format!("SELECT carrier, count(*) AS n {from} GROUP BY carrier"),
        &[
            "GROUP BY needs state: aggregates are not available yet",
            "count() needs state: aggregates are not available yet",
        ],
    );
    check(
        &format!("SELECT row_number() OVER (ORDER BY flight) AS n {from}"),
        &["row_number() needs state: windows are not available yet"],
    );
    check(
        &format!("SELECT DISTINCT carrier {from} ORDER BY carrier LIMIT 3"),
        &[
            "ORDER BY would wait for the end of a stream that has none",
            "LIMIT needs state: it is not available yet",
            "DISTINCT needs state: it is not available yet",
        ],
    );
    check(
        "SELECT a.flight AS f FROM flights a JOIN flights b ON a.flight = b.flight",
        &["joins need state: they are not available yet"],
    );
    check(
        "SELECT f.flight AS f FROM flights f, flights g",
        &["joins need state: they are not available yet"],
    );
    check(
        &format!("SELECT flight {from} UNION ALL SELECT flight {from}"),
        &["UNION is not available yet"],
    );
    check(
        &format!("SELECT flight {from} WHERE flight IN (SELECT flight {from})"),
        &["a SELECT inside of an expression needs state: it is not available yet"],
    );
    check(
        "SELECT tumble(time_hour) AS w FROM flights",
        &["tumble() needs state: windows are not available yet"],
    );
    check("SELECT 1 AS x", &["there is no FROM"]);
    check(
        "SELECT * FROM generate_series(1, 3)",
        &["FROM takes a topic or a SELECT in parentheses"],
    );
    check(
        "SELECT unnest([1, 2]) AS x FROM flights",
        &["unnest() makes several records of one: it is not available yet"],
    );
}

#[test]
fn the_wall_clock_is_refused() {
    for sql in [
        "SELECT now() AS t FROM flights",
        "SELECT carrier FROM flights WHERE time_hour < current_timestamp",
        "SELECT CURRENT_DATE AS d FROM flights",
    ] {
        let problem = problems(sql).remove(0);
        assert!(
            problem
                .message
                .ends_with("would answer differently when a record is processed again"),
            "{problem}"
        );
        assert_eq!(
            problem.help.as_deref(),
            Some("use `_ts`, the timestamp of the record")
        );
    }
}

#[test]
fn columns_of_the_result_have_names_and_types_that_last() {
    check(
        "SELECT carrier, flight * 2 FROM flights",
        "this column has no name",
        Some("write `flight * 2 AS name`"),
        (1, 17),
    );
    let problem = problems("SELECT make_array(flight) AS x FROM flights").remove(0);
    assert!(
        problem.message.starts_with("column 'x' has type List("),
        "{problem}"
    );
    assert!(problems("SELECT flight, flight FROM flights").len() == 1);
    let problem = problems("SELECT carrier + 1 AS x, upper(flight, 2) AS y FROM flights").remove(0);
    assert!(!problem.message.is_empty());
}

#[test]
fn the_key_must_be_a_column_of_the_result() {
    let output = Output {
        key: Some("carier".into()),
        format: None,
    };
    let problem = plan("SELECT carrier FROM flights", &output)
        .err()
        .unwrap()
        .remove(0);
    assert_eq!(
        problem.to_string(),
        "processors.late.into.key: the key 'carier' is not a column of the result"
    );
    assert_eq!(problem.help.as_deref(), Some("did you mean 'carrier'?"));
    let output = Output {
        key: None,
        format: Some(ValueFormat::Raw),
    };
    assert!(plan("SELECT flight FROM flights", &output).is_err());
}

#[test]
fn inputs_are_the_names_in_from() {
    assert_eq!(
        SqlFactory.inputs(&config("SELECT * FROM cdc.orders")),
        Ok(vec!["cdc.orders".to_owned()])
    );
    assert_eq!(
        SqlFactory.inputs(&config("SELEC *")).unwrap_err()[0].within,
        Some((1, 1))
    );
    let inputs = BTreeMap::from([("cdc.orders".to_owned(), flights())]);
    let plan = |sql: &str| SqlFactory.plan(&config(sql), &inputs, &Output::default());
    assert!(plan("SELECT orders.flight AS f FROM cdc.orders WHERE orders.flight > 1").is_ok());
    assert!(plan("SELECT (flight > 1) AS \"f\"\nFROM \"cdc.orders\"\nWHERE (flight > 1)").is_ok());
    let problem = plan("SELECT * FROM cdc.order").err().unwrap().remove(0);
    assert_eq!(problem.help.as_deref(), Some("did you mean 'cdc.orders'?"));
}

#[test]
fn long_chains_of_operators_are_bounded() {
    let chain = |terms: usize| format!("SELECT flight{} AS x FROM flights", " + 1".repeat(terms));
    let processed = super::run(&chain(400), &["UA,1,,,,,,,,,"]);
    assert_eq!(super::values(&processed), [r#"{"x":401}"#]);
    let problem = problems(&chain(15_000)).remove(0);
    assert_eq!(problem.message, "the expression is nested too deeply");
    assert_eq!(
        problems(&chain(100_000))[0].message,
        "the SQL is longer than 65536 bytes"
    );
}
