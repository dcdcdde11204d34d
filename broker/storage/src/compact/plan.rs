//! What of a partition is compacted now. Pure: the partition's state, its settings and the time decide.

use crate::{TopicConfig, retention::newest_ms, segment::SegmentMeta, state::PartitionLog};

/// What to write anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// The segments from the oldest on: each key stays once. Records from `dirty_from` on were not compacted yet.
    Keys {
        segments: Vec<SegmentMeta>,
        dirty_from: i64,
    },
    /// Compacted segments with tombstones that were kept long enough; nothing else is dirty.
    Tombstones { segments: Vec<SegmentMeta> },
}

/// Kafka's `LogCleanerManager.grabFilthiestCompactedLog`, for one partition. The difference: tombstones whose time has come
/// are reason enough, so that an idle topic forgets them too.
pub(super) fn work(log: &PartitionLog, config: &TopicConfig, now_ms: i64) -> Option<Work> {
    if !config.cleanup.compact {
        return None;
    }
    let cleanable = &log.segments[..cleanable(log, config, now_ms)];
    let clean = cleanable.partition_point(|segment| segment.next <= log.clean_to);
    let bytes = |segments: &[SegmentMeta]| segments.iter().map(|segment| segment.len).sum::<u64>();
    let dirty_bytes = bytes(&cleanable[clean..]);
    let whole = u128::from(bytes(cleanable));
    let ratio_reached =
        u128::from(dirty_bytes) * 1_000_000 > whole * u128::from(config.min_cleanable_dirty_millionths);
    let overdue = cleanable[clean..]
        .first()
        .is_some_and(|oldest| now_ms.saturating_sub(oldest.created_ms) > config.max_compaction_lag_ms);
    if dirty_bytes > 0 && (ratio_reached || overdue) {
        return Some(Work::Keys {
            segments: cleanable.to_vec(),
            dirty_from: log.clean_to,
        });
    }
    let due: Vec<_> = cleanable[..clean]
        .iter()
        .filter(|segment| segment.horizon_ms <= now_ms)
        .copied()
        .collect();
    (!due.is_empty()).then_some(Work::Tombstones { segments: due })
}

/// How many segments from the oldest on may be compacted: closed, decided by all transactions, and older than
/// `min.compaction.lag.ms`.
fn cleanable(log: &PartitionLog, config: &TopicConfig, now_ms: i64) -> usize {
    let lag = config.min_compaction_lag_ms;
    let stable = log.state.last_stable();
    let may = |segment: &&SegmentMeta| {
        let old_enough = lag == 0 || now_ms.saturating_sub(newest_ms(segment)) >= lag;
        segment.closed && segment.next <= stable && old_enough
    };
    log.segments.iter().take_while(may).count()
}

/// Neighbours that fit into one new segment, in order (Kafka's `groupSegmentsBySize`).
pub(super) fn groups(segments: &[SegmentMeta], max_bytes: u64) -> Vec<&[SegmentMeta]> {
    let mut groups = Vec::new();
    let mut rest = segments;
    while !rest.is_empty() {
        let mut bytes = 0_u64;
        let fits = |segment: &&SegmentMeta| {
            bytes = bytes.saturating_add(segment.len);
            bytes <= max_bytes
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (group, later) = rest.split_at(count);
        groups.push(group);
        rest = later;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    /// A segment of ten records and some bytes.
    fn segment(index: i64, len: u64) -> SegmentMeta {
        SegmentMeta {
            base: index * 10,
            next: index * 10 + 10,
            len,
            max_timestamp: NOW - 500,
            created_ms: NOW - 1000,
            closed: true,
            generation: 0,
            horizon_ms: i64::MAX,
        }
    }

    fn log(lens: &[u64], clean_to: i64) -> PartitionLog {
        let mut log = PartitionLog {
            segments: (0..).zip(lens).map(|(i, len)| segment(i, *len)).collect(),
            clean_to,
            ..PartitionLog::default()
        };
        log.state.next_offset = lens.len() as i64 * 10;
        log
    }

    fn config(pairs: &[(&str, &str)]) -> TopicConfig {
        let set = [("cleanup.policy", "compact")].iter().chain(pairs);
        TopicConfig::parse(set.map(|(k, v)| ((*k).into(), (*v).into())).collect()).unwrap()
    }

    fn check(log: &PartitionLog, pairs: &[(&str, &str)], segments: Option<usize>) {
        let found = work(log, &config(pairs), NOW).map(|work| match work {
            Work::Keys { segments, .. } => segments.len(),
            Work::Tombstones { .. } => panic!("no tombstones were asked for"),
        });
        assert_eq!(found, segments, "{pairs:?}");
    }

    #[test]
    fn a_log_is_compacted_when_enough_of_it_is_dirty() {
        let log = log(&[100, 100, 100, 100], 20);
        check(&log, &[], None);
        check(&log, &[("min.cleanable.dirty.ratio", "0.49")], Some(4));
        check(
            &log,
            &[
                ("min.cleanable.dirty.ratio", "0.49"),
                ("cleanup.policy", "delete"),
            ],
            None,
        );
    }

    #[test]
    fn what_waited_too_long_is_compacted_whatever_the_ratio() {
        let log = log(&[1000, 10], 10);
        check(&log, &[("max.compaction.lag.ms", "1000")], None);
        check(&log, &[("max.compaction.lag.ms", "999")], Some(2));
    }

    #[test]
    fn open_segments_young_records_and_open_transactions_are_left_alone() {
        let mut log = log(&[100, 100, 100], 0);
        log.segments[2].closed = false;
        check(&log, &[], Some(2));
        check(&log, &[("min.compaction.lag.ms", "500")], Some(2));
        check(&log, &[("min.compaction.lag.ms", "501")], None);
        log.segments[1].max_timestamp = NOW;
        check(&log, &[("min.compaction.lag.ms", "500")], Some(1));
        log.state.next_offset = 19;
        check(&log, &[], Some(1));
    }

    #[test]
    fn tombstones_go_when_their_time_has_come() {
        let mut log = log(&[100, 100], 20);
        log.segments[1].horizon_ms = NOW + 1;
        assert_eq!(work(&log, &config(&[]), NOW), None);
        let segments = vec![log.segments[1]];
        assert_eq!(
            work(&log, &config(&[]), NOW + 1),
            Some(Work::Tombstones { segments })
        );
    }

    #[test]
    fn neighbours_share_a_segment_as_far_as_they_fit() {
        let log = log(&[100, 10, 10, 0, 200, 50], 0);
        let lens: Vec<_> = groups(&log.segments, 120)
            .iter()
            .map(|group| group.len())
            .collect();
        assert_eq!(lens, [4, 1, 1]);
    }
}
