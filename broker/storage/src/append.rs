//! Appending: everything that can be wrong with a batch is answered at once; what is accepted gets its offset in the
//! order of the calls and is on its way to the disk.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use millstream_protocol::batch::{BatchError, BatchHeader, Compression, RecordBatch, RecordTimes};
use millstream_types::{Offset, Timestamp, TopicName, TopicPartition};

use crate::{
    NewTopicSpec, TopicConfig,
    batch::BatchInfo,
    engine::Engine,
    error::{AppendError, PartitionOffline, TopicError},
    partition::PartitionView,
    producer_state::Verdict,
    record_check::{OnInvalid, RecordChecks, dead_letter_topic},
    record_errors::{MAX_RECORD_ERRORS, RecordError, RecordRules},
    stage::{Effect, Stage},
    ticket::Ticket,
    topic_config::TimestampType,
    wal::{cursor::Cursor, frame::Frame},
};

/// One node leads everything, always.
pub const LEADER_EPOCH: i32 = 0;

/// Who made a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A stranger: every record is walked, control batches are refused.
    Client,
    /// This process: its records are well-formed by construction.
    Internal,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    /// Set if the broker's clock stamped the records.
    pub log_append_time: Option<Timestamp>,
    /// The producer had sent it before: this is where it went then.
    pub duplicate: bool,
}

impl Engine {
    pub(crate) fn append(
        &self,
        partition: &TopicPartition,
        bytes: Bytes,
        origin: AppendOrigin,
    ) -> Result<Ticket<Appended>, AppendError> {
        if !bytes.is_unique() {
            self.counters.copied_batches.add(1);
        }
        let mut batch = RecordBatch::parse(bytes)?;
        let topic = self
            .topics()
            .get(&partition.topic)
            .map(|entry| entry.topic.clone());
        let config = topic.as_ref().map(|topic| &topic.config);
        let compacted = config.is_some_and(|config| config.cleanup.compact);
        if origin == AppendOrigin::Client {
            check_attributes(batch.header())?;
        }
        if let Some(config) = config {
            check_size(partition, batch.bytes().len(), config)?;
        }
        let times = match (compacted, origin) {
            (true, _) => Some(batch.validate_keyed_records()),
            (false, AppendOrigin::Client) => Some(batch.validate_records()),
            (false, AppendOrigin::Internal) => None,
        };
        if let (Some(times), Some(config)) = (times, config) {
            let times = self.check_records(partition, &batch, times, config)?;
            if config.timestamp_type == TimestampType::CreateTime {
                batch = batch.set_create_time(times.newest.unwrap_or(RecordTimes::NONE));
            }
        }
        let mut letters = None;
        if let Some(checks) = config.and_then(|config| config.checks.as_deref()) {
            (batch, letters) = self.judge(partition, checks, batch)?;
        }
        if let Some((codec, level)) = config.and_then(|config| config.compression) {
            batch = self.recompress(batch, codec, level)?;
        }
        self.accept(partition, batch, letters)
    }

    /// Holds the records against what the topic asks of them. Answers what is kept of the batch, and the dead letters of
    /// the rest.
    fn judge(
        &self,
        partition: &TopicPartition,
        checks: &RecordChecks,
        batch: RecordBatch,
    ) -> Result<(RecordBatch, Option<Letters>), AppendError> {
        let check = self.record_check.get().ok_or_else(|| AppendError::NotJudged {
            topic: partition.topic.clone(),
            reason: "this broker has no registry".into(),
        })?;
        let errors = check.check(&partition.topic, checks, &batch)?;
        if errors.is_empty() {
            return Ok((batch, None));
        }
        if checks.on_invalid == OnInvalid::Reject {
            let mut records = errors;
            records.truncate(MAX_RECORD_ERRORS);
            return Err(AppendError::InvalidRecords { records });
        }
        let (to, max_bytes) = self.dead_letters_of(partition)?;
        let made = check.letters(partition, &batch, &errors, max_bytes)?;
        let mut batches = Vec::with_capacity(made.len());
        for bytes in made {
            batches.push(RecordBatch::parse(bytes)?);
        }
        let mut bad = errors.iter().map(|error| error.index).peekable();
        let mut index = -1;
        let kept = batch.retain(
            |_| {
                index += 1;
                bad.next_if_eq(&index).is_none()
            },
            None,
        )?;
        let letters = Letters {
            partition: to,
            batches,
            records: errors.len() as u64,
        };
        Ok((kept, Some(letters)))
    }

