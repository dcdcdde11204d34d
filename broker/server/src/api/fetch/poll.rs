//! Reading many partitions into one answer, and waiting until there is enough for it.
//!
//! Batches in memory are taken at once, on the connection's own task. From the first partition on whose batches lie on
//! disk, reading goes on in a thread that may block.

use std::{sync::Arc, time::Duration};

use millstream_broker_storage::{Isolation, LEADER_EPOCH, Read, ReadError, Storage, Stored, Watermarks};
use millstream_protocol::{ErrorCode, messages::FetchRequest};
use millstream_types::{Offset, TopicName, TopicPartition};
use tokio::time::{Instant, timeout_at};

use crate::budget::Held;

use super::{
    super::{Node, errors::ToKafka},
    TopicRef, Wanted,
    encode::PartitionAnswer,
};

/// Nobody waits longer than this for a record.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Where the memory of answers is scarce, each may still be that large.
const LEAST_ANSWER_BYTES: usize = 1 << 20;
const READ_COMMITTED: i8 = 1;

/// One fetch request without its partitions: how much is wanted, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Poll {
    isolation: Isolation,
    min_bytes: usize,
    max_bytes: usize,
    deadline: Instant,
    /// A replica of this partition would be asking. There are none.
    is_follower: bool,
}

/// What came of it.
pub(super) struct Polled {
    /// Of every partition, in their order.
    pub(super) told: Vec<PartitionAnswer>,
    pub(super) wanted: Vec<Wanted>,
    /// The answer's share of the memory.
    pub(super) held: Held,
}

impl Poll {
    /// `limit` is what one answer holds at most, but for the last batch in it (`fetch.max.bytes` of the broker).
    pub(super) fn of(request: &FetchRequest, limit: usize) -> Self {
        let size = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
        let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        Self {
            isolation: match request.isolation_level {
                READ_COMMITTED => Isolation::ReadCommitted,
                _ => Isolation::ReadUncommitted,
            },
            min_bytes: size(request.min_bytes),
            max_bytes: size(request.max_bytes).min(limit),
            deadline: Instant::now() + max_wait.min(MAX_WAIT),
            // Whichever of them the version does not have, is -1.
            is_follower: request.replica_id.0 >= 0 || request.replica_state.replica_id.0 >= 0,
        }
    }

    pub(super) async fn run(self, node: &Arc<Node>, mut wanted: Vec<Wanted>) -> Polled {
        self.resolve(node, &mut wanted);
        let wish = wanted
            .iter()
            .map(Wanted::max_bytes)
            .sum::<usize>()
            .min(self.max_bytes);
        let wanted = Arc::new(wanted);
        let mut changes = None;
        loop {
            let (mut held, max_bytes) = node.answers.take_up_to(wish, LEAST_ANSWER_BYTES).await;
            let answer = Self { max_bytes, ..self }.read(node, &wanted).await;
            let is_due = self.deadline <= Instant::now() || node.shutdown.is_cancelled();
            if is_due || answer.is_final || answer.bytes >= self.min_bytes.min(max_bytes) || wanted.is_empty()
            {
                count(node, &wanted, &answer);
                held.shrink_to(
                    answer
                        .partitions
                        .iter()
                        .map(PartitionAnswer::bytes_in_memory)
                        .sum(),
                );
                return Polled {
                    told: answer.partitions,
                    wanted: Arc::unwrap_or_clone(wanted),
                    held,
                };
            }
            drop((answer, held));
            let Some(changes) = &changes else {
                // What changed since the read above is found by the next one.
                let readable = wanted.iter().filter_map(|wanted| wanted.partition.as_ref().ok());
                changes = Some(node.storage().changes(readable));
                continue;
            };
            tokio::select! {
                () = node.shutdown.cancelled() => {}
                _ = timeout_at(self.deadline, changes.changed()) => {}
            }
        }
    }

    fn resolve(&self, node: &Node, wanted: &mut [Wanted]) {
        let mut last: Option<(TopicRef, Result<TopicName, ErrorCode>)> = None;
        for wanted in wanted {
            let topic = &wanted.key.topic;
            let name = match &last {
                Some((same, name)) if same == topic => name.clone(),
                _ => {
                    let name = resolve_topic(node, topic);
                    last = Some((topic.clone(), name.clone()));
                    name
                }
            };
            wanted.partition = name.and_then(|name| {
                if self.is_follower {
                    return Err(ErrorCode::NotLeaderOrFollower);
                }
                if wanted.current_leader_epoch > LEADER_EPOCH {
                    return Err(ErrorCode::UnknownLeaderEpoch);
                }
                Ok(TopicPartition::new(name, wanted.key.index))
            });
        }
    }

    /// One look at all partitions.
    async fn read(self, node: &Arc<Node>, wanted: &Arc<Vec<Wanted>>) -> Answer {
        let mut answer = Answer::default();
        self.read_on(&mut answer, wanted, node.storage(), Storage::read_from_memory);
        if answer.partitions.len() == wanted.len() {
            return answer;
        }
        let (node, wanted) = (node.clone(), wanted.clone());
        let reading = tokio::task::spawn_blocking(move || {
            self.read_on(&mut answer, &wanted, node.storage(), read_from_anywhere);
            answer
        });
        // It fails only if the read panicked, or the runtime stops: then the connection ends here too.
        reading.await.expect("reading does not panic")
    }

