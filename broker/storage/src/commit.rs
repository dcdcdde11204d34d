//! Atomic groups: markers in any number of partitions and changes of the keyed state, in one frame. After a crash all of
//! it is there or nothing is, so a transaction has no prepared state to recover from.

use std::sync::Arc;

use bytes::Bytes;
use millstream_protocol::batch::{ControlRecord, Outcome, RecordBatch};
use millstream_types::{Offset, Producer, TopicPartition};

use crate::{
    append::LEADER_EPOCH,
    batch::BatchInfo,
    engine::Engine,
    error::{CommitError, DeleteRecordsError, WriteError},
    partition::{PartitionState, PartitionView},
    stage::{Effect, Stage},
    state::{log_start_key, user_key},
    ticket::Ticket,
    wal::{cursor::Cursor, frame::Frame},
};

/// A key of the durable keyed state. Any bytes; users share one space, so they begin theirs with a prefix of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateKey(pub Bytes);

/// What becomes durable and visible together.
#[derive(Clone, Debug, Default)]
pub struct AtomicGroup {
    pub markers: Vec<Marker>,
    /// In order; `None` removes the key.
    pub puts: Vec<(StateKey, Option<Bytes>)>,
}

/// The end of a producer's transaction in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    pub partition: TopicPartition,
    /// With an epoch that is newer than that of the records, it also fences their producer.
    pub producer: Producer,
    pub outcome: Outcome,
    pub coordinator_epoch: i32,
}

/// A marker at its place.
struct Ready {
    view: Arc<PartitionView>,
    batch: RecordBatch,
    info: BatchInfo,
}

impl Engine {
    pub(crate) fn commit(&self, group: AtomicGroup) -> Result<Ticket<()>, CommitError> {
        let mut stage = self.stage_with_room()?;
        let now = self.clock.now();
        let mut frame = Frame::new();
        let mut ready = Vec::with_capacity(group.markers.len());
        for (index, marker) in group.markers.iter().enumerate() {
            // the partition may have markers of other producers in the same group
            let earlier = group.markers[..index]
                .iter()
                .filter(|m| m.partition == marker.partition)
                .count();
            let (view, state) = stage.partition(&marker.partition)?;
            state.producers.check_marker(marker.producer)?;
            let record = ControlRecord {
                outcome: marker.outcome,
                coordinator_epoch: marker.coordinator_epoch,
            };
            let batch = RecordBatch::parse(record.batch(marker.producer, now))
                .expect("a control batch that was just built")
                .assign(Offset(state.next_offset + earlier as i64), LEADER_EPOCH);
            let info = BatchInfo::of(&batch).expect("a control batch that was just built");
            frame.batch(view.id, batch.bytes().clone());
            ready.push(Ready {
                view: view.clone(),
                batch,
                info,
            });
        }
        for (StateKey(key), value) in &group.puts {
            frame.put(&user_key(key), value.as_deref());
        }
        let puts = group
            .puts
            .into_iter()
            .map(|(StateKey(key), value)| Effect::Put(key, value))
            .collect();
        self.write_group(&mut stage, frame, ready, puts, ())
    }

    /// Accepts one frame of markers and puts; `value` is what its ticket resolves to.
    fn write_group<T: Send + 'static>(
        &self,
        stage: &mut Stage,
        frame: Frame,
        markers: Vec<Ready>,
        puts: Vec<Effect>,
        value: T,
    ) -> Result<Ticket<T>, CommitError> {
        let max = Cursor::max_frame_bytes(self.config.wal_file_bytes);
        if frame.len() > max {
            return Err(CommitError::TooLarge {
                size: frame.len(),
                max,
            });
        }
        let (ticket, done) = Ticket::of(value);
        if markers.is_empty() && puts.is_empty() {
            stage.push_waiter(done);
            self.work.notify_one();
            return Ok(ticket);
        }
        let place = stage.reserve(&self.pool, &*self.disk, frame.len(), self.clock.now())?;
        let mut effects = Vec::with_capacity(markers.len() + puts.len());
        // offsets first: whoever sees the records of a transaction must find its offsets committed
        effects.extend(puts);
        for (Ready { view, batch, info }, at) in markers.into_iter().zip(&frame.batch_positions) {
            let (_, state): (_, &mut PartitionState) = stage.partition(&view.name)?;
            let applied = state.apply(&info);
            let batch = place.batch(*at, &info, batch.into_bytes());
            effects.push(Effect::Batch { view, batch, applied });
        }
        stage.push(place, frame, effects, done);
        self.work.notify_one();
        Ok(ticket)
    }

    /// Writes one change of the engine's own keyed state.
    pub(crate) fn write_own<T: Send + 'static>(
        &self,
        stage: &mut Stage,
        key: &[u8],
        value: Option<&[u8]>,
        effect: Effect,
        resolves_to: T,
    ) -> Result<Ticket<T>, CommitError> {
        let mut frame = Frame::new();
        frame.put(key, value);
        self.write_group(stage, frame, Vec::new(), vec![effect], resolves_to)
    }

    pub(crate) fn delete_records(
        &self,
        name: &TopicPartition,
        before: Offset,
    ) -> Result<Ticket<Offset>, DeleteRecordsError> {
        let mut stage = self.stage_with_room()?;
        let (view, _) = stage.partition(name)?;
        let view = view.clone();
        let watermarks = view.watermarks();
        if before < Offset::ZERO || before > watermarks.high_watermark {
            return Err(DeleteRecordsError::OffsetOutOfRange {
                partition: name.clone(),
                offset: before,
                start: watermarks.log_start,
                end: watermarks.high_watermark,
            });
        }
        let to = before.max(watermarks.log_start);
        let key = log_start_key(view.id);
        let effect = Effect::LogStart(view, to);
        self.write_own(&mut stage, &key, Some(&to.0.to_le_bytes()), effect, to)
            .map_err(|error| match error {
                CommitError::Write(error) => DeleteRecordsError::Write(error),
                CommitError::UnknownPartition(error) => DeleteRecordsError::UnknownPartition(error),
                CommitError::Producer(_) | CommitError::TooLarge { .. } => {
                    unreachable!("a log start is one small put without markers")
                }
            })
    }

    /// Resolves when all that was accepted before is durable.
    pub(crate) fn flush(&self) -> Result<Ticket<()>, WriteError> {
        let mut stage = self.stage();
        stage.check_open()?;
        let (ticket, done) = Ticket::of(());
        stage.push_waiter(done);
        self.work.notify_one();
        Ok(ticket)
    }
}
