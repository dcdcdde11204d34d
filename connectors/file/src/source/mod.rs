//! The file source: `type: file`.
//!
//! Invariants: a position covers exactly the rows yielded before it; a file that is not what the position says (it
//! shrank, was replaced) stops the task instead of losing or repeating rows; memory does not depend on the size of files.
//! Files are read on threads for blocking work, one batch ahead of whoever asks.

mod batch;
mod check;
mod discover;
mod files;
mod infer;
mod input;
mod parquet;
mod position;
mod reader;
mod rows;
mod setup;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, fs::File, time::Duration};

use async_trait::async_trait;
use millstream_sdk::{
    Config, Finding, Guarantee, Output, PathSegment, Position, Problem, Source, SourceEvent, SourceFactory,
    SourceTask, Spec, StreamDesc, StreamSchema, TaskContext, TaskError,
};
use reader::{Reader, Step};
use schemars::schema_for;
use serde::{Deserialize, Serialize};
use setup::Setup;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until},
};

use crate::config::SourceConfig;

/// Reads CSV, NDJSON, Parquet and text files.
pub struct FileSourceFactory;

/// What a task is: its share of the files, and the schema that planning found.
#[derive(Serialize, Deserialize)]
struct Work {
    share: u64,
    of: u64,
    columns: arrow_schema::Schema,
}

#[async_trait]
impl SourceFactory for FileSourceFactory {
    fn spec(&self) -> Spec {
        Spec {
            kind: "file",
            about: "reads CSV, NDJSON, Parquet and text files, whole or as they grow",
            config: schema_for!(SourceConfig),
            guarantee: Guarantee::ExactlyOnce,
        }
    }

    fn validate(&self, config: &Config) -> Vec<Problem> {
        Setup::new(config).err().unwrap_or_default()
    }

    async fn check(&self, config: &Config) -> Vec<Finding> {
        let config = config.clone();
        let findings =
            blocking(move || Ok(Setup::new(&config).map_or_else(|_| Vec::new(), |setup| check(&setup))));
        findings.await.unwrap_or_default()
    }

    async fn discover(&self, config: &Config) -> Result<Vec<StreamDesc>, Vec<Problem>> {
        let schema = schema_of(config).await?;
        let name = match config.path().0.last() {
            Some(PathSegment::Key(name)) => name.clone(),
            Some(PathSegment::Index(_)) | None => String::new(),
        };
        Ok(vec![StreamDesc { name, schema }])
    }

    async fn plan(&self, config: &Config, max_tasks: usize) -> Result<Vec<SourceTask>, Vec<Problem>> {
        let setup = Setup::new(config)?;
        let schema = schema_of(config).await?;
        let of = setup.config.tasks.clamp(1, max_tasks.max(1));
        let task = |share: usize| {
            let work = Work {
                share: share as u64,
                of: of as u64,
                columns: schema.columns.as_ref().clone(),
            };
            SourceTask {
                name: if of == 1 {
                    "files".into()
                } else {
                    format!("files-{}-of-{of}", share + 1)
                },
                work: serde_json::to_value(work).expect("a schema is always JSON"),
            }
        };
        Ok((0..of).map(task).collect())
    }

    async fn open(
        &self,
        config: &Config,
        task: SourceTask,
        output: Output,
        resume: Option<Position>,
        context: TaskContext,
    ) -> Result<Box<dyn Source>, TaskError> {
        let setup = Setup::new(config).map_err(first_problem)?;
        let work: Work = serde_json::from_value(task.work).map_err(TaskError::fatal)?;
        let schema = StreamSchema {
            format: setup.format.clone(),
            columns: work.columns.into(),
        };
        let poll = setup.config.poll.0;
        let open = move || {
            let share = (work.share, work.of);
            let key = output.key.as_deref();
            Reader::open(
                setup.into(),
                schema,
                key,
                share,
                resume.as_ref(),
                context.clock,
                context.until_end,
            )
        };
        Ok(Box::new(FileSource::new(blocking(open).await?, poll)))
    }
}

