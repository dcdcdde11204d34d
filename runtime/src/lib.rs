//! Runs pipelines: opens the tasks of a [`Plan`](millstream_pipeline::Plan), moves records between connectors,
//! processors and the log, commits, restarts, counts.
//!
//! A record's journey, one file per stage: `source_task` → `processor_task` → `sink_task`. `supervisor` restarts them,
//! `commit` is the one transaction that holds outputs and progress, `status` is what can be seen of it all.
//!
//! Invariants:
//! - outputs, dead letters and progress (input offsets or source position) of a task are one log transaction;
//! - nothing is acknowledged upstream (`Source::on_durable`) before the commit that holds it;
//! - in = out + filtered + dead letters, for committed work of every task, always;
//! - every buffer has a bound: a task holds one fetch and what its connector holds, the log holds the rest.
//!
//! Deliberately absent: connectors by name (they come with the plan), which log it is (it is injected), a wall clock.

mod commit;
mod dead_letter;
mod error;
mod input;
mod names;
mod partitioner;
mod positions;
mod prepare;
mod processor_task;
mod rewrite;
mod run;
mod scope;
mod sink_task;
mod source_task;
mod status;
mod supervisor;

pub use dead_letter::{DeadLetter, Stage, headers};
pub use names::{POSITIONS_TOPIC, group, positions_topic, transactional_id};
pub use partitioner::{murmur2, partition_of_key};
pub use positions::{InvalidPosition, PositionKey, decode_position, encode_position};
pub use run::{Outcome, Report, RunError, RunOptions, TaskFailure, run};
pub use status::{NodeKind, NodeState, NodeStatus, Status};
