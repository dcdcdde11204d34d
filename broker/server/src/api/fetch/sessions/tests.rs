use std::ops::RangeInclusive;

use bytes::Bytes;
use millstream_protocol::messages::StrBytes;

use super::{super::TopicRef, *};

fn key(index: i32) -> Key {
    Key {
        topic: TopicRef {
            name: StrBytes::from_static_str("t"),
            ..TopicRef::default()
        },
        index,
    }
}

fn wanted(indexes: RangeInclusive<i32>) -> Vec<Wanted> {
    let wanted = |index| Wanted {
        key: key(index),
        partition: Err(ErrorCode::UnknownTopicOrPartition),
        offset: 0,
        max_bytes: 100,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
    };
    indexes.map(wanted).collect()
}

fn asked(session_id: i32, epoch: i32, wanted: Vec<Wanted>) -> Asked {
    Asked {
        session_id,
        epoch,
        uses_topic_ids: false,
        wanted,
        forgotten: Vec::new(),
    }
}

fn read(index: i32, high_watermark: i64, records: &'static [u8]) -> PartitionAnswer {
    PartitionAnswer {
        topic: key(index).topic,
        index,
        error: None,
        high_watermark,
        last_stable: high_watermark,
        log_start: 0,
        aborted: None,
        diverging: None,
        batches: vec![Bytes::from_static(records).into()],
    }
}

/// The indexes of the partitions of an answer.
fn told(answer: &FetchAnswer) -> Vec<i32> {
    assert_eq!(answer.error, None);
    answer
        .partitions
        .iter()
        .map(|partition| partition.index)
        .collect()
}

fn turn_of(turn: &Turn) -> Vec<i32> {
    turn.wanted.iter().map(|wanted| wanted.key.index).collect()
}

/// Sessions with the ids 1, 2, 3, …
struct Bench {
    sessions: FetchSessions,
    drawn: i32,
    now_ms: i64,
}

impl Bench {
    fn new(slots: usize) -> Self {
        Self {
            sessions: FetchSessions::new(slots),
            drawn: 0,
            now_ms: 1_000_000,
        }
    }

    fn begin(&mut self, asked: Asked) -> Result<Turn, ErrorCode> {
        self.sessions.begin(asked, self.now_ms)
    }

    fn finish(&mut self, turn: Turn, read: Vec<PartitionAnswer>) -> FetchAnswer {
        let drawn = &mut self.drawn;
        self.sessions.finish(turn, read, self.now_ms, || {
            *drawn += 1;
            *drawn
        })
    }

    /// A full request of that many partitions, and the session it got.
    fn open(&mut self, partitions: i32) -> i32 {
        let turn = self.begin(asked(0, 0, wanted(1..=partitions))).unwrap();
        let nothing = (1..=partitions).map(|index| read(index, 0, b"")).collect();
        self.finish(turn, nothing).session_id
    }
}

#[test]
fn only_what_changed_is_asked_and_told() {
    let mut bench = Bench::new(10);
    let session = bench.open(3);
    assert_eq!(session, 1);

    let turn = bench.begin(asked(session, 1, Vec::new())).unwrap();
    assert_eq!(turn_of(&turn), [1, 2, 3]);
    let answer = bench.finish(turn, vec![read(1, 0, b""), read(2, 1, b"x"), read(3, 1, b"")]);
    assert_eq!(answer.session_id, session);
    assert_eq!(told(&answer), [2, 3], "records, and a high watermark that moved");

    let mut next = asked(session, 2, wanted(2..=2));
    next.wanted[0].offset = 1;
    let turn = bench.begin(next).unwrap();
    assert_eq!(turn_of(&turn), [1, 3, 2], "who had its turn is last");
    assert_eq!(turn.wanted[2].offset, 1);
    let answer = bench.finish(turn, vec![read(1, 0, b""), read(3, 1, b""), read(2, 1, b"")]);
    assert_eq!(told(&answer), [] as [i32; 0]);

    let mut next = asked(session, 3, wanted(4..=4));
    next.forgotten = vec![key(1), key(9)];
    let turn = bench.begin(next).unwrap();
    assert_eq!(turn_of(&turn), [3, 2, 4]);
    let answer = bench.finish(turn, vec![read(4, 0, b"")]);
    assert_eq!(told(&answer), [4], "a new partition is told once, empty or not");
}

