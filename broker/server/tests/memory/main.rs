//! What the process holds while many clients read slowly, counted where it is allocated. A program of its own: nothing else
//! may allocate meanwhile.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod counting;

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use millstream_broker_server::{Broker, BrokerConfig, ListenerConfig, serve};
use millstream_protocol::messages::{
    FetchRequest,
    fetch_request::{FetchPartition, FetchTopic},
};
use millstream_tests_kit::{Client, TempDir, batch_of, request_frame, topic_name};
use millstream_types::SystemClock;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

/// What the records of all answers may take together.
const BUDGET_BYTES: usize = 256 << 20;
/// Beyond it: one answer and the batch that its read ends with, and what is no record.
const BESIDES_BYTES: usize = 16 << 20;
const ANSWER_BYTES: i32 = 50 << 20;
const BATCH_BYTES: usize = 1_000_000;
const BATCHES: usize = 55;
const READERS: usize = 12;
/// Each asks for so much, and for the next before it has the first.
const ANSWERS: usize = 2;
const WITHIN: Duration = Duration::from_secs(120);

#[test]
fn many_slow_readers_together_hold_no_more_memory_than_answers_may() {
    let dir = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (broker, address) = runtime.block_on(start(&dir));
    let mut client = Client::connect(address).unwrap();
    client.create_topics(&["t".into()], 1);
    for _ in 0..BATCHES {
        assert_eq!(client.produce("t", 0, batch_of(BATCH_BYTES, b'x')).0, 0);
    }

    let before = counting::held();
    let mut readers: Vec<Reader> = (0..READERS).map(|_| Reader::ask(address)).collect();
    until("answers take what they may", || {
        counting::held().saturating_sub(before) > BUDGET_BYTES - ANSWER_BYTES as usize
    });
    counting::begin();
    // In turns and little by little, so that all of them wait for the end of their answers at the same time.
    until("all have their answers", || {
        readers.iter_mut().for_each(Reader::read_some);
        readers.iter().all(Reader::is_done)
    });
    let most = counting::peak().saturating_sub(before);
    assert!(
        most <= BUDGET_BYTES + BESIDES_BYTES,
        "{most} bytes were held for answers that may take {BUDGET_BYTES}"
    );
    for reader in &readers {
        assert!(
            reader.answers.iter().all(|bytes| *bytes > BATCH_BYTES),
            "every answer has records: {:?}",
            reader.answers
        );
    }
    until("all of it is given back", || {
        counting::held().saturating_sub(before) < BESIDES_BYTES
    });
    let (error, records) = client.fetch("t", 0, 0);
    assert!(error == 0 && records.len() > BATCH_BYTES, "others are served");
    drop(readers);
    runtime.block_on(broker.close());
}

/// A broker that remembers no records: all are read from the disk into memory, by each reader for itself.
async fn start(dir: &TempDir) -> (Arc<Broker>, SocketAddr) {
    let mut config = BrokerConfig::in_dir(dir.path());
    config.storage.ring_bytes = 0;
    let broker = Broker::open(config, Arc::new(SystemClock)).await.unwrap();
    let listener = ListenerConfig {
        listen: "127.0.0.1:0".into(),
        ..ListenerConfig::default()
    };
    let serving = serve(broker.clone(), listener, CancellationToken::new());
    let address = serving.await.unwrap().local_addr();
    (broker, address)
}

/// A client that reads when it is told to.
struct Reader {
    stream: TcpStream,
    /// Of the answer that is under way: what of its length has arrived, and the bytes that are missing.
    length: Vec<u8>,
    missing: usize,
    /// The sizes of those that are whole.
    answers: Vec<usize>,
}

impl Reader {
    const CHUNK_BYTES: usize = 64 << 10;

    fn ask(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        for number in 0..ANSWERS {
            let frame = request_frame(&everything(), 12, i32::try_from(number).unwrap());
            stream.write_all(&frame).unwrap();
        }
        stream.set_nonblocking(true).unwrap();
        Self {
            stream,
            length: Vec::with_capacity(4),
            missing: 0,
            answers: Vec::with_capacity(ANSWERS),
        }
    }

    fn is_done(&self) -> bool {
        self.answers.len() == ANSWERS && self.missing == 0
    }

    /// Takes what has arrived, up to a chunk, and forgets it.
    fn read_some(&mut self) {
        let mut chunk = [0; Self::CHUNK_BYTES];
        let want = match self.missing {
            0 => 4 - self.length.len(),
            missing => missing.min(chunk.len()),
        };
        if self.is_done() {
            return;
        }
        let read = match self.stream.read(&mut chunk[..want]) {
            Ok(0) => panic!("closed after {:?}", self.answers),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error} after {:?}", self.answers),
        };
        if self.missing > 0 {
            self.missing -= read;
            if self.missing == 0 {
                self.length.clear();
            }
            return;
        }
        self.length.extend_from_slice(&chunk[..read]);
        if let Ok(length) = self.length[..].try_into() {
            self.missing = usize::try_from(i32::from_be_bytes(length)).unwrap();
            self.answers.push(self.missing);
        }
    }
}

fn everything() -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(ANSWER_BYTES);
    let topic = FetchTopic::default()
        .with_topic(topic_name("t"))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_bytes(ANSWER_BYTES)
        .with_topics(vec![topic])
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < WITHIN, "not within {WITHIN:?}: {what}");
        thread::yield_now();
    }
}
