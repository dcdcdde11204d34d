use millstream_protocol::{
    ErrorCode,
    batch::Compression,
    messages::{
        AlterConfigsRequest, AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest,
        AlterUserScramCredentialsRequest, CreateAclsRequest, CreatePartitionsRequest, DeleteAclsRequest,
        DeleteRecordsRequest, DeleteTopicsRequest, DescribeAclsRequest, DescribeConfigsRequest,
        DescribeLogDirsRequest, DescribeTopicPartitionsRequest, DescribeUserScramCredentialsRequest,
        ElectLeadersRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
        ListPartitionReassignmentsRequest, OffsetForLeaderEpochRequest, SaslAuthenticateRequest,
        SaslHandshakeRequest, StrBytes, alter_configs_request,
        alter_partition_reassignments_request as reassign, alter_replica_log_dirs_request as log_dirs,
        create_acls_request::AclCreation,
        create_partitions_request::CreatePartitionsTopic,
        delete_acls_request::DeleteAclsFilter,
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::DescribeConfigsResourceResult,
        describe_topic_partitions_request::TopicRequest,
        describe_user_scram_credentials_request::UserName,
        elect_leaders_request::TopicPartitions,
        incremental_alter_configs_request as incremental,
        offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
    },
};

use crate::{
    Server,
    client::{Client, topic_name},
    on_a_free_port, records,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const UNKNOWN_TOPIC: i16 = ErrorCode::UnknownTopicOrPartition as i16;
const INVALID_REQUEST: i16 = ErrorCode::InvalidRequest as i16;
const INVALID_CONFIG: i16 = ErrorCode::InvalidConfig as i16;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.into())
}

async fn server_with_topic() -> (Server, Client) {
    let server = Server::start_as(on_a_free_port(), &[("log.retention.hours", "2")]).await;
    let mut client = server.client().await;
    client.create_topic("t", 2).await;
    (server, client)
}

pub(crate) fn configs_of(kind: i8, name: &str) -> DescribeConfigsRequest {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
}

pub(crate) async fn config(
    client: &mut Client,
    kind: i8,
    name: &str,
    key: &str,
) -> DescribeConfigsResourceResult {
    let answer = client.ask(&configs_of(kind, name), 4).await;
    let found = answer.results[0].configs.iter().find(|c| c.name.as_str() == key);
    found.expect(key).clone()
}

