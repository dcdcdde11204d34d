use std::time::{Duration, Instant};

use millstream_protocol::{
    ErrorCode,
    batch::Compression,
    messages::{
        AlterClientQuotasRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
        DescribeClientQuotasRequest, StrBytes,
        alter_client_quotas_request::{EntityData, EntryData, OpData},
        create_partitions_request::CreatePartitionsTopic,
        create_topics_request::CreatableTopic,
        delete_topics_request::DeleteTopicState,
        describe_client_quotas_request::ComponentData,
        describe_client_quotas_response::EntryData as Described,
    },
};

use crate::{
    Server,
    client::{Client, topic_name, within},
    on_a_free_port,
    records::{ProduceRequest, batch, fetch, produce},
};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn entity(kind: &str, name: Option<&str>) -> EntityData {
    EntityData::default()
        .with_entity_type(text(kind))
        .with_entity_name(name.map(text))
}

fn set(entity: EntityData, key: &str, value: f64) -> AlterClientQuotasRequest {
    let op = OpData::default().with_key(text(key)).with_value(value);
    let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![op]);
    AlterClientQuotasRequest::default().with_entries(vec![entry])
}

async fn alter(client: &mut Client, request: &AlterClientQuotasRequest) -> i16 {
    client.ask(request, 1).await.entries[0].error_code
}

async fn describe(client: &mut Client, components: Vec<ComponentData>) -> Vec<Described> {
    let request = DescribeClientQuotasRequest::default().with_components(components);
    let answer = client.ask(&request, 1).await;
    assert_eq!(answer.error_code, 0);
    answer.entries.unwrap()
}

#[tokio::test]
async fn limits_are_set_described_and_removed_and_nonsense_is_refused() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let of_app = set(entity("client-id", Some("app")), "producer_byte_rate", 1e6);
    assert_eq!(alter(&mut client, &of_app).await, 0);
    let of_all = set(entity("user", None), "request_percentage", 50.0);
    assert_eq!(
        alter(&mut client, &of_all.clone().with_validate_only(true)).await,
        0
    );
    assert_eq!(describe(&mut client, Vec::new()).await.len(), 1);
    assert_eq!(alter(&mut client, &of_all).await, 0);

    let exact = ComponentData::default()
        .with_entity_type(text("client-id"))
        .with_match_type(0)
        .with_match(Some(text("app")));
    let found = describe(&mut client, vec![exact]).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].values[0].key.as_str(), "producer_byte_rate");
    assert_eq!(found[0].values[0].value, 1e6);
    let default = ComponentData::default()
        .with_entity_type(text("user"))
        .with_match_type(1)
        .with_match(None);
    let found = describe(&mut client, vec![default]).await;
    assert_eq!((found.len(), found[0].entity[0].entity_name.clone()), (1, None));

    for nonsense in [
        set(entity("planet", None), "producer_byte_rate", 1.0),
        set(entity("user", None), "bananas", 1.0),
        set(entity("user", None), "producer_byte_rate", -1.0),
        set(entity("user", None), "producer_byte_rate", f64::NAN),
        set(entity("user", Some("")), "producer_byte_rate", 1.0),
    ] {
        assert_eq!(
            alter(&mut client, &nonsense).await,
            ErrorCode::InvalidRequest.code()
        );
    }
    let mut removal = of_app;
    removal.entries[0].ops[0].remove = true;
    assert_eq!(alter(&mut client, &removal).await, 0);
    assert_eq!(describe(&mut client, Vec::new()).await.len(), 1);
}

#[tokio::test]
async fn limits_outlive_a_restart_and_hold_after_it() {
    let mut server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 1).await;
    let limit = set(entity("client-id", Some("test")), "producer_byte_rate", 10_000.0);
    assert_eq!(alter(&mut client, &limit).await, 0);
    let gone = set(entity("user", None), "request_percentage", 50.0);
    assert_eq!(alter(&mut client, &gone).await, 0);
    let mut removal = gone;
    removal.entries[0].ops[0].remove = true;
    assert_eq!(alter(&mut client, &removal).await, 0);

    server.restart().await;
    let mut client = server.client().await;
    let found = describe(&mut client, Vec::new()).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].values[0].value, 10_000.0);
    let much = batch(&[&"x".repeat(150_000)], Compression::None);
    let answer = client.ask::<ProduceRequest>(&produce("t", 0, much), 9).await;
    assert!(answer.throttle_time_ms > 0, "{answer:?}");
}

