use bytes::{BufMut, Bytes, BytesMut};
use millstream_broker_coordinator::{GroupDescription, GroupError, MemberDescription, MemberShare};
use millstream_protocol::messages::{
    self, ConsumerProtocolAssignment, ConsumerProtocolSubscription, DescribeGroupsRequest,
    DescribeGroupsResponse, Encodable, consumer_protocol_assignment,
    describe_groups_response::{DescribedGroup, DescribedGroupMember},
};
use millstream_types::TopicName;

use super::{
    Call, Handle, Node, Reply,
    errors::ToKafka,
    groups::{ALLOWED_OPERATIONS, NOT_ASKED, group_id, text},
};

/// From this version on, a group that does not exist is an error; before, it is dead.
const NOT_FOUND_SINCE: i16 = 6;
const DEAD: &str = "Dead";

impl Handle for DescribeGroupsRequest {
    async fn handle(self, call: Call) -> Reply<DescribeGroupsResponse> {
        let operations = if self.include_authorized_operations {
            ALLOWED_OPERATIONS
        } else {
            NOT_ASKED
        };
        let groups = self.groups.into_iter().map(|id| {
            describe(&call.node, &id, call.version)
                .with_group_id(id)
                .with_authorized_operations(operations)
        });
        Reply::Now(DescribeGroupsResponse::default().with_groups(groups.collect()))
    }
}

fn describe(node: &Node, id: &messages::GroupId, version: i16) -> DescribedGroup {
    let described = match id.is_empty() {
        true => Err(GroupError::NoGroupId),
        false => node.broker.describe_group(&group_id(id)),
    };
    match described {
        Ok(group) => answer(group),
        Err(GroupError::UnknownGroup { .. } | GroupError::OtherType { .. }) if version < NOT_FOUND_SINCE => {
            DescribedGroup::default().with_group_state(text(DEAD))
        }
        Err(error) => DescribedGroup::default()
            .with_error_code(error.code().code())
            .with_error_message(error.text())
            .with_group_state(text(DEAD)),
    }
}

fn answer(group: GroupDescription) -> DescribedGroup {
    DescribedGroup::default()
        .with_error_message(None)
        .with_group_state(text(group.state))
        .with_protocol_type(text(group.protocol_type))
        .with_protocol_data(text(group.protocol))
        .with_members(group.members.into_iter().map(member).collect())
}

fn member(member: MemberDescription) -> DescribedGroupMember {
    let (metadata, assignment) = match member.share {
        MemberShare::Opaque { metadata, assignment } => (metadata, assignment),
        MemberShare::Partitions { topic, partitions } => in_consumer_protocol(&topic, partitions),
    };
    DescribedGroupMember::default()
        .with_member_id(text(member.member))
        .with_group_instance_id(member.instance.map(text))
        .with_client_id(text(member.client.id))
        .with_client_host(text(member.client.host))
        .with_member_metadata(metadata)
        .with_member_assignment(assignment)
}

/// What a member of this process reads, as a consumer would say it: tools that show who reads what then show it.
fn in_consumer_protocol(topic: &TopicName, partitions: Vec<i32>) -> (Bytes, Bytes) {
    let name = text(topic.as_str());
    let subscription = ConsumerProtocolSubscription::default().with_topics(vec![name.clone()]);
    let assigned = consumer_protocol_assignment::TopicPartition::default()
        .with_topic(messages::TopicName(name))
        .with_partitions(partitions);
    let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![assigned]);
    (versioned(&subscription), versioned(&assignment))
}

fn versioned(message: &impl Encodable) -> Bytes {
    const VERSION: i16 = 0;
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    message
        .encode(&mut bytes, VERSION)
        .expect("a topic name and numbers can be encoded");
    bytes.freeze()
}