fn first_problem(problems: Vec<Problem>) -> TaskError {
    match problems.into_iter().next() {
        Some(problem) => TaskError::Config { problem },
        None => TaskError::fatal("the configuration was refused without a reason"),
    }
}

async fn schema_of(config: &Config) -> Result<StreamSchema, Vec<Problem>> {
    let setup = Setup::new(config)?;
    let unreadable = config.problem("path", "the files could not be read");
    let found = blocking(move || Ok(discover::discover(&setup))).await;
    found.unwrap_or_else(|error| {
        Err(vec![Problem {
            message: error.to_string(),
            ..unreadable
        }])
    })
}

/// Whether the files are there and readable.
fn check(setup: &Setup) -> Vec<Finding> {
    let follows = setup.config.follow;
    let finding = |fatal, message: String| Finding {
        problem: setup.problem("path", message),
        fatal,
    };
    let files = match setup.patterns.list() {
        Ok(files) => files,
        Err(error) => return vec![finding(true, error.to_string())],
    };
    let missing = setup.patterns.plain().filter(|path| !files.contains(*path));
    let missing = missing.map(|path| finding(!follows, format!("'{}' does not exist", setup.show(path))));
    let unreadable = files.iter().filter_map(|path| {
        let error = File::open(path).err()?;
        Some(finding(
            true,
            format!("cannot read '{}': {error}", setup.show(path)),
        ))
    });
    let mut findings: Vec<_> = missing.chain(unreadable).collect();
    if files.is_empty() && findings.is_empty() {
        findings.push(finding(false, "no file matches".into()));
    }
    findings
}

/// Runs on a thread for blocking work. A panic there (a hostile Parquet file may cause one in its library) ends the
/// task, not the process.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TaskError> + Send + 'static,
) -> Result<T, TaskError> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(TaskError::fatal(error)))
}

struct FileSource {
    state: State,
    poll: Duration,
    /// Yielded before anything else is read.
    ready: VecDeque<SourceEvent>,
}

/// Kept in the source, not in a future: a dropped call of `next` loses nothing.
enum State {
    /// A batch is being read; the reader comes back with it.
    Reading(JoinHandle<(Reader, Result<Step, TaskError>)>),
    /// Nothing to read before then.
    Waiting(Box<Reader>, Instant),
    Done(Position),
    Failed,
}

impl FileSource {
    fn new(reader: Reader, poll: Duration) -> Self {
        Self {
            state: State::read(reader),
            poll,
            ready: VecDeque::new(),
        }
    }

    fn took(&mut self, reader: Reader, step: Step) {
        match step {
            Step::Wait => self.state = State::Waiting(Box::new(reader), Instant::now() + self.poll),
            Step::End(position) => self.state = State::Done(position),
            Step::Batch {
                records,
                rejected,
                position,
            } => {
                self.ready.push_back(SourceEvent::Records {
                    stream: 0,
                    records,
                    rejected,
                });
                self.ready.push_back(SourceEvent::Boundary(position));
                self.state = State::read(reader);
            }
        }
    }
}

impl State {
    fn read(mut reader: Reader) -> Self {
        Self::Reading(spawn_blocking(move || {
            let step = reader.step();
            (reader, step)
        }))
    }
}

#[async_trait]
impl Source for FileSource {
    async fn next(&mut self) -> Result<SourceEvent, TaskError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            match &mut self.state {
                State::Reading(reading) => {
                    let read = reading.await;
                    self.state = State::Failed;
                    let (reader, step) = read.map_err(TaskError::fatal)?;
                    self.took(reader, step?);
                }
                State::Waiting(_, until) => {
                    sleep_until(*until).await;
                    if let State::Waiting(reader, _) = std::mem::replace(&mut self.state, State::Failed) {
                        self.state = State::read(*reader);
                    }
                }
                State::Done(position) => return Ok(SourceEvent::Done(position.clone())),
                State::Failed => return Err(TaskError::fatal("the task failed before")),
            }
        }
    }

    async fn on_durable(&mut self, _position: &Position) -> Result<(), TaskError> {
        Ok(())
    }
}
