//! SQL processors: `SELECT … FROM one-stream WHERE …` over the records of a topic. The only user of DataFusion.
//!
//! DataFusion parses, types and simplifies; what is left of the plan is a chain of filters and projections, which run
//! as operators over the Arrow batch of a fetch. No `ExecutionPlan` is involved (`docs/adr/0003`).
//!
//! Invariants:
//! - only columns that the plan reads are decoded;
//! - a row whose evaluation fails is rejected with the reason and never disturbs its neighbours: the result of a batch
//!   equals the results of its rows one by one;
//! - the same record gives the same result whenever it is processed: functions of the wall clock are refused
//!   (`random()` and `uuid()` are what they say).
//!
//! Deliberately absent: anything that needs state (aggregates, joins, windows, order). It is refused by name. Stateful
//! operators will stand beside the variants of `operator::Operator`.

mod clauses;
mod factory;
mod fault;
mod functions;
mod input;
mod operator;
mod parse;
mod plan;
mod processor;

pub use factory::SqlFactory;
