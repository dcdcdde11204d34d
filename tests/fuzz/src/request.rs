//! A frame as it comes from a socket, without its length, read as the request that its header names.

use bytes::{Buf, Bytes};
use millstream_protocol::{
    frame::{MAX_FRAME_BYTES, RequestPeek, frame_length},
    messages::{ApiKey, RequestHeader, decode},
};

use crate::{apis::api, vectors::captured};

pub fn run(data: &[u8]) {
    let _ = frame_length(data, MAX_FRAME_BYTES);
    let Ok(peek) = RequestPeek::read(data) else {
        return;
    };
    let Ok(key) = ApiKey::try_from(peek.api_key) else {
        return;
    };
    let Some(api) = api(key) else { return };
    let version = peek.api_version;
    let mut body = Bytes::copy_from_slice(data);
    if decode::<RequestHeader>(&mut body, key.request_header_version(version)).is_err() {
        body.advance(body.len().min(RequestPeek::BYTES));
    }
    let _ = (api.request)(&mut body, version);
}

pub fn seeds() -> Vec<Vec<u8>> {
    captured().into_iter().map(|(_, frame)| frame).collect()
}
