//! Runs a plan: opens one supervised task per unit of work and waits for all of them.

use std::{fmt, sync::Arc, time::Duration};

use millstream_client::{Log, LogError};
use millstream_pipeline::{BadRecords, ErrorPolicy, Plan, ProcessorNode, SinkNode, SourceNode};
use millstream_sdk::{Problem, SinkPlan, SourceTask as SourceWork};
use millstream_types::{Clock, TopicName, TopicPartition};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    commit::InDoubt,
    input::EndOfInput,
    prepare,
    processor_task::ProcessorTask,
    scope::{Scope, Shared},
    sink_task::SinkTask,
    source_task::SourceTask,
    status::{NodeKind, NodeStatus, Status},
    supervisor::{Task, TaskEnd, supervise},
};

/// How a plan is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// End when all sources are done and all that they wrote has passed through.
    pub until_end: bool,
    /// How often a task commits; also the time that a record waits per hop.
    pub commit_interval: Duration,
    /// A task commits earlier when it has written that much.
    pub commit_max_bytes: usize,
    /// Bytes that a processor or sink task reads at once.
    pub fetch_max_bytes: usize,
    /// How long tasks may take to commit what they have when told to stop; the rest is repeated next time.
    pub stop_timeout: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            until_end: false,
            commit_interval: Duration::from_millis(500),
            commit_max_bytes: 8 * 1024 * 1024,
            fetch_max_bytes: 1024 * 1024,
            stop_timeout: Duration::from_secs(10),
        }
    }
}

/// How a run ended, and what it did.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub outcome: Outcome,
    pub nodes: Vec<NodeStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All there was to do is done and committed.
    Done,
    /// Told to stop; what was not committed is repeated by the next run.
    Stopped,
    /// Another run of the same pipeline took over at least one task.
    Fenced,
}

/// Why a run ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot prepare topic '{topic}'")]
    Topic { topic: TopicName, source: LogError },
    /// Sources that cannot be cut into tasks; each problem names its place in the pipeline file.
    #[error("{}", Lines(problems))]
    Problems { problems: Vec<Problem> },
    #[error("{}", Lines(failures))]
    Tasks { failures: Vec<TaskFailure> },
}

/// A task that ended with an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{node}/{task}: {error}")]
pub struct TaskFailure {
    pub node: String,
    pub task: String,
    pub error: String,
    /// Where in the pipeline file, if the configuration is at fault.
    pub problem: Option<Problem>,
}

struct Lines<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Lines<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, line) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{line}")?;
        }
        Ok(())
    }
}

/// Runs the plan until it is done (`until_end`, or nothing is left that could go on), told to `stop`, or broken.
///
/// Creates missing topics first. While it runs, `status` shows every node. A failed task does not disturb the others,
/// except with `until_end`: there the end cannot be reached any more, so the others commit what they have and stop.
/// Dropping the future is like a crash: nothing is lost, the next run repeats what was not committed.
pub async fn run(
    plan: Plan,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    options: RunOptions,
    stop: CancellationToken,
    status: Arc<Status>,
) -> Result<Report, RunError> {
    let partitions = prepare::topics(&plan, &*log).await?;
    let shared = Arc::new(Shared {
        pipeline: plan.name.clone(),
        log,
        clock,
        options,
        // The run stops itself, without stopping whoever called.
        stop: stop.child_token(),
        partitions,
    });
    let nodes = nodes(plan, &shared).await?;
    let mut tasks = Tasks::new(shared, nodes.len());
    let upstream = Upstream::of(&nodes, &tasks.finished);
    for (index, node) in nodes.into_iter().enumerate() {
        tasks.spawn(index, node, &status, &upstream);
    }
    let ended = tasks.join().await;
    if !ended.failures.is_empty() {
        return Err(RunError::Tasks {
            failures: ended.failures,
        });
    }
    let outcome = match ended {
        RunEnd { fenced: true, .. } => Outcome::Fenced,
        RunEnd { stopped: true, .. } => Outcome::Stopped,
        RunEnd { .. } => Outcome::Done,
    };
    Ok(Report {
        outcome,
        nodes: status.snapshot(),
    })
}

