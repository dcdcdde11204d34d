//! Compaction (`cleanup.policy=compact`): of each key the last record stays, at its offset.
//!
//! Only closed segments are compacted, up to the last stable offset. A round reads the part that is not compacted yet into a
//! map from keys to last offsets ([`keys`]), writes all segments up to there anew ([`filter`] decides what stays), under
//! new names, and makes them durable. Then one checkpoint names them instead of the old ones, and the old ones are removed.
//! Whatever is interrupted before the checkpoint is as if it had never begun; what it left behind is removed at the next
//! start. After the checkpoint the same holds for the old files. A name is never used twice, so an attempt never writes into
//! a file that a checkpoint of unknown fate may name.
//!
//! Readers go on: whoever has an old segment open reads it to the end, whoever does not looks the place up again
//! (`read.rs`). The map is bounded: when it is full, the round ends where it is, and the next one begins there.
//!
//! Deliberately absent: throttling (`log.cleaner.io.max.bytes.per.second`), and more than one thread.

mod filter;
mod keys;
mod output;
mod plan;

use std::{collections::BTreeSet, io, sync::Arc};

use millstream_protocol::batch::BatchError;
use millstream_types::Timestamp;

use self::{filter::Filter, keys::Keys, output::Output, plan::Work};
use crate::{
    TopicConfig,
    disk::Mode,
    engine::{Engine, lock},
    partition::{PartitionId, PartitionView},
    segment::{SegmentError, SegmentMeta, SegmentScanner, log_path},
    state::PartitionLog,
    topic::Topic,
};

/// Rewritten partitions that share a checkpoint.
const MAX_PARTITIONS_AT_ONCE: usize = 256;
const MAX_BYTES_AT_ONCE: u64 = 512 << 20;

/// What compaction knows beside the checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    /// Damaged: tried again after a restart.
    uncleanable: BTreeSet<PartitionId>,
}

/// A partition that is to be compacted, as it was when that was decided.
struct Job {
    id: PartitionId,
    topic: Arc<Topic>,
    work: Work,
    log: PartitionLog,
}

/// Segments that take the place of others.
struct Rewritten {
    id: PartitionId,
    old: Vec<SegmentMeta>,
    new: Vec<Output>,
    /// Compacted up to here, if by key.
    end: Option<i64>,
}

/// Why a partition was not compacted.
#[derive(Debug, thiserror::Error)]
enum CompactError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("a record batch at offset {offset} cannot be read")]
    Batch {
        offset: i64,
        #[source]
        source: BatchError,
    },
    #[error("the compacted segments cannot be written")]
    Write(#[source] io::Error),
    #[error("storage is closed")]
    Stopped,
}

impl Engine {
    /// Compacts what is due, until nothing is.
    pub(crate) fn compact(&self, now: Timestamp) -> io::Result<()> {
        let mut cleaner = lock(&self.cleaner);
        while self.compact_some(&mut cleaner, now)? {}
        Ok(())
    }

    /// Compacts some partitions with one checkpoint. Answers whether there may be more.
    fn compact_some(&self, cleaner: &mut Cleaner, now: Timestamp) -> io::Result<bool> {
        let jobs = self.due(cleaner, now);
        let mut done = Vec::new();
        let (mut bytes, mut partitions) = (0, 0);
        let mut left_out = false;
        for job in jobs {
            if bytes >= MAX_BYTES_AT_ONCE || partitions >= MAX_PARTITIONS_AT_ONCE {
                left_out = true;
                break;
            }
            let id = job.id;
            match self.rewrite(&job, now) {
                Ok(rewritten) => {
                    partitions += 1;
                    bytes += rewritten
                        .iter()
                        .flat_map(|r| &r.new)
                        .map(|o| o.segment.len)
                        .sum::<u64>();
                    left_out |= rewritten.iter().any(|r| r.end.is_some_and(|end| end < job.end()));
                    done.extend(rewritten);
                }
                Err(CompactError::Stopped) => {
                    self.discard(done);
                    return Ok(false);
                }
                // retention or the end of its topic may have removed the files meanwhile
                Err(_) if !self.is_current(&job) => {}
                Err(CompactError::Write(error)) => {
                    self.discard(done);
                    return Err(error);
                }
                Err(error @ (CompactError::Segment(_) | CompactError::Batch { .. })) => {
                    tracing::error!(topic = %job.topic.name, partition = id.index, %error, "partition cannot be compacted");
                    cleaner.uncleanable.insert(id);
                    self.counters.uncleanable_partitions.add(1);
                }
            }
        }
        let replaced = !done.is_empty() && self.make_current(done)?;
        Ok(replaced && left_out)
    }

    /// All partitions with something to compact, those of one topic together.
    fn due(&self, cleaner: &Cleaner, now: Timestamp) -> Vec<Job> {
        let sealer = lock(&self.sealer);
        let mut jobs = Vec::new();
        for entry in self
            .topics()
            .values()
            .filter(|entry| entry.topic.config.cleanup.compact)
        {
            let Some(state) = sealer.state().topics.get(&entry.topic.id) else {
                continue;
            };
            for (view, log) in entry.partitions.iter().zip(&state.partitions) {
                if cleaner.uncleanable.contains(&view.id) {
                    continue;
                }
                if let Some(work) = plan::work(log, &entry.topic.config, now.0) {
                    jobs.push(Job {
                        id: view.id,
                        topic: entry.topic.clone(),
                        work,
                        log: log.clone(),
                    });
                }
            }
        }
        jobs
    }

