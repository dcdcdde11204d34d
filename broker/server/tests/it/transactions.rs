use millstream_protocol::{
    ErrorCode,
    batch::{BatchBuilder, Compression},
    messages::{
        AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiVersionsRequest, ConsumerGroupHeartbeatRequest,
        DescribeProducersRequest, DescribeTransactionsRequest, EndTxnRequest, EndTxnResponse, GroupId,
        InitProducerIdRequest, ListTransactionsRequest, StrBytes, TransactionalId, TxnOffsetCommitRequest,
        UpdateFeaturesRequest, WriteTxnMarkersRequest,
        add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
        describe_producers_request::TopicRequest,
        describe_transactions_response::TransactionState,
        txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
        update_features_request::FeatureUpdateKey,
        write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic},
    },
};
use millstream_types::{Offset, Producer, ProducerEpoch, ProducerId, Timestamp, TopicPartition};

use crate::{
    Server,
    client::{Client, topic_name},
    records,
};

const FENCED: i16 = ErrorCode::ProducerFenced as i16;
const INVALID_EPOCH: i16 = ErrorCode::InvalidProducerEpoch as i16;
const INVALID_STATE: i16 = ErrorCode::InvalidTxnState as i16;
const ABORTABLE: i16 = ErrorCode::TransactionAbortable as i16;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn id() -> TransactionalId {
    TransactionalId(text("tx"))
}

fn wire(id: ProducerId) -> millstream_protocol::messages::ProducerId {
    millstream_protocol::messages::ProducerId(id.0)
}

async fn begin(client: &mut Client, version: i16) -> Producer {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(id()))
        .with_transaction_timeout_ms(60_000);
    let answer = client.ask(&request, version).await;
    assert_eq!(answer.error_code, 0);
    Producer {
        id: ProducerId(answer.producer_id.0),
        epoch: ProducerEpoch(answer.producer_epoch),
    }
}

fn topics() -> Vec<AddPartitionsToTxnTopic> {
    let topic = AddPartitionsToTxnTopic::default().with_name(topic_name("t"));
    vec![topic.with_partitions(vec![0])]
}

async fn add(client: &mut Client, by: Producer, version: i16) -> i16 {
    if version >= 4 {
        return add_many(client, by, version, false).await;
    }
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id())
        .with_v3_and_below_producer_id(wire(by.id))
        .with_v3_and_below_producer_epoch(by.epoch.0)
        .with_v3_and_below_topics(topics());
    let answer = client.ask(&request, version).await;
    answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
}

async fn add_many(client: &mut Client, by: Producer, version: i16, verify_only: bool) -> i16 {
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(id())
        .with_producer_id(wire(by.id))
        .with_producer_epoch(by.epoch.0)
        .with_verify_only(verify_only)
        .with_topics(topics());
    let request = AddPartitionsToTxnRequest::default().with_transactions(vec![transaction]);
    let answer = client.ask(&request, version).await;
    answer.results_by_transaction[0].topic_results[0].results_by_partition[0].partition_error_code
}

async fn add_offsets(client: &mut Client, by: Producer, version: i16) -> i16 {
    let request = AddOffsetsToTxnRequest::default()
        .with_transactional_id(id())
        .with_producer_id(wire(by.id))
        .with_producer_epoch(by.epoch.0)
        .with_group_id(GroupId(text("g")));
    client.ask(&request, version).await.error_code
}

async fn commit_offset(client: &mut Client, by: Producer, version: i16, offset: i64) -> i16 {
    commit_offset_as(client, by, version, offset, ("", -1)).await
}

/// In the name of a member in a generation.
async fn commit_offset_as(
    client: &mut Client,
    by: Producer,
    version: i16,
    offset: i64,
    (member, generation): (&str, i32),
) -> i16 {
    let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(id())
        .with_group_id(GroupId(text("g")))
        .with_member_id(text(member))
        .with_generation_id(generation)
        .with_producer_id(wire(by.id))
        .with_producer_epoch(by.epoch.0)
        .with_topics(vec![topic]);
    let answer = client.ask(&request, version).await;
    answer.topics[0].partitions[0].error_code
}

async fn end(client: &mut Client, by: Producer, version: i16, committed: bool) -> EndTxnResponse {
    let request = EndTxnRequest::default()
        .with_transactional_id(id())
        .with_producer_id(wire(by.id))
        .with_producer_epoch(by.epoch.0)
        .with_committed(committed);
    client.ask(&request, version).await
}

