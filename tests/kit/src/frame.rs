//! Requests as they go over the wire.

use bytes::{BufMut, BytesMut};
use millstream_protocol::messages::{Encodable, Request, RequestHeader, StrBytes};

/// What the tests' own clients call themselves.
const CLIENT_ID: &str = "test";

/// A whole request, its length in front.
///
/// # Panics
///
/// If that version cannot hold what the request holds.
pub fn request_frame<R: Request>(request: &R, version: i16, correlation_id: i32) -> BytesMut {
    request_frame_of::<R>(version, correlation_id, |frame| {
        request
            .encode(frame, version)
            .expect("the version holds the request");
    })
}

/// The same with a body that is written by hand.
pub fn request_frame_of<R: Request>(
    version: i16,
    correlation_id: i32,
    body: impl FnOnce(&mut BytesMut),
) -> BytesMut {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    header
        .encode(&mut frame, R::header_version(version))
        .expect("a header can be written");
    body(&mut frame);
    let length = i32::try_from(frame.len() - 4).expect("requests are small");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}
