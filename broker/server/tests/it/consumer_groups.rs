//! The consumer protocol (KIP-848) over a real socket.

use millstream_protocol::{
    ErrorCode,
    messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DescribeGroupsRequest, GroupId,
        ListGroupsRequest, StrBytes, consumer_group_heartbeat_request::TopicPartitions,
    },
};
use millstream_types::TopicName;

use crate::{Server, client::topic_name};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn joining(member: &str, topic: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_member_id(text(member))
        .with_rebalance_timeout_ms(30_000)
        .with_subscribed_topic_names(Some(vec![topic_name(topic)]))
        .with_topic_partitions(Some(Vec::new()))
}

fn beating(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
        .with_subscribed_topic_names(None)
        .with_topic_partitions(None)
}

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

#[tokio::test]
async fn members_share_give_back_and_see_new_partitions() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 4).await;
    // The first version lets the broker choose the id.
    let first = client.ask(&joining("", "t"), 0).await;
    assert_eq!((code(first.error_code), first.member_epoch), (ErrorCode::None, 1));
    let first_id = first.member_id.unwrap().to_string();
    let all = first.assignment.unwrap().topic_partitions;
    assert_eq!((all.len(), &all[0].partitions), (1, &vec![0, 1, 2, 3]));
    let topic_id = all[0].topic_id;

    // librdkafka says that it has no expression by an empty one.
    let request = joining("second", "t").with_subscribed_topic_regex(Some(text("")));
    let second = client.ask(&request, 1).await;
    assert_eq!(second.assignment.unwrap().topic_partitions, []);
    let asked = client.ask(&beating(&first_id, 1), 1).await;
    let kept = asked.assignment.unwrap().topic_partitions.remove(0).partitions;
    assert_eq!((asked.member_epoch, kept.len()), (1, 2));
    let owned = TopicPartitions::default()
        .with_topic_id(topic_id)
        .with_partitions(kept);
    let gave = client
        .ask(&beating(&first_id, 1).with_topic_partitions(Some(vec![owned])), 1)
        .await;
    assert_eq!(gave.member_epoch, 2);
    let got = client.ask(&beating("second", 2), 1).await;
    assert_eq!(got.assignment.unwrap().topic_partitions[0].partitions.len(), 2);

    server
        .broker
        .create_partitions(&TopicName::new("t").unwrap(), 6)
        .await
        .unwrap();
    let grown = client.ask(&beating("second", 2), 1).await;
    assert_eq!(
        (
            grown.member_epoch,
            grown.assignment.unwrap().topic_partitions[0].partitions.len()
        ),
        (3, 3)
    );

    let left = client.ask(&beating("second", -1), 1).await;
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
    let unknown = client.ask(&beating("second", 3), 1).await;
    assert_eq!(code(unknown.error_code), ErrorCode::UnknownMemberId);
    assert!(unknown.error_message.is_some());
    let fenced = client.ask(&beating(&first_id, 77), 1).await;
    assert_eq!(code(fenced.error_code), ErrorCode::FencedMemberEpoch);
}

#[tokio::test]
async fn consumer_groups_are_described_and_outlive_a_restart() {
    let mut server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 2).await;
    client.ask(&joining("m", "t"), 1).await;
    server.restart().await;
    let mut client = server.client().await;
    let alive = client.ask(&beating("m", 1), 1).await;
    assert_eq!(
        (alive.error_code, alive.member_epoch, alive.assignment),
        (0, 1, None)
    );

    for version in 0..=1 {
        let names = ["g", "unknown"].map(|n| GroupId(text(n))).to_vec();
        let described = client
            .ask(
                &ConsumerGroupDescribeRequest::default().with_group_ids(names),
                version,
            )
            .await;
        let group = &described.groups[0];
        assert_eq!(
            (&*group.group_state, &*group.assignor_name),
            ("Stable", "uniform")
        );
        assert_eq!((group.group_epoch, group.assignment_epoch), (1, 1));
        let member = &group.members[0];
        assert_eq!((&*member.client_id, member.member_epoch), ("test", 1));
        let assigned = &member.assignment.topic_partitions[0];
        assert_eq!(
            (&assigned.topic_name, &assigned.partitions),
            (&topic_name("t"), &vec![0, 1])
        );
        assert_eq!(member.assignment, member.target_assignment);
        assert_eq!(code(described.groups[1].error_code), ErrorCode::GroupIdNotFound);
    }
    let listed = client.ask(&ListGroupsRequest::default(), 5).await;
    assert_eq!(
        (&*listed.groups[0].group_type, &*listed.groups[0].group_state),
        ("consumer", "Stable")
    );
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text("g"))]);
    let classic = client.ask(&request, 6).await;
    assert_eq!(code(classic.groups[0].error_code), ErrorCode::GroupIdNotFound);
}