/// Key, operation, value.
pub(crate) async fn alter(
    client: &mut Client,
    kind: i8,
    name: &str,
    changes: &[(&str, i8, &str)],
    version: i16,
) -> i16 {
    let change = |(key, operation, value): &(&str, i8, &str)| {
        incremental::AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(*operation)
            .with_value((*operation != DELETE).then(|| text(value)))
    };
    let resource = incremental::AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(changes.iter().map(change).collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.ask(&request, version).await.responses[0].error_code
}

#[tokio::test]
async fn configurations_are_described_in_every_version() {
    let (_server, mut client) = server_with_topic().await;
    for version in 1..=4 {
        let wanted = configs_of(TOPIC, "t").with_include_documentation(version >= 3);
        let answer = client.ask(&wanted, version).await;
        let found = answer.results[0]
            .configs
            .iter()
            .find(|c| c.name.as_str() == "retention.ms");
        let found = found.unwrap();
        assert_eq!(found.value, Some(text("7200000")), "version {version}");
        assert_eq!(found.config_source, 4, "set at the start of the broker");
        let synonyms: Vec<_> = found
            .synonyms
            .iter()
            .map(|s| (s.name.as_str(), s.source))
            .collect();
        assert_eq!(synonyms, [("log.retention.hours", 4), ("log.retention.hours", 5)]);
        assert_eq!(found.config_type, if version >= 3 { 5 } else { 0 });
        let has_text = found.documentation.as_ref().is_some_and(|text| !text.is_empty());
        assert_eq!(has_text, version >= 3);
    }
    let partitions = config(&mut client, BROKER, "1", "num.partitions").await;
    assert_eq!((partitions.value, partitions.read_only), (Some(text("1")), true));
    for (kind, name, code) in [
        (TOPIC, "u", UNKNOWN_TOPIC),
        (TOPIC, "no good", ErrorCode::InvalidTopicException as i16),
        (BROKER, "2", INVALID_REQUEST),
        (8, "1", INVALID_REQUEST),
    ] {
        let answer = client.ask(&configs_of(kind, name), 4).await;
        assert_eq!(answer.results[0].error_code, code, "{kind} {name}");
    }
}

#[tokio::test]
async fn configurations_are_altered_key_by_key_or_as_a_whole() {
    let (server, mut client) = server_with_topic().await;
    for version in 0..=1 {
        let list = ("cleanup.policy", APPEND, "compact");
        assert_eq!(
            alter(
                &mut client,
                TOPIC,
                "t",
                &[("retention.ms", SET, "5"), list],
                version
            )
            .await,
            0
        );
        let policy = config(&mut client, TOPIC, "t", "cleanup.policy").await;
        assert_eq!(
            (policy.value, policy.config_source),
            (Some(text("delete,compact")), 1)
        );
        let less = [
            ("cleanup.policy", SUBTRACT, "delete"),
            ("retention.ms", DELETE, ""),
        ];
        assert_eq!(alter(&mut client, TOPIC, "t", &less, version).await, 0);
        let policy = config(&mut client, TOPIC, "t", "cleanup.policy").await;
        assert_eq!(policy.value, Some(text("compact")));
        assert_eq!(
            alter(
                &mut client,
                TOPIC,
                "t",
                &[("cleanup.policy", DELETE, "")],
                version
            )
            .await,
            0
        );
    }
    for (kind, name, change, code) in [
        (TOPIC, "t", ("retention", SET, "5"), INVALID_CONFIG),
        (TOPIC, "t", ("retention.ms", SET, "x"), INVALID_CONFIG),
        (TOPIC, "t", ("retention.ms", APPEND, "5"), INVALID_REQUEST),
        (TOPIC, "t", ("retention.ms", 9, "5"), INVALID_REQUEST),
        (TOPIC, "u", ("retention.ms", SET, "5"), UNKNOWN_TOPIC),
        (BROKER, "1", ("num.partitions", SET, "5"), INVALID_REQUEST),
        (BROKER, "", ("message.max.bytes", SET, "x"), INVALID_CONFIG),
        (BROKER, "", ("message.max", SET, "1"), INVALID_CONFIG),
    ] {
        assert_eq!(
            alter(&mut client, kind, name, &[change], 1).await,
            code,
            "{change:?}"
        );
    }
    assert_eq!(
        alter(&mut client, BROKER, "", &[("message.max.bytes", SET, "100")], 1).await,
        0
    );
    let batch = records::batch(&["x".repeat(200).as_str()], Compression::None);
    let answer = client.ask(&records::produce("t", 0, batch), 9).await;
    let refused = answer.responses[0].partition_responses[0].error_code;
    assert_eq!(
        refused,
        ErrorCode::MessageTooLarge as i16,
        "the topic takes it from the broker at once"
    );
    let found = config(&mut client, TOPIC, "t", "max.message.bytes").await;
    assert_eq!((found.value, found.config_source), (Some(text("100")), 3));
    assert_eq!(
        alter(&mut client, BROKER, "", &[("message.max.bytes", DELETE, "")], 1).await,
        0
    );

    for (version, validate_only) in [(0, true), (1, false), (2, false)] {
        let value = alter_configs_request::AlterableConfig::default()
            .with_name(text("segment.bytes"))
            .with_value(Some(text("5000")));
        let resource = alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text("t"))
            .with_configs(vec![value]);
        let request = AlterConfigsRequest::default()
            .with_resources(vec![resource])
            .with_validate_only(validate_only);
        assert_eq!(client.ask(&request, version).await.responses[0].error_code, 0);
        let topic = server.broker.storage().topic(&"t".parse().unwrap()).unwrap();
        assert_eq!(topic.config.segment_bytes == 5000, !validate_only);
    }
}

