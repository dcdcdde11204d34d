//! What a node does about errors: its own words, else the file's defaults, else the constants here.

use std::time::Duration;

use millstream_sdk::{ConfigPath, Problem};
use millstream_types::TopicName;

use crate::{
    BadRecords, ErrorPolicy,
    spec::{OnError, Retry, Then, ThenWord},
};

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Each word is inherited by itself: a node that changes the waits keeps the default's dead letter topic.
pub(crate) fn resolve(
    pipeline: &str,
    node: &str,
    path: &ConfigPath,
    own: Option<&OnError>,
    defaults: Option<&OnError>,
) -> Result<ErrorPolicy, Problem> {
    let retry = |of: Option<&OnError>| of.and_then(|of| of.retry.clone()).unwrap_or_default();
    let Retry { max, backoff } = retry(own);
    let default = retry(defaults);
    let backoff = backoff.or(default.backoff);
    let own_then = own.and_then(|of| of.then.as_ref());
    let then = own_then.or(defaults.and_then(|of| of.then.as_ref()));
    let bad_records = match then {
        Some(Then::Word(ThenWord::Skip)) => BadRecords::Skip,
        Some(Then::Word(ThenWord::Fail)) => BadRecords::Fail,
        Some(Then::DeadLetter(topic)) => {
            let at = if own_then.is_some() {
                path.clone()
            } else {
                ConfigPath::default().key("defaults")
            };
            let at = at.key("on_error").key("then").key("dlq");
            BadRecords::DeadLetter(TopicName::new(&topic.dlq).map_err(|error| Problem::new(at, error))?)
        }
        Some(Then::Word(ThenWord::Dlq)) | None => {
            let topic = TopicName::new(format!("{pipeline}.{node}.dlq"));
            BadRecords::DeadLetter(topic.map_err(|error| Problem::new(path.clone(), error))?)
        }
    };
    Ok(ErrorPolicy {
        max_retries: max.or(default.max),
        backoff: backoff.map_or((FIRST_WAIT, LONGEST_WAIT), |wait| (wait.first, wait.longest)),
        bad_records,
    })
}
