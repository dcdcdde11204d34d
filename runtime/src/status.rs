//! What can be seen of a run while it goes on: per node its state, what it has done, how far it is behind.
//!
//! Counts hold committed work only, so they never go back and in = out + filtered + dead letters at every moment.
//! Each task owns one cell and updates it once per fetch or commit; a snapshot adds the cells up.

use std::{
    ops::AddAssign,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use millstream_types::Timestamp;
use serde::Serialize;

/// The counters of a run. Make one with `default`, give it to [`run`](crate::run), read it at any time.
#[derive(Default)]
pub struct Status {
    nodes: RwLock<Vec<Arc<NodeCell>>>,
}

/// What a node has done so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    pub node: String,
    pub kind: NodeKind,
    /// The worst state of its tasks.
    #[serde(flatten)]
    pub state: NodeState,
    /// Records read, the rejected ones included.
    pub records_in: u64,
    /// Input records that were passed on: written to a topic (source, processor) or to the foreign system (sink).
    pub records_out: u64,
    /// Input records dropped on purpose; also bad records that `on_error` says to skip.
    pub filtered: u64,
    pub dead_letters: u64,
    /// Key, value and header bytes of the records read.
    pub bytes: u64,
    /// Offsets between what is committed and the end of the topics that it reads; none for sources.
    pub lag: Option<i64>,
    pub tasks: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    Source,
    Processor,
    Sink,
}

/// Ordered from harmless to bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum NodeState {
    /// All there is was handled and committed.
    Done,
    /// Ended because the run was told to stop.
    Stopped,
    /// Ended because another run of the same pipeline took over.
    Fenced,
    Running,
    /// Waits until `next` to start again from the last commit.
    Retrying {
        error: String,
        next: Timestamp,
    },
    /// Does nothing until a human acts.
    Failed {
        error: String,
    },
}

impl NodeState {
    fn badness(&self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Stopped => 1,
            Self::Fenced => 2,
            Self::Running => 3,
            Self::Retrying { .. } => 4,
            Self::Failed { .. } => 5,
        }
    }
}

impl NodeStatus {
    /// Whether every record that came in is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.records_in == self.records_out + self.filtered + self.dead_letters
    }
}

/// What became of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) records_in: u64,
    pub(crate) records_out: u64,
    pub(crate) filtered: u64,
    pub(crate) dead_letters: u64,
    pub(crate) bytes: u64,
}

impl Counts {
    pub(crate) fn is_balanced(&self) -> bool {
        self.records_in == self.records_out + self.filtered + self.dead_letters
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.records_in += other.records_in;
        self.records_out += other.records_out;
        self.filtered += other.filtered;
        self.dead_letters += other.dead_letters;
        self.bytes += other.bytes;
    }
}

pub(crate) struct NodeCell {
    name: String,
    kind: NodeKind,
    tasks: Vec<Arc<TaskCell>>,
}

/// The cell of one task: written by it, read by snapshots.
pub(crate) struct TaskCell(Mutex<TaskView>);

struct TaskView {
    state: NodeState,
    counts: Counts,
    lag: i64,
    commits: u64,
}

impl Status {
    /// All nodes, in the order of the plan; empty before the run has begun.
    pub fn snapshot(&self) -> Vec<NodeStatus> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().map(|node| node.status()).collect()
    }

    /// Adds a node with that many tasks.
    pub(crate) fn add(&self, name: &str, kind: NodeKind, tasks: usize) -> Vec<Arc<TaskCell>> {
        let tasks: Vec<_> = (0..tasks).map(|_| Arc::new(TaskCell::new())).collect();
        let node = NodeCell {
            name: name.to_owned(),
            kind,
            tasks: tasks.clone(),
        };
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        nodes.push(Arc::new(node));
        tasks
    }
}

impl NodeCell {
    fn status(&self) -> NodeStatus {
        let mut counts = Counts::default();
        let mut lag = 0;
        let mut state = NodeState::Done;
        for task in &self.tasks {
            let view = task.view();
            counts += view.counts;
            lag += view.lag;
            if view.state.badness() > state.badness() {
                state = view.state.clone();
            }
        }
        NodeStatus {
            node: self.name.clone(),
            kind: self.kind,
            state,
            records_in: counts.records_in,
            records_out: counts.records_out,
            filtered: counts.filtered,
            dead_letters: counts.dead_letters,
            bytes: counts.bytes,
            lag: (self.kind != NodeKind::Source).then_some(lag),
            tasks: self.tasks.len(),
        }
    }
}

impl TaskCell {
    fn new() -> Self {
        Self(Mutex::new(TaskView {
            state: NodeState::Running,
            counts: Counts::default(),
            lag: 0,
            commits: 0,
        }))
    }

    pub(crate) fn set_state(&self, state: NodeState) {
        self.view().state = state;
    }

    /// The task is dropped while it still runs or waits.
    pub(crate) fn give_up(&self) {
        let mut view = self.view();
        if matches!(view.state, NodeState::Running | NodeState::Retrying { .. }) {
            view.state = NodeState::Stopped;
        }
    }

    pub(crate) fn set_lag(&self, lag: i64) {
        self.view().lag = lag.max(0);
    }

    /// Adds work that the log holds for good.
    pub(crate) fn committed(&self, counts: Counts) {
        assert!(counts.is_balanced(), "records went missing: {counts:?}");
        let mut view = self.view();
        view.counts += counts;
        view.commits += 1;
    }

    /// How many commits there were: tells whether an attempt got anywhere.
    pub(crate) fn commits(&self) -> u64 {
        self.view().commits
    }

    fn view(&self) -> MutexGuard<'_, TaskView> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_shows_the_sum_and_the_worst_of_its_tasks() {
        let status = Status::default();
        let tasks = status.add("late", NodeKind::Processor, 2);
        tasks[0].committed(Counts {
            records_in: 3,
            records_out: 1,
            filtered: 1,
            dead_letters: 1,
            bytes: 30,
        });
        tasks[0].set_state(NodeState::Done);
        tasks[1].set_lag(7);
        let node = status.snapshot().remove(0);
        assert_eq!((node.records_in, node.lag, node.tasks), (3, Some(7), 2));
        assert_eq!(node.state, NodeState::Running);
        assert!(node.is_balanced());
        tasks[1].set_state(NodeState::Retrying {
            error: "gone".into(),
            next: Timestamp(5),
        });
        let json = serde_json::to_value(&status.snapshot()[0]).unwrap();
        assert_eq!(json["state"], "retrying");
        assert_eq!(json["error"], "gone");
    }

    #[test]
    #[should_panic(expected = "records went missing")]
    fn unbalanced_work_cannot_be_counted() {
        TaskCell::new().committed(Counts {
            records_in: 1,
            ..Counts::default()
        });
    }
}
