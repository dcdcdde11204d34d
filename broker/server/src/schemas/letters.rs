//! Dead letters of records that a topic does not take, with the headers that those of pipelines have (`docs/runtime.md`).

use bytes::Bytes;
use millstream_broker_storage::{AppendError, RecordError};
use millstream_protocol::batch::{BatchBuilder, Compression, MAX_DECOMPRESSED_BYTES, RecordBatch};
use millstream_types::{Header, Record, TopicPartition};

const TOPIC: &str = "__connect.errors.topic";
const PARTITION: &str = "__connect.errors.partition";
const STAGE: &str = "__connect.errors.stage";
const EXCEPTION_MESSAGE: &str = "__connect.errors.exception.message";
const VALUE_BYTES: &str = "millstream.value.bytes";
/// Kafka Connect's word for where it failed.
const PRODUCE: &str = "KAFKA_PRODUCE";

pub(super) fn of(
    partition: &TopicPartition,
    batch: &RecordBatch,
    errors: &[RecordError],
    max_bytes: usize,
) -> Result<Vec<Bytes>, AppendError> {
    let mut errors = errors.iter().peekable();
    let mut batches = Vec::new();
    let mut open = BatchBuilder::new(Compression::None);
    for (index, record) in (0..).zip(batch.records_within(MAX_DECOMPRESSED_BYTES)?) {
        let Some(error) = errors.next_if(|error| error.index == index) else {
            continue;
        };
        let mut letter = letter(partition, record?, &error.reason);
        let alone = BatchBuilder::new(Compression::None).plain_bytes();
        if alone + BatchBuilder::most_bytes_of(&letter) > max_bytes {
            letter = emptied(letter);
        }
        if !open.is_empty() && open.plain_bytes() + BatchBuilder::most_bytes_of(&letter) > max_bytes {
            let full = std::mem::replace(&mut open, BatchBuilder::new(Compression::None));
            batches.push(full.build()?);
        }
        open.push(&letter);
    }
    if !open.is_empty() {
        batches.push(open.build()?);
    }
    Ok(batches)
}

fn letter(partition: &TopicPartition, mut record: Record, reason: &str) -> Record {
    let mut add = |name: &'static str, value: String| record.headers.push(Header::new(name, value));
    add(TOPIC, partition.topic.to_string());
    add(PARTITION, partition.partition.to_string());
    add(STAGE, PRODUCE.to_owned());
    add(EXCEPTION_MESSAGE, reason.to_owned());
    record
}

/// A letter that is too large with its value: the producer is told where the record would be, and has it still.
fn emptied(mut letter: Record) -> Record {
    let bytes = letter.value.take().map_or(0, |value| value.len());
    letter.headers.push(Header::new(VALUE_BYTES, bytes.to_string()));
    letter
}
