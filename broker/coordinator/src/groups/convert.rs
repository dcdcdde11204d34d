//! A group changes its protocol while it has members (KIP-848, `group.consumer.migration.policy`), so that an application
//! can be moved from one to the other process by process.
//!
//! - Up: the first member of the consumer protocol that joins a classic group makes it a consumer group. Its members stay,
//!   with what they have; whoever waits in a rebalance of the classic group is told to join again, and finds the new one.
//! - Down: when the last member of the consumer protocol is gone, the rest is a classic group again, which rebalances.
//!
//! In either direction the records of what the group was go in the same atom as those of what it is.

use std::collections::BTreeMap;

use millstream_types::GroupId;

use super::{
    ClassicGroup, ConsumerAnswer, ConsumerGroup, ConsumerHeartbeat, Context, Group, GroupError, Topics,
    bytes_as_text::Opaque,
    classic::CONSUMER,
    consumer::{Departure, Progress, union},
    embedded,
    stored::{StoredClassic, StoredClassicMember, StoredConsumerMember, StoredMember, put_member},
};

/// Every request to a consumer group ends with this: what changed is written, or the group becomes a classic one.
pub(super) fn finish(groups: &mut BTreeMap<GroupId, Group>, id: &GroupId, context: &mut Context<'_>) {
    let Some(Group::Consumer(group)) = groups.get_mut(id) else {
        return;
    };
    let departure = group.departure.take();
    match departure.filter(|_| may_downgrade(group, context)) {
        None => group.save(context),
        Some(departure) => {
            let classic = downgrade(group, departure, context);
            groups.insert(id.clone(), Group::Classic(classic));
        }
    }
}

fn may_downgrade(group: &ConsumerGroup, context: &Context<'_>) -> bool {
    let count = group.members.len();
    context.config.consumer.migration.downgrade
        && (1..=context.config.max_size).contains(&count)
        && group.stored_members().all(|(_, member)| member.classic.is_some())
}

/// The consumer group that a classic one becomes, with its new member, and what that is answered.
pub(super) fn upgrade(
    group: &mut ClassicGroup,
    request: &ConsumerHeartbeat,
    topics: &dyn Topics,
    context: &mut Context<'_>,
) -> Result<(ConsumerGroup, ConsumerAnswer), GroupError> {
    let mut upgraded = upgraded(group, topics, context)?;
    let answer = upgraded.heartbeat(request, topics, context)?;
    group.abandon(context);
    context.timers.cancel_all(&group.id);
    upgraded.start(context);
    Ok((upgraded, answer))
}

fn upgraded(
    group: &ClassicGroup,
    topics: &dyn Topics,
    context: &Context<'_>,
) -> Result<ConsumerGroup, GroupError> {
    let refused = || GroupError::OtherType {
        group: group.id.clone(),
        wanted: "consumer",
    };
    let stored = group.stored();
    let consumer = &context.config.consumer;
    if !consumer.migration.upgrade
        || !group.uses_consumer_protocol()
        || stored.members.len() > consumer.max_size
    {
        return Err(refused());
    }
    let mut upgraded = ConsumerGroup::new(group.id.clone(), stored.generation, context.now);
    for member in stored.members {
        let subscription = group
            .subscription_of(&member.id)
            .and_then(embedded::read_subscription)
            .ok_or_else(refused)?;
        let share = embedded::read_assignment(member.assignment.0).ok_or_else(refused)?;
        if share.has_user_data {
            // An assignor of the clients' own keeps something there, which would be lost.
            return Err(refused());
        }
        let target = embedded::by_id(&share.partitions, topics);
        // What it came with into a rebalance is its own until it says otherwise.
        let owned = embedded::by_id(&subscription.owned, topics);
        let next = StoredConsumerMember {
            instance: member.instance,
            rack: subscription.rack,
            client: member.client,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            topics: subscription.topics,
            epoch: stored.generation,
            previous_epoch: stored.generation,
            assigned: union(target.clone(), owned),
            target,
            classic: Some(StoredClassicMember {
                session_timeout_ms: member.session_timeout_ms,
                protocols: member.protocols,
            }),
            ..StoredConsumerMember::default()
        };
        upgraded.enter(member.id, next);
    }
    upgraded.look_at(topics);
    Ok(upgraded)
}

fn is_settled(group: &ConsumerGroup, member: &StoredConsumerMember) -> bool {
    member.epoch == group.epoch && member.progress == Progress::Stable
}

/// The classic group that is left of a consumer group, and the records of the change.
fn downgrade(group: &ConsumerGroup, departure: Departure, context: &mut Context<'_>) -> ClassicGroup {
    let member = |(id, member): (&String, &StoredConsumerMember)| {
        let classic = member.classic.clone().expect("all are of the classic protocol");
        let version = classic
            .protocols
            .first()
            .map_or(0, |(_, Opaque(metadata))| embedded::version(metadata));
        StoredMember {
            id: id.clone(),
            instance: member.instance.clone(),
            client: member.client.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic.protocols,
            // All that it may have still: the group may change once more before the member hears of it.
            assignment: Opaque(embedded::write_assignment(
                &group.by_name(&union(member.assigned.clone(), member.revoking.clone())),
                version,
            )),
        }
    };
    // Whoever leaves ends no generation: the others find a rebalance in it, and keep what they have until they join.
    let generation = match departure {
        Departure::Left { epoch } => epoch,
        Departure::Replaced { .. } => group.epoch,
    };
    let stored = StoredClassic {
        generation,
        protocol_type: Some(CONSUMER.into()),
        protocol: None,
        leader: group.members.keys().next().cloned(),
        assigned: true,
        rejoin: false,
        since: context.now,
        members: group.stored_members().map(member).collect(),
    };
    context.timers.cancel_all(&group.id);
    for id in group.recorded_members() {
        context.effects.puts.push(put_member(&group.id, id, None));
    }
    let mut classic = ClassicGroup::converted(group.id.clone(), stored);
    let rebalances = match departure {
        Departure::Left { .. } => true,
        // A static member was started anew with the other protocol: nobody need notice, if nothing is on its way.
        Departure::Replaced { subscription_changed } => {
            subscription_changed
                || group
                    .stored_members()
                    .any(|(_, member)| !is_settled(group, member))
        }
    };
    classic.begin(rebalances, context);
    classic
}