#[test]
fn an_error_is_told_until_it_is_over_and_then_that() {
    let mut bench = Bench::new(10);
    let session = bench.open(1);
    let failed = PartitionAnswer {
        error: Some(ErrorCode::UnknownTopicId),
        ..read(1, -1, b"")
    };
    for (epoch, answer, expected) in [
        (1, failed.clone(), vec![1]),
        (2, failed, vec![1]),
        (3, read(1, 0, b""), vec![1]),
        (4, read(1, 0, b""), vec![]),
    ] {
        let turn = bench.begin(asked(session, epoch, Vec::new())).unwrap();
        assert_eq!(told(&bench.finish(turn, vec![answer])), expected, "epoch {epoch}");
    }
}

#[test]
fn a_request_out_of_its_session_is_refused() {
    let mut bench = Bench::new(10);
    let session = bench.open(1);
    let mut refused = |asked| bench.begin(asked).unwrap_err();
    assert_eq!(
        refused(asked(session + 1, 1, Vec::new())),
        ErrorCode::FetchSessionIdNotFound
    );
    assert_eq!(
        refused(asked(session, 2, Vec::new())),
        ErrorCode::InvalidFetchSessionEpoch
    );
    let by_id = Asked {
        uses_topic_ids: true,
        ..asked(session, 1, Vec::new())
    };
    assert_eq!(refused(by_id), ErrorCode::FetchSessionTopicIdError);

    // Two at the same time: the later one has the session.
    let first = bench.begin(asked(session, 1, Vec::new())).unwrap();
    let second = bench.begin(asked(session, 2, Vec::new())).unwrap();
    let late = bench.finish(first, vec![read(1, 5, b"")]);
    assert_eq!(late.error, Some(ErrorCode::InvalidFetchSessionEpoch));
    assert_eq!(told(&bench.finish(second, vec![read(1, 5, b"")])), [1]);
}

#[test]
fn a_session_ends_by_epoch_or_when_nothing_is_left_of_it() {
    let mut bench = Bench::new(10);
    let session = bench.open(1);
    let turn = bench.begin(asked(session, FINAL_EPOCH, wanted(1..=1))).unwrap();
    assert_eq!(bench.finish(turn, vec![read(1, 0, b"")]).session_id, NO_SESSION);
    assert!(bench.begin(asked(session, 1, Vec::new())).is_err());

    let session = bench.open(1);
    let last = Asked {
        forgotten: vec![key(1)],
        ..asked(session, 1, Vec::new())
    };
    let turn = bench.begin(last).unwrap();
    assert_eq!(bench.finish(turn, Vec::new()).session_id, NO_SESSION);
    assert!(bench.sessions.sessions.is_empty());

    // A full request ends the one before it.
    let session = bench.open(1);
    let turn = bench.begin(asked(session, INITIAL_EPOCH, wanted(1..=2))).unwrap();
    let answer = bench.finish(turn, Vec::new());
    assert_ne!(answer.session_id, session);
    assert_eq!(bench.sessions.sessions.len(), 1);
}

#[test]
fn slots_are_bounded_and_go_to_who_uses_them_and_then_to_the_larger() {
    let mut bench = Bench::new(2);
    let (small, large) = (bench.open(1), bench.open(5));
    assert_eq!(bench.open(9), NO_SESSION, "both are young");

    bench.now_ms += EVICT_AFTER_MS + 1;
    for session in [small, large] {
        let turn = bench.begin(asked(session, 1, Vec::new())).unwrap();
        bench.finish(turn, Vec::new());
    }
    assert_eq!(bench.open(1), NO_SESSION, "not larger than the smallest");
    let larger = bench.open(2);
    assert_ne!(larger, NO_SESSION);
    assert!(bench.begin(asked(small, 2, Vec::new())).is_err());

    bench.now_ms += EVICT_AFTER_MS + 1;
    let turn = bench.begin(asked(larger, 1, Vec::new())).unwrap();
    bench.finish(turn, Vec::new());
    assert_ne!(bench.open(1), NO_SESSION, "the other one was not used");
    assert!(bench.begin(asked(large, 2, Vec::new())).is_err());
}

#[test]
fn epochs_begin_again_after_the_last() {
    assert_eq!((next_epoch(0), next_epoch(i32::MAX)), (1, 1));
}
