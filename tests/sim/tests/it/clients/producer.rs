use std::rc::Rc;

use super::{RETRY_MS, append, batch, init_producer};
use crate::{ledger::Ledger, network::Wire};

const MOST_RECORDS: u64 = 4;
const PAUSE_MS: u64 = 60;

/// An idempotent producer: sends a batch until it is acknowledged, then the next one.
pub(crate) async fn produce(wire: Wire, ledger: Rc<Ledger>, topic: &str, partitions: i32) {
    let producer = loop {
        match init_producer(&wire, None).await {
            Ok(producer) => break producer,
            Err(refused) => refused.must_be_passing(&wire.name),
        }
        wire.pause(RETRY_MS).await;
    };
    let mut sequences = vec![0; usize::try_from(partitions).unwrap()];
    let mut count = 0;
    while !wire.finishing() {
        let at = usize::try_from(wire.below(sequences.len() as u64)).unwrap();
        let partition = i32::try_from(at).unwrap();
        let values: Vec<String> = (0..=wire.below(MOST_RECORDS))
            .map(|n| format!("{}-{}", wire.name, count + n))
            .collect();
        count += values.len() as u64;
        values.iter().for_each(|value| ledger.sending(value));
        let batch = batch(producer, sequences[at], false, wire.world().wall(), &values);
        loop {
            match append(&wire, None, (topic, partition), batch.clone()).await {
                Ok(base_offset) => {
                    ledger.acked(topic, partition, base_offset, &values);
                    break;
                }
                Err(refused) => refused.must_be_passing(&wire.name),
            }
            wire.pause(RETRY_MS).await;
        }
        sequences[at] += i32::try_from(values.len()).unwrap();
        wire.pause(PAUSE_MS).await;
    }
}