/// A node of the plan, cut into tasks.
struct Node {
    name: String,
    kind: NodeKind,
    policy: Arc<ErrorPolicy>,
    /// Its tasks, by name.
    work: Vec<(String, Work)>,
    /// Topics that end when it ends, dead letters included.
    writes: Vec<TopicName>,
}

/// What one task does.
enum Work {
    Source(Arc<SourceNode>, SourceWork),
    Processor(Arc<ProcessorNode>, TopicPartition),
    Sink(Arc<dyn SinkPlan>, TopicPartition),
}

async fn nodes(plan: Plan, shared: &Shared) -> Result<Vec<Node>, RunError> {
    let mut nodes = Vec::new();
    let mut problems = Vec::new();
    for source in plan.sources {
        match source.factory.plan(&source.config, source.max_tasks).await {
            Ok(tasks) => nodes.push(Node::source(source, tasks)),
            Err(mut found) => problems.append(&mut found),
        }
    }
    if !problems.is_empty() {
        return Err(RunError::Problems { problems });
    }
    nodes.extend(
        plan.processors
            .into_iter()
            .map(|node| Node::processor(node, shared)),
    );
    nodes.extend(plan.sinks.into_iter().map(|node| Node::sink(node, shared)));
    Ok(nodes)
}

impl Node {
    fn source(node: SourceNode, tasks: Vec<SourceWork>) -> Self {
        let mut writes = node.topics.clone();
        writes.extend(dead_letter_topic(&node.on_error));
        let node = Arc::new(node);
        let work = tasks
            .into_iter()
            .map(|task| (task.name.clone(), Work::Source(Arc::clone(&node), task)));
        Self {
            name: node.name.clone(),
            kind: NodeKind::Source,
            policy: Arc::new(node.on_error.clone()),
            work: work.collect(),
            writes,
        }
    }

    fn processor(node: ProcessorNode, shared: &Shared) -> Self {
        let mut writes = vec![node.into.clone()];
        writes.extend(dead_letter_topic(&node.on_error));
        let node = Arc::new(node);
        let work = shared.partitions_of(&node.from).map(|input| {
            let task = input.partition.to_string();
            (task, Work::Processor(Arc::clone(&node), input))
        });
        Self {
            name: node.name.clone(),
            kind: NodeKind::Processor,
            policy: Arc::new(node.on_error.clone()),
            work: work.collect(),
            writes,
        }
    }

    fn sink(node: SinkNode, shared: &Shared) -> Self {
        let work = node.inputs.iter().flat_map(|(topic, plan)| {
            shared
                .partitions_of(topic)
                .map(|input| (input.to_string(), Work::Sink(Arc::clone(plan), input)))
        });
        Self {
            work: work.collect(),
            writes: dead_letter_topic(&node.on_error).into_iter().collect(),
            policy: Arc::new(node.on_error),
            kind: NodeKind::Sink,
            name: node.name,
        }
    }
}

fn dead_letter_topic(policy: &ErrorPolicy) -> Option<TopicName> {
    match &policy.bad_records {
        BadRecords::DeadLetter(topic) => Some(topic.clone()),
        BadRecords::Skip | BadRecords::Fail => None,
    }
}

/// Which nodes write a topic, each by the token that is cancelled when the node has ended.
struct Upstream(Vec<(Vec<TopicName>, CancellationToken)>);

impl Upstream {
    fn of(nodes: &[Node], finished: &[CancellationToken]) -> Self {
        let writers = nodes.iter().map(|node| node.writes.clone());
        Self(writers.zip(finished.iter().cloned()).collect())
    }

    /// The writers of a topic but the reader itself, which would wait for its own end.
    fn writers(&self, topic: &TopicName, reader: usize) -> Arc<[CancellationToken]> {
        let writers = self.0.iter().enumerate();
        writers
            .filter(|(index, (topics, _))| *index != reader && topics.contains(topic))
            .map(|(_, (_, finished))| finished.clone())
            .collect()
    }
}

/// The tasks of a run.
struct Tasks {
    shared: Arc<Shared>,
    running: JoinSet<(usize, TaskEnd)>,
    /// By task.
    scopes: Vec<Scope>,
    node_of: Vec<usize>,
    /// By node: its tasks that have not ended, and who is told when there are none.
    unfinished: Vec<usize>,
    finished: Vec<CancellationToken>,
}