async fn write(client: &mut Client, by: Producer, sequence: i32, version: i16) -> i16 {
    let mut batch = BatchBuilder::new(Compression::None)
        .producer(by, sequence)
        .transactional();
    batch.push_parts(Timestamp(1_000), None, Some(b"x"), &[]);
    let mut request = records::produce("t", 0, batch.build().unwrap()).with_transactional_id(Some(id()));
    if version >= 13 {
        let asked = client.ask(&records::metadata("t"), 12).await;
        request.topic_data[0].topic_id = asked.topics[0].topic_id;
        request.topic_data[0].name = topic_name("");
    }
    let answer = client.ask(&request, version).await;
    answer.responses[0].partition_responses[0].error_code
}

async fn describe(client: &mut Client) -> TransactionState {
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id()]);
    client.ask(&request, 0).await.transaction_states[0].clone()
}

fn stable(server: &Server) -> i64 {
    let ends = server.broker.storage().offsets(&partition()).unwrap();
    ends.last_stable.0
}

fn partition() -> TopicPartition {
    TopicPartition::new("t".parse().unwrap(), 0)
}

async fn server_with_topic() -> (Server, Client) {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 1).await;
    (server, client)
}

#[tokio::test]
async fn a_client_of_the_first_version_commits_in_every_version_of_its_requests() {
    let (server, mut client) = server_with_topic().await;
    for (version, [init, add_to, offsets, commit, end_with, produce]) in [
        [0, 0, 0, 0, 0, 3],
        [1, 1, 1, 1, 1, 7],
        [2, 2, 2, 2, 2, 9],
        [4, 3, 3, 3, 3, 11],
        [5, 4, 4, 4, 4, 11],
    ]
    .into_iter()
    .enumerate()
    {
        let me = begin(&mut client, init).await;
        // Clients that know the code for it abort, and go on.
        let told_since = |since: i16, version: i16| if version < since { INVALID_STATE } else { ABORTABLE };
        assert_eq!(
            write(&mut client, me, 0, produce).await,
            told_since(11, produce),
            "not added yet"
        );
        assert_eq!(add(&mut client, me, add_to).await, 0, "{version}");
        assert_eq!(write(&mut client, me, 0, produce).await, 0);
        assert_eq!(
            commit_offset(&mut client, me, commit, 7).await,
            told_since(4, commit)
        );
        assert_eq!(add_offsets(&mut client, me, offsets).await, 0);
        assert_eq!(commit_offset(&mut client, me, commit, 7).await, 0);
        assert_eq!(end(&mut client, me, end_with, true).await.error_code, 0);
        assert_eq!(end(&mut client, me, end_with, true).await.error_code, 0, "again");
        assert_eq!(
            end(&mut client, me, end_with, false).await.error_code,
            INVALID_STATE
        );
        let ends = server.broker.storage().offsets(&partition()).unwrap();
        assert_eq!(ends.last_stable, ends.high_watermark);
        let next = begin(&mut client, init).await;
        let code = if end_with < 2 { INVALID_EPOCH } else { FENCED };
        assert_eq!(end(&mut client, me, end_with, true).await.error_code, code);
        assert!(next > me);
    }
    let group = millstream_types::GroupId::new("g");
    let committed = server.broker.committed(&group, &partition()).unwrap();
    assert_eq!(committed.offset, Offset(7));
}

