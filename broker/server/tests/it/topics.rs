use millstream_protocol::{
    ErrorCode,
    messages::{
        ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
        FindCoordinatorRequest, InitProducerIdRequest, MetadataRequest, StrBytes,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        delete_topics_request::DeleteTopicState,
        metadata_request::MetadataRequestTopic,
    },
};

use crate::{Server, client::topic_name, on_a_free_port};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn metadata_of(name: &str) -> MetadataRequest {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    MetadataRequest::default().with_topics(Some(vec![topic]))
}

#[tokio::test]
async fn every_version_of_api_versions_is_answered() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for version in 0..=4 {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text("test"))
            .with_client_software_version(text("1"));
        let answer = client.ask(&request, version).await;
        assert_eq!(answer.error_code, 0);
        let range = |key: i16| {
            let row = answer
                .api_keys
                .iter()
                .find(|row| row.api_key == key)
                .expect("a row");
            (row.min_version, row.max_version)
        };
        // Produce from 0 although 0 to 2 are not understood: KAFKA-18659.
        assert_eq!(
            (range(0), range(1), range(3), range(18)),
            ((0, 13), (4, 18), (0, 13), (0, 4))
        );
    }
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_gets_version_0_with_the_table() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client
        .send_bytes(&[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 42, 0xff, 0xff])
        .await;
    // The body of version 0 has the same fields as 0 itself: correlation id, error 35, rows.
    let frame = client.frame().await.unwrap();
    assert_eq!(frame[..6], [0, 0, 0, 42, 0, 35]);
    assert!(frame.len() > 20);
    assert_eq!(
        client.ask(&ApiVersionsRequest::default(), 0).await.error_code,
        0,
        "the connection goes on"
    );
}

#[tokio::test]
async fn metadata_of_every_version_describes_the_one_node() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("flights", 3).await;
    let port = i32::from(server.handle.local_addr().port());
    for version in 0..=13 {
        let answer = client.ask(&metadata_of("flights"), version).await;
        assert_eq!(
            (answer.brokers[0].host.as_str(), answer.brokers[0].port),
            ("127.0.0.1", port)
        );
        let topic = &answer.topics[0];
        assert_eq!(
            (topic.error_code, topic.partitions.len()),
            (0, 3),
            "version {version}"
        );
        assert!(
            topic
                .partitions
                .iter()
                .all(|p| p.leader_id == answer.brokers[0].node_id)
        );
    }
    for version in 10..=13 {
        let id = client.ask(&metadata_of("flights"), version).await.topics[0].topic_id;
        // The Java client gives an empty name beside the id.
        for name in [None, Some(topic_name(""))] {
            let by_id = MetadataRequestTopic::default().with_name(name).with_topic_id(id);
            let answer = client
                .ask(&MetadataRequest::default().with_topics(Some(vec![by_id])), 12)
                .await;
            assert_eq!(answer.topics[0].name, Some(topic_name("flights")));
        }
    }
    assert_eq!(
        client
            .ask(&MetadataRequest::default().with_topics(None), 9)
            .await
            .topics
            .len(),
        1
    );
    assert_eq!(
        client
            .ask(&MetadataRequest::default().with_topics(Some(vec![])), 9)
            .await
            .topics
            .len(),
        0
    );
    assert_eq!(
        client
            .ask(&MetadataRequest::default().with_topics(Some(vec![])), 0)
            .await
            .topics
            .len(),
        1
    );
}

#[tokio::test]
async fn asking_for_a_topic_creates_it_unless_somebody_minds() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let unwilling = metadata_of("new").with_allow_auto_topic_creation(false);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(client.ask(&unwilling, 9).await.topics[0].error_code, unknown);
    let created = client.ask(&metadata_of("new"), 9).await;
    assert_eq!(
        (created.topics[0].error_code, created.topics[0].partitions.len()),
        (0, 1)
    );
    let invalid = client.ask(&metadata_of("no good"), 9).await.topics[0].error_code;
    assert_eq!(invalid, ErrorCode::InvalidTopicException.code());

    let strict = Server::start_as(on_a_free_port(), &[("auto.create.topics.enable", "false")]).await;
    let answer = strict.client().await.ask(&metadata_of("new"), 9).await;
    assert_eq!(answer.topics[0].error_code, unknown);
}

