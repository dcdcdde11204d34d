//! Requests one after the other, over two connections, to a broker on a disk in memory, by the same table of APIs as on a
//! socket; between them time passes, the disk is tidied, the power goes. Every answer must be one that a client can read,
//! a broker that comes back finds its disk in order, and at the end somebody else is still served.
//!
//! ```text
//!  step                      tag % 8      tag / 8
//!   0..=4  request            connection   length u16 | frame without its length
//!   5      time passes        how long
//!   6      maintenance
//!   7      restart            1: the power goes too
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millstream_broker_server::LoopbackConnection;
use millstream_protocol::messages::{ApiKey, Encodable, MetadataRequest, Request, RequestHeader, StrBytes};

use crate::{
    conversations,
    world::{World, in_virtual_time},
};

const MOST_STEPS: usize = 48;

pub fn run(data: &[u8]) {
    in_virtual_time(converse(data));
}

pub fn seeds() -> Vec<Vec<u8>> {
    conversations::scripts()
}

async fn converse(data: &[u8]) {
    let mut world = World::new().await;
    let mut connections = [world.connect(), world.connect()];
    for step in steps(data).take(MOST_STEPS) {
        step.perform(&mut world, &mut connections).await;
    }
    let mut canary = world.connect();
    world.take_answers();
    let everything = frame(&MetadataRequest::default().with_topics(None), 9, 1);
    assert!(
        world.ask(&mut canary, everything).await,
        "somebody else is served"
    );
    let answers = world.take_answers();
    let answered = answers
        .iter()
        .any(|answer| answer.asked.api_key == ApiKey::Metadata as i16);
    assert!(answered, "somebody else is answered");
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Ask { connection: usize, frame: Bytes },
    Pass { ms: u64 },
    Maintain,
    Restart { power: bool },
}

impl Step {
    pub(crate) async fn perform(self, world: &mut World, connections: &mut [LoopbackConnection; 2]) {
        match self {
            Self::Ask { connection, frame } => {
                if !world.ask(&mut connections[connection], frame).await {
                    connections[connection] = world.connect();
                }
            }
            Self::Pass { ms } => world.pass(ms).await,
            Self::Maintain => world.maintain(),
            Self::Restart { power } => {
                world.restart(power).await.expect("a broker reads what it wrote");
                *connections = [world.connect(), world.connect()];
            }
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ask { connection, frame } => {
                out.put_u8(u8::try_from(connection * 8).expect("two connections"));
                out.put_u16(u16::try_from(frame.len()).expect("seeds are small"));
                out.put_slice(frame);
            }
            Self::Pass { ms } => {
                let tag = (0..32_u8).find(|n| pause_ms(*n) >= *ms).unwrap_or(31);
                out.put_u8(5 + tag * 8);
            }
            Self::Maintain => out.put_u8(6),
            Self::Restart { power } => out.put_u8(7 + u8::from(*power) * 8),
        }
    }
}

/// From a moment to about a week.
fn pause_ms(n: u8) -> u64 {
    50 * u64::from(n + 1).pow(4)
}

pub(crate) fn steps(mut data: &[u8]) -> impl Iterator<Item = Step> {
    std::iter::from_fn(move || {
        let tag = data.try_get_u8().ok()?;
        let (kind, number) = (tag % 8, tag / 8);
        Some(match kind {
            5 => Step::Pass { ms: pause_ms(number) },
            6 => Step::Maintain,
            7 => Step::Restart {
                power: number % 2 == 1,
            },
            _ => {
                let length = usize::from(data.try_get_u16().ok()?).min(data.len());
                let (frame, rest) = data.split_at(length);
                data = rest;
                Step::Ask {
                    connection: usize::from(number % 2),
                    frame: Bytes::copy_from_slice(frame),
                }
            }
        })
    })
}

/// A request without its length.
pub(crate) fn frame<R: Request>(request: &R, version: i16, correlation_id: i32) -> Bytes {
    let key = ApiKey::try_from(R::KEY).expect("a request has a key");
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("fuzz")));
    let mut frame = BytesMut::new();
    header
        .encode(&mut frame, key.request_header_version(version))
        .expect("a header can be written");
    request
        .encode(&mut frame, version)
        .expect("seeds fit their version");
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_as_they_were_written() {
        let written = [
            Step::Ask {
                connection: 1,
                frame: Bytes::from_static(b"frame"),
            },
            Step::Pass { ms: pause_ms(3) },
            Step::Maintain,
            Step::Restart { power: true },
        ];
        let mut bytes = Vec::new();
        written.iter().for_each(|step| step.write(&mut bytes));
        let read: Vec<Step> = steps(&bytes).collect();
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
    }
}
