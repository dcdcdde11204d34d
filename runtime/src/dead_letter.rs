//! Dead letters: records that could not be handled, as they came, with the reason in headers.
//!
//! The headers are those of Kafka Connect (`DeadLetterQueueReporter`), so that its tools read them; ours add the facts
//! that a source knows of the origin (`millstream.origin.file`, `millstream.origin.line`, …).

use millstream_pipeline::BadRecords;
use millstream_sdk::{Rejected, TaskError};
use millstream_types::{Header, Offset, Record, TopicName, TopicPartition};

use crate::{
    commit::{TooLarge, Transaction},
    partitioner::Partitioner,
    scope::Scope,
    status::Counts,
};

/// Names of the headers of a dead letter.
pub mod headers {
    pub const PREFIX: &str = "__connect.errors.";
    pub const TOPIC: &str = "__connect.errors.topic";
    pub const PARTITION: &str = "__connect.errors.partition";
    pub const OFFSET: &str = "__connect.errors.offset";
    pub const CONNECTOR_NAME: &str = "__connect.errors.connector.name";
    pub const TASK_ID: &str = "__connect.errors.task.id";
    pub const STAGE: &str = "__connect.errors.stage";
    pub const EXCEPTION_MESSAGE: &str = "__connect.errors.exception.message";
    pub const PIPELINE: &str = "millstream.pipeline";
    /// The bytes of a value that was too large for the dead letter topic as well, and is not kept.
    pub const VALUE_BYTES: &str = "millstream.value.bytes";
    /// Followed by the name of the fact.
    pub const ORIGIN_PREFIX: &str = "millstream.origin.";
}

/// Where on its way the record failed; Kafka Connect's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `TASK_POLL`: a source could not read it.
    Source,
    /// `TRANSFORMATION`: a processor could not evaluate it.
    Processor,
    /// `TASK_PUT`: a sink could not write it.
    Sink,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "TASK_POLL",
            Self::Processor => "TRANSFORMATION",
            Self::Sink => "TASK_PUT",
        }
    }
}

/// What the headers of a dead letter say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it was read from; none for a source.
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    pub node: Option<String>,
    pub stage: Option<String>,
    pub reason: Option<String>,
    /// Facts of the origin, for example `("line", "17")`.
    pub origin: Vec<(String, String)>,
}

impl DeadLetter {
    /// Reads the headers; what is not there or not of the right form stays empty.
    pub fn of(record: &Record) -> Self {
        let text = |name: &str| {
            let value = record.header(name)?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        let origin = record.headers.iter().filter_map(|header| {
            let name = str::from_utf8(&header.name).ok()?;
            let fact = name.strip_prefix(headers::ORIGIN_PREFIX)?;
            let value = String::from_utf8_lossy(header.value.as_ref()?).into_owned();
            Some((fact.to_owned(), value))
        });
        Self {
            topic: text(headers::TOPIC),
            partition: text(headers::PARTITION).and_then(|n| n.parse().ok()),
            offset: text(headers::OFFSET).and_then(|n| n.parse().ok()),
            node: text(headers::CONNECTOR_NAME),
            stage: text(headers::STAGE),
            reason: text(headers::EXCEPTION_MESSAGE),
            origin: origin.collect(),
        }
    }

    /// The record as it was before it became a dead letter, for a replay.
    pub fn restore(mut record: Record) -> Record {
        let ours = [
            headers::PREFIX.as_bytes(),
            headers::ORIGIN_PREFIX.as_bytes(),
            headers::PIPELINE.as_bytes(),
            headers::VALUE_BYTES.as_bytes(),
        ];
        record
            .headers
            .retain(|header| !ours.iter().any(|prefix| header.name.starts_with(prefix)));
        record
    }
}

/// Applies `on_error` to the bad records of one task.
pub(crate) struct BadRecordHandler {
    scope: Scope,
    stage: Stage,
    input: Option<TopicPartition>,
    queue: Option<(TopicName, Partitioner)>,
}

impl BadRecordHandler {
    /// `input`: the partition that the task reads; none for a source.
    pub(crate) fn new(scope: &Scope, stage: Stage, input: Option<TopicPartition>) -> Result<Self, TaskError> {
        let queue = match &scope.policy.bad_records {
            BadRecords::DeadLetter(topic) => {
                let keyless = input.as_ref().map_or(0, |input| input.partition);
                let partitioner = Partitioner::new(scope.partitions(topic)?, keyless);
                Some((topic.clone(), partitioner))
            }
            BadRecords::Skip | BadRecords::Fail => None,
        };
        Ok(Self {
            scope: scope.clone(),
            stage,
            input,
            queue,
        })
    }

