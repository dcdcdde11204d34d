use millstream_protocol::{
    batch::{BatchBuilder, Compression},
    messages::{
        AddPartitionsToTxnRequest, InitProducerIdRequest, ProduceRequest, StrBytes,
        add_partitions_to_txn_request::AddPartitionsToTxnTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
};
use millstream_types::{Producer, ProducerEpoch, ProducerId, Timestamp};
use serde_json::json;

use crate::{
    kafka::Kafka,
    support::{Workplace, finish},
};

/// One record of an open transaction.
fn transactional(topic: &'static str, producer: i64, epoch: i16) -> ProduceRequest {
    let producer = Producer {
        id: ProducerId(producer),
        epoch: ProducerEpoch(epoch),
    };
    let mut batch = BatchBuilder::new(Compression::None)
        .producer(producer, 0)
        .transactional();
    batch.push_parts(Timestamp(1_000), None, Some(b"open"), &[]);
    let data = PartitionProduceData::default().with_records(Some(batch.build().unwrap()));
    let data = TopicProduceData::default()
        .with_name(StrBytes::from_static_str(topic).into())
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_transactional_id(Some(StrBytes::from_static_str("copier").into()))
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![data])
}

#[tokio::test]
async fn an_open_transaction_is_found_and_aborted() {
    let place = Workplace::new();
    let mut server = place.start("broker serve --data-dir state --listen 127.0.0.1:0 --log-level warn");
    let address = place.listening("state").await;
    let target = format!("--bootstrap {address}");
    place.ok(&format!("topic create t {target}")).await;
    assert_eq!(place.json(&format!("transaction list {target}")).await, json!([]));

    let mut producer = Kafka::connect(&address).await;
    let id = StrBytes::from_static_str("copier");
    let init = InitProducerIdRequest::default()
        .with_transactional_id(Some(id.clone().into()))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let begun = producer.call(&init, 4).await;
    assert_eq!(begun.error_code, 0, "{begun:?}");
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(StrBytes::from_static_str("t").into())
        .with_partitions(vec![0]);
    let add = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id.into())
        .with_v3_and_below_producer_id(begun.producer_id)
        .with_v3_and_below_producer_epoch(begun.producer_epoch)
        .with_v3_and_below_topics(vec![topic]);
    let added = producer.call(&add, 3).await;
    assert_eq!(
        added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code,
        0
    );

    let listed = place
        .json(&format!("transaction list --state Ongoing {target}"))
        .await;
    assert_eq!(
        (&listed[0]["transactional_id"], &listed[0]["partitions"]),
        (&json!("copier"), &json!({"t": [0]}))
    );
    assert_eq!(
        place
            .json(&format!("transaction list --running-for 1h {target}"))
            .await,
        json!([])
    );
    let described = place.ok(&format!("transaction describe copier {target}")).await;
    assert!(
        described.contains("Ongoing") && described.contains("open since"),
        "{described}"
    );
    // Its coordinator knows of it, so it does not hang.
    assert_eq!(
        place.json(&format!("transaction list --hanging {target}")).await,
        json!([])
    );

    // By its place in the log, as one would that no coordinator knows.
    let produce = transactional("t", begun.producer_id.0, begun.producer_epoch);
    let written = producer.call(&produce, 9).await;
    let written = &written.responses[0].partition_responses[0];
    assert_eq!((written.error_code, written.base_offset), (0, 0));
    let at = format!("transaction abort --topic t --partition 0 --start-offset 0 {target}");
    place.ok(&at).await;
    place
        .run(&at)
        .await
        .assert_fails(1, &["error: ", "no open transaction"]);

    place.ok(&format!("transaction abort copier {target}")).await;
    let described = place.json(&format!("transaction describe copier {target}")).await;
    assert_eq!(described["started_at_ms"], json!(null));
    assert_ne!(described["state"], "Ongoing");
    // The producer that had it is fenced.
    let fenced = producer.call(&add, 3).await;
    assert_ne!(
        fenced.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code,
        0
    );
    for (line, wanted) in [
        ("transaction abort copier", "has no open transaction"),
        ("transaction abort nobody", "TRANSACTIONAL_ID_NOT_FOUND"),
        (
            "transaction abort --topic t --partition 0 --start-offset 7",
            "no open transaction",
        ),
        ("transaction list --state Flying", "Flying"),
    ] {
        place
            .run(&format!("{line} {target}"))
            .await
            .assert_fails(1, &["error: ", wanted]);
    }
    place.signal(&mut server, "TERM").await;
    assert_eq!(finish(server).await.code, Some(0));
}
