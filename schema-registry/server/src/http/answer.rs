use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use millstream_schema_registry_core::Refusal;
use serde::Serialize;

use super::media::Media;
use crate::store::Failure;

/// What is said to a client.
pub(super) struct Answer {
    status: StatusCode,
    body: Bytes,
    media: Media,
}

/// Why a call is not answered as it wished.
#[derive(Debug)]
pub(super) enum Error {
    Failure(Failure),
    /// Nothing of a registry: a status with its own words.
    Plain {
        status: StatusCode,
        message: String,
    },
}

#[derive(Serialize)]
struct Message<'a> {
    error_code: u32,
    message: &'a str,
}

impl Answer {
    pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        let body = serde_json::to_vec(value).expect("answers have string keys and go to memory");
        Self::of(StatusCode::OK, body.into())
    }

    /// Text that is JSON already, as it is.
    pub(super) fn text(text: &str) -> Self {
        Self::of(StatusCode::OK, Bytes::copy_from_slice(text.as_bytes()))
    }

    pub(super) fn no_content() -> Self {
        Self::of(StatusCode::NO_CONTENT, Bytes::new())
    }

    fn of(status: StatusCode, body: Bytes) -> Self {
        Self {
            status,
            body,
            media: Media::default(),
        }
    }

    pub(super) fn not_acceptable() -> Self {
        Error::plain(StatusCode::NOT_ACCEPTABLE, "HTTP 406 Not Acceptable").into()
    }

    fn error(status: StatusCode, code: u32, message: &str) -> Self {
        let message = Message {
            error_code: code,
            message,
        };
        Self {
            status,
            ..Self::json(&message)
        }
    }

    pub(super) fn in_media(self, media: Media) -> Self {
        Self { media, ..self }
    }

    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(super) fn into_response(self, is_head: bool) -> Response {
        let length = self.body.len();
        let body = if is_head {
            Body::empty()
        } else {
            Body::from(self.body)
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        if self.status != StatusCode::NO_CONTENT {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media.name()));
            if is_head {
                headers.insert(header::CONTENT_LENGTH, length.into());
            }
        }
        response
    }
}

impl Error {
    pub(super) fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Plain {
            status,
            message: message.into(),
        }
    }

    pub(super) fn not_found() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "HTTP 404 Not Found")
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Failure(refusal.into())
    }
}

/// Of a log that failed.
const STORE_ERROR: u32 = 50001;
const TIMED_OUT: u32 = 50002;

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        match error {
            Error::Plain { status, message } => Self::error(status, status.as_u16().into(), &message),
            Error::Failure(Failure::Refused(refusal)) => {
                let status = StatusCode::from_u16(refusal.status()).expect("refusals have a status");
                Self::error(status, refusal.code(), &refusal.to_string())
            }
            Error::Failure(Failure::TimedOut) => {
                let message = "Register operation timed out";
                Self::error(StatusCode::INTERNAL_SERVER_ERROR, TIMED_OUT, message)
            }
            Error::Failure(error @ (Failure::Log(_) | Failure::Topic { .. } | Failure::Stopped)) => {
                let cause =
                    std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
                let message = format!("{error}{cause}");
                tracing::error!(error = message, "a request failed");
                Self::error(StatusCode::INTERNAL_SERVER_ERROR, STORE_ERROR, &message)
            }
        }
    }
}
