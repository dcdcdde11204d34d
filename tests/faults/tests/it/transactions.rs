use std::time::Duration;

use bytes::Bytes;
use millstream_protocol::{
    ErrorCode,
    batch::{BatchBuilder, Compression},
    messages::{
        EndTxnRequest, InitProducerIdRequest, ProduceRequest, StrBytes, TransactionalId,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
};
use millstream_tests_kit::{Client, Process, TempDir, topic_name};
use millstream_types::{Producer, ProducerEpoch, ProducerId, Timestamp};
use rand::Rng;
use serde_json::Value;

use crate::{
    broker::Broker,
    machine::{python, rounds, script, seeded, stdout_of, until},
};

const PARTITIONS: i32 = 4;

#[test]
fn transactions_over_partitions_are_whole_after_kill_9() {
    let Some(python) = python() else { return };
    let mut random = seeded("transactions");
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let notes = TempDir::with_prefix("millstream-faults-").unwrap();
    let journal = notes.path().join("journal");
    let mut broker = Broker::start(dir.path());
    broker.client().create_topics(&["whole".into()], PARTITIONS);
    let run = format!("{:08x}", rand::random::<u32>());
    let args = [
        broker.address().to_string(),
        "whole".into(),
        PARTITIONS.to_string(),
    ];
    let mut command = script(&python, "transact.py");
    command.args(&args).arg(&journal).arg(&run);
    let mut load = Process::spawn(command).unwrap();
    let total =
        |broker: &Broker| -> i64 { broker.client().high_watermarks("whole", PARTITIONS).iter().sum() };
    for _ in rounds(8) {
        let before = total(&broker);
        until("transactions go on", Duration::from_secs(60), || {
            total(&broker) > before + 20
        });
        let ended = load
            .wait(Duration::from_millis(random.random_range(0..400)))
            .unwrap();
        assert_eq!(ended, None, "{}", load.stderr());
        broker.kill();
        broker.restart();
    }
    load.terminate().unwrap();
    load.finish(Duration::from_secs(120)).unwrap();
    println!("{}", load.stdout());

    let mut check = script(&python, "check_transactions.py");
    let said = stdout_of(check.args(&args).arg(&journal).arg(&run));
    println!("{said}");
    let counts: Value = serde_json::from_str(said.trim()).unwrap();
    for name in ["torn", "lost", "raised", "dup", "phantom"] {
        assert_eq!(counts[name], 0, "{name}: {counts}");
    }
    assert!(
        counts["committed"].as_u64() > Some(10) && counts["aborted"].as_u64() > Some(1),
        "{counts}"
    );
    let mut client = broker.client();
    let ends = client.high_watermarks("whole", PARTITIONS);
    assert_eq!(
        client.last_stable_offsets("whole", PARTITIONS),
        ends,
        "nothing is left open"
    );
}

/// The flaw of the protocol that Jepsen found in every system that speaks it, cured by KIP-890 part 2: each transaction
/// has an epoch of its own.
#[test]
fn delayed_requests_of_an_earlier_transaction_are_refused() {
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let broker = Broker::start(dir.path());
    let mut client = broker.client();
    client.create_topics(&["t".into()], 1);
    let first = init(&mut client);
    assert_eq!(produce(&mut client, first, 0), 0);
    let (code, second) = end(&mut client, first, true);
    assert_eq!(code, 0);
    assert!(second.epoch > first.epoch, "{second:?}");

    assert_eq!(produce(&mut client, second, 0), 0);
    let fenced = [
        ErrorCode::InvalidProducerEpoch.code(),
        ErrorCode::ProducerFenced.code(),
    ];
    for commit in [true, false] {
        // the other outcome than that of the first transaction can be no retry; the same is answered at most as one
        let (code, told) = end(&mut client, first, commit);
        assert!(
            fenced.contains(&code) || (commit && code == 0 && told == second),
            "{code} {told:?}"
        );
    }
    let late = produce(&mut client, first, 1);
    assert!(fenced.contains(&late), "a late batch is refused: {late}");
    let open = (client.last_stable_offsets("t", 1), client.high_watermarks("t", 1));
    assert_ne!(open.0, open.1, "the second transaction is still open");
    let (code, _) = end(&mut client, second, true);
    assert_eq!(code, 0);
    assert_eq!(client.last_stable_offsets("t", 1), client.high_watermarks("t", 1));
}

fn id() -> TransactionalId {
    TransactionalId(StrBytes::from_static_str("delayed"))
}

fn init(client: &mut Client) -> Producer {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(id()))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let answer = client.ask(&request, 5);
    assert_eq!(answer.error_code, 0);
    Producer {
        id: ProducerId(answer.producer_id.0),
        epoch: ProducerEpoch(answer.producer_epoch),
    }
}

/// A batch that adds its partition to the transaction by itself (Produce v12).
fn produce(client: &mut Client, producer: Producer, sequence: i32) -> i16 {
    let mut batch = BatchBuilder::new(Compression::None)
        .producer(producer, sequence)
        .transactional();
    batch.push_parts(Timestamp(1_000), None, Some(b"x"), &[]);
    let batch: Bytes = batch.build().unwrap();
    let data = PartitionProduceData::default().with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(topic_name("t"))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_transactional_id(Some(id()))
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic]);
    client.ask(&request, 12).responses[0].partition_responses[0].error_code
}

/// The error, and the producer of the next transaction.
fn end(client: &mut Client, producer: Producer, commit: bool) -> (i16, Producer) {
    let request = EndTxnRequest::default()
        .with_transactional_id(id())
        .with_producer_id(producer.id.0.into())
        .with_producer_epoch(producer.epoch.0)
        .with_committed(commit);
    let answer = client.ask(&request, 5);
    let next = Producer {
        id: ProducerId(answer.producer_id.0),
        epoch: ProducerEpoch(answer.producer_epoch),
    };
    (answer.error_code, next)
}