#[tokio::test]
async fn partitions_are_added_and_records_deleted() {
    let (server, mut client) = server_with_topic().await;
    let create = |name: &str, count: i32, validate_only: bool| {
        let topic = CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(count)
            .with_assignments(None);
        CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_validate_only(validate_only)
    };
    let count = || {
        server
            .broker
            .storage()
            .topic(&"t".parse().unwrap())
            .unwrap()
            .partitions
    };
    for version in 0..=3 {
        let next = count() + 1;
        assert_eq!(
            client.ask(&create("t", next, true), version).await.results[0].error_code,
            0
        );
        assert_eq!(count(), next - 1);
        assert_eq!(
            client.ask(&create("t", next, false), version).await.results[0].error_code,
            0
        );
        assert_eq!(count(), next);
        let same = client.ask(&create("t", next, false), version).await.results[0].error_code;
        assert_eq!(same, ErrorCode::InvalidPartitions as i16);
        let unknown = client.ask(&create("u", 3, false), version).await.results[0].error_code;
        assert_eq!(unknown, UNKNOWN_TOPIC);
    }

    let batch = records::batch(&["a", "b", "c"], Compression::None);
    client.ask(&records::produce("t", 0, batch), 9).await;
    for (version, offset, start, code) in [
        (0, 1, 1, 0),
        (1, 4, -1, ErrorCode::OffsetOutOfRange as i16),
        (2, -1, 3, 0),
    ] {
        let partition = DeleteRecordsPartition::default().with_offset(offset);
        let topic = DeleteRecordsTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
        let answer = client.ask(&request, version).await;
        let answer = &answer.topics[0].partitions[0];
        assert_eq!(
            (answer.error_code, answer.low_watermark),
            (code, start),
            "{offset}"
        );
    }
    for version in 2..=4 {
        for (epoch, expected) in [(0, (0, 3)), (1, (-1, -1))] {
            let partition = OffsetForLeaderPartition::default()
                .with_current_leader_epoch(-1)
                .with_leader_epoch(epoch);
            let topic = OffsetForLeaderTopic::default()
                .with_topic(topic_name("t"))
                .with_partitions(vec![partition]);
            let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
            let answer = client.ask(&request, version).await;
            let end = &answer.topics[0].partitions[0];
            assert_eq!((end.leader_epoch, end.end_offset), expected);
        }
    }
}

#[tokio::test]
async fn topics_and_directories_are_described() {
    let (_server, mut client) = server_with_topic().await;
    client.create_topic("a", 3).await;
    for version in 1..=4 {
        let answer = client
            .ask(&DescribeLogDirsRequest::default().with_topics(None), version)
            .await;
        assert_eq!(answer.results[0].topics.len(), 2);
    }
    let topic = |name: &str| TopicRequest::default().with_name(topic_name(name));
    let all = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![topic("t"), topic("a"), topic("z")])
        .with_response_partition_limit(2);
    let first = client.ask(&all, 0).await;
    assert_eq!(first.topics[0].partitions.len(), 2);
    let cursor = first.next_cursor.expect("more");
    assert_eq!(
        (cursor.topic_name.clone(), cursor.partition_index),
        (topic_name("a"), 2)
    );
    let cursor = millstream_protocol::messages::describe_topic_partitions_request::Cursor::default()
        .with_topic_name(cursor.topic_name)
        .with_partition_index(cursor.partition_index);
    let rest = all.with_cursor(Some(cursor)).with_response_partition_limit(100);
    let rest = client.ask(&rest, 0).await;
    let shape: Vec<_> = rest
        .topics
        .iter()
        .map(|t| (t.error_code, t.partitions.len()))
        .collect();
    assert_eq!(shape, [(0, 1), (0, 2), (UNKNOWN_TOPIC, 0)]);
    assert_eq!(rest.next_cursor, None);

    let listed = client.ask(&ListConfigResourcesRequest::default(), 1).await;
    assert_eq!(
        listed.config_resources.len(),
        4,
        "topics, the broker and its loggers"
    );
    let metrics = client.ask(&ListConfigResourcesRequest::default(), 0).await;
    assert_eq!((metrics.error_code, metrics.config_resources.len()), (0, 0));
}

