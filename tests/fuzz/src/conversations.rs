//! What clients say to a broker, from which the inputs of `port`, `answer` and `state` are made: conversations that are held
//! here, because later requests name what earlier answers told, and the requests that real clients sent.

mod admin;
mod groups;
mod records;
mod transactions;

use bytes::Bytes;
use millstream_broker_server::LoopbackConnection;
use millstream_protocol::messages::{
    ApiKey, CreateTopicsRequest, Request, ResponseHeader, StrBytes, TopicName,
    create_topics_request::CreatableTopic, decode,
};

use crate::{
    port::{Step, frame},
    vectors::captured,
    world::{Answered, World, in_virtual_time},
};

/// Captured requests in one script.
const VECTORS: usize = 12;
/// Until a request that waits for others is answered.
const PATIENCE: usize = 30;
const MOMENT_MS: u64 = 800;
pub(crate) const TOPIC: &str = "t";

/// Every conversation as its bytes.
pub(crate) fn scripts() -> Vec<Vec<u8>> {
    let bytes = |script: Vec<Step>| {
        let mut bytes = Vec::new();
        script.iter().for_each(|step| step.write(&mut bytes));
        bytes
    };
    all().into_iter().map(bytes).collect()
}

pub(crate) fn all() -> Vec<Vec<Step>> {
    let mut scripts = held();
    scripts.extend(recorded());
    scripts
}

/// Those that are held here.
fn held() -> Vec<Vec<Step>> {
    vec![
        in_virtual_time(Talk::script(records::produce_and_fetch)),
        in_virtual_time(Talk::script(records::by_topic_id)),
        in_virtual_time(Talk::script(transactions::first_generation)),
        in_virtual_time(Talk::script(transactions::second_generation)),
        in_virtual_time(Talk::script(groups::classic)),
        in_virtual_time(Talk::script(groups::consumer)),
        in_virtual_time(Talk::script(groups::of_both_protocols)),
        in_virtual_time(Talk::script(admin::administration)),
    ]
}

/// What the log holds of coordination after each of them: keys and values.
pub(crate) fn states() -> Vec<Vec<(Bytes, Bytes)>> {
    let state_after = |script: Vec<Step>| {
        in_virtual_time(async {
            let mut talk = Talk::new().await;
            for step in script {
                talk.perform(step).await;
            }
            let state = talk.world.broker().storage().scan(b"");
            state.into_iter().map(|(key, value)| (key.0, value)).collect()
        })
    };
    held().into_iter().map(state_after).collect()
}

/// The requests of real clients, a few in each script, over both connections.
fn recorded() -> Vec<Vec<Step>> {
    let frames: Vec<Step> = captured()
        .into_iter()
        .enumerate()
        .map(|(n, (_, frame))| Step::Ask {
            connection: n % 2,
            frame: frame.into(),
        })
        .collect();
    frames.chunks(VECTORS).map(<[Step]>::to_vec).collect()
}

/// A conversation that is being held and written down.
pub(crate) struct Talk {
    pub(crate) world: World,
    connections: [LoopbackConnection; 2],
    script: Vec<Step>,
    heard: Vec<Answered>,
    correlation_id: i32,
}

impl Talk {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        Self {
            connections: [world.connect(), world.connect()],
            world,
            script: Vec::new(),
            heard: Vec::new(),
            correlation_id: 0,
        }
    }

    async fn script(hold: impl AsyncFn(&mut Self)) -> Vec<Step> {
        let mut talk = Self::new().await;
        talk.create_topic().await;
        hold(&mut talk).await;
        talk.script
    }

    pub(crate) async fn perform(&mut self, step: Step) {
        self.script.push(step.clone());
        step.perform(&mut self.world, &mut self.connections).await;
        self.heard.extend(self.world.take_answers());
    }

    pub(crate) async fn pause(&mut self) {
        self.perform(Step::Pass { ms: MOMENT_MS }).await;
    }

    /// Sends a request, and answers which it is.
    pub(crate) async fn tell<R: Request>(&mut self, connection: usize, request: &R, version: i16) -> i32 {
        self.correlation_id += 1;
        let frame = frame(request, version, self.correlation_id);
        self.perform(Step::Ask { connection, frame }).await;
        self.correlation_id
    }

    /// Waits for an answer; `None` if there is none, because the connection was closed for the request.
    pub(crate) async fn hear<R: Request>(&mut self, correlation_id: i32) -> Option<R::Response> {
        for _ in 0..PATIENCE {
            let found = self
                .heard
                .iter()
                .position(|answer| answer.asked.correlation_id == correlation_id);
            if let Some(at) = found {
                let Answered { asked, mut frame } = self.heard.swap_remove(at);
                let key = ApiKey::try_from(R::KEY).expect("a request has a key");
                let version = asked.api_version;
                let _: ResponseHeader =
                    decode(&mut frame, key.response_header_version(version)).expect("it was read before");
                return Some(decode(&mut frame, version).expect("it was read before"));
            }
            self.pause().await;
        }
        None
    }

    pub(crate) async fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let id = self.tell(0, request, version).await;
        self.hear::<R>(id).await.expect("an answer")
    }

    pub(crate) async fn create_topic(&mut self) {
        let topic = CreatableTopic::default()
            .with_name(topic_name(TOPIC))
            .with_num_partitions(2)
            .with_replication_factor(1);
        let answer = self
            .ask(&CreateTopicsRequest::default().with_topics(vec![topic]), 7)
            .await;
        assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
    }
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.into())
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}