    fn rewrite(&self, job: &Job, now: Timestamp) -> Result<Vec<Rewritten>, CompactError> {
        let config = &job.topic.config;
        let mut rewriting = Rewriting {
            engine: self,
            id: job.id,
            filter: Filter::new(
                Keys::new(self.config.compaction_keys),
                &job.log.aborted,
                job.log.state.producers.last_batches(),
                now.0,
                config.delete_retention_ms,
            ),
            written: Vec::new(),
            batches: 0,
        };
        let done = match &job.work {
            Work::Keys { segments, dirty_from } => rewriting.by_key(segments, *dirty_from, config),
            Work::Tombstones { segments } => rewriting.tombstones(segments, job.log.clean_to),
        };
        if done.is_err() {
            for output in rewriting.written {
                self.discard_output(job.id, &output.segment);
            }
        }
        done
    }

    /// Whether the segments of a job are still those of its partition.
    fn is_current(&self, job: &Job) -> bool {
        let sealer = lock(&self.sealer);
        let log = sealer.state().log(job.id);
        log.is_some_and(|log| {
            job.segments()
                .iter()
                .all(|segment| log.segments.contains(segment))
        })
    }

    /// Makes rewritten segments durable, names them in a checkpoint, shows them to readers and removes the old ones. False:
    /// all of the partitions changed meanwhile.
    fn make_current(&self, done: Vec<Rewritten>) -> io::Result<bool> {
        if let Err(error) = self.sync(&done) {
            self.discard(done);
            return Err(error);
        }
        let mut sealer = lock(&self.sealer);
        let mut state = sealer.state().clone();
        let (current, overtaken): (Vec<_>, Vec<_>) = done
            .into_iter()
            .partition(|rewritten| replace(state.partition(rewritten.id), rewritten));
        self.discard(overtaken);
        if current.is_empty() {
            return Ok(false);
        }
        // after an error here a checkpoint on the disk may name the new files: they stay until the next start knows
        self.save(&mut sealer, state)?;
        for rewritten in &current {
            if let Some((view, log)) = self.sealed_view(sealer.state(), rewritten.id) {
                view.show_compacted(&log.segments, rewritten.end);
            }
        }
        drop(sealer);
        for rewritten in current {
            let bytes = |segments: &mut dyn Iterator<Item = &SegmentMeta>| segments.map(|s| s.len).sum();
            self.counters.compactions.add(1);
            self.counters
                .compacted_bytes_before
                .add(bytes(&mut rewritten.old.iter()));
            let mut new = rewritten.new.iter().map(|output| &output.segment);
            self.counters.compacted_bytes_after.add(bytes(&mut new));
            for segment in &rewritten.old {
                if let Err(error) = self.remove(rewritten.id, segment) {
                    tracing::warn!(%error, "a segment from before compaction was not removed; the next start does it");
                }
            }
        }
        Ok(true)
    }

