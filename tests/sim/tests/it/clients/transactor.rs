use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use millstream_types::Producer;

use super::{
    RETRY_MS, Refused, add_partitions, append, batch, end_transaction, init_producer, tolerate_fencing,
};
use crate::network::Wire;

const PAUSE_MS: u64 = 100;
/// One that is stopped so long wakes as a zombie.
const COMA_MS: u64 = 6_000;

/// How each transaction ended, by the value that it wrote to every partition: committed, aborted, or `None` if nobody was
/// told.
pub(crate) type Outcomes = Rc<RefCell<BTreeMap<String, Option<bool>>>>;

/// Writes the same value to all partitions of a topic in one transaction. Several of one transactional id fence each
/// other.
pub(crate) async fn transact(wire: Wire, outcomes: Outcomes, id: &str, topic: &str, partitions: i32) {
    let mut count = 0;
    while !wire.finishing() {
        let ended = incarnation(&wire, &outcomes, &mut count, id, (topic, partitions)).await;
        if let Err(refused) = ended {
            tolerate_fencing(refused, &wire.name);
            wire.pause(10 * RETRY_MS).await;
        }
    }
    // whoever comes last ends what the others may have left open
    while let Err(refused) = init_producer(&wire, Some(id)).await {
        tolerate_fencing(refused, &wire.name);
        wire.pause(RETRY_MS).await;
    }
}

async fn incarnation(
    wire: &Wire,
    outcomes: &Outcomes,
    count: &mut u64,
    id: &str,
    (topic, partitions): (&str, i32),
) -> Result<(), Refused> {
    let producer = init_producer(wire, Some(id)).await?;
    let mut sequence = 0;
    while !wire.finishing() {
        *count += 1;
        let value = format!("{}-{count}", wire.name);
        outcomes.borrow_mut().insert(value.clone(), None);
        let commit = !wire.chance(25);
        transaction(wire, producer, sequence, &value, id, (topic, partitions)).await?;
        end_transaction(wire, id, producer, commit).await?;
        outcomes.borrow_mut().insert(value, Some(commit));
        sequence += 1;
        wire.pause(PAUSE_MS).await;
    }
    Ok(())
}

/// All but its end.
async fn transaction(
    wire: &Wire,
    producer: Producer,
    sequence: i32,
    value: &str,
    id: &str,
    (topic, partitions): (&str, i32),
) -> Result<(), Refused> {
    // in some transactions it falls asleep before one of the steps
    let sleepy = wire.below(60);
    add_partitions(wire, id, producer, (topic, (0..partitions).collect())).await?;
    for partition in 0..partitions {
        if sleepy == u64::from(partition.unsigned_abs()) {
            wire.pause(COMA_MS).await;
        }
        let batch = batch(producer, sequence, true, wire.world().wall(), &[value.to_owned()]);
        append(wire, Some(id), (topic, partition), batch).await?;
    }
    if sleepy == u64::from(partitions.unsigned_abs()) {
        wire.pause(COMA_MS).await;
    }
    Ok(())
}