#[tokio::test]
async fn topics_are_created_validated_and_refused_with_the_reason() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let topic = |name: &str| {
        CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
    };
    let config = |key: &str, value: &str| {
        CreatableTopicConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)))
    };
    let good = topic("good").with_configs(vec![config("retention.ms", "1000")]);
    let topics = vec![
        good.clone(),
        topic("twice"),
        topic("twice"),
        topic("a b"),
        topic("many").with_num_partitions(0),
        topic("copies").with_replication_factor(3),
        topic("typo").with_configs(vec![config("retention", "1")]),
    ];
    let request = CreateTopicsRequest::default().with_topics(topics);

    let dry = client.ask(&request.clone().with_validate_only(true), 7).await;
    let wet = client.ask(&request, 7).await;
    for answer in [dry, wet] {
        let codes: Vec<_> = answer
            .topics
            .iter()
            .map(|t| ErrorCode::from_code(t.error_code).unwrap())
            .collect();
        use ErrorCode::{
            InvalidConfig, InvalidPartitions, InvalidReplicationFactor, InvalidRequest,
            InvalidTopicException, None,
        };
        let expected = [
            None,
            InvalidRequest,
            InvalidRequest,
            InvalidTopicException,
            InvalidPartitions,
            InvalidReplicationFactor,
            InvalidConfig,
        ];
        assert_eq!(codes, expected);
        assert!(
            answer.topics[1..]
                .iter()
                .all(|topic| topic.error_message.is_some())
        );
        let configs = answer.topics[0].configs.as_ref().unwrap();
        let retention = configs.iter().find(|c| &*c.name == "retention.ms").unwrap();
        assert_eq!(
            (retention.value.as_deref(), retention.config_source),
            (Some("1000"), 1)
        );
        assert!(
            configs.iter().all(|c| [1, 5].contains(&c.config_source)),
            "sources that clients know"
        );
    }
    for version in 2..=7 {
        let again = client
            .ask(
                &CreateTopicsRequest::default().with_topics(vec![good.clone()]),
                version,
            )
            .await;
        assert_eq!(again.topics[0].error_code, ErrorCode::TopicAlreadyExists.code());
    }
}

#[tokio::test]
async fn topics_are_deleted_by_name_and_by_id() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for version in 1..=5 {
        client.create_topic("t", 1).await;
        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
        assert_eq!(client.ask(&request, version).await.responses[0].error_code, 0);
        let gone = client.ask(&request, version).await.responses[0].error_code;
        assert_eq!(gone, ErrorCode::UnknownTopicOrPartition.code());
    }
    client.create_topic("t", 1).await;
    let id = client.ask(&metadata_of("t"), 12).await.topics[0].topic_id;
    let by_id = DeleteTopicState::default().with_name(None).with_topic_id(id);
    let request = DeleteTopicsRequest::default().with_topics(vec![by_id]);
    let answer = client.ask(&request, 6).await;
    assert_eq!(
        (answer.responses[0].error_code, &answer.responses[0].name),
        (0, &Some(topic_name("t")))
    );
    let gone = client.ask(&request, 6).await.responses[0].error_code;
    assert_eq!(gone, ErrorCode::UnknownTopicId.code());
}

#[tokio::test]
async fn producer_ids_are_never_given_twice() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut ids = std::collections::HashSet::new();
    for version in 0..=5 {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let answer = client.ask(&request, version).await;
        assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
        assert!(ids.insert(answer.producer_id.0), "{ids:?}");
    }
}

#[tokio::test]
async fn the_cluster_describes_itself() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for version in 0..=2 {
        let answer = client.ask(&DescribeClusterRequest::default(), version).await;
        assert_eq!((answer.error_code, answer.brokers.len()), (0, 1));
        assert_eq!(answer.cluster_id.as_str(), server.broker.cluster_id().to_string());
    }
}

#[tokio::test]
async fn the_node_is_every_coordinator() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let port = i32::from(server.handle.local_addr().port());
    for version in 0..=6 {
        let request = match version {
            0..=3 => FindCoordinatorRequest::default().with_key(text("g")),
            _ => FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]),
        };
        let answer = client.ask(&request, version).await;
        let found = match version {
            0..=3 => (answer.error_code, answer.port),
            _ => (answer.coordinators[0].error_code, answer.coordinators[0].port),
        };
        assert_eq!(found, (0, port), "version {version}");
    }
}
