//! Strangers on the port.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use millstream_protocol::{
    ErrorCode,
    messages::{ApiVersionsRequest, MetadataRequest, ProduceRequest},
};
use millstream_tests_kit::{Client, TempDir, batch_of, request_frame};
use rand::{Rng, RngCore, rngs::SmallRng};

use crate::{
    broker::Broker,
    machine::{rounds, seeded},
};

/// A canary's answer may take that long.
const CANARY: Duration = Duration::from_secs(3);
const IDLE_CONNECTIONS: usize = 1_500;
/// What strangers may make the broker hold.
const GROWTH_BYTES: u64 = 200 << 20;

/// Asks again and again while `attack` runs; answers the longest time that an answer took.
fn beside_a_canary(address: SocketAddr, attack: impl FnOnce()) -> Duration {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let canary = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            loop {
                let started = Instant::now();
                let mut client = Client::connect(address).expect("the canary connects");
                client.ask(&MetadataRequest::default().with_topics(None), 9);
                assert_eq!(client.produce("canary", 0, batch_of(100, b'c')).0, 0);
                longest = longest.max(started.elapsed());
                if over.load(Ordering::Relaxed) {
                    return longest;
                }
                thread::park_timeout(Duration::from_millis(20));
            }
        });
        attack();
        over.store(true, Ordering::Relaxed);
        canary.join().expect("the canary lives")
    })
}

fn check(attack: impl FnOnce(&mut SmallRng, SocketAddr), name: &str) {
    let mut random = seeded(name);
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let mut broker = Broker::start(dir.path());
    broker.client().create_topics(&["canary".into()], 1);
    let before = broker.rss_bytes();
    let longest = beside_a_canary(broker.address(), || attack(&mut random, broker.address()));
    let after = broker.rss_bytes();
    println!(
        "{name}: canary at most {longest:?}, RSS {} MB, before {} MB",
        after >> 20,
        before >> 20
    );
    assert!(longest < CANARY, "{longest:?}");
    assert!(after < before + GROWTH_BYTES, "{after} {before}");
    broker.assert_alive();
    assert!(!broker.said().contains("panicked"), "{}", broker.said());
}

#[test]
fn random_and_half_frames_harm_nobody_else() {
    let attack = |random: &mut SmallRng, address: SocketAddr| {
        let valid = [
            request_frame(&MetadataRequest::default().with_topics(None), 9, 1),
            request_frame(&ApiVersionsRequest::default(), 0, 1),
            request_frame(&ProduceRequest::default().with_acks(-1), 9, 1),
        ];
        for round in rounds(2_000) {
            let mut frame = BytesMut::from(&valid[round % valid.len()][..]);
            match round % 4 {
                // any bytes behind a header of any API
                0 => {
                    let mut body = vec![0; random.random_range(8..4_000)];
                    random.fill_bytes(&mut body);
                    body[..2].copy_from_slice(&random.random_range(0..100_i16).to_be_bytes());
                    body[2..4].copy_from_slice(&random.random_range(0..14_i16).to_be_bytes());
                    let length = i32::try_from(body.len()).unwrap();
                    frame = BytesMut::from(&[&length.to_be_bytes(), body.as_slice()].concat()[..]);
                }
                // a frame that was sent by half
                1 => frame.truncate(random.random_range(0..frame.len())),
                // a valid one with some bytes changed
                2 => {
                    for _ in 0..random.random_range(1..5) {
                        let at = random.random_range(4..frame.len());
                        frame[at] = random.random();
                    }
                }
                _ => random.fill_bytes(&mut frame),
            }
            let Ok(mut client) = Client::connect(address) else {
                continue;
            };
            // the broker may close before everything is written
            let _ = client.send_bytes(&frame);
        }
    };
    check(attack, "random frames");
}

#[test]
fn declared_lengths_and_idle_connections_cost_nothing() {
    let attack = |random: &mut SmallRng, address: SocketAddr| {
        let mut held = Vec::new();
        for number in 0..IDLE_CONNECTIONS {
            let Ok(mut client) = Client::connect(address) else {
                continue;
            };
            let sent = match number % 3 {
                0 => Ok(()),
                // a frame of 99 MB that never comes
                1 => client.send_bytes(&[5, 0xe6, 0x9e, 0xc0, 0, 0, 0, 9]),
                // a slow one
                _ => client.send_bytes(&[0]),
            };
            if sent.is_ok() {
                held.push(client);
            }
        }
        for _ in 0..20 {
            for client in held.iter_mut().skip(2).step_by(3) {
                let _: io::Result<()> = client.send_bytes(&[random.random()]);
            }
        }
        assert!(
            held.len() > IDLE_CONNECTIONS / 2,
            "they are let in: {}",
            held.len()
        );
    };
    check(attack, "idle connections");
}

#[test]
fn poison_batches_are_refused_and_not_stored() {
    let mut random = seeded("poison");
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let mut broker = Broker::start(dir.path());
    let mut client = broker.client();
    client.create_topics(&["t".into()], 1);
    let sound = batch_of(2_000, b'a');
    let mut stored = 0;
    for round in rounds(1_000) {
        let mut poison = BytesMut::from(&sound[..]);
        if round % 10 == 9 {
            poison.truncate(random.random_range(0..poison.len()));
        } else {
            // base offset and leader epoch are the broker's to set, and outside of the checksum
            let at = match random.random_range(0..2) {
                0 => random.random_range(16..61),
                _ => random.random_range(16..poison.len()),
            };
            poison[at] ^= 1 << random.random_range(0..8);
        }
        let poison = Bytes::from(poison);
        let (error, offset) = client.produce("t", 0, poison.clone());
        if poison == sound {
            continue;
        }
        assert_ne!(error, 0, "round {round}: {offset}");
        let refusals = [
            ErrorCode::CorruptMessage,
            ErrorCode::InvalidRecord,
            ErrorCode::UnsupportedForMessageFormat,
        ];
        assert!(
            refusals.iter().any(|code| *code as i16 == error),
            "round {round}: error {error}"
        );
        if round % 100 == 0 {
            assert_eq!(client.produce("t", 0, sound.clone()), (0, stored));
            stored += 1;
        }
    }
    assert_eq!(client.high_watermarks("t", 1), [stored]);
    broker.assert_alive();
}
