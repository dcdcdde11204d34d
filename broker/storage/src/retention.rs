//! Retention: whole sealed segments leave at the old end, by age, by size, or because their records were deleted.
//!
//! The checkpoint that no longer names them is durable before the files are removed.

use std::io;

use millstream_types::{Offset, Timestamp};

use crate::{
    TopicConfig,
    engine::{Engine, lock},
    partition::PartitionId,
    sealer::Sealer,
    segment::{SegmentMeta, index_path, log_path},
    state::PartitionLog,
};

impl Engine {
    /// Most of the time nothing is old enough: then nothing is copied either.
    pub(crate) fn retain(&self, now: Timestamp) -> io::Result<()> {
        let mut sealer = lock(&self.sealer);
        self.follow(&mut sealer, now);
        let mut due = Vec::new();
        for topic in sealer.state().topics.values() {
            let config = self.config_in_force(&topic.topic);
            for (index, log) in (0..).zip(&topic.partitions) {
                let count = expired(log, &config, now);
                if count > 0 {
                    let topic = topic.topic.id;
                    due.push((PartitionId { topic, index }, count));
                }
            }
        }
        if due.is_empty() {
            return Ok(());
        }
        let mut state = sealer.state().clone();
        let mut gone = Vec::new();
        for (id, count) in due {
            let log = state.partition(id).expect("was just there");
            gone.extend(log.segments.drain(..count).map(|segment| (id, segment)));
            let first = log.segments.first();
            let start = first.map_or(log.state.next_offset, |segment| segment.base);
            log.advance_log_start(start);
        }
        self.save(&mut sealer, state)?;
        for (id, _) in &gone {
            self.show_sealed(sealer.state(), *id);
            self.show_log_start(sealer.state(), *id);
        }
        gone.into_iter()
            .try_for_each(|(id, segment)| self.remove(id, &segment))
    }

    /// What counts already, though no sealed part of the log says so: a `DeleteRecords` that is durable, and producers that
    /// were silent for too long. Not written down at once: after a crash it is found again.
    fn follow(&self, sealer: &mut Sealer, now: Timestamp) {
        let expiration_ms = self.config.producer_id_expiration_ms;
        let mut behind = Vec::new();
        for topic in sealer.state().topics.values() {
            let topics = self.topics();
            let entry = topics.get(&topic.topic.name);
            let views = entry.filter(|entry| entry.topic.id == topic.topic.id);
            for (index, log) in (0..).zip(&topic.partitions) {
                let view = views.and_then(|entry| entry.partitions.get(index as usize));
                let start = view.map_or(log.log_start, |view| view.watermarks().log_start.0);
                if start > log.log_start || log.state.producers.any_expired(now.0, expiration_ms) {
                    let topic = topic.topic.id;
                    behind.push((PartitionId { topic, index }, start));
                }
            }
        }
        for (id, start) in behind {
            let log = sealer.change().partition(id).expect("was just there");
            log.advance_log_start(start);
            log.state.producers.expire(now.0, expiration_ms);
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

    pub(crate) fn remove(&self, id: PartitionId, segment: &SegmentMeta) -> io::Result<()> {
        self.segments.forget(id, segment);
        for path in [log_path(id, segment), index_path(id, segment)] {
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
            .is_some_and(|ms| now.0.saturating_sub(newest_ms(segment)) > ms);
        let too_much = config
            .retention_bytes
            .is_some_and(|max| size - segment.len >= max);
        size -= segment.len;
        // an open transaction keeps its records: they may yet be committed
        segment.next <= open && (deleted || (config.cleanup.delete && (too_old || too_much)))
    });
    to_go.count()
}

/// When its newest record was written, as far as known: records may come without a time.
pub(crate) fn newest_ms(segment: &SegmentMeta) -> i64 {
    if segment.max_timestamp < 0 {
        segment.created_ms
    } else {
        segment.max_timestamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn check(config: &[(&str, &str)], newest: &[i64], expected: usize) {
        let config = config.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let segment = |(base, max_timestamp): (i64, &i64)| SegmentMeta {
            base,
            next: base + 1,
            len: 100,
            max_timestamp: *max_timestamp,
            created_ms: NOW.0 - 10,
            closed: true,
            generation: 0,
            horizon_ms: i64::MAX,
        };
        let mut log = PartitionLog {
            segments: (0..).zip(newest).map(segment).collect(),
            ..PartitionLog::default()
        };
        log.state.next_offset = newest.len() as i64;
        assert_eq!(
            expired(&log, &TopicConfig::parse(config).unwrap(), NOW),
            expected,
            "{newest:?}"
        );
    }

    #[test]
    fn segments_leave_from_the_old_end_only() {
        check(&[("retention.ms", "100")], &[0, 0, NOW.0, 0], 2);
        check(&[("retention.ms", "-1")], &[0, 0], 0);
        check(
            &[("retention.ms", "-1"), ("retention.bytes", "250")],
            &[0, 0, 0, 0],
            1,
        );
        check(
            &[("retention.ms", "100"), ("cleanup.policy", "compact")],
            &[0, 0],
            0,
        );
    }

    #[test]
    fn records_without_a_time_age_from_when_they_were_sealed() {
        check(&[("retention.ms", "100")], &[-1, -1], 0);
        check(&[("retention.ms", "5")], &[-1, -1], 2);
    }
}