#[tokio::test]
async fn a_producer_that_is_too_fast_is_answered_at_once_and_then_not_read() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 1).await;
    // 10 seconds pass for free at the beginning.
    let limit = set(entity("client-id", Some("test")), "producer_byte_rate", 10_000.0);
    assert_eq!(alter(&mut client, &limit).await, 0);
    let much = batch(&[&"x".repeat(105_000)], Compression::None);
    let began = Instant::now();
    let answer = client
        .ask::<ProduceRequest>(&produce("t", 0, much.clone()), 9)
        .await;
    let throttle = Duration::from_millis(u64::try_from(answer.throttle_time_ms).unwrap());
    assert_eq!(
        answer.responses[0].partition_responses[0].error_code, 0,
        "it is written all the same"
    );
    assert!(
        throttle > Duration::from_millis(300) && throttle < Duration::from_secs(2),
        "{throttle:?}"
    );
    assert!(began.elapsed() < throttle, "the answer does not wait");

    // Other clients of the same id share the limit, and each learns it by itself.
    let mut other = server.client().await;
    assert!(
        other.ask(&fetch("t", 0, 0, 0), 12).await.throttle_time_ms == 0,
        "reading is another limit"
    );
    client.ask(&fetch("t", 0, 0, 0), 12).await;
    assert!(began.elapsed() >= throttle, "the connection was mute");
}

#[tokio::test]
async fn a_consumer_that_is_too_fast_gets_its_records_later() {
    let server = Server::start_as(on_a_free_port(), &[("quota.window.num", "3")]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1).await;
    for _ in 0..3 {
        let records = batch(&[&"x".repeat(50_000)], Compression::None);
        client.ask::<ProduceRequest>(&produce("t", 0, records), 9).await;
    }
    let limit = set(entity("user", Some("ANONYMOUS")), "consumer_byte_rate", 40_000.0);
    assert_eq!(alter(&mut client, &limit).await, 0);
    let mut bytes = 0;
    let mut throttled = 0;
    within(async {
        while bytes < 150_000 {
            let offset = i64::from(bytes / 50_000);
            let answer = client.ask(&fetch("t", 0, offset, 0), 12).await;
            let records = answer.responses.iter().flat_map(|topic| &topic.partitions);
            let read: usize = records
                .map(|p| p.records.as_ref().map_or(0, |records| records.len()))
                .sum();
            assert_eq!(
                read == 0,
                answer.throttle_time_ms > 0,
                "either records or a pause"
            );
            throttled += i32::from(read == 0);
            bytes += i32::try_from(read).unwrap();
        }
    })
    .await;
    assert!(throttled > 0);
}

#[tokio::test]
async fn whole_numbers_and_addresses_are_asked_for() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let of_address = |name| set(entity("ip", name), "connection_creation_rate", 100.0);
    assert_eq!(alter(&mut client, &of_address(Some("10.0.0.1"))).await, 0);
    assert_eq!(alter(&mut client, &of_address(None)).await, 0);
    let asked = ComponentData::default()
        .with_entity_type(text("ip"))
        .with_match_type(2)
        .with_match(None);
    assert_eq!(describe(&mut client, vec![asked]).await.len(), 2);
    let mut mixed = of_address(Some("10.0.0.1"));
    mixed.entries[0].entity.push(entity("user", None));
    for nonsense in [
        mixed,
        of_address(Some("here")),
        set(entity("ip", None), "producer_byte_rate", 1.0),
        set(entity("user", None), "connection_creation_rate", 1.0),
        set(entity("ip", None), "connection_creation_rate", 1.5),
    ] {
        let code = alter(&mut client, &nonsense).await;
        assert_eq!(code, ErrorCode::InvalidRequest.code(), "{nonsense:?}");
    }
    let half = set(entity("user", None), "controller_mutation_rate", 0.5);
    assert_eq!(alter(&mut client, &half).await, 0);
}

