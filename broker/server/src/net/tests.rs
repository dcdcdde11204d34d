use std::time::Duration;

use millstream_protocol::frame::MAX_FRAME_BYTES;
use tokio::{io::AsyncWriteExt, time::Instant};

use super::frames::{FrameReader, arrives_until};
use crate::budget::Budget;

fn framed(body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len()).unwrap();
    [&length.to_be_bytes(), body].concat()
}

#[test]
fn a_frame_must_arrive_at_a_pace() {
    let began = Instant::now();
    let seconds = |arrived_bytes| (arrives_until(began, arrived_bytes) - began).as_secs();
    assert_eq!(
        (seconds(0), seconds(16 << 10), seconds(1600 << 10)),
        (30, 31, 130)
    );
}

#[tokio::test]
async fn frames_are_cut_wherever_the_reads_fall() {
    let bodies = [b"a".to_vec(), Vec::new(), vec![7; 20_000], b"end".to_vec()];
    let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
    for chunk_bytes in [1, 3, 1000, 9000, stream.len()] {
        let (mut write, read) = tokio::io::duplex(64 << 10);
        let stream = stream.clone();
        let writer = tokio::spawn(async move {
            for chunk in stream.chunks(chunk_bytes) {
                write.write_all(chunk).await.unwrap();
            }
        });
        let mut frames = FrameReader::new(read, MAX_FRAME_BYTES, Budget::new(1 << 20));
        for body in &bodies {
            let (frame, _held) = frames.next().await.unwrap().expect("a frame");
            assert_eq!(frame, body);
        }
        assert!(frames.next().await.unwrap().is_none());
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_large_frame_shares_its_memory_with_nothing_that_follows() {
    let bodies = [
        vec![1; 20_000],
        vec![2; 9_000],
        vec![3; 300_000],
        b"small".to_vec(),
        vec![4; 100_000],
    ];
    let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
    let (mut write, read) = tokio::io::duplex(1 << 20);
    write.write_all(&stream).await.unwrap();
    let mut frames = FrameReader::new(read, MAX_FRAME_BYTES, Budget::new(1 << 20));
    for body in bodies {
        let (frame, _held) = frames.next().await.unwrap().expect("a frame");
        assert_eq!(frame, body);
        if body.len() < 1000 {
            continue;
        }
        let at = frame.as_ptr();
        let edited = frame.try_into_mut().expect("nobody else looks at it");
        assert_eq!(
            (edited.as_ptr(), edited.len()),
            (at, body.len()),
            "it was not copied"
        );
    }
}

#[tokio::test]
async fn a_declared_length_reserves_no_memory() {
    let (mut write, read) = tokio::io::duplex(64 << 10);
    let mut frames = FrameReader::new(read, MAX_FRAME_BYTES, Budget::new(1 << 20));
    write.write_all(&(90_i32 << 20).to_be_bytes()).await.unwrap();
    write.write_all(&[1; 1000]).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), frames.next()).await;
    assert!(waited.is_err(), "the frame is not there yet");
    assert!(frames.capacity() < 64 << 10, "{}", frames.capacity());
}

#[tokio::test]
async fn impossible_lengths_and_cut_off_frames_are_errors() {
    for bytes in [[0xff, 0xff, 0xff, 0xff], [0x7f, 0, 0, 0], [0, 0, 0, 9]] {
        let (mut write, read) = tokio::io::duplex(1024);
        write.write_all(&bytes).await.unwrap();
        drop(write);
        assert!(
            FrameReader::new(read, MAX_FRAME_BYTES, Budget::new(1 << 20))
                .next()
                .await
                .is_err(),
            "{bytes:?}"
        );
    }
}
