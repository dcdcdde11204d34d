//! Which partition a record goes to: the same as Kafka's Java client for records with a key, so that tables written by
//! Kafka Streams or Connect are co-partitioned with ours.

use millstream_types::Record;

/// MurmurHash2 as in `org.apache.kafka.common.utils.Utils.murmur2`: 32 bits, fixed seed, little-endian words.
pub fn murmur2(bytes: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // Lengths of keys are far below 2^32; Java's int wraps in the same way.
    let mut hash = SEED ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("chunks of four"));
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (n, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * n);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash as i32
}

/// `toPositive(murmur2(key)) % partitions`, the partition of a keyed record.
pub fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & i32::MAX) % partitions
}

/// Spreads the records of one task over the partitions of a topic.
#[derive(Clone, Debug)]
pub(crate) struct Partitioner {
    partitions: i32,
    /// Where records without a key go.
    keyless: i32,
}

impl Partitioner {
    /// `keyless`: the first choice for records without a key; any number that differs between tasks.
    pub(crate) fn new(partitions: i32, keyless: i32) -> Self {
        Self {
            partitions,
            keyless: (keyless & i32::MAX) % partitions,
        }
    }

    /// Ends a batch: records without a key go to the next partition from now on.
    pub(crate) fn rotate(&mut self) {
        self.keyless = (self.keyless + 1) % self.partitions;
    }

    /// Cuts a batch by partition; order within a partition is kept.
    pub(crate) fn split(&self, records: Vec<Record>) -> Vec<(i32, Vec<Record>)> {
        if records.is_empty() {
            return Vec::new();
        }
        if self.partitions == 1 {
            return vec![(0, records)];
        }
        let places: Vec<usize> = records.iter().map(|record| self.of(record) as usize).collect();
        let mut counts = vec![0; self.partitions as usize];
        places.iter().for_each(|place| counts[*place] += 1);
        let mut parts: Vec<Vec<Record>> = counts.into_iter().map(Vec::with_capacity).collect();
        for (record, place) in records.into_iter().zip(places) {
            parts[place].push(record);
        }
        (0..).zip(parts).filter(|(_, part)| !part.is_empty()).collect()
    }

    pub(crate) fn of(&self, record: &Record) -> i32 {
        match &record.key {
            Some(key) => partition_of_key(key, self.partitions),
            None => self.keyless,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_as_kafkas_java_client() {
        let check = |key: &[u8], expected| assert_eq!(murmur2(key), expected, "{key:?}");
        check(b"21", -973_932_308);
        check(b"foobar", -790_332_482);
        check(b"a-little-bit-long-string", -985_981_536);
        check(b"a-little-bit-longer-string", -1_486_304_829);
        check(b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971);
        check(b"abc", 479_470_107);
    }

    #[test]
    fn a_key_always_goes_to_the_same_partition_and_order_is_kept() {
        let partitioner = Partitioner::new(3, 0);
        let records: Vec<_> = (0..300)
            .map(|n| Record {
                key: Some(Bytes::from(format!("k{}", n % 10))),
                value: Some(Bytes::from(n.to_string())),
                ..Record::default()
            })
            .collect();
        let parts = partitioner.split(records);
        assert_eq!(parts.iter().map(|(_, part)| part.len()).sum::<usize>(), 300);
        for (partition, part) in parts {
            let numbers: Vec<u32> = part
                .iter()
                .map(|r| {
                    str::from_utf8(r.value.as_ref().unwrap())
                        .unwrap()
                        .parse()
                        .unwrap()
                })
                .collect();
            assert!(numbers.is_sorted(), "partition {partition}");
            for record in part {
                assert_eq!(partition_of_key(&record.key.unwrap(), 3), partition);
            }
        }
    }

    #[test]
    fn records_without_a_key_stay_together_until_the_batch_ends() {
        let mut partitioner = Partitioner::new(4, 7);
        assert_eq!(partitioner.split(vec![Record::default(); 5])[0].0, 3);
        partitioner.rotate();
        assert_eq!(
            partitioner.split(vec![Record::default(); 5]),
            vec![(0, vec![Record::default(); 5])]
        );
    }
}
