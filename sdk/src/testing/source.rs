use millstream_types::Record;

use super::poll;
use crate::{Position, Rejected, Source, SourceEvent, TaskError};

/// Boundaries that are tried, spread over all.
const MAX_RESUMES: usize = 64;
/// How often a call of `next` is dropped before one may finish.
const DROPS: usize = 3;
/// Generous readings of "a few thousand records or about 1 MB".
const MAX_BATCH_RECORDS: usize = 16 * 1024;
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What a source yielded, without regard to how it was cut into events.
#[derive(Clone, Debug, Default, PartialEq)]
struct Yield {
    records: Vec<(usize, Record)>,
    rejected: Vec<(usize, Rejected)>,
}

/// One reading to the end.
#[derive(Default)]
struct Reading {
    all: Yield,
    /// Every boundary, with how many records and rejected lie before it.
    boundaries: Vec<(Position, usize, usize)>,
}

/// Checks a source task that comes to an end (`until_end`) on unchanging data: whatever boundary it is resumed from,
/// it yields exactly the rest; positions survive being stored; dropping `next` loses nothing; `Done` is final;
/// batches are bounded; positions of an unknown version are refused.
///
/// `open` opens the task at a position, or at the beginning. At least two boundaries are needed.
///
/// # Panics
/// If a promise is broken.
pub async fn source<F>(open: F)
where
    F: AsyncFn(Option<Position>) -> Result<Box<dyn Source>, TaskError>,
{
    let reading = read(opened(open(None).await), 0).await;
    let again = read(opened(open(None).await), 0).await;
    assert_eq!(reading.all, again.all, "a second reading yields something else");
    let boundaries = &reading.boundaries;
    assert!(
        boundaries.len() > 1,
        "a suite needs a source with at least two boundaries"
    );

    let dropped = read(opened(open(None).await), DROPS).await;
    assert_eq!(
        reading.all, dropped.all,
        "dropping calls of `next` changes what is yielded"
    );

    let step = boundaries.len().div_ceil(MAX_RESUMES);
    for (position, records, rejected) in boundaries.iter().step_by(step) {
        let resumed = read(opened(open(Some(stored(position))).await), 0).await;
        let rest = Yield {
            records: reading.all.records[*records..].to_vec(),
            rejected: reading.all.rejected[*rejected..].to_vec(),
        };
        assert_eq!(
            resumed.all, rest,
            "resuming after {records} records does not yield the rest"
        );
    }
    done_is_final(&open, &reading).await;
    refuses_foreign_positions(&open, &reading).await;
}

async fn done_is_final<F>(open: &F, reading: &Reading)
where
    F: AsyncFn(Option<Position>) -> Result<Box<dyn Source>, TaskError>,
{
    let (done, ..) = reading.boundaries.last().expect("there are at least two");
    let after = read(opened(open(Some(stored(done))).await), 0).await;
    assert_eq!(after.all, Yield::default(), "a source that was done yields more");
}

async fn refuses_foreign_positions<F>(open: &F, reading: &Reading)
where
    F: AsyncFn(Option<Position>) -> Result<Box<dyn Source>, TaskError>,
{
    let (position, ..) = &reading.boundaries[0];
    let foreign = Position {
        version: u16::MAX,
        bytes: position.bytes.clone(),
    };
    let refused = match open(Some(foreign)).await {
        Err(error) => Err(error),
        // It may look at the position at the first call only.
        Ok(mut source) => source.next().await.map(drop),
    };
    assert!(
        matches!(refused, Err(TaskError::Lost { .. })),
        "a position of an unknown version must be refused as lost, not {refused:?}"
    );
}

/// Reads to the end; drops each call of `next` that many times before it may finish.
async fn read(mut source: Box<dyn Source>, drops: usize) -> Reading {
    let mut reading = Reading::default();
    loop {
        let mut event = None;
        for _ in 0..drops {
            event = event.or_else(|| poll::once(source.next()));
        }
        let event = match event {
            Some(event) => event,
            None => source.next().await,
        };
        match event {
            Ok(SourceEvent::Records {
                stream,
                records,
                rejected,
            }) => {
                check_size(&records);
                let of_stream = |record| (stream, record);
                reading.all.records.extend(records.into_iter().map(of_stream));
                let of_stream = |rejected| (stream, rejected);
                reading.all.rejected.extend(rejected.into_iter().map(of_stream));
            }
            Ok(SourceEvent::Boundary(position)) => {
                reading.boundary(position.clone());
                // Only some of them: later positions imply earlier ones.
                if reading.boundaries.len().is_multiple_of(2) {
                    durable(&mut *source, &position).await;
                }
            }
            Ok(SourceEvent::Done(position)) => {
                reading.boundary(position.clone());
                durable(&mut *source, &position).await;
                return reading;
            }
            Err(error) => panic!("the source fails: {error}"),
        }
    }
}

impl Reading {
    fn boundary(&mut self, position: Position) {
        let before = (position, self.all.records.len(), self.all.rejected.len());
        self.boundaries.push(before);
    }
}

async fn durable(source: &mut dyn Source, position: &Position) {
    if let Err(error) = source.on_durable(position).await {
        panic!("the source does not take that {position:?} is durable: {error}");
    }
}

fn check_size(records: &[Record]) {
    let bytes: usize = records.iter().map(Record::payload_bytes).sum();
    assert!(
        records.len() <= MAX_BATCH_RECORDS && (bytes <= MAX_BATCH_BYTES || records.len() == 1),
        "a batch of {} records and {bytes} bytes is too large",
        records.len()
    );
}

/// The position as it comes back from storage.
fn stored(position: &Position) -> Position {
    let text = serde_json::to_string(position).expect("positions are plain data");
    serde_json::from_str(&text).expect("what was written can be read")
}

fn opened(source: Result<Box<dyn Source>, TaskError>) -> Box<dyn Source> {
    match source {
        Ok(source) => source,
        Err(error) => panic!("the source does not open: {error}"),
    }
}
