//! Members of the consumer protocol (KIP-848): the broker assigns, they give back and take.

use std::collections::BTreeSet;

use millstream_protocol::messages::{
    ConsumerGroupHeartbeatRequest, StrBytes, consumer_group_heartbeat_request::TopicPartitions,
};
use uuid::Uuid;

use super::{
    RETRY_MS, Refused, checked,
    member::{Member, Membership, Next, Places, REBALANCE_MS},
    topic_name,
};

/// Says that a member leaves.
const LEAVES: i32 = -1;

/// Until everything is read, life after life, each under an id of its own.
pub(crate) async fn modern_member(member: Member) {
    for number in 0.. {
        let id = format!("{}-{number}", member.wire.name);
        match life(&member, id).await {
            Ok(()) => return,
            Err(refused) => member.tolerate_eviction(refused),
        }
        member.wire.pause(5 * RETRY_MS).await;
    }
}

async fn life(member: &Member, id: String) -> Result<(), Refused> {
    let mut membership = Membership { id, epoch: 0 };
    let mut places = Places::new();
    let mut topic_id = Uuid::nil();
    loop {
        member.live_dangerously().await?;
        let request = beat(member, &membership, topic_id, &places);
        let answer = member.persist(|| member.wire.ask(&request, 1)).await;
        checked(answer.error_code)?;
        membership.epoch = answer.member_epoch;
        if let Some(assignment) = answer.assignment {
            let mut given = BTreeSet::new();
            for topic in assignment.topic_partitions {
                topic_id = topic.topic_id;
                given.extend(topic.partitions);
            }
            places.retain(|partition, _| given.contains(partition));
            given.retain(|partition| !places.contains_key(partition));
            member.take(&membership, &given, &mut places).await?;
        }
        // what it is told to share anew, the next answer says
        let is_done = member.work(&membership, &mut places).await? == Next::Leave;
        if is_done || member.wire.chance(1) {
            membership.epoch = LEAVES;
            let request = beat(member, &membership, topic_id, &Places::new());
            // if nobody hears it, its session ends in any case
            let _ = member.wire.ask(&request, 1).await;
            return if is_done { Ok(()) } else { Err(Refused::Lost) };
        }
    }
}

/// Everything, each time: an answer may have been lost.
fn beat(
    member: &Member,
    membership: &Membership,
    topic_id: Uuid,
    places: &Places,
) -> ConsumerGroupHeartbeatRequest {
    let mut owned = Vec::new();
    if !places.is_empty() {
        let partitions = places.keys().copied().collect();
        owned.push(
            TopicPartitions::default()
                .with_topic_id(topic_id)
                .with_partitions(partitions),
        );
    }
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(member.group_id())
        .with_member_id(StrBytes::from_string(membership.id.clone()))
        .with_member_epoch(membership.epoch)
        .with_rebalance_timeout_ms(REBALANCE_MS)
        .with_subscribed_topic_names(Some(vec![topic_name(member.topic)]))
        .with_topic_partitions(Some(owned))
}