#[tokio::test]
async fn what_one_node_without_security_has_not_is_answered_as_kafka_does() {
    let (_server, mut client) = server_with_topic().await;
    let disabled = ErrorCode::SecurityDisabled as i16;
    for version in 1..=3 {
        let filter = DescribeAclsRequest::default()
            .with_resource_type_filter(2)
            .with_pattern_type_filter(3)
            .with_operation(1)
            .with_permission_type(1);
        assert_eq!(client.ask(&filter, version).await.error_code, disabled);
        let creation = AclCreation::default().with_resource_pattern_type(3);
        let create = CreateAclsRequest::default().with_creations(vec![creation.clone(), creation]);
        let codes: Vec<_> = client
            .ask(&create, version)
            .await
            .results
            .iter()
            .map(|r| r.error_code)
            .collect();
        assert_eq!(codes, [disabled, disabled]);
        let filter = DeleteAclsFilter::default().with_pattern_type_filter(3);
        let delete = DeleteAclsRequest::default().with_filters(vec![filter]);
        assert_eq!(
            client.ask(&delete, version).await.filter_results[0].error_code,
            disabled
        );
    }
    let state = ErrorCode::IllegalSaslState as i16;
    for version in 0..=1 {
        let request = SaslHandshakeRequest::default().with_mechanism(text("PLAIN"));
        assert_eq!(client.ask(&request, version).await.error_code, state);
    }
    for version in 0..=2 {
        assert_eq!(
            client
                .ask(&SaslAuthenticateRequest::default(), version)
                .await
                .error_code,
            state
        );
    }
    let user = UserName::default().with_name(text("me"));
    let request = DescribeUserScramCredentialsRequest::default().with_users(Some(vec![user]));
    let answer = client.ask(&request, 0).await;
    assert_eq!(answer.results[0].error_code, ErrorCode::ResourceNotFound as i16);
    let answer = client.ask(&AlterUserScramCredentialsRequest::default(), 0).await;
    assert!(answer.results.is_empty());

    for version in 0..=2 {
        let topic = TopicPartitions::default()
            .with_topic(topic_name("t"))
            .with_partitions(vec![0, 9]);
        let request = ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic]));
        let answer = client.ask(&request, version).await;
        let results = &answer.replica_election_results[0].partition_result;
        let codes: Vec<_> = results.iter().map(|r| r.error_code).collect();
        assert_eq!(codes, [ErrorCode::ElectionNotNeeded as i16, UNKNOWN_TOPIC]);
    }
    for version in 0..=1 {
        let partition = reassign::ReassignablePartition::default().with_replicas(None);
        let topic = reassign::ReassignableTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
        let answer = client.ask(&request, version).await;
        let code = answer.responses[0].partitions[0].error_code;
        assert_eq!(code, ErrorCode::NoReassignmentInProgress as i16);
    }
    let answer = client.ask(&ListPartitionReassignmentsRequest::default(), 0).await;
    assert_eq!((answer.error_code, answer.topics.len()), (0, 0));
    for version in 1..=2 {
        let topic = log_dirs::AlterReplicaLogDirTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![0]);
        let dir = log_dirs::AlterReplicaLogDir::default()
            .with_path(text("/elsewhere"))
            .with_topics(vec![topic]);
        let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]);
        let answer = client.ask(&request, version).await;
        let code = answer.results[0].partitions[0].error_code;
        assert_eq!(code, ErrorCode::LogDirNotFound as i16);
    }
}

#[tokio::test]
async fn topics_are_kept_where_deleting_is_switched_off() {
    let server = Server::start_as(on_a_free_port(), &[("delete.topic.enable", "false")]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1).await;
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    let code = client.ask(&request, 4).await.responses[0].error_code;
    assert_eq!(code, ErrorCode::TopicDeletionDisabled as i16);
    assert_eq!(server.broker.storage().topics().len(), 1);
}
