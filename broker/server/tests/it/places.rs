//! `queued.max.requests`: how many requests are worked on at the same time.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use futures::poll;
use millstream_broker_server::{Broker, BrokerConfig, BrokerSettings, Loopback};
use millstream_broker_storage::{Drive, NewTopicSpec, StorageConfig, sim::SimDisk};
use millstream_protocol::{
    batch::Compression,
    messages::{MetadataRequest, Request},
};
use millstream_tests_kit::request_frame;
use millstream_types::{ManualClock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::records::{batch, produce};

/// A broker that writes when it is told to, and has room for one request in the queue to its disk.
async fn broker(places: &str) -> Arc<Broker> {
    let config = BrokerConfig {
        storage: StorageConfig {
            drive: Drive::Manual,
            queue_bytes: 1,
            ..StorageConfig::default()
        },
        settings: BrokerSettings::parse([("queued.max.requests".into(), places.into())].into()).unwrap(),
        ..BrokerConfig::on(Arc::new(SimDisk::new(1)))
    };
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
    let broker = Broker::open(config, clock).await.unwrap();
    let topic = NewTopicSpec {
        name: "t".parse().unwrap(),
        partitions: 1,
        config: [].into(),
    };
    {
        let mut creating = pin!(broker.create_topic(topic));
        while poll!(creating.as_mut()).is_pending() {
            broker.storage().step();
        }
    }
    broker
}

fn frame<R: Request>(request: &R, version: i16) -> Bytes {
    request_frame(request, version, 7).split_off(4).freeze()
}

#[tokio::test]
async fn a_request_waits_while_as_many_as_are_allowed_are_worked_on() {
    for (places, is_answered) in [("1", false), ("2", true)] {
        let broker = broker(places).await;
        let loopback = Loopback::new(broker.clone(), CancellationToken::new());
        let (mut first, mut second, mut third) = (loopback.connect(), loopback.connect(), loopback.connect());
        let records = || frame(&produce("t", 0, batch(&["x"], Compression::None)), 9);
        let waits_for_the_disk = first.start(records()).await.unwrap();
        let mut waits_for_room = pin!(second.start(records()));
        assert!(poll!(waits_for_room.as_mut()).is_pending(), "the queue is full");
        let mut metadata = pin!(third.start(frame(&MetadataRequest::default(), 12)));
        let asked = poll!(metadata.as_mut());
        assert_eq!(asked.is_ready(), is_answered, "{places}");
        broker.storage().step();
        let answer = waits_for_room.await.unwrap();
        if asked.is_pending() {
            let answer = metadata.await.unwrap();
            assert!(answer.await.unwrap().is_some());
        }
        broker.storage().step();
        for answer in [waits_for_the_disk, answer] {
            assert!(answer.await.unwrap().is_some());
        }
    }
}
