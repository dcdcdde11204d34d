//! SQL text to its syntax tree, and the streams that it names.

use datafusion_sql::sqlparser::{
    ast::{Ident, ObjectName, Query, Select, SetExpr, Statement, TableFactor},
    dialect::GenericDialect,
    parser::Parser,
};

use crate::fault::Fault;

/// Longer texts are refused before they are parsed.
const MAX_BYTES: usize = 64 << 10;

/// Enough for the syntax tree of the longest text, which may be one chain of operators. Only what is used is taken.
const STACK_BYTES: usize = 256 << 20;

/// Does all work on syntax trees: they are walked and dropped by recursion, as deep as the user's text makes them.
pub(crate) fn on_deep_stack<T: Send>(
    work: impl FnOnce() -> Result<T, Vec<Fault>> + Send,
) -> Result<T, Vec<Fault>> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("sql-plan".into())
            .stack_size(STACK_BYTES);
        let thread = thread
            .spawn_scoped(scope, work)
            .map_err(|error| vec![Fault::new(format!("the query cannot be planned now: {error}"))])?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The one query of a text.
pub(crate) fn parse(sql: &str) -> Result<Box<Query>, Fault> {
    if sql.len() > MAX_BYTES {
        return Err(Fault::new(format!("the SQL is longer than {MAX_BYTES} bytes")));
    }
    let mut statements = Parser::new(&GenericDialect {})
        .try_with_sql(sql)?
        .parse_statements()?;
    match (statements.pop(), statements.is_empty()) {
        (Some(Statement::Query(query)), true) => Ok(query),
        (None, _) => Err(Fault::new("there is no SQL").help("write `SELECT … FROM … WHERE …`")),
        (Some(_), true) => {
            Err(Fault::new("a processor is one SELECT").help("write `SELECT … FROM … WHERE …`"))
        }
        (Some(_), false) => Err(Fault::new(
            "a processor is one SELECT, there are several statements",
        )),
    }
}

/// The streams named in FROM, each once, in the order of the text. Common table expressions are not streams.
pub(crate) fn streams(query: &mut Query) -> Vec<String> {
    let mut streams = Vec::new();
    for_each_select(query, &mut |_, stream| {
        let stream = stream.map(str::to_owned);
        streams.extend(stream.filter(|stream| !streams.contains(stream)));
    });
    streams
}

/// The topic that a name in FROM means: `cdc.orders` and `"cdc.orders"` are the same.
pub(crate) fn stream_name(name: &ObjectName) -> String {
    let parts = name.0.iter().map(|part| match part.as_ident() {
        Some(Ident { value, .. }) => value.clone(),
        None => part.to_string(),
    });
    parts.collect::<Vec<_>>().join(".")
}

/// Calls `act` for every SELECT at the end of a FROM chain or of a common table expression, with the stream that it
/// reads directly, if any.
pub(crate) fn for_each_select(query: &mut Query, act: &mut impl FnMut(&mut Select, Option<&str>)) {
    visit_query(query, &[], act);
}

type Act<'a> = dyn FnMut(&mut Select, Option<&str>) + 'a;

fn visit_query(query: &mut Query, visible: &[String], act: &mut Act<'_>) {
    let mut visible = visible.to_vec();
    for table in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
        visit_query(&mut table.query, &visible, act);
        visible.push(table.alias.name.value.clone());
    }
    visit_body(&mut query.body, &visible, act);
}

fn visit_body(body: &mut SetExpr, visible: &[String], act: &mut Act<'_>) {
    match body {
        SetExpr::Select(select) => visit_select(select, visible, act),
        SetExpr::Query(query) => visit_query(query, visible, act),
        SetExpr::SetOperation { left, right, .. } => {
            visit_body(left, visible, act);
            visit_body(right, visible, act);
        }
        _ => {}
    }
}

fn visit_select(select: &mut Select, visible: &[String], act: &mut Act<'_>) {
    let mut streams = Vec::new();
    for table in &mut select.from {
        let joined = table.joins.iter_mut().map(|join| &mut join.relation);
        for factor in std::iter::once(&mut table.relation).chain(joined) {
            match factor {
                TableFactor::Table { name, args: None, .. } => {
                    let name = stream_name(name);
                    streams.extend((!visible.contains(&name)).then_some(name));
                }
                TableFactor::Derived { subquery, .. } => visit_query(subquery, visible, act),
                _ => {}
            }
        }
    }
    for stream in &streams {
        act(select, Some(stream));
    }
    if streams.is_empty() {
        act(select, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_streams_in_from() {
        let check = |sql: &str, expected: &[&str]| {
            assert_eq!(streams(&mut parse(sql).unwrap()), expected, "{sql}");
        };
        check("SELECT * FROM flights", &["flights"]);
        check("SELECT a FROM cdc.orders AS o", &["cdc.orders"]);
        check("SELECT a FROM \"cdc.orders\"", &["cdc.orders"]);
        check("SELECT a FROM (SELECT a FROM Flights) x", &["Flights"]);
        check(
            "WITH late AS (SELECT * FROM flights) SELECT * FROM late",
            &["flights"],
        );
        check(
            "WITH flights AS (SELECT * FROM flights) SELECT * FROM flights",
            &["flights"],
        );
        check("SELECT * FROM a JOIN b ON a.x = b.x, c", &["a", "b", "c"]);
        check("SELECT 1 AS one", &[]);
    }

    #[test]
    fn refuses_what_is_not_one_select() {
        let check =
            |sql: &str, expected: &str| assert_eq!(parse(sql).unwrap_err().message, expected, "{sql}");
        check("", "there is no SQL");
        check("DELETE FROM flights", "a processor is one SELECT");
        check(
            "SELECT 1; SELECT 2",
            "a processor is one SELECT, there are several statements",
        );
        check(&"(".repeat(MAX_BYTES + 1), "the SQL is longer than 65536 bytes");
        assert!(parse(&format!("SELECT {}", "(".repeat(100_000))).is_err());
        assert_eq!(
            parse("SELECT a\nFROM flights WHRE x").unwrap_err().within,
            Some((2, 19))
        );
    }
}