#[tokio::test]
async fn a_client_of_the_second_version_cannot_be_overtaken_by_its_own_past() {
    let (server, mut client) = server_with_topic().await;
    let features = client.ask(&ApiVersionsRequest::default(), 4).await;
    let level = |name: &str| {
        let mut all = features.finalized_features.iter();
        all.find(|f| f.name.as_str() == name).map(|f| f.max_version_level)
    };
    assert_eq!(level("transaction.version"), Some(2));
    assert!(features.finalized_features_epoch >= 0);

    let first = begin(&mut client, 5).await;
    assert_eq!(
        write(&mut client, first, 0, 12).await,
        0,
        "the batch adds its partition"
    );
    assert_eq!(
        commit_offset(&mut client, first, 5, 3).await,
        0,
        "and this the group"
    );
    assert_eq!(stable(&server), 0);
    let ended = end(&mut client, first, 5, true).await;
    assert_eq!((ended.error_code, ended.producer_id), (0, wire(first.id)));
    let second = Producer {
        epoch: ProducerEpoch(ended.producer_epoch),
        ..first
    };
    assert_eq!(second.epoch.0, first.epoch.0 + 1);
    assert_eq!(stable(&server), 2);

    // What was under way of the first transaction.
    assert_eq!(write(&mut client, first, 1, 12).await, INVALID_EPOCH);
    assert_eq!(commit_offset(&mut client, first, 5, 9).await, INVALID_EPOCH);
    assert_eq!(write(&mut client, second, 0, 13).await, 0);
    assert_eq!(end(&mut client, first, 5, true).await.error_code, FENCED);
    assert_eq!(stable(&server), 2, "it did not end the second");
    let ended = end(&mut client, second, 5, false).await;
    let third = Producer {
        epoch: ProducerEpoch(ended.producer_epoch),
        ..first
    };
    let again = end(&mut client, second, 5, false).await;
    assert_eq!((again.error_code, again.producer_epoch), (0, third.epoch.0));
    assert_eq!(end(&mut client, third, 5, true).await.error_code, INVALID_STATE);
    assert_eq!(stable(&server), 4);
}

#[tokio::test]
async fn transactions_are_listed_and_described() {
    let (_server, mut client) = server_with_topic().await;
    let unknown = describe(&mut client).await;
    assert_eq!(unknown.error_code, ErrorCode::TransactionalIdNotFound.code());
    let me = begin(&mut client, 4).await;
    assert_eq!(describe(&mut client).await.transaction_state.as_str(), "Empty");
    assert_eq!(
        add_many(&mut client, me, 5, true).await,
        ErrorCode::TransactionAbortable.code()
    );
    assert_eq!(add_many(&mut client, me, 4, true).await, INVALID_STATE);
    assert_eq!(add(&mut client, me, 4).await, 0);
    assert_eq!(add_many(&mut client, me, 5, true).await, 0);
    let found = describe(&mut client).await;
    assert_eq!(found.transaction_state.as_str(), "Ongoing");
    assert_eq!(
        (found.producer_id, found.transaction_timeout_ms),
        (wire(me.id), 60_000)
    );
    assert_eq!(found.topics[0].partitions, [0]);

    let all = ListTransactionsRequest::default().with_duration_filter(-1);
    let count =
        |answer: millstream_protocol::messages::ListTransactionsResponse| answer.transaction_states.len();
    for version in 0..=2 {
        assert_eq!(count(client.ask(&all, version).await), 1);
    }
    let by_state = |states: &[&str]| {
        all.clone()
            .with_state_filters(states.iter().map(|state| text(state)).collect())
    };
    assert_eq!(count(client.ask(&by_state(&["Ongoing"]), 0).await), 1);
    let strange = client.ask(&by_state(&["CompleteAbort", "Strange"]), 0).await;
    assert_eq!(strange.unknown_state_filters, [text("Strange")]);
    assert_eq!(count(strange), 0);
    let older = all.clone().with_duration_filter(3_600_000);
    assert_eq!(count(client.ask(&older, 1).await), 0);
    let like = |pattern: &str| all.clone().with_transactional_id_pattern(Some(text(pattern)));
    assert_eq!(count(client.ask(&like("t."), 2).await), 1);
    assert_eq!(count(client.ask(&like("t"), 2).await), 0);
    let broken = client.ask(&like("t("), 2).await.error_code;
    assert_eq!(broken, ErrorCode::InvalidRegularExpression.code());
}

#[tokio::test]
async fn a_hanging_transaction_is_found_and_ended_by_hand() {
    let (server, mut client) = server_with_topic().await;
    let me = begin(&mut client, 4).await;
    assert_eq!(add(&mut client, me, 3).await, 0);
    assert_eq!(write(&mut client, me, 0, 11).await, 0);
    let topic = TopicRequest::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0, 7]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic]);
    let answer = client.ask(&request, 0).await;
    let producer = &answer.topics[0].partitions[0].active_producers[0];
    assert_eq!(
        (producer.producer_id, producer.current_txn_start_offset),
        (wire(me.id), 0)
    );
    let missing = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(answer.topics[0].partitions[1].error_code, missing);

    let topic = WritableTxnMarkerTopic::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0, 7]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(wire(me.id))
        .with_producer_epoch(me.epoch.0)
        .with_transaction_result(false)
        .with_topics(vec![topic]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let answer = client.ask(&request, 1).await;
    let codes: Vec<_> = answer.markers[0].topics[0]
        .partitions
        .iter()
        .map(|p| p.error_code)
        .collect();
    assert_eq!(codes, [0, missing]);
    assert_eq!(stable(&server), 2);
}

