use async_trait::async_trait;
use millstream_types::{Offset, Record};

use super::random::Random;
use crate::{Range, Sink, TaskError};

/// Interleavings of two incarnations that are tried.
const INTERLEAVINGS: u64 = 64;
const STEPS: usize = 40;

/// The foreign system of one scenario, and the way to look into it.
#[async_trait]
pub trait SinkRig: Send + Sync {
    /// Opens another incarnation of the sink for the same partition and the same foreign system.
    async fn open(&self) -> Result<Box<dyn Sink>, TaskError>;

    /// A record that the sink can write. The same for the same offset.
    fn record(&self, offset: Offset) -> Record;

    /// The offsets of all records that a user of the foreign system can see, in any order; twice if seen twice.
    async fn visible(&self) -> Vec<Offset>;
}

/// Checks a sink: each record of a committed range is seen exactly once, whatever is repeated, lost, or done by another
/// incarnation that is thought dead. `rig` makes a fresh, empty foreign system for each scenario.
///
/// # Panics
/// If a promise is broken.
pub async fn sink<F, R>(rig: F)
where
    F: AsyncFn() -> R,
    R: SinkRig,
{
    commits_once(&rig().await).await;
    repeats_after_a_crash_before_prepare(&rig().await).await;
    repeats_after_a_crash_before_commit(&rig().await).await;
    repeats_after_a_lost_group_commit(&rig().await).await;
    adopts_the_range_of_another(&rig().await).await;
    a_zombie_changes_nothing(&rig().await).await;
    for seed in 0..INTERLEAVINGS {
        interleaved(&rig().await, seed).await;
    }
}

async fn commits_once<R: SinkRig>(rig: &R) {
    let mut a = Incarnation::open(rig, Offset(0)).await;
    a.write_to(10).await;
    let range = a.prepare().await;
    assert_eq!(
        range,
        Range {
            start: Offset(0),
            end: Offset(10)
        },
        "without competition the range is what was written"
    );
    a.commit(range).await;
    a.repeat_commit(range).await;
    check(rig, 10, "a repeated commit").await;
    a.write_to(15).await;
    a.roll().await;
    check(rig, 15, "a second range").await;
}

async fn repeats_after_a_crash_before_prepare<R: SinkRig>(rig: &R) {
    let mut a = Incarnation::open(rig, Offset(0)).await;
    a.write_to(10).await;
    drop(a);
    check(rig, 0, "a crash before anything was committed").await;
    let mut b = Incarnation::open(rig, Offset(0)).await;
    b.write_to(4).await;
    b.roll().await;
    check(rig, 4, "a crash before prepare").await;
}

async fn repeats_after_a_crash_before_commit<R: SinkRig>(rig: &R) {
    let mut a = Incarnation::open(rig, Offset(0)).await;
    a.write_to(10).await;
    a.prepare().await;
    drop(a);
    let mut b = Incarnation::open(rig, Offset(0)).await;
    b.write_to(4).await;
    b.roll().await;
    let end = b.start;
    check(rig, end.0, "a crash between prepare and commit").await;
}

async fn repeats_after_a_lost_group_commit<R: SinkRig>(rig: &R) {
    let mut a = Incarnation::open(rig, Offset(0)).await;
    a.write_to(10).await;
    a.roll().await;
    drop(a);
    let mut b = Incarnation::open(rig, Offset(0)).await;
    assert!(
        [Offset(0), Offset(10)].contains(&b.start),
        "resume must answer the group's offset or the sink's own, not {}",
        b.start
    );
    b.write_to(15).await;
    while b.start < b.next {
        b.roll().await;
    }
    check(rig, 15, "a commit that the group never heard of").await;
}

/// The other one fixed a longer range and never came to commit it.
async fn adopts_the_range_of_another<R: SinkRig>(rig: &R) {
    let mut slow = Incarnation::open(rig, Offset(0)).await;
    let mut quick = Incarnation::open(rig, Offset(0)).await;
    slow.write_to(10).await;
    quick.write_to(4).await;
    let theirs = slow.prepare().await;
    quick.roll().await;
    let ours = quick.start;
    check(rig, ours.0, "the range of another incarnation").await;
    // Late, but the same range: nothing changes. A fenced one may refuse.
    if theirs.end == ours {
        slow.try_commit(theirs).await;
        check(rig, ours.0, "the late commit of the other incarnation").await;
    }
}

/// A stopped process wakes up after its successor has gone on.
async fn a_zombie_changes_nothing<R: SinkRig>(rig: &R) {
    let mut zombie = Incarnation::open(rig, Offset(0)).await;
    zombie.write_to(10).await;
    let mut successor = Incarnation::open(rig, Offset(0)).await;
    successor.write_to(6).await;
    successor.roll().await;
    let seen = successor.start;
    // It either learns that it is fenced or does what the successor did.
    let first = zombie.try_roll().await;
    check(rig, seen.0, "a zombie with a longer range").await;
    successor.write_to(12).await;
    successor.roll().await;
    let seen = successor.start;
    if first && zombie.start < zombie.next {
        zombie.try_roll().await;
    }
    check(rig, seen.0, "a zombie that goes on").await;
}

