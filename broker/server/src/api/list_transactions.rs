use std::collections::HashSet;

use millstream_broker_coordinator::TransactionState;
use millstream_protocol::{
    ErrorCode,
    messages::{
        self, ListTransactionsRequest, ListTransactionsResponse, ProducerId, list_transactions_response,
    },
};
use regex::Regex;

use super::{Call, Handle, Reply, transactions::text};
use crate::TransactionDescription;

/// Kafka's other states, which a node whose decisions are atomic never shows.
const PASSING_STATES: [&str; 4] = ["PrepareCommit", "PrepareAbort", "Dead", "PrepareEpochFence"];

impl Handle for ListTransactionsRequest {
    async fn handle(self, call: Call) -> Reply<ListTransactionsResponse> {
        let refused =
            |code: ErrorCode| Reply::Now(ListTransactionsResponse::default().with_error_code(code.code()));
        let pattern = match self
            .transactional_id_pattern
            .as_ref()
            .filter(|pattern| !pattern.is_empty())
        {
            // Kafka wants the whole id to match.
            Some(pattern) => match Regex::new(&format!("^(?:{})$", pattern.as_str())) {
                Ok(pattern) => Some(pattern),
                Err(_) => return refused(ErrorCode::InvalidRegularExpression),
            },
            None => None,
        };
        let is_known = |name: &str| {
            TransactionState::ALL.iter().any(|state| state.name() == name) || PASSING_STATES.contains(&name)
        };
        let (known, unknown): (Vec<_>, Vec<_>) = self
            .state_filters
            .iter()
            .cloned()
            .partition(|name| is_known(name.as_str()));
        let states: HashSet<&str> = known.iter().map(|name| name.as_str()).collect();
        let producers: HashSet<i64> = self.producer_id_filters.iter().map(|id| id.0).collect();
        let now = call.node.broker.clock().now();
        let wanted = |t: &TransactionDescription| {
            let old_enough = || {
                t.started
                    .is_some_and(|at| now.0.saturating_sub(at.0) > self.duration_filter)
            };
            (self.state_filters.is_empty() || states.contains(t.state.name()))
                && (producers.is_empty() || producers.contains(&t.producer.id.0))
                && (self.duration_filter < 0 || old_enough())
                && pattern
                    .as_ref()
                    .is_none_or(|pattern| pattern.is_match(t.id.as_str()))
        };
        let found = call.node.broker.describe_transactions();
        let found = found.iter().filter(|t| wanted(t)).map(|t| {
            list_transactions_response::TransactionState::default()
                .with_transactional_id(messages::TransactionalId(text(t.id.as_str())))
                .with_producer_id(ProducerId(t.producer.id.0))
                .with_transaction_state(text(t.state.name()))
        });
        Reply::Now(
            ListTransactionsResponse::default()
                .with_unknown_state_filters(unknown)
                .with_transaction_states(found.collect()),
        )
    }
}
