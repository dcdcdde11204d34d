use millstream_protocol::messages::{
    AlterClientQuotasRequest, AlterConfigsRequest, CreatePartitionsRequest, DeleteGroupsRequest,
    DeleteTopicsRequest, DescribeClientQuotasRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeLogDirsRequest, DescribeTopicPartitionsRequest, GroupId, IncrementalAlterConfigsRequest,
    MetadataRequest, OffsetDeleteRequest,
    alter_client_quotas_request::{EntityData, EntryData, OpData},
    alter_configs_request::{AlterConfigsResource, AlterableConfig as Replacement},
    create_partitions_request::CreatePartitionsTopic,
    delete_topics_request::DeleteTopicState,
    describe_configs_request::DescribeConfigsResource,
    describe_topic_partitions_request::TopicRequest,
    incremental_alter_configs_request::{AlterConfigsResource as Change, AlterableConfig},
    offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
};

use super::{TOPIC, Talk, text, topic_name};
use crate::port::Step;

const OF_TOPIC: i8 = 2;
const OF_BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Everything that an administrator may change, and a look at it.
pub(super) async fn administration(talk: &mut Talk) {
    configs(talk).await;
    quotas(talk).await;
    let more = CreatePartitionsTopic::default()
        .with_name(topic_name(TOPIC))
        .with_count(5);
    talk.ask(&CreatePartitionsRequest::default().with_topics(vec![more]), 3)
        .await;
    talk.ask(&DescribeClusterRequest::default(), 1).await;
    talk.ask(&DescribeLogDirsRequest::default().with_topics(None), 4)
        .await;
    let topic = TopicRequest::default().with_name(topic_name(TOPIC));
    let pages = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![topic])
        .with_response_partition_limit(2);
    talk.ask(&pages, 0).await;
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(topic_name(TOPIC))
        .with_partitions(vec![partition]);
    let forget = OffsetDeleteRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_topics(vec![topic]);
    talk.ask(&forget, 0).await;
    talk.ask(
        &DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text("g"))]),
        2,
    )
    .await;
    let topic = DeleteTopicState::default().with_name(Some(topic_name(TOPIC)));
    talk.ask(&DeleteTopicsRequest::default().with_topics(vec![topic]), 6)
        .await;
    talk.perform(Step::Restart { power: true }).await;
    talk.ask(&MetadataRequest::default().with_topics(None), 12).await;
}

async fn configs(talk: &mut Talk) {
    let config = |key, value: Option<&str>, operation| {
        AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(operation)
            .with_value(value.map(text))
    };
    let topic = Change::default()
        .with_resource_type(OF_TOPIC)
        .with_resource_name(text(TOPIC))
        .with_configs(vec![
            config("cleanup.policy", Some("compact,delete"), SET),
            config("retention.ms", Some("1000"), SET),
            config("segment.bytes", None, DELETE),
        ]);
    let broker = Change::default()
        .with_resource_type(OF_BROKER)
        .with_configs(vec![config("message.max.bytes", Some("2000000"), SET)]);
    talk.ask(
        &IncrementalAlterConfigsRequest::default().with_resources(vec![topic, broker]),
        1,
    )
    .await;
    let replacement = Replacement::default()
        .with_name(text("compression.type"))
        .with_value(Some(text("zstd")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(OF_TOPIC)
        .with_resource_name(text(TOPIC))
        .with_configs(vec![replacement]);
    talk.ask(&AlterConfigsRequest::default().with_resources(vec![resource]), 2)
        .await;
    let wanted = |kind, name| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(None)
    };
    let describe = DescribeConfigsRequest::default()
        .with_resources(vec![wanted(OF_TOPIC, TOPIC), wanted(OF_BROKER, "1")])
        .with_include_synonyms(true);
    talk.ask(&describe, 4).await;
}

async fn quotas(talk: &mut Talk) {
    let client = EntityData::default()
        .with_entity_type(text("client-id"))
        .with_entity_name(Some(text("fuzz")));
    let limit = OpData::default()
        .with_key(text("producer_byte_rate"))
        .with_value(1e6);
    let entry = EntryData::default()
        .with_entity(vec![client])
        .with_ops(vec![limit]);
    talk.ask(&AlterClientQuotasRequest::default().with_entries(vec![entry]), 1)
        .await;
    talk.ask(&DescribeClientQuotasRequest::default(), 1).await;
}
