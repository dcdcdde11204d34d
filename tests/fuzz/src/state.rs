//! What the log holds of producers, transactions, groups, offsets, settings and quotas, as a start finds it. A start may
//! refuse it; a broker that takes it serves everybody who asks about what it found, lets everything expire, and reads
//! again what it made of it.
//!
//! ```text
//!  put: key length u8 | key | value length u16 | value
//! ```

use bytes::{Buf, BufMut, Bytes};
use millstream_broker_storage::StateKey;
use millstream_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DeleteGroupsRequest,
    DescribeClientQuotasRequest, DescribeGroupsRequest, DescribeTransactionsRequest, EndTxnRequest, GroupId,
    HeartbeatRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest,
    ListTransactionsRequest, OffsetFetchRequest, TransactionalId,
    join_group_request::JoinGroupRequestProtocol, leave_group_request::MemberIdentity,
    offset_fetch_request::OffsetFetchRequestGroup,
};

use crate::{
    conversations::{self, Talk, text, topic_name},
    port::Step,
    world::in_virtual_time,
};

/// Groups and transactions that are asked about.
const MOST_ASKED: usize = 6;
const DAYS_MS: u64 = 8 * 86_400_000;

pub fn run(data: &[u8]) {
    in_virtual_time(start_with(data));
}

pub fn seeds() -> Vec<Vec<u8>> {
    conversations::states()
        .iter()
        .map(|state| encode(state))
        .collect()
}

fn encode(state: &[(Bytes, Bytes)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in state {
        let lengths = (u8::try_from(key.len()), u16::try_from(value.len()));
        if let (Ok(of_key), Ok(of_value)) = lengths {
            out.put_u8(of_key);
            out.put_slice(key);
            out.put_u16(of_value);
            out.put_slice(value);
        }
    }
    out
}

fn puts(mut data: &[u8]) -> impl Iterator<Item = (Bytes, Bytes)> {
    let take = |data: &mut &[u8], length: usize| {
        let (taken, rest) = data.split_at(length.min(data.len()));
        *data = rest;
        Bytes::copy_from_slice(taken)
    };
    std::iter::from_fn(move || {
        let of_key = data.try_get_u8().ok()?;
        let key = take(&mut data, of_key.into());
        let of_value = data.try_get_u16().ok()?;
        Some((key, take(&mut data, of_value.into())))
    })
}

async fn start_with(data: &[u8]) {
    let mut talk = Talk::new().await;
    talk.create_topic().await;
    let storage = talk.world.broker().storage().clone();
    for (key, value) in puts(data) {
        drop(storage.put(StateKey(key), Some(value)));
    }
    talk.pause().await;
    drop(storage);
    if talk.world.restart(false).await.is_err() {
        return;
    }
    talk.perform(Step::Restart { power: true }).await;
    groups(&mut talk).await;
    transactions(&mut talk).await;
    talk.ask(&DescribeClientQuotasRequest::default(), 1).await;
    millstream_broker_server::scrape(talk.world.broker());
    talk.perform(Step::Restart { power: true }).await;
    talk.perform(Step::Pass { ms: DAYS_MS }).await;
    talk.perform(Step::Maintain).await;
    talk.perform(Step::Restart { power: true }).await;
    talk.ask(&ListGroupsRequest::default(), 5).await;
}

async fn groups(talk: &mut Talk) {
    let listed = talk.ask(&ListGroupsRequest::default(), 5).await.groups;
    let names: Vec<GroupId> = listed.into_iter().map(|group| group.group_id).collect();
    let described = talk
        .ask(&DescribeGroupsRequest::default().with_groups(names.clone()), 5)
        .await;
    talk.ask(
        &ConsumerGroupDescribeRequest::default().with_group_ids(names.clone()),
        1,
    )
    .await;
    for group in described.groups.into_iter().take(MOST_ASKED) {
        for member in group.members.into_iter().take(2) {
            let beat = HeartbeatRequest::default()
                .with_group_id(group.group_id.clone())
                .with_generation_id(1)
                .with_member_id(member.member_id.clone());
            talk.ask(&beat, 4).await;
            let leaves = MemberIdentity::default().with_member_id(member.member_id);
            let leave = LeaveGroupRequest::default()
                .with_group_id(group.group_id.clone())
                .with_members(vec![leaves]);
            talk.ask(&leave, 5).await;
        }
    }
    for name in names.into_iter().take(MOST_ASKED) {
        let asked = OffsetFetchRequestGroup::default().with_group_id(name.clone());
        talk.ask(&OffsetFetchRequest::default().with_groups(vec![asked]), 9)
            .await;
        let joins = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(name.clone())
            .with_member_id(text("AAAAAAAAAAAAAAAAAAAACQ"))
            .with_rebalance_timeout_ms(30_000)
            .with_subscribed_topic_names(Some(vec![topic_name(conversations::TOPIC)]))
            .with_topic_partitions(Some(Vec::new()));
        talk.ask(&joins, 1).await;
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
        let join = JoinGroupRequest::default()
            .with_group_id(name.clone())
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(20_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        talk.tell(1, &join, 3).await;
        talk.ask(&DeleteGroupsRequest::default().with_groups_names(vec![name]), 2)
            .await;
    }
}

async fn transactions(talk: &mut Talk) {
    let listed = talk.ask(&ListTransactionsRequest::default(), 1).await;
    let ids = listed
        .transaction_states
        .iter()
        .map(|state| state.transactional_id.clone());
    let ids: Vec<TransactionalId> = ids.take(MOST_ASKED).collect();
    let described = talk
        .ask(
            &DescribeTransactionsRequest::default().with_transactional_ids(ids),
            0,
        )
        .await;
    for state in described.transaction_states {
        for version in [3, 5] {
            let end = EndTxnRequest::default()
                .with_transactional_id(state.transactional_id.clone())
                .with_producer_id(state.producer_id)
                .with_producer_epoch(state.producer_epoch)
                .with_committed(version == 3);
            talk.ask(&end, version).await;
        }
        let init = InitProducerIdRequest::default()
            .with_transactional_id(Some(state.transactional_id))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        talk.ask(&init, 5).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_are_read_as_they_were_written() {
        let state = [
            (Bytes::from_static(b"key"), Bytes::from_static(b"value")),
            (Bytes::from_static(b"other"), Bytes::new()),
        ];
        assert_eq!(puts(&encode(&state)).collect::<Vec<_>>(), state);
    }
}
