use bytes::Bytes;
use millstream_client::LogError;
use millstream_protocol::batch::{BatchBuilder, BatchError, Compression};
use millstream_types::{Producer, Record, TopicName};

/// A record batch that is ready to be appended.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) bytes: Bytes,
    /// Sequence of the record after its last, of its transactional producer.
    pub(crate) next_sequence: i32,
}

/// Packs records into as few batches as fit into `max_bytes` each; with a producer, as part of its transaction, its first
/// record having that sequence. Nothing is built if one record is wrong.
pub(crate) fn build(
    topic: &TopicName,
    records: &[Record],
    max_bytes: usize,
    producer: Option<(Producer, i32)>,
) -> Result<Vec<Batch>, LogError> {
    let mut batches = Vec::new();
    let mut sequence = producer.map_or(0, |(_, sequence)| sequence);
    let mut open = start(producer, sequence);
    for record in records {
        check(record)?;
        if !open.is_empty() && open.plain_bytes() + BatchBuilder::most_bytes_of(record) > max_bytes {
            sequence = advance(sequence, open.len());
            let full = std::mem::replace(&mut open, start(producer, sequence));
            batches.push(finish(topic, full, max_bytes, sequence)?);
        }
        open.push(record);
    }
    if !open.is_empty() {
        sequence = advance(sequence, open.len());
        batches.push(finish(topic, open, max_bytes, sequence)?);
    }
    Ok(batches)
}

fn start(producer: Option<(Producer, i32)>, sequence: i32) -> BatchBuilder {
    let builder = BatchBuilder::new(Compression::None);
    match producer {
        Some((producer, _)) => builder.producer(producer, sequence).transactional(),
        None => builder,
    }
}

/// Sequences count from 0 again after the largest.
fn advance(sequence: i32, records: usize) -> i32 {
    let records = i32::try_from(records).expect("a batch counts its records in 31 bits");
    sequence.wrapping_add(records) & i32::MAX
}

fn finish(
    topic: &TopicName,
    builder: BatchBuilder,
    max: usize,
    next_sequence: i32,
) -> Result<Batch, LogError> {
    let size = builder.plain_bytes();
    let too_large = || LogError::TooLarge {
        topic: topic.clone(),
        size,
        max,
    };
    if size > max {
        return Err(too_large());
    }
    let bytes = builder.build().map_err(|error| match error {
        BatchError::TooManyBytes { .. } => too_large(),
        other => LogError::InvalidRecord {
            message: other.to_string(),
        },
    })?;
    Ok(Batch { bytes, next_sequence })
}

/// Whatever a reader would refuse must not get into the log.
fn check(record: &Record) -> Result<(), LogError> {
    match record
        .headers
        .iter()
        .find(|h| std::str::from_utf8(&h.name).is_err())
    {
        Some(_) => Err(LogError::InvalidRecord {
            message: "a header's name is not UTF-8".into(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use millstream_protocol::batch::RecordBatch;
    use millstream_types::{ProducerEpoch, ProducerId};

    use super::*;

    #[test]
    fn splits_by_size_and_counts_sequences() {
        let topic = TopicName::new("t").unwrap();
        let record = Record {
            value: Some(Bytes::from(vec![7; 100])),
            ..Record::default()
        };
        let producer = Producer {
            id: ProducerId(3),
            epoch: ProducerEpoch(1),
        };
        let records = vec![record; 10];
        let batches = build(&topic, &records, 500, Some((producer, i32::MAX - 3))).unwrap();
        let headers: Vec<_> = batches
            .iter()
            .map(|b| *RecordBatch::parse(b.bytes.clone()).unwrap().header())
            .collect();
        assert!(headers.len() > 1);
        assert_eq!(headers.iter().map(|h| h.records_count).sum::<i32>(), 10);
        let mut expected = i32::MAX - 3;
        for (header, batch) in headers.iter().zip(&batches) {
            assert!(batch.bytes.len() <= 500);
            assert!(header.attributes.is_transactional());
            assert_eq!(header.base_sequence, expected);
            expected = advance(expected, header.records_count as usize);
            assert_eq!(batch.next_sequence, expected);
        }
        assert_eq!(expected, 6);
    }
}
