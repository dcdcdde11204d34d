use std::time::Duration;

use millstream_tests_kit::{TempDir, batch_of};
use rand::Rng;

use crate::{
    broker::Broker,
    load::Load,
    machine::{python, rounds, seeded},
};

const TERMINATE_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn sigterm_under_load_ends_well_and_no_producer_sees_an_error() {
    let Some(python) = python() else { return };
    let mut random = seeded("sigterm");
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let mut broker = Broker::start(dir.path());
    let mut load = Load::start(&python, &broker, 3, 4_000);
    for _ in rounds(3) {
        load.run_for(Duration::from_millis(random.random_range(200..1_000)));
        let (status, took) = broker.terminate(TERMINATE_WITHIN);
        println!("{status} after {took:?}");
        assert!(status.success(), "{status}\n{}", broker.said());
        broker.restart();
        load.wait_for_more(&broker);
    }
    load.stop_and_check(&broker);
}

#[test]
fn ten_thousand_partitions_are_there_again_within_five_seconds() {
    const TOPICS: usize = 1_000;
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let mut broker = Broker::start(dir.path());
    let names: Vec<String> = (0..TOPICS).map(|n| format!("topic-{n}")).collect();
    let mut client = broker.client();
    for names in names.chunks(100) {
        client.create_topics(names, 10);
    }
    for (name, partition) in names.iter().zip((0..10).cycle()) {
        assert_eq!(client.produce(name, partition, batch_of(100, b'x')), (0, 0));
    }
    let before_bytes = broker.rss_bytes();
    broker.kill();
    let took = broker.restart();
    let computed = broker.cpu();
    let after_bytes = broker.rss_bytes();
    println!(
        "restart {took:?}, {computed:?} of a core, RSS {} MB, before {} MB",
        after_bytes >> 20,
        before_bytes >> 20
    );
    let mut client = broker.client();
    for (name, partition) in names.iter().zip((0..10).cycle()).step_by(97) {
        let mut expected = vec![0; 10];
        expected[usize::try_from(partition).unwrap()] = 1;
        assert_eq!(client.high_watermarks(name, 10), expected, "{name}");
    }
    assert!(computed < Duration::from_secs(5), "{computed:?} within {took:?}");
    assert!(
        before_bytes.max(after_bytes) < 500 << 20,
        "{before_bytes} {after_bytes}"
    );
}
