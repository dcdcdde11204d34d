//! Members of consumer groups, of both protocols: what they are given they read, and commit how far they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use millstream_protocol::{
    ErrorCode,
    messages::{
        GroupId, OffsetCommitRequest, OffsetFetchRequest, StrBytes,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::OffsetFetchRequestTopic,
    },
};

use super::{RETRY_MS, Refused, checked, fetch, topic_name};
use crate::{
    ledger::Ledger,
    network::{Lost, Wire},
};

const PAUSE_MS: u64 = 150;
/// Beyond its session: a member that is stopped so long wakes as a zombie.
const COMA_MS: u64 = 7_000;
pub(super) const SESSION_MS: i32 = 3_000;
pub(super) const REBALANCE_MS: i32 = 4_000;

/// One process of an application that reads a topic.
pub(crate) struct Member {
    pub(super) wire: Wire,
    ledger: Rc<Ledger>,
    pub(super) group: &'static str,
    pub(super) topic: &'static str,
    pub(super) partitions: i32,
}

/// Who it is in its group.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    pub(super) id: String,
    /// Or generation, in a classic group.
    pub(super) epoch: i32,
}

/// What it has, and the offset of the next record of each.
pub(super) type Places = BTreeMap<i32, i64>;

/// What is to be done after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    /// The group shares anew.
    Rejoin,
    /// Everything is read: leave and end.
    Leave,
}

impl Member {
    pub(crate) fn new(
        wire: Wire,
        ledger: Rc<Ledger>,
        group: &'static str,
        (topic, partitions): (&'static str, i32),
    ) -> Self {
        Self {
            wire,
            ledger,
            group,
            topic,
            partitions,
        }
    }

    /// What a group may say to somebody who is late, and what is said to somebody who was removed.
    pub(super) fn tolerate_eviction(&self, refused: Refused) {
        let evicted = [
            ErrorCode::UnknownMemberId,
            ErrorCode::IllegalGeneration,
            ErrorCode::RebalanceInProgress,
            ErrorCode::FencedMemberEpoch,
            ErrorCode::StaleMemberEpoch,
        ];
        match refused {
            Refused::Code(code) if evicted.iter().any(|evicted| evicted.code() == code) => {}
            other => other.must_be_passing(&self.wire.name),
        }
    }

    /// Now and then it is stopped, now and then it dies without a word.
    pub(super) async fn live_dangerously(&self) -> Result<(), Refused> {
        match self.wire.below(100) {
            0 => self.wire.pause(COMA_MS).await,
            1 => return Err(Refused::Lost),
            _ => {}
        }
        Ok(())
    }

    /// Reads a little of everything that it has, and commits.
    pub(super) async fn work(&self, membership: &Membership, places: &mut Places) -> Result<Next, Refused> {
        let mut moved = false;
        for (partition, next) in places.iter_mut() {
            match fetch(&self.wire, (self.topic, *partition), *next, 0).await {
                Ok(fetched) => {
                    for (offset, value) in fetched.records {
                        self.ledger.saw(self.topic, *partition, offset, &value);
                        self.ledger.processed(self.group, *partition, offset);
                    }
                    moved |= fetched.next_offset > *next;
                    *next = fetched.next_offset;
                }
                Err(refused) => refused.must_be_passing(&self.wire.name),
            }
        }
        if moved && let Err(refused) = self.commit(membership, places).await {
            let again = [ErrorCode::RebalanceInProgress, ErrorCode::StaleMemberEpoch];
            return match refused {
                Refused::Code(code) if again.iter().any(|again| again.code() == code) => Ok(Next::Rejoin),
                // It may arrive later than what this member commits next: so another must go on.
                other => Err(other),
            };
        }
        if self.wire.world().fed.get() && self.is_all_read().await {
            return Ok(Next::Leave);
        }
        self.wire.pause(PAUSE_MS).await;
        Ok(Next::GoOn)
    }

    async fn commit(&self, membership: &Membership, places: &Places) -> Result<(), Refused> {
        let partition = |(partition, next): (&i32, &i64)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*next)
                .with_committed_leader_epoch(-1)
        };
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name(self.topic))
            .with_partitions(places.iter().map(partition).collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group_id())
            .with_member_id(StrBytes::from_string(membership.id.clone()))
            .with_generation_id_or_member_epoch(membership.epoch)
            .with_topics(vec![topic]);
        let sent_ms = self.wire.world().now_ms();
        let answer = self.wire.ask(&request, 9).await?;
        for partition in &answer.topics[0].partitions {
            checked(partition.error_code)?;
        }
        for (partition, next) in places {
            self.ledger
                .committed_by(self.group, *partition, (&membership.id, sent_ms), *next);
        }
        Ok(())
    }

    /// It was given these partitions: from now on nobody else can commit for them.
    pub(super) async fn take(
        &self,
        membership: &Membership,
        given: &BTreeSet<i32>,
        places: &mut Places,
    ) -> Result<(), Refused> {
        let now_ms = self.wire.world().now_ms();
        for partition in given {
            self.ledger
                .takes(self.group, *partition, (&membership.id, now_ms));
        }
        for partition in given {
            let next = loop {
                match self.committed(*partition).await {
                    Ok(next) => break next,
                    Err(refused) => refused.must_be_passing(&self.wire.name),
                }
                self.wire.pause(RETRY_MS).await;
            };
            self.ledger.fetched(self.group, *partition, next);
            places.insert(*partition, next);
        }
        Ok(())
    }

    async fn is_all_read(&self) -> bool {
        for partition in 0..self.partitions {
            let Ok(next) = self.committed(partition).await else {
                return false;
            };
            match fetch(&self.wire, (self.topic, partition), next, 0).await {
                Ok(fetched) if fetched.high_watermark == next => {}
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    async fn committed(&self, partition: i32) -> Result<i64, Refused> {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(topic_name(self.topic))
            .with_partition_indexes(vec![partition]);
        let fetch = OffsetFetchRequest::default()
            .with_group_id(self.group_id())
            .with_topics(Some(vec![topic]));
        let answer = self.wire.ask(&fetch, 7).await?;
        checked(answer.error_code)?;
        let partition = &answer.topics[0].partitions[0];
        checked(partition.error_code)?;
        Ok(partition.committed_offset.max(0))
    }

    /// Asks until somebody answers.
    pub(super) async fn persist<T, F: Future<Output = Result<T, Lost>>>(
        &self,
        mut ask: impl FnMut() -> F,
    ) -> T {
        loop {
            if let Ok(answer) = ask().await {
                return answer;
            }
            self.wire.pause(RETRY_MS).await;
        }
    }

    pub(super) fn group_id(&self) -> GroupId {
        GroupId(StrBytes::from_static_str(self.group))
    }
}