    /// The error of a task that must not go on after these, if that is the policy.
    pub(crate) fn check(&self, rejected: &[Rejected]) -> Result<(), TaskError> {
        match (rejected.first(), &self.scope.policy.bad_records) {
            (Some(first), BadRecords::Fail) => Err(TaskError::fatal(self.describe(first))),
            _ => Ok(()),
        }
    }

    /// Puts them where the policy says, as part of the transaction, and counts them in it.
    pub(crate) async fn handle(
        &self,
        rejected: Vec<Rejected>,
        transaction: &mut Transaction,
    ) -> Result<(), TaskError> {
        self.check(&rejected)?;
        let Some(first) = rejected.first() else {
            return Ok(());
        };
        let count = rejected.len() as u64;
        let reason = self.describe(first);
        let (node, task) = (&*self.scope.node, &*self.scope.task);
        let Some((topic, partitioner)) = &self.queue else {
            tracing::warn!(node, task, count, reason, "skipped bad records");
            transaction.counts += Counts {
                filtered: count,
                ..Counts::default()
            };
            return Ok(());
        };
        tracing::warn!(node, task, count, reason, %topic, "bad records go to the dead letter topic");
        let letters = rejected.into_iter().map(|r| self.letter(r)).collect();
        for (partition, letters) in partitioner.split(letters) {
            let queue = TopicPartition::new(topic.clone(), partition);
            for letter in transaction.append(&queue, &letters).await? {
                let emptied = vec![emptied(letter.record)];
                if let Some(still) = transaction.append(&queue, &emptied).await?.pop() {
                    return Err(TaskError::fatal(still.reason));
                }
            }
        }
        transaction.counts += Counts {
            dead_letters: count,
            ..Counts::default()
        };
        Ok(())
    }

    /// The same for records that the task made or read, and that the topic which they were meant for does not take. They
    /// lie in no topic, so a replay has to be told where to put them.
    pub(crate) async fn handle_too_large(
        &self,
        records: Vec<TooLarge>,
        to: &TopicPartition,
        transaction: &mut Transaction,
    ) -> Result<(), TaskError> {
        if records.is_empty() {
            return Ok(());
        }
        let counts = &mut transaction.counts;
        counts.records_out = counts.records_out.saturating_sub(records.len() as u64);
        let rejected = records.into_iter().map(|TooLarge { record, reason }| Rejected {
            record,
            reason,
            origin: vec![("meant_for", to.topic.to_string())],
        });
        let handler = Self {
            scope: self.scope.clone(),
            stage: self.stage,
            input: None,
            queue: self.queue.clone(),
        };
        handler.handle(rejected.collect(), transaction).await
    }

    /// One line: where the record is and what is wrong with it.
    fn describe(&self, rejected: &Rejected) -> String {
        let origin: Vec<_> = rejected
            .origin
            .iter()
            .map(|(fact, value)| format!("{fact} {value}"))
            .collect();
        let place = match &self.input {
            Some(input) => format!("{input}@{}", rejected.record.offset),
            None => origin.join(", "),
        };
        format!("bad record at {place}: {}", rejected.reason)
    }

    fn letter(&self, rejected: Rejected) -> Record {
        let Rejected {
            mut record,
            reason,
            origin,
        } = rejected;
        // A dead letter that fails again tells of its last failure only.
        record = DeadLetter::restore(record);
        let offset = record.offset;
        let mut add = |name: &'static str, value: String| record.headers.push(Header::new(name, value));
        if let Some(input) = &self.input {
            add(headers::TOPIC, input.topic.to_string());
            add(headers::PARTITION, input.partition.to_string());
            add(headers::OFFSET, offset.to_string());
        }
        add(headers::CONNECTOR_NAME, self.scope.node.to_string());
        add(headers::TASK_ID, self.scope.task.to_string());
        add(headers::STAGE, self.stage.as_str().to_owned());
        add(headers::EXCEPTION_MESSAGE, reason);
        add(headers::PIPELINE, self.scope.shared.pipeline.clone());
        for (fact, value) in origin {
            let name = format!("{}{fact}", headers::ORIGIN_PREFIX);
            record.headers.push(Header::new(name, value));
        }
        record.offset = Offset::ZERO;
        record
    }
}

/// A letter without its value: the record itself is still where it came from, and the headers say where that is.
fn emptied(mut letter: Record) -> Record {
    let bytes = letter.value.take().map_or(0, |value| value.len());
    letter
        .headers
        .push(Header::new(headers::VALUE_BYTES, bytes.to_string()));
    letter
}