#[tokio::test]
async fn who_makes_topics_too_fast_is_refused_or_paused_by_its_version() {
    let server = Server::start().await;
    let mut client = server.client().await;
    // 22 partitions at once, then 2 per second.
    let limit = set(entity("client-id", Some("test")), "controller_mutation_rate", 2.0);
    assert_eq!(alter(&mut client, &limit).await, 0);
    let make = |name: &str, partitions| {
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1);
        CreateTopicsRequest::default().with_topics(vec![topic])
    };
    let validated = make("a", 100).with_validate_only(true);
    assert_eq!(
        client.ask(&validated, 7).await.throttle_time_ms,
        0,
        "nothing was made"
    );
    let first = client.ask(&make("a", 20), 7).await;
    assert_eq!((first.topics[0].error_code, first.throttle_time_ms), (0, 0));
    // Another connection of the same client: this one would be mute.
    let mut other = server.client().await;
    let last = other.ask(&make("b", 6), 7).await;
    assert_eq!(last.topics[0].error_code, 0, "the last of the burst");
    assert!(last.throttle_time_ms > 0);
    let mut other = server.client().await;
    let refused = other.ask(&make("c", 1), 6).await;
    assert_eq!(
        refused.topics[0].error_code,
        ErrorCode::ThrottlingQuotaExceeded.code()
    );
    assert!(refused.throttle_time_ms > 0);
    assert!(server.broker.storage().topic(&"c".parse().unwrap()).is_none());
    let mut other = server.client().await;
    let permissive = other.ask(&make("c", 1), 5).await;
    assert_eq!(permissive.topics[0].error_code, 0, "an old client only pauses");
    assert!(permissive.throttle_time_ms > 0);
    let mut other = server.client().await;
    let state = DeleteTopicState::default().with_name(Some(topic_name("a")));
    let delete = DeleteTopicsRequest::default().with_topics(vec![state]);
    let refused = other.ask(&delete, 6).await;
    assert_eq!(
        refused.responses[0].error_code,
        ErrorCode::ThrottlingQuotaExceeded.code()
    );
    let grow = CreatePartitionsTopic::default()
        .with_name(topic_name("b"))
        .with_count(7)
        .with_assignments(None);
    let grow = CreatePartitionsRequest::default().with_topics(vec![grow]);
    let mut other = server.client().await;
    let refused = other.ask(&grow, 3).await;
    assert_eq!(
        refused.results[0].error_code,
        ErrorCode::ThrottlingQuotaExceeded.code()
    );
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_turned_away() {
    let settings = [("quota.window.num", "2")];
    let server = Server::start_as(on_a_free_port(), &settings).await;
    let mut client = server.client().await;
    let limit = set(entity("ip", Some("127.0.0.1")), "connection_creation_rate", 3.0);
    assert_eq!(alter(&mut client, &limit).await, 0);
    let mut closed = 0;
    for _ in 0..8 {
        let mut next = server.client().await;
        let id = next.send(&DescribeClientQuotasRequest::default(), 1).await;
        match next.frame().await {
            Some(_) => assert!(id > 0),
            None => closed += 1,
        }
    }
    assert!((1..8).contains(&closed), "{closed} of 8");
    // Other connections of it go on.
    assert_eq!(describe(&mut client, Vec::new()).await.len(), 1);
}

#[tokio::test]
async fn a_broker_takes_no_more_connections_than_its_rate_and_loses_none() {
    let settings = [("max.connection.creation.rate", "20"), ("quota.window.num", "2")];
    let server = Server::start_as(on_a_free_port(), &settings).await;
    let began = Instant::now();
    for _ in 0..30 {
        let mut client = server.client().await;
        assert_eq!(describe(&mut client, Vec::new()).await.len(), 0);
    }
    assert!(
        began.elapsed() >= Duration::from_millis(400),
        "20 at once, 10 by the rate"
    );
}
