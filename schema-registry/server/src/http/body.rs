//! Bodies of requests: bounded, and only of the types that are taken.

use axum::{
    body::Body,
    http::{Method, StatusCode, request::Parts},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::{
    answer::{Answer, Error},
    media,
};

/// A schema that is longer does not fit into a record of any usual topic either.
pub(super) const MAX_BODY_BYTES: usize = 4 << 20;
/// How much more of a body that is too long is read, so that the client is still there for the answer.
const DRAINED_BYTES: usize = 64 << 20;

/// The body of a request that may have one.
pub(super) async fn read(parts: &Parts, body: Body) -> Result<Bytes, Answer> {
    if !matches!(parts.method, Method::POST | Method::PUT) {
        return Ok(Bytes::new());
    }
    let refuse = |status: StatusCode, message: &str| Answer::from(Error::plain(status, message));
    let mut chunks = body.into_data_stream();
    let mut bytes = BytesMut::new();
    let mut length = 0usize;
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|_| refuse(StatusCode::BAD_REQUEST, "the body of the request is broken"))?;
        length += chunk.len();
        if length <= MAX_BODY_BYTES {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = BytesMut::new();
            if length > DRAINED_BYTES {
                break;
            }
        }
    }
    if length > MAX_BODY_BYTES {
        let message = format!("Request body is larger than {MAX_BODY_BYTES} bytes");
        return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, &message));
    }
    if length > 0 && !media::is_taken(&parts.headers) {
        let message = "HTTP 415 Unsupported Media Type";
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    Ok(bytes.freeze())
}