#[tokio::test]
async fn unusable_producers_and_features_are_refused() {
    let (_server, mut client) = server_with_topic().await;
    let request = InitProducerIdRequest::default().with_transactional_id(Some(id()));
    let init = |timeout: i32| request.clone().with_transaction_timeout_ms(timeout);
    let timeout = ErrorCode::InvalidTransactionTimeout.code();
    for wrong in [0, 900_001] {
        assert_eq!(client.ask(&init(wrong), 4).await.error_code, timeout);
    }
    let nameless = init(1000).with_transactional_id(Some(TransactionalId(text(""))));
    let invalid = ErrorCode::InvalidRequest.code();
    assert_eq!(client.ask(&nameless, 4).await.error_code, invalid);
    let half = init(1000).with_producer_epoch(3);
    assert_eq!(client.ask(&half, 4).await.error_code, invalid);
    let me = begin(&mut client, 4).await;
    let stranger = Producer {
        id: ProducerId(me.id.0 + 1000),
        ..me
    };
    let mapping = ErrorCode::InvalidProducerIdMapping.code();
    assert_eq!(add(&mut client, stranger, 3).await, mapping);
    assert_eq!(write(&mut client, stranger, 0, 12).await, mapping);
    assert_eq!(end(&mut client, stranger, 5, true).await.error_code, mapping);

    for version in 0..=2 {
        let level = |level: i16| {
            let update = FeatureUpdateKey::default()
                .with_feature(text("transaction.version"))
                .with_max_version_level(level);
            UpdateFeaturesRequest::default().with_feature_updates(vec![update])
        };
        let same = client.ask(&level(2), version).await;
        assert_eq!(same.error_code, 0);
        let lower = client.ask(&level(1), version).await;
        let refused = ErrorCode::InvalidUpdateVersion.code();
        let code = lower
            .results
            .first()
            .map_or(lower.error_code, |result| result.error_code);
        assert_eq!(code, refused, "version {version}");
    }
}

/// Consume, transform, produce (KIP-447): who is no member any more must not move the place of who is.
#[tokio::test]
async fn offsets_of_a_transaction_come_from_members_or_from_nobody_in_particular() {
    let (server, mut client) = server_with_topic().await;
    let joining = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_member_id(text("m"))
        .with_rebalance_timeout_ms(30_000)
        .with_subscribed_topic_names(Some(vec![topic_name("t")]))
        .with_topic_partitions(Some(Vec::new()));
    let joined = client.ask(&joining, 1).await;
    assert_eq!((joined.error_code, joined.member_epoch), (0, 1));
    let me = begin(&mut client, 4).await;
    for version in [3, 5] {
        assert_eq!(add_offsets(&mut client, me, 3).await, 0);
        for (member, offset, expected) in [
            (("m", 1), 7, ErrorCode::None),
            (("m", 2), 9, ErrorCode::IllegalGeneration),
            (("m", 0), 9, ErrorCode::IllegalGeneration),
            (("x", 1), 9, ErrorCode::UnknownMemberId),
        ] {
            let told = commit_offset_as(&mut client, me, version, offset, member).await;
            assert_eq!(told, expected.code(), "{member:?} with version {version}");
        }
    }
    assert_eq!(end(&mut client, me, 3, true).await.error_code, 0);
    let group = millstream_types::GroupId::new("g");
    let committed = || server.broker.committed(&group, &partition()).unwrap().offset;
    assert_eq!(committed(), Offset(7), "what was refused is not committed either");

    assert_eq!(add_offsets(&mut client, me, 3).await, 0);
    assert_eq!(
        commit_offset(&mut client, me, 3, 8).await,
        0,
        "clients that know of no members"
    );
    assert_eq!(end(&mut client, me, 3, true).await.error_code, 0);
    assert_eq!(committed(), Offset(8));
}