/// Two incarnations take steps in turn, crash and come back; then one finishes.
async fn interleaved<R: SinkRig>(rig: &R, seed: u64) {
    let mut random = Random::seeded(seed);
    // What the group knows: at most what was committed, sometimes less.
    let mut group = Offset(0);
    let mut pair = [
        Some(Incarnation::open(rig, group).await),
        Some(Incarnation::open(rig, group).await),
    ];
    for _ in 0..STEPS {
        let turn = random.below(2);
        let step = random.below(8);
        let slot = &mut pair[turn];
        let Some(sink) = slot else {
            *slot = Some(Incarnation::open(rig, group).await);
            continue;
        };
        let alive = match step {
            0 => false,
            1..=4 => sink.try_write_to(sink.next.0 + 1 + random.below(6) as i64).await,
            // A crash between prepare and commit.
            5 if sink.start < sink.next => {
                sink.try_prepare().await;
                false
            }
            _ if sink.start < sink.next => {
                let rolled = sink.try_roll().await;
                // One in four group commits is lost with the process.
                let heard = rolled && random.below(4) > 0;
                if heard {
                    group = group.max(sink.start);
                }
                heard
            }
            _ => true,
        };
        if !alive {
            *slot = None;
        }
    }
    drop(pair);
    let mut last = Incarnation::open(rig, group).await;
    let end = last.start.0.max(group.0) + 200;
    last.write_to(end).await;
    while last.start < last.next {
        last.roll().await;
    }
    check(rig, last.start.0, &format!("the interleaving of seed {seed}")).await;
}

/// Everything before `end` is seen once, nothing else.
async fn check<R: SinkRig>(rig: &R, end: i64, after: &str) {
    let mut seen = rig.visible().await;
    seen.sort_unstable();
    let expected: Vec<Offset> = (0..end).map(Offset).collect();
    if seen == expected {
        return;
    }
    let missing: Vec<_> = expected.iter().filter(|o| !seen.contains(o)).collect();
    let repeated: Vec<_> = seen.windows(2).filter(|w| w[0] == w[1]).map(|w| w[0]).collect();
    let beyond: Vec<_> = seen.iter().filter(|o| o.0 >= end).collect();
    panic!("after {after}: missing {missing:?}, repeated {repeated:?}, beyond the commit {beyond:?}");
}

/// A sink, driven as the runtime does.
struct Incarnation<'a, R> {
    rig: &'a R,
    sink: Box<dyn Sink>,
    /// The end of its last commit.
    start: Offset,
    /// After the last record written.
    next: Offset,
}

impl<'a, R: SinkRig> Incarnation<'a, R> {
    async fn open(rig: &'a R, group: Offset) -> Self {
        let mut sink = expect(rig.open().await, "opens");
        let start = expect(sink.resume(group).await, "resumes");
        assert!(start >= group, "resume went back from {group} to {start}");
        Self {
            rig,
            sink,
            start,
            next: start,
        }
    }

    async fn write_to(&mut self, end: i64) {
        expect(self.write(Offset(end)).await, "writes");
    }

    async fn try_write_to(&mut self, end: i64) -> bool {
        unless_fenced(self.write(Offset(end)).await).is_some()
    }

    async fn write(&mut self, end: Offset) -> Result<(), TaskError> {
        let records: Vec<_> = (self.next.0..end.0).map(|n| self.rig.record(Offset(n))).collect();
        if records.is_empty() {
            return Ok(());
        }
        for (record, offset) in records.iter().zip(self.next.0..) {
            assert_eq!(
                record.offset,
                Offset(offset),
                "the rig's records have their offset set"
            );
        }
        let rejected = self.sink.write(records).await?;
        assert!(rejected.is_empty(), "good records are rejected: {rejected:?}");
        self.next = end;
        Ok(())
    }

    async fn prepare(&mut self) -> Range {
        expect(self.fix().await, "prepares")
    }

    async fn try_prepare(&mut self) -> Option<Range> {
        unless_fenced(self.fix().await)
    }

    async fn fix(&mut self) -> Result<Range, TaskError> {
        let range = self.sink.prepare(self.next).await?;
        assert_eq!(range.start, self.start, "a range begins at the last commit");
        assert!(range.end > range.start, "an empty range {range:?}");
        Ok(range)
    }

    async fn commit(&mut self, range: Range) {
        expect(self.make_visible(range).await, "commits");
    }

    async fn try_commit(&mut self, range: Range) -> bool {
        unless_fenced(self.make_visible(range).await).is_some()
    }

    async fn make_visible(&mut self, range: Range) -> Result<(), TaskError> {
        self.write(self.next.max(range.end)).await?;
        self.sink.commit(range).await?;
        self.start = range.end;
        Ok(())
    }

    async fn repeat_commit(&mut self, range: Range) {
        expect(self.sink.commit(range).await, "commits again");
    }

    async fn roll(&mut self) {
        let range = self.prepare().await;
        self.commit(range).await;
    }

    async fn try_roll(&mut self) -> bool {
        match self.try_prepare().await {
            Some(range) => self.try_commit(range).await,
            None => false,
        }
    }
}

fn expect<T>(result: Result<T, TaskError>, act: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the sink must do this without an error: it {act}: {error}"),
    }
}

/// An incarnation that competes may learn that it is fenced, and nothing else.
fn unless_fenced<T>(result: Result<T, TaskError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(TaskError::Fenced) => None,
        Err(error) => panic!("a competing sink may be fenced, but not fail: {error}"),
    }
}
