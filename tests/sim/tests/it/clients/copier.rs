use std::rc::Rc;

use millstream_protocol::messages::{
    AddOffsetsToTxnRequest, GroupId, OffsetFetchRequest, StrBytes, TxnOffsetCommitRequest,
    offset_fetch_request::OffsetFetchRequestTopic,
    txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
};
use millstream_types::Producer;

use super::{
    RETRY_MS, Refused, add_partitions, append, batch, checked, end_transaction, fetch, init_producer,
    tolerate_fencing, topic_name, transactional_id,
};
use crate::{ledger::Ledger, network::Wire};

const GROUP: &str = "copiers";
const PAUSE_MS: u64 = 80;
/// A copier that is stopped so long wakes as a zombie.
const COMA_MS: u64 = 6_000;

/// Reads `from`, writes `to` and commits its place, all in one transaction. Several copiers of a partition fence each
/// other.
pub(crate) async fn copy(wire: Wire, ledger: Rc<Ledger>, from: &str, to: &str, partition: i32) {
    let copier = Copier {
        id: format!("copy-{partition}"),
        wire,
        ledger,
        from,
        to,
        partition,
    };
    while let Err(refused) = copier.incarnation().await {
        tolerate_fencing(refused, &copier.wire.name);
        copier.wire.pause(20 * RETRY_MS).await;
    }
}

struct Copier<'a> {
    wire: Wire,
    ledger: Rc<Ledger>,
    id: String,
    from: &'a str,
    to: &'a str,
    partition: i32,
}

impl Copier<'_> {
    /// From one fencing to the next; ends well when nothing more is to be copied.
    async fn incarnation(&self) -> Result<(), Refused> {
        let producer = init_producer(&self.wire, Some(&self.id)).await?;
        let mut next = self.committed().await?;
        self.ledger.fetched(GROUP, self.partition, next);
        let mut sequence = 0;
        loop {
            let is_last = self.wire.world().fed.get();
            let fetched = fetch(&self.wire, (self.from, self.partition), next, 300).await?;
            if fetched.records.is_empty() {
                if is_last && fetched.high_watermark == next {
                    return Ok(());
                }
                continue;
            }
            let values: Vec<String> = fetched.records.into_iter().map(|(_, value)| value).collect();
            let commit = !self.wire.chance(15);
            self.transaction(producer, sequence, &values, fetched.next_offset, commit)
                .await?;
            sequence += i32::try_from(values.len()).unwrap();
            if commit {
                next = fetched.next_offset;
                self.ledger.committed(GROUP, self.partition, next);
            }
            self.wire.pause(PAUSE_MS).await;
        }
    }

    async fn transaction(
        &self,
        producer: Producer,
        sequence: i32,
        values: &[String],
        next: i64,
        commit: bool,
    ) -> Result<(), Refused> {
        // in some transactions it falls asleep before one of the steps
        let sleepy = self.wire.below(60);
        self.doze(sleepy == 0).await;
        add_partitions(&self.wire, &self.id, producer, (self.to, vec![self.partition])).await?;
        self.doze(sleepy == 1).await;
        let batch = batch(producer, sequence, true, self.wire.world().wall(), values);
        append(&self.wire, Some(&self.id), (self.to, self.partition), batch).await?;
        self.doze(sleepy == 2).await;
        self.add_offsets(producer, next).await?;
        self.doze(sleepy == 3).await;
        end_transaction(&self.wire, &self.id, producer, commit).await
    }

    async fn doze(&self, now: bool) {
        if now {
            self.wire.pause(COMA_MS).await;
        }
    }

    async fn add_offsets(&self, producer: Producer, next: i64) -> Result<(), Refused> {
        let add = AddOffsetsToTxnRequest::default()
            .with_transactional_id(transactional_id(&self.id))
            .with_producer_id(producer.id.0.into())
            .with_producer_epoch(producer.epoch.0)
            .with_group_id(group_id());
        checked(self.wire.ask(&add, 3).await?.error_code)?;
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(self.partition)
            .with_committed_offset(next)
            .with_committed_leader_epoch(-1);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name(self.from))
            .with_partitions(vec![partition]);
        let commit = TxnOffsetCommitRequest::default()
            .with_transactional_id(transactional_id(&self.id))
            .with_group_id(group_id())
            .with_producer_id(producer.id.0.into())
            .with_producer_epoch(producer.epoch.0)
            .with_generation_id(-1)
            .with_topics(vec![topic]);
        let answer = self.wire.ask(&commit, 3).await?;
        checked(answer.topics[0].partitions[0].error_code)
    }

    /// Where the last transaction that committed has left off.
    async fn committed(&self) -> Result<i64, Refused> {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(topic_name(self.from))
            .with_partition_indexes(vec![self.partition]);
        let fetch = OffsetFetchRequest::default()
            .with_group_id(group_id())
            .with_topics(Some(vec![topic]))
            .with_require_stable(true);
        let answer = self.wire.ask(&fetch, 7).await?;
        checked(answer.error_code)?;
        let partition = &answer.topics[0].partitions[0];
        checked(partition.error_code)?;
        Ok(partition.committed_offset.max(0))
    }
}

fn group_id() -> GroupId {
    GroupId(StrBytes::from_static_str(GROUP))
}
