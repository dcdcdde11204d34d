use millstream_protocol::{ErrorCode, messages::StrBytes};

use super::errors::ToKafka;

/// Why one thing of a request was not done, as the answer says it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) text: Option<StrBytes>,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: Some(StrBytes::from_string(text.into())),
        }
    }

    /// With Kafka's own words.
    pub(super) fn of(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }
}

impl<E: ToKafka> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self {
            code: error.code(),
            text: error.text(),
        }
    }
}

/// The two fields of an answer.
pub(super) fn outcome<T>(result: Result<T, Refusal>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(_) => (ErrorCode::None.code(), None),
        Err(refusal) => (refusal.code.code(), refusal.text),
    }
}
