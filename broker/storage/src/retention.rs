//! Retention: whole sealed segments leave at the old end, by age, by size, or because their records were deleted.
//!
//! The checkpoint that no longer names them is durable before the files are removed.

use std::io;

use millstream_types::{Offset, Timestamp};

use crate::{
    TopicConfig,
    engine::{Engine, lock},
    partition::PartitionId,
    segment::{SegmentMeta, index_path, log_path},
    state::PartitionLog,
};

impl Engine {
    pub(crate) fn retain(&self, now: Timestamp) -> io::Result<()> {
        let mut sealer = lock(&self.sealer);
        let mut state = sealer.state.clone();
        let mut gone = Vec::new();
        for topic in state.topics.values_mut() {
            for (index, log) in (0..).zip(&mut topic.partitions) {
                let id = PartitionId {
                    topic: topic.topic.id,
                    index,
                };
                self.follow_log_start(&topic.topic.name, id, log);
                log.state.producers.expire(now.0);
                let count = expired(log, &topic.topic.config, now);
                if count > 0 {
                    gone.extend(log.segments.drain(..count).map(|segment| (id, segment)));
                    let start = log
                        .segments
                        .first()
                        .map_or(log.state.next_offset, |segment| segment.base);
                    log.advance_log_start(start);
                }
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        self.save(&mut sealer, state)?;
        for (id, _) in &gone {
            self.show_sealed(&sealer.state, *id);
            self.show_log_start(&sealer.state, *id);
        }
        gone.into_iter()
            .try_for_each(|(id, segment)| self.remove(id, &segment))
    }

    /// A `DeleteRecords` that is durable, but in a part of the log that is not sealed, counts already.
    fn follow_log_start(&self, name: &millstream_types::TopicName, id: PartitionId, log: &mut PartitionLog) {
        let topics = self.topics();
        let entry = topics.get(name).filter(|entry| entry.topic.id == id.topic);
        if let Some(view) = entry.and_then(|entry| entry.partitions.get(id.index as usize)) {
            log.advance_log_start(view.watermarks().log_start.0);
        }
    }

    fn show_log_start(&self, state: &crate::state::LogState, id: PartitionId) {
        let Some(topic) = state.topics.get(&id.topic) else {
            return;
        };
        let topics = self.topics();
        let entry = topics
            .get(&topic.topic.name)
            .filter(|entry| entry.topic.id == id.topic);
        if let Some(view) = entry.and_then(|entry| entry.partitions.get(id.index as usize)) {
            view.advance_log_start(Offset(topic.partitions[id.index as usize].log_start));
        }
    }

    fn remove(&self, id: PartitionId, segment: &SegmentMeta) -> io::Result<()> {
        self.segments.forget(id, segment.base);
        for path in [log_path(id, segment.base), index_path(id, segment.base)] {
            match self.disk.remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// How many segments at the old end are to go.
fn expired(log: &PartitionLog, config: &TopicConfig, now: Timestamp) -> usize {
    let mut size: u64 = log.segments.iter().map(|segment| segment.len).sum();
    let open = log.state.last_stable();
    let to_go = log.segments.iter().take_while(|segment| {
        let deleted = segment.next <= log.log_start;
        let too_old = config
            .retention_ms
            .is_some_and(|ms| now.0.saturating_sub(segment.max_timestamp) > ms);
        let too_much = config
            .retention_bytes
            .is_some_and(|max| size - segment.len >= max);
        size -= segment.len;
        // an open transaction keeps its records: they may yet be committed
        segment.next <= open && (deleted || (config.cleanup.delete && (too_old || too_much)))
    });
    to_go.count()
}