    /// Goes on behind what `answer` has, until `read` can not.
    fn read_on(self, answer: &mut Answer, wanted: &[Wanted], storage: &Storage, read: ReadPartition) {
        for wanted in &wanted[answer.partitions.len()..] {
            let told = match &wanted.partition {
                Ok(partition) => self.read_partition(wanted, partition, answer.bytes, storage, read),
                Err(error) => Ok(Some(PartitionAnswer {
                    aborted: Some(Vec::new()),
                    ..PartitionAnswer::error(wanted, *error)
                })),
            };
            match told {
                Ok(Some(told)) => answer.add(told),
                Ok(None) => return,
                Err(error) => answer.add(PartitionAnswer::error(wanted, error.code())),
            }
        }
    }

    /// At least one batch if there is one and the answer has room for anything (KIP-74).
    fn read_partition(
        self,
        wanted: &Wanted,
        partition: &TopicPartition,
        taken: usize,
        storage: &Storage,
        read: ReadPartition,
    ) -> Result<Option<PartitionAnswer>, ReadError> {
        let offset = Offset(wanted.offset);
        let ends = |ends: Watermarks| PartitionAnswer {
            error: None,
            high_watermark: ends.high_watermark.0,
            last_stable: ends.last_stable.0,
            log_start: ends.log_start.0,
            aborted: (self.isolation == Isolation::ReadCommitted).then(Vec::new),
            ..PartitionAnswer::error(wanted, ErrorCode::None)
        };
        if wanted.last_fetched_epoch >= 0 {
            // The records of the one epoch that there is end at the end of the log.
            let watermarks = storage.offsets(partition)?;
            if wanted.last_fetched_epoch > LEADER_EPOCH {
                return Ok(Some(PartitionAnswer::error(wanted, ErrorCode::OffsetOutOfRange)));
            }
            if watermarks.high_watermark < offset {
                return Ok(Some(PartitionAnswer {
                    diverging: Some((LEADER_EPOCH, watermarks.high_watermark.0)),
                    ..ends(watermarks)
                }));
            }
        }
        let room = self.max_bytes.saturating_sub(taken);
        if taken > 0 && room == 0 {
            return Ok(Some(ends(storage.offsets(partition)?)));
        }
        let max_bytes = wanted.max_bytes().min(room);
        let Some(read) = read(storage, partition, offset, max_bytes, self.isolation)? else {
            return Ok(None);
        };
        let answer = ends(Watermarks {
            log_start: read.log_start,
            last_stable: read.last_stable_offset,
            high_watermark: read.high_watermark,
        });
        Ok(Some(PartitionAnswer {
            aborted: answer.aborted.is_some().then_some(read.aborted),
            batches: read.batches,
            ..answer
        }))
    }
}

/// A read of one partition; `None` if it would have to go further than it may.
type ReadPartition =
    fn(&Storage, &TopicPartition, Offset, usize, Isolation) -> Result<Option<Read<Stored>>, ReadError>;

fn read_from_anywhere(
    storage: &Storage,
    partition: &TopicPartition,
    from: Offset,
    max_bytes: usize,
    isolation: Isolation,
) -> Result<Option<Read<Stored>>, ReadError> {
    let read = storage.read_in_place(partition, from, max_bytes, isolation)?;
    Ok(Some(read))
}

impl Wanted {
    fn max_bytes(&self) -> usize {
        usize::try_from(self.max_bytes).unwrap_or(0)
    }
}

fn count(node: &Node, wanted: &[Wanted], answer: &Answer) {
    for (wanted, answer) in wanted.iter().zip(&answer.partitions) {
        match (&wanted.partition, answer.error) {
            (_, Some(error)) => node.metrics().partition_error("Fetch", error),
            (Ok(partition), None) if !answer.batches.is_empty() => {
                node.metrics().fetched(&partition.topic, answer.records_bytes());
            }
            (Ok(_) | Err(_), None) => {}
        }
    }
}

fn resolve_topic(node: &Node, topic: &TopicRef) -> Result<TopicName, ErrorCode> {
    if topic.id.is_nil() && !topic.name.is_empty() {
        return TopicName::new(topic.name.as_str()).map_err(|_| ErrorCode::UnknownTopicOrPartition);
    }
    node.topic_name(topic.id).ok_or(ErrorCode::UnknownTopicId)
}

impl PartitionAnswer {
    fn error(wanted: &Wanted, error: ErrorCode) -> Self {
        Self {
            topic: wanted.key.topic.clone(),
            index: wanted.key.index,
            error: Some(error),
            high_watermark: -1,
            last_stable: -1,
            log_start: -1,
            aborted: None,
            diverging: None,
            batches: Vec::new(),
        }
    }
}

#[derive(Default)]
struct Answer {
    partitions: Vec<PartitionAnswer>,
    bytes: usize,
    /// Waiting would make it no better: a partition has an error.
    is_final: bool,
}

impl Answer {
    fn add(&mut self, partition: PartitionAnswer) {
        self.bytes += partition.records_bytes();
        self.is_final |= partition.error.is_some() || partition.diverging.is_some();
        self.partitions.push(partition);
    }
}