    fn sync(&self, done: &[Rewritten]) -> io::Result<()> {
        if done.iter().map(|rewritten| rewritten.new.len()).sum::<usize>() > crate::sealer::MAX_SINGLE_SYNCS {
            return self.disk.sync_all();
        }
        for rewritten in done {
            rewritten.new.iter().try_for_each(Output::sync)?;
            match self.disk.sync_dir(&rewritten.id.dir()) {
                // its topic was deleted meanwhile
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    fn discard(&self, done: Vec<Rewritten>) {
        for rewritten in done {
            for output in rewritten.new {
                self.discard_output(rewritten.id, &output.segment);
            }
        }
    }

    fn discard_output(&self, id: PartitionId, segment: &SegmentMeta) {
        if let Err(error) = self.remove(id, segment) {
            tracing::debug!(%error, "a segment that is not used was not removed; the next start does it");
        }
    }

    fn check_running(&self) -> Result<(), CompactError> {
        self.stage().check_open().map_err(|_| CompactError::Stopped)
    }
}

/// Puts rewritten segments into a partition's state, if what they replace is still there.
fn replace(log: Option<&mut PartitionLog>, rewritten: &Rewritten) -> bool {
    let Some(log) = log else {
        return false;
    };
    let first = rewritten.old.first();
    let Some(at) = log.segments.iter().position(|segment| Some(segment) == first) else {
        return false;
    };
    if !log.segments[at..].starts_with(&rewritten.old) {
        return false;
    }
    let new = rewritten.new.iter().map(|output| output.segment);
    log.segments.splice(at..at + rewritten.old.len(), new);
    if let Some(end) = rewritten.end {
        log.clean_to = log.clean_to.max(end);
        log.aborted.retain(|txn| txn.last_offset.0 >= end);
    }
    true
}

impl Job {
    fn segments(&self) -> &[SegmentMeta] {
        match &self.work {
            Work::Keys { segments, .. } | Work::Tombstones { segments } => segments,
        }
    }

    fn end(&self) -> i64 {
        self.segments().last().map_or(0, |segment| segment.next)
    }
}

impl PartitionView {
    /// Compacted segments take the place of the old ones. Below `end` nothing of an aborted transaction is left, so
    /// readers are told of none: its marker may be gone too, and they would wait for it.
    fn show_compacted(&self, segments: &[SegmentMeta], end: Option<i64>) {
        let mut published = self.lock();
        published.segments = segments.to_vec();
        published.compactions += 1;
        if let Some(end) = end {
            published.aborted.retain(|txn| txn.last_offset.0 >= end);
        }
    }
}

/// The work on one partition.
struct Rewriting<'a> {
    engine: &'a Engine,
    id: PartitionId,
    filter: Filter,
    /// What has to be removed if it fails.
    written: Vec<Output>,
    batches: u64,
}

impl Rewriting<'_> {
    fn by_key(
        &mut self,
        segments: &[SegmentMeta],
        dirty_from: i64,
        config: &TopicConfig,
    ) -> Result<Vec<Rewritten>, CompactError> {
        self.filter.end = self.note_keys(segments, dirty_from)?;
        let end = self.filter.end;
        let count = segments.partition_point(|segment| segment.base < end);
        let segments = &segments[..count];
        for group in plan::groups(segments, config.segment_bytes) {
            self.write(group)?;
        }
        Ok(vec![Rewritten {
            id: self.id,
            old: segments.to_vec(),
            new: std::mem::take(&mut self.written),
            end: Some(end),
        }])
    }

    fn tombstones(
        &mut self,
        segments: &[SegmentMeta],
        clean_to: i64,
    ) -> Result<Vec<Rewritten>, CompactError> {
        self.filter.by_key = false;
        self.filter.end = clean_to;
        for segment in segments {
            self.write(std::slice::from_ref(segment))?;
        }
        let rewritten = segments.iter().zip(std::mem::take(&mut self.written));
        let rewritten = rewritten.map(|(old, new)| Rewritten {
            id: self.id,
            old: vec![*old],
            new: vec![new],
            end: None,
        });
        Ok(rewritten.collect())
    }

    /// Now and then looks whether storage was closed.
    fn go_on(&mut self) -> Result<(), CompactError> {
        self.batches += 1;
        if self.batches.is_multiple_of(64) {
            self.engine.check_running()?;
        }
        Ok(())
    }

    /// Reads the keys from `dirty_from` on; answers up to where they are known.
    fn note_keys(&mut self, segments: &[SegmentMeta], dirty_from: i64) -> Result<i64, CompactError> {
        let mut end = dirty_from;
        for segment in segments.iter().filter(|segment| segment.next > dirty_from) {
            let mut scanner = self.scan(segment)?;
            while let Some(batch) = scanner.next_batch()? {
                self.go_on()?;
                let offset = batch.base_offset().0;
                if batch.header().attributes.is_control() || self.filter.is_aborted(&batch) {
                    end = end.max(batch.next_offset().0);
                    continue;
                }
                let records = batch.records_within(millstream_protocol::batch::MAX_DECOMPRESSED_BYTES);
                for record in records.map_err(|source| CompactError::Batch { offset, source })? {
                    let record = record.map_err(|source| CompactError::Batch { offset, source })?;
                    if record.offset.0 < dirty_from {
                        continue;
                    }
                    if let Some(key) = &record.key
                        && !self.filter.keys.note(key, record.offset.0)
                    {
                        return Ok(record.offset.0);
                    }
                    end = end.max(record.offset.0 + 1);
                }
            }
            end = end.max(segment.next);
        }
        Ok(end)
    }

    /// Writes what stays of neighbouring segments as one.
    fn write(&mut self, group: &[SegmentMeta]) -> Result<(), CompactError> {
        let output = Output::create(self.engine, self.id, group).map_err(CompactError::Write)?;
        self.written.push(output);
        let end = group.last().map_or(0, |segment| segment.next);
        for segment in group {
            let mut scanner = self.scan(segment)?;
            while let Some(batch) = scanner.next_batch()? {
                self.go_on()?;
                let offset = batch.base_offset().0;
                let is_last = batch.next_offset().0 == end;
                let kept = self.filter.judge(batch, is_last);
                let kept = kept.map_err(|source| CompactError::Batch { offset, source })?;
                let output = self.written.last_mut().expect("was just created");
                if let Some(kept) = kept {
                    output.push(kept).map_err(CompactError::Write)?;
                }
            }
        }
        let output = self.written.last_mut().expect("was just created");
        output.finish(self.engine, self.id).map_err(CompactError::Write)
    }

    fn scan(&self, segment: &SegmentMeta) -> Result<SegmentScanner, CompactError> {
        let path = log_path(self.id, segment);
        match self.engine.disk.open(&path, Mode::Existing) {
            Ok(file) => Ok(SegmentScanner::new(file, path, segment.len)),
            Err(source) => Err(SegmentError::Io { path, source }.into()),
        }
    }
}
