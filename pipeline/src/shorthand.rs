//! `filter:` and `select:` written out as the SQL they stand for.
//!
//! Every expression of the user begins a line of its own, so that a place in the SQL is a place in the file.

use std::fmt::Write;

use millstream_sdk::{ConfigPath, Problem};
use serde_json::Value;

/// SQL and where its lines come from.
#[derive(Debug)]
pub(crate) struct Shorthand {
    pub(crate) sql: String,
    parts: Vec<Part>,
    node: ConfigPath,
}

/// Lines of the SQL that are an expression in the file.
#[derive(Debug)]
struct Part {
    first_line: usize,
    lines: usize,
    path: ConfigPath,
}

impl Shorthand {
    /// `select` holds texts by column name; both are checked to be of their kind.
    pub(crate) fn new(node: &ConfigPath, from: &str, filter: Option<&Value>, select: Option<&Value>) -> Self {
        let mut this = Self {
            sql: "SELECT".into(),
            parts: Vec::new(),
            node: node.clone(),
        };
        match select.and_then(Value::as_object) {
            None => this.sql.push_str(" *"),
            Some(columns) => {
                for (n, (name, expression)) in columns.iter().enumerate() {
                    this.sql.push_str(if n == 0 { " (" } else { ", (" });
                    this.expression(expression, node.clone().key("select").key(name));
                    _ = write!(this.sql, ") AS {}", quoted(name));
                }
            }
        }
        _ = write!(this.sql, "\nFROM {}", quoted(from));
        if let Some(filter) = filter {
            this.sql.push_str("\nWHERE (");
            this.expression(filter, node.clone().key("filter"));
            this.sql.push(')');
        }
        this
    }

    /// The same problem where the user wrote what is wrong. `sql`: the path that no user wrote.
    pub(crate) fn trace(&self, mut problem: Problem, sql: &ConfigPath) -> Problem {
        if problem.path != *sql {
            return problem;
        }
        let Some((line, column)) = problem.within.take() else {
            problem.path = self.node.clone();
            return problem;
        };
        let part = self
            .parts
            .iter()
            .find(|p| (p.first_line..p.first_line + p.lines).contains(&line));
        match part {
            Some(part) => {
                problem.path = part.path.clone();
                problem.within(line - part.first_line + 1, column)
            }
            None => {
                problem.path = self.node.clone();
                problem
            }
        }
    }

    fn expression(&mut self, text: &Value, path: ConfigPath) {
        let text = text.as_str().unwrap_or_default();
        self.sql.push('\n');
        let first_line = 1 + self.sql.matches('\n').count();
        let lines = 1 + text.matches('\n').count();
        self.parts.push(Part {
            first_line,
            lines,
            path,
        });
        // The line end also closes a comment at the end of the expression.
        _ = writeln!(self.sql, "{text}");
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn becomes_sql_and_traces_places_back() {
        let node = ConfigPath::default().key("processors").key("paid");
        let select = json!({"id": "id", "total": "price\n* amount"});
        let shorthand = Shorthand::new(
            &node,
            "cdc.orders",
            Some(&json!("status = 'PAID' -- only")),
            Some(&select),
        );
        assert_eq!(
            shorthand.sql,
            "SELECT (\nid\n) AS \"id\", (\nprice\n* amount\n) AS \"total\"\n\
             FROM \"cdc.orders\"\nWHERE (\nstatus = 'PAID' -- only\n)"
        );
        let at = |line, column| {
            let sql = node.clone().key("sql");
            let problem = shorthand.trace(Problem::new(sql.clone(), "wrong").within(line, column), &sql);
            (problem.path.to_string(), problem.within)
        };
        assert_eq!(at(5, 3), ("processors.paid.select.total".into(), Some((2, 3))));
        assert_eq!(at(9, 1), ("processors.paid.filter".into(), Some((1, 1))));
        assert_eq!(at(7, 1), ("processors.paid".into(), None));
    }
}