#[derive(Default)]
struct RunEnd {
    failures: Vec<TaskFailure>,
    stopped: bool,
    fenced: bool,
}

impl Tasks {
    fn new(shared: Arc<Shared>, nodes: usize) -> Self {
        Self {
            shared,
            running: JoinSet::new(),
            scopes: Vec::new(),
            node_of: Vec::new(),
            unfinished: vec![0; nodes],
            finished: (0..nodes).map(|_| CancellationToken::new()).collect(),
        }
    }

    fn spawn(&mut self, index: usize, node: Node, status: &Status, upstream: &Upstream) {
        let cells = status.add(&node.name, node.kind, node.work.len());
        let name: Arc<str> = node.name.into();
        self.unfinished[index] = node.work.len();
        if node.work.is_empty() {
            self.finished[index].cancel();
        }
        for ((task, work), cell) in node.work.into_iter().zip(cells) {
            let scope = Scope {
                shared: Arc::clone(&self.shared),
                node: Arc::clone(&name),
                task: task.into(),
                policy: Arc::clone(&node.policy),
                cell,
            };
            let task = work.task(scope.clone(), |topic| upstream.writers(topic, index));
            let number = self.scopes.len();
            self.scopes.push(scope.clone());
            self.node_of.push(index);
            self.running
                .spawn(async move { (number, supervise(task, scope).await) });
        }
    }

    /// Waits for all; when told to stop, not longer than `stop_timeout`.
    async fn join(mut self) -> RunEnd {
        let mut end = RunEnd::default();
        let stop = self.shared.stop.clone();
        let stop_timeout = self.shared.options.stop_timeout;
        let deadline = async move {
            stop.cancelled().await;
            tokio::time::sleep(stop_timeout).await;
        };
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                biased;
                joined = self.running.join_next() => match joined {
                    Some(Ok((task, ended))) => self.ended(task, ended, &mut end),
                    Some(Err(error)) => tracing::error!(%error, "a supervisor broke"),
                    None => return end,
                },
                () = &mut deadline => {
                    self.give_up(&mut end);
                    return end;
                }
            }
        }
    }

    fn ended(&mut self, task: usize, ended: TaskEnd, end: &mut RunEnd) {
        let scope = &self.scopes[task];
        match ended {
            TaskEnd::Done => {}
            TaskEnd::Stopped => end.stopped = true,
            TaskEnd::Fenced => end.fenced = true,
            TaskEnd::Failed { error, problem } => {
                end.failures.push(TaskFailure {
                    node: scope.node.to_string(),
                    task: scope.task.to_string(),
                    error,
                    problem,
                });
                if self.shared.options.until_end {
                    self.shared.stop.cancel();
                }
            }
        }
        let node = self.node_of[task];
        self.unfinished[node] -= 1;
        if self.unfinished[node] == 0 {
            self.finished[node].cancel();
        }
    }

    /// Drops tasks that did not stop in time: as after a crash, the next run repeats what they did not commit.
    fn give_up(&mut self, end: &mut RunEnd) {
        tracing::warn!(tasks = self.running.len(), "tasks did not stop in time");
        self.running.abort_all();
        end.stopped = true;
        for scope in &self.scopes {
            scope.cell.give_up();
        }
    }
}

impl Work {
    fn task(self, scope: Scope, upstream: impl Fn(&TopicName) -> Arc<[CancellationToken]>) -> Box<dyn Task> {
        let until_end = scope.shared.options.until_end;
        let end_of = |input: &TopicPartition| EndOfInput::new(until_end, upstream(&input.topic));
        match self {
            Self::Source(node, work) => Box::new(SourceTask {
                scope,
                node,
                work,
                doubt: InDoubt::none(),
            }),
            Self::Processor(node, input) => Box::new(ProcessorTask {
                scope,
                node,
                end: end_of(&input),
                input,
                doubt: InDoubt::none(),
            }),
            Self::Sink(plan, input) => Box::new(SinkTask {
                scope,
                plan,
                end: end_of(&input),
                input,
                doubt: InDoubt::none(),
            }),
        }
    }
}