    /// Where bad records go, and how large a batch may be there. The topic is made if there is none.
    fn dead_letters_of(&self, partition: &TopicPartition) -> Result<(TopicPartition, usize), AppendError> {
        let topic = dead_letter_topic(&partition.topic)?;
        let find = |topic: &TopicName| {
            let stage = self.stage();
            let found = &stage.topics.get(topic)?.entry.topic;
            Some((found.partitions, found.config.max_message_bytes))
        };
        if find(&topic).is_none() {
            let (partitions, _) = find(&partition.topic).unwrap_or((1, 0));
            let spec = NewTopicSpec {
                name: topic.clone(),
                partitions,
                config: BTreeMap::new(),
            };
            match self.create_topic(spec, self.new_id()) {
                // What is appended to it comes behind it in the log.
                Ok(_durable_before) => tracing::info!(%topic, "made a topic for dead letters"),
                Err(TopicError::Exists { .. }) => {}
                Err(TopicError::Write(error)) => return Err(error.into()),
                Err(error) => {
                    return Err(AppendError::Invalid {
                        reason: format!("its dead letters have no topic: {error}"),
                    });
                }
            }
        }
        let (partitions, max_bytes) = find(&topic).unwrap_or((1, 0));
        let index = partition.partition.rem_euclid(partitions.max(1));
        Ok((TopicPartition::new(topic, index), max_bytes))
    }

    /// Of records that were walked; those of a topic that does not exist are refused later.
    fn check_records(
        &self,
        partition: &TopicPartition,
        batch: &RecordBatch,
        times: Result<RecordTimes, BatchError>,
        config: &TopicConfig,
    ) -> Result<RecordTimes, AppendError> {
        let rules = || RecordRules::of(config, self.clock.now());
        match times {
            Ok(times) if rules().allow(times) => Ok(times),
            Ok(_) | Err(BatchError::MissingKey { .. }) => Err(rules().refusal(partition, batch)),
            Err(error) => Err(error.into()),
        }
    }

    /// Outside of all locks: it takes as long as the codec does.
    fn recompress(
        &self,
        batch: RecordBatch,
        codec: Compression,
        level: Option<i32>,
    ) -> Result<RecordBatch, AppendError> {
        if batch.header().attributes.compression()? == codec {
            return Ok(batch);
        }
        self.counters.recompressed_batches.add(1);
        Ok(batch.recompress(codec, level)?)
    }

    fn accept(
        &self,
        name: &TopicPartition,
        batch: RecordBatch,
        letters: Option<Letters>,
    ) -> Result<Ticket<Appended>, AppendError> {
        let mut stage = self.stage_with_room()?;
        let now = self.clock.now();
        let (view, state) = stage.partition(name)?;
        check_online(view)?;
        let (view, next_offset) = (view.clone(), state.next_offset);
        let info = BatchInfo::of(&batch)?;
        let verdict = state.producers.check(&info)?;
        let config = &stage.topics[&name.topic].entry.topic.config;
        let log_append_time = (config.timestamp_type == TimestampType::LogAppendTime).then_some(now);
        if let Verdict::Duplicate {
            base_offset,
            timestamp,
        } = verdict
        {
            let (ticket, done) = Ticket::of(Appended {
                base_offset,
                log_append_time: log_append_time.map(|_| Timestamp(timestamp)),
                duplicate: true,
            });
            stage.push_waiter(done);
            self.counters.duplicate_batches.add(1);
            self.work.notify_one();
            return Ok(ticket);
        }
        check_size(name, info.bytes as usize, config)?;
        self.check_fits(name, &info)?;

        let batch = match log_append_time {
            Some(now) => batch.set_log_append_time(now),
            None => batch,
        };
        let batch = batch.assign(Offset(next_offset), LEADER_EPOCH);
        let info = BatchInfo::of(&batch)?;
        let mut frame = Frame::new();
        frame.batch(view.id, batch.bytes().clone());
        let lost = letters.as_ref().map_or(0, |letters| letters.records);
        let letters = stage_letters(&mut stage, &mut frame, letters, now)?;
        self.check_frame(name, &frame)?;
        let place = stage.reserve(&self.pool, &*self.disk, frame.len(), now)?;
        let (_, state) = stage.partition(name)?;
        let applied = state.apply(&info);
        let tail = place.batch(frame.batch_positions[0], &info, batch.into_bytes());
        let (ticket, done) = Ticket::of(Appended {
            base_offset: Offset(next_offset),
            log_append_time,
            duplicate: false,
        });
        let mut effects = vec![Effect::Batch {
            view,
            batch: tail,
            applied,
        }];
        for (letter, at) in letters.into_iter().zip(&frame.batch_positions[1..]) {
            let (_, state) = stage.partition(&letter.view.name)?;
            let applied = state.apply(&letter.info);
            effects.push(Effect::Batch {
                batch: place.batch(*at, &letter.info, letter.batch.into_bytes()),
                view: letter.view,
                applied,
            });
        }
        stage.push(place, frame, effects, done);
        self.counters.dead_letters.add(lost);
        self.work.notify_one();
        Ok(ticket)
    }

