//! What administrators ask of a broker. One function for each question; answers are values of this crate, errors are
//! sentences that name what was asked.

mod configs;
mod groups;
mod topics;
mod transactions;

use millstream_client::LogError;
use millstream_protocol::{ErrorCode, messages::StrBytes};

pub(crate) use self::{
    configs::{Change, Entity, Setting, Source, alter_configs, describe_configs, set_configs_of},
    groups::{GroupState, Listed, MemberState, delete_group, describe_group, list_groups},
    topics::{create_partitions, delete_records},
    transactions::{
        Ongoing, OpenAt, abort_at, describe_transaction, fence, list_transactions, open_transactions_of,
    },
};
use super::{Client, malformed};

/// Fails with the broker's own words where it has some.
fn refused(code: i16, message: Option<&StrBytes>, what: impl FnOnce() -> String) -> Result<(), LogError> {
    let error = ErrorCode::from_code(code);
    if error == Some(ErrorCode::None) {
        return Ok(());
    }
    let what = what();
    let name = error.map_or_else(|| format!("error {code}"), |error| error.to_string());
    let words = message
        .map(|message| message.to_string())
        .filter(|words| !words.is_empty())
        .or_else(|| error.map(|error| error.message().to_owned()))
        .unwrap_or_default();
    Err(LogError::Refused {
        message: format!("{what}: {words} ({name})"),
    })
}

fn missing() -> LogError {
    malformed("it names nothing of what was asked")
}
