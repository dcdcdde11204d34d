//! What SQL offers and a processor without state cannot do: found in the syntax tree, all at once, each with its place.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::{
    ast::{
        Expr, GroupByExpr, ObjectName, Query, Select, SelectItem, SetExpr, Spanned, TableFactor, Visit,
        Visitor, visit_expressions,
    },
    tokenizer::Span,
};

use crate::{fault::Fault, functions};

/// Everything in the query that cannot run.
pub(crate) fn refusals(query: &Query) -> Vec<Fault> {
    let mut refusals = Refusals::default();
    if query.visit(&mut refusals).is_break() {
        return refusals.faults;
    }
    refusals.unnamed_columns(query);
    refusals.faults
}

/// Where the query first names a column. (DataFusion's errors do not always say it.)
pub(crate) fn place_of_column(query: &Query, column: &str) -> Option<Span> {
    let flow = visit_expressions(query, |expr| {
        let name = match expr {
            Expr::Identifier(name) => Some(name),
            Expr::CompoundIdentifier(path) => path.last(),
            _ => None,
        };
        match name.filter(|name| name.value == column) {
            Some(_) => ControlFlow::Break(expr.span()),
            None => ControlFlow::Continue(()),
        }
    });
    flow.break_value()
}

/// Expressions are evaluated by recursion, on the stack of a worker.
const MAX_DEPTH: usize = 500;

#[derive(Default)]
struct Refusals {
    faults: Vec<Fault>,
    /// How many expressions enclose the one being visited.
    depth: usize,
}

impl Refusals {
    fn refuse(&mut self, span: Span, message: &str) -> &mut Fault {
        self.faults.push(Fault::new(message).at(span));
        self.faults.last_mut().expect("just pushed")
    }

    fn refuse_if(&mut self, found: bool, span: impl FnOnce() -> Span, message: &str) {
        if found {
            self.refuse(span(), message);
        }
    }

    fn body(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) => {}
            SetExpr::SetOperation { op, right, .. } => {
                let message = format!("{op} is not available yet");
                self.refuse(right.span(), &message).help =
                    Some("write one processor for each SELECT, into the same topic".into());
            }
            other => {
                self.refuse(other.span(), "a processor is a SELECT from a topic");
            }
        }
    }

    fn function(&mut self, name: &ObjectName, is_window: bool) {
        if let Some(fault) = functions::refusal(&name.to_string()) {
            self.faults.push(fault.at(name.span()));
        } else if is_window {
            self.refuse(name.span(), "OVER needs state: windows are not available yet");
        }
    }

    /// Names that DataFusion makes up are no contract: they change with the text and with its version.
    fn unnamed_columns(&mut self, query: &Query) {
        let SetExpr::Select(select) = query.body.as_ref() else {
            return;
        };
        for item in &select.projection {
            let SelectItem::UnnamedExpr(expr) = item else {
                continue;
            };
            if !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                let help = format!("write `{expr} AS name`");
                self.refuse(expr.span(), "this column has no name").help = Some(help);
            }
        }
    }
}

impl Visitor for Refusals {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.body(&query.body);
        if let Some(with) = query.with.as_ref().filter(|with| with.recursive) {
            self.refuse(with.span(), "WITH RECURSIVE is not available");
        }
        if let Some(order_by) = &query.order_by {
            self.refuse(
                order_by.span(),
                "ORDER BY would wait for the end of a stream that has none",
            );
        }
        if let Some(limit) = &query.limit_clause {
            self.refuse(limit.span(), "LIMIT needs state: it is not available yet");
        }
        if let Some(fetch) = &query.fetch {
            self.refuse(fetch.span(), "FETCH needs state: it is not available yet");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let at_select = || select.select_token.0.span;
        self.refuse_if(
            select.distinct.is_some(),
            at_select,
            "DISTINCT needs state: it is not available yet",
        );
        self.refuse_if(
            select.top.is_some(),
            at_select,
            "TOP needs state: it is not available yet",
        );
        let is_grouped = match &select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(columns, _) => !columns.is_empty(),
        };
        let grouped = "GROUP BY needs state: aggregates are not available yet";
        self.refuse_if(is_grouped, || select.group_by.span(), grouped);
        if let Some(having) = &select.having {
            self.refuse(
                having.span(),
                "HAVING needs state: aggregates are not available yet",
            );
        }
        if let Some(qualify) = &select.qualify {
            self.refuse(
                qualify.span(),
                "QUALIFY needs state: windows are not available yet",
            );
        }
        let joins = "joins need state: they are not available yet";
        match select.from.as_slice() {
            [] => {
                self.refuse(at_select(), "there is no FROM").help =
                    Some("a processor reads FROM a topic".into());
            }
            [table] => {
                if let Some(join) = table.joins.first() {
                    self.refuse(join.relation.span(), joins);
                }
            }
            [_, second, ..] => {
                self.refuse(second.span(), joins);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        if !matches!(
            table,
            TableFactor::Table { args: None, .. } | TableFactor::Derived { .. }
        ) {
            self.refuse(table.span(), "FROM takes a topic or a SELECT in parentheses");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.refuse(expr.span(), "the expression is nested too deeply")
                .help = Some(format!(
                "at most {MAX_DEPTH} operators in a chain; a long OR may be an IN"
            ));
            return ControlFlow::Break(());
        }
        match expr {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                self.refuse(
                    expr.span(),
                    "a SELECT inside of an expression needs state: it is not available yet",
                );
            }
            Expr::Function(function) => self.function(&function.name, function.over.is_some()),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}
