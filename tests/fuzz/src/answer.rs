//! A peer's answer, as our client reads it: the first two bytes are the API and the version that were asked for, then the
//! frame without its length. The records of a fetch are read too.

use bytes::{BufMut, Bytes};
use millstream_protocol::{
    batch::split,
    messages::{ApiKey, FetchResponse, ResponseHeader, decode},
};

use crate::{
    apis::api,
    conversations,
    port::Step,
    world::{World, in_virtual_time},
};

/// As our client allows.
const RECORD_BYTES: usize = 1 << 20;

pub fn run(data: &[u8]) {
    let [key, version, frame @ ..] = data else { return };
    let version = i16::from(*version);
    let Ok(key) = ApiKey::try_from(i16::from(*key)) else {
        return;
    };
    let Some(api) = api(key) else { return };
    let mut body = Bytes::copy_from_slice(frame);
    let header: Result<ResponseHeader, _> = decode(&mut body, key.response_header_version(version));
    if header.is_err() {
        return;
    }
    let is_fetch = key == ApiKey::Fetch;
    if (api.answer)(&mut body.clone(), version).is_ok() && is_fetch {
        let answer: FetchResponse = decode(&mut body, version).expect("it was read before");
        let partitions = answer.responses.into_iter().flat_map(|topic| topic.partitions);
        for records in partitions.filter_map(|partition| partition.records) {
            for batch in split(records).map_while(Result::ok) {
                if let Ok(records) = batch.records_within(RECORD_BYTES) {
                    records.for_each(drop);
                }
            }
        }
    }
}

/// What our broker answers.
pub fn seeds() -> Vec<Vec<u8>> {
    let scripts = conversations::all();
    let answers = scripts
        .into_iter()
        .flat_map(|script| in_virtual_time(answers_to(script)));
    let mut seeds: Vec<Vec<u8>> = answers.collect();
    seeds.sort();
    seeds.dedup();
    seeds
}

async fn answers_to(script: Vec<Step>) -> Vec<Vec<u8>> {
    let mut world = World::new().await;
    let mut connections = [world.connect(), world.connect()];
    for step in script {
        step.perform(&mut world, &mut connections).await;
    }
    let answers = world.take_answers().into_iter();
    answers
        .map(|answer| {
            let mut seed = Vec::with_capacity(answer.frame.len() + 2);
            seed.put_u8(u8::try_from(answer.asked.api_key).expect("keys are small"));
            seed.put_u8(u8::try_from(answer.asked.api_version).expect("versions are small"));
            seed.put_slice(&answer.frame);
            seed
        })
        .collect()
}
