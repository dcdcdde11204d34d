use millstream_broker_coordinator::{ConsumerDescription, ConsumerMemberDescription, GroupError};
use millstream_protocol::messages::{
    self, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
    consumer_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions},
};
use millstream_types::TopicName;
use uuid::Uuid;

use super::{
    Call, Handle, Node, Reply,
    errors::ToKafka,
    groups::{ALLOWED_OPERATIONS, NOT_ASKED, group_id, text},
};

/// What a member speaks, in Kafka's numbers.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

impl Handle for ConsumerGroupDescribeRequest {
    async fn handle(self, call: Call) -> Reply<ConsumerGroupDescribeResponse> {
        let operations = if self.include_authorized_operations {
            ALLOWED_OPERATIONS
        } else {
            NOT_ASKED
        };
        let groups = self.group_ids.into_iter().map(|id| {
            describe(&call.node, &id, call.version)
                .with_group_id(id)
                .with_authorized_operations(operations)
        });
        Reply::Now(ConsumerGroupDescribeResponse::default().with_groups(groups.collect()))
    }
}

fn describe(node: &Node, id: &messages::GroupId, version: i16) -> DescribedGroup {
    let described = match id.is_empty() {
        true => Err(GroupError::NoGroupId),
        false => node.broker.describe_consumer_group(&group_id(id)),
    };
    match described {
        Ok(group) => answer(group, version),
        Err(error) => DescribedGroup::default()
            .with_error_code(error.code().code())
            .with_error_message(error.text()),
    }
}

fn answer(group: ConsumerDescription, version: i16) -> DescribedGroup {
    let members = group.members.into_iter().map(|m| member(m, version));
    DescribedGroup::default()
        .with_error_message(None)
        .with_group_state(text(group.state))
        .with_group_epoch(group.epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_assignor_name(text(group.assignor))
        .with_members(members.collect())
}

fn member(member: ConsumerMemberDescription, version: i16) -> Member {
    let topics = member
        .topics
        .into_iter()
        .map(|topic| messages::TopicName(text(topic)));
    let described = Member::default()
        .with_member_id(text(member.member))
        .with_instance_id(member.instance.map(text))
        .with_rack_id(member.rack.map(text))
        .with_member_epoch(member.epoch)
        .with_client_id(text(member.client.id))
        .with_client_host(text(member.client.host))
        .with_subscribed_topic_names(topics.collect())
        .with_subscribed_topic_regex(member.regex.map(text))
        .with_assignment(assignment(member.assigned))
        .with_target_assignment(assignment(member.target));
    if version >= 1 {
        described.with_member_type(if member.is_classic { CLASSIC } else { CONSUMER })
    } else {
        described
    }
}

fn assignment(topics: Vec<(Uuid, TopicName, Vec<i32>)>) -> Assignment {
    let topics = topics.into_iter().map(|(id, name, partitions)| {
        TopicPartitions::default()
            .with_topic_id(id)
            .with_topic_name(messages::TopicName(text(name.as_str())))
            .with_partitions(partitions)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