    /// One frame holds a batch with its dead letters.
    fn check_frame(&self, name: &TopicPartition, frame: &Frame) -> Result<(), AppendError> {
        let max = Cursor::max_frame_bytes(self.config.wal_file_bytes);
        if frame.len() <= max {
            return Ok(());
        }
        Err(AppendError::TooLarge {
            topic: name.topic.clone(),
            size: frame.len(),
            max,
        })
    }

    fn check_fits(&self, name: &TopicPartition, info: &BatchInfo) -> Result<(), AppendError> {
        let mut empty = Frame::new();
        empty.batch(
            crate::partition::PartitionId {
                topic: uuid::Uuid::nil(),
                index: 0,
            },
            Bytes::new(),
        );
        let max = Cursor::max_frame_bytes(self.config.wal_file_bytes).saturating_sub(empty.len());
        if info.bytes as usize <= max {
            return Ok(());
        }
        Err(AppendError::TooLarge {
            topic: name.topic.clone(),
            size: info.bytes as usize,
            max,
        })
    }
}

/// Dead letters and where they go.
struct Letters {
    partition: TopicPartition,
    batches: Vec<RecordBatch>,
    records: u64,
}

/// One batch of them at its place.
struct Letter {
    view: Arc<PartitionView>,
    batch: RecordBatch,
    info: BatchInfo,
}

/// Gives dead letters their offsets, behind the batch that they come from. Nothing of the stage changes yet.
fn stage_letters(
    stage: &mut Stage,
    frame: &mut Frame,
    letters: Option<Letters>,
    now: Timestamp,
) -> Result<Vec<Letter>, AppendError> {
    let Some(Letters {
        partition, batches, ..
    }) = letters
    else {
        return Ok(Vec::new());
    };
    let (view, state) = stage.partition(&partition)?;
    check_online(view)?;
    let (view, mut next_offset) = (view.clone(), state.next_offset);
    let config = &stage.topics[&partition.topic].entry.topic.config;
    let is_stamped = config.timestamp_type == TimestampType::LogAppendTime;
    let mut staged = Vec::with_capacity(batches.len());
    for batch in batches {
        let batch = if is_stamped {
            batch.set_log_append_time(now)
        } else {
            batch
        };
        let batch = batch.assign(Offset(next_offset), LEADER_EPOCH);
        let info = BatchInfo::of(&batch)?;
        next_offset = info.next_offset();
        frame.batch(view.id, batch.bytes().clone());
        staged.push(Letter {
            view: view.clone(),
            batch,
            info,
        });
    }
    Ok(staged)
}

/// What a stranger may not claim of a batch.
fn check_attributes(header: &BatchHeader) -> Result<(), AppendError> {
    let invalid = |reason: &str| AppendError::Invalid {
        reason: reason.into(),
    };
    if header.attributes.is_control() {
        return Err(invalid("control batches are written by the broker only"));
    }
    if header.attributes.is_transactional() && header.producer().is_none() {
        return Err(invalid("a transactional batch names its producer"));
    }
    if header.producer().is_some() && header.base_sequence < 0 {
        return Err(invalid("a batch of an idempotent producer has a sequence"));
    }
    if header.attributes.has_delete_horizon() {
        return Err(invalid("a delete horizon is set by compaction only"));
    }
    Ok(())
}

pub(crate) fn check_online(view: &PartitionView) -> Result<(), PartitionOffline> {
    match &view.lock().offline {
        Some(reason) => Err(PartitionOffline {
            partition: view.name.clone(),
            reason: reason.clone(),
        }),
        None => Ok(()),
    }
}

fn check_size(name: &TopicPartition, size: usize, config: &TopicConfig) -> Result<(), AppendError> {
    let max = config.max_message_bytes;
    if size <= max {
        return Ok(());
    }
    Err(AppendError::TooLarge {
        topic: name.topic.clone(),
        size,
        max,
    })
}

impl From<BatchError> for AppendError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Corrupt { .. } | BatchError::Truncated { .. } => Self::Corrupt {
                reason: error.to_string(),
            },
            BatchError::InvalidRecord { index, reason } => Self::InvalidRecords {
                records: vec![RecordError {
                    index,
                    reason: reason.into(),
                }],
            },
            BatchError::MissingKey { index } => Self::InvalidRecords {
                records: vec![RecordError {
                    index,
                    reason: "it has no key".into(),
                }],
            },
            BatchError::InvalidLength { .. }
            | BatchError::UnsupportedMagic { .. }
            | BatchError::InvalidCount { .. }
            | BatchError::UnknownCompression { .. }
            | BatchError::Decompress { .. }
            | BatchError::Compress { .. }
            | BatchError::TooLarge { .. }
            | BatchError::InvalidControlRecord
            | BatchError::TooManyBytes { .. } => Self::Invalid {
                reason: error.to_string(),
            },
        }
    }
}
