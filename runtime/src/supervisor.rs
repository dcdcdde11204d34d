//! Keeps a task going: runs it, and after an error does what the error's class says. A task that failed is opened anew
//! from its last commit; nothing of the failed incarnation is used again.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::FutureExt;
use millstream_pipeline::ErrorPolicy;
use millstream_sdk::{Problem, TaskError};
use millstream_types::Timestamp;

use crate::{partitioner::murmur2, scope::Scope, status::NodeState};

/// One task; every call of `run` is a new incarnation.
#[async_trait]
pub(crate) trait Task: Send {
    async fn run(&mut self) -> Result<Ended, TaskError>;
}

/// A good end of an incarnation: all its work is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    Stopped,
}

/// The end of a task.
#[derive(Debug)]
pub(crate) enum TaskEnd {
    Done,
    Stopped,
    Fenced,
    Failed { error: String, problem: Option<Problem> },
}

/// Runs a task until it has ended for good.
pub(crate) async fn supervise(mut task: Box<dyn Task>, scope: Scope) -> TaskEnd {
    let mut retries = Retries::new(&scope.policy, &scope.task);
    let end = loop {
        let commits_before = scope.cell.commits();
        scope.cell.set_state(NodeState::Running);
        let error = match AssertUnwindSafe(task.run()).catch_unwind().await {
            Ok(Ok(Ended::Done)) => break TaskEnd::Done,
            Ok(Ok(Ended::Stopped)) => break TaskEnd::Stopped,
            Ok(Err(error)) => error,
            Err(panic) => TaskError::fatal(format!("the task panicked: {}", panic_message(&*panic))),
        };
        if scope.cell.commits() > commits_before {
            retries.reset();
        }
        match meet(error, &mut retries) {
            Next::End(end) => break end,
            Next::Wait { error, wait } => {
                if !wait_out(&scope, error, wait).await {
                    break TaskEnd::Stopped;
                }
            }
        }
    };
    show(&scope, &end);
    end
}

enum Next {
    Wait { error: String, wait: Duration },
    End(TaskEnd),
}

/// What an error leads to.
fn meet(error: TaskError, retries: &mut Retries) -> Next {
    let text = chain(&error);
    match error {
        TaskError::Retry { after, .. } => match retries.next() {
            Some(wait) => Next::Wait {
                error: text,
                wait: after.unwrap_or(wait),
            },
            None => Next::End(TaskEnd::Failed {
                error: format!("gave up after {} retries: {text}", retries.used),
                problem: None,
            }),
        },
        TaskError::Fenced => Next::End(TaskEnd::Fenced),
        TaskError::Config { problem } => Next::End(TaskEnd::Failed {
            error: text,
            problem: Some(problem),
        }),
        TaskError::Lost { .. } | TaskError::Fatal { .. } => Next::End(TaskEnd::Failed {
            error: text,
            problem: None,
        }),
    }
}

/// Waits, visibly; `false` if the run was told to stop meanwhile.
async fn wait_out(scope: &Scope, error: String, wait: Duration) -> bool {
    tracing::warn!(
        node = &*scope.node,
        task = &*scope.task,
        error,
        ?wait,
        "task will restart"
    );
    let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    let next = Timestamp(scope.shared.clock.now().0.saturating_add(wait_ms));
    scope.cell.set_state(NodeState::Retrying { error, next });
    tokio::select! {
        biased;
        () = scope.shared.stop.cancelled() => false,
        () = tokio::time::sleep(wait) => true,
    }
}

fn show(scope: &Scope, end: &TaskEnd) {
    let (node, task) = (&*scope.node, &*scope.task);
    let state = match end {
        TaskEnd::Done => NodeState::Done,
        TaskEnd::Stopped => NodeState::Stopped,
        TaskEnd::Fenced => {
            tracing::info!(node, task, "another run took over this task");
            NodeState::Fenced
        }
        TaskEnd::Failed { error, .. } => {
            tracing::error!(node, task, error, "task failed");
            NodeState::Failed { error: error.clone() }
        }
    };
    scope.cell.set_state(state);
}

/// The waits between restarts that get nowhere: growing, jittered, counted.
struct Retries {
    builder: ExponentialBuilder,
    backoff: ExponentialBackoff,
    used: u32,
    max: Option<u32>,
}

impl Retries {
    fn new(policy: &ErrorPolicy, task: &str) -> Self {
        let (first, longest) = policy.backoff;
        let builder = ExponentialBuilder::new()
            .with_min_delay(first)
            .with_max_delay(longest.max(first))
            .with_factor(2.0)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(u64::from(murmur2(task.as_bytes()).unsigned_abs()));
        Self {
            backoff: builder.build(),
            builder,
            used: 0,
            max: policy.max_retries,
        }
    }

    fn next(&mut self) -> Option<Duration> {
        if self.max.is_some_and(|max| self.used >= max) {
            return None;
        }
        self.used += 1;
        self.backoff.next()
    }

    /// The last incarnation committed something: what failed it is a new failure.
    fn reset(&mut self) {
        self.used = 0;
        self.backoff = self.builder.build();
    }
}

/// An error and its sources, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use millstream_pipeline::BadRecords;

    use super::*;

    fn retries(max_retries: Option<u32>) -> Retries {
        let policy = ErrorPolicy {
            max_retries,
            backoff: (Duration::from_millis(100), Duration::from_secs(1)),
            bad_records: BadRecords::Fail,
        };
        Retries::new(&policy, "task")
    }

    #[test]
    fn waits_grow_up_to_the_longest_and_begin_anew_after_progress() {
        let mut retries = retries(None);
        let waits: Vec<_> = (0..50).map(|_| retries.next().unwrap()).collect();
        assert!(waits[0] >= Duration::from_millis(100) && waits[0] <= Duration::from_millis(200));
        assert!(
            waits[4..].iter().all(|w| *w >= Duration::from_secs(1)),
            "{waits:?}"
        );
        assert!(waits.iter().all(|w| *w <= Duration::from_secs(2)), "{waits:?}");
        retries.reset();
        assert!(retries.next().unwrap() <= Duration::from_millis(200));
    }

    #[test]
    fn gives_up_after_the_last_retry() {
        let mut retries = retries(Some(2));
        assert!(matches!(
            meet(TaskError::retry("no"), &mut retries),
            Next::Wait { .. }
        ));
        assert!(matches!(
            meet(TaskError::retry("no"), &mut retries),
            Next::Wait { .. }
        ));
        let Next::End(TaskEnd::Failed { error, .. }) = meet(TaskError::retry("no"), &mut retries) else {
            panic!("must have given up");
        };
        assert_eq!(error, "gave up after 2 retries: no");
    }

    #[test]
    fn the_foreign_system_may_say_when_to_come_back() {
        let error = TaskError::Retry {
            message: "throttled".into(),
            after: Some(Duration::from_secs(30)),
        };
        let Next::Wait { wait, .. } = meet(error, &mut retries(None)) else {
            panic!("must wait");
        };
        assert_eq!(wait, Duration::from_secs(30));
    }
}
