//! What a heartbeat must have before a group looks at it.

use std::collections::BTreeSet;

use millstream_types::GroupId;
use regex::{Regex, RegexBuilder};
use uuid::Uuid;

use super::{ConsumerHeartbeat, JOIN, LEAVE_FOR_NOW};
use crate::groups::{Caller, GroupError, assign::Partitions};

/// What a compiled expression may take; the engine runs in linear time.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// What the request of a heartbeat must have, whatever the group.
pub(in crate::groups) fn check_request(
    group: &GroupId,
    request: &ConsumerHeartbeat,
    assignors: &[String],
) -> Result<(), GroupError> {
    let invalid = |reason| Err(GroupError::InvalidRequest { reason });
    let is_blank = |text: &Option<String>| text.as_ref().is_some_and(|t| t.trim().is_empty());
    if group.as_str().trim().is_empty() {
        return invalid("the group has no name");
    }
    if request.member.trim().is_empty() {
        return invalid("the member has no id");
    }
    if is_blank(&request.instance) {
        return invalid("an instance id may not be empty");
    }
    if is_blank(&request.rack) {
        return invalid("a rack id may not be empty");
    }
    if request.epoch < LEAVE_FOR_NOW {
        return invalid("there is no such member epoch");
    }
    if request.epoch == LEAVE_FOR_NOW && request.instance.is_none() {
        return invalid("only a member with an instance id leaves for now");
    }
    if request.epoch == JOIN {
        if request.rebalance_timeout_ms == -1 {
            return invalid("a member joins with its rebalance timeout");
        }
        if request.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return invalid("a member joins without partitions");
        }
        let has_topics = request.topics.as_ref().is_some_and(|topics| !topics.is_empty());
        let is_subscribed = if request.may_use_regex {
            request.topics.is_some() || request.regex.is_some()
        } else {
            has_topics
        };
        if !is_subscribed {
            return invalid("a member joins with its subscription");
        }
    }
    if let Some(regex) = request.regex.as_deref().filter(|regex| !regex.is_empty()) {
        compile(regex)?;
    }
    match &request.assignor {
        Some(assignor) if !assignors.contains(assignor) => Err(GroupError::UnsupportedAssignor {
            assignor: assignor.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// An expression for whole names.
pub(super) fn compile(regex: &str) -> Result<Regex, GroupError> {
    RegexBuilder::new(&format!("^(?:{regex})$"))
        .size_limit(MAX_REGEX_BYTES)
        .build()
        .map_err(|error| GroupError::InvalidRegex {
            regex: regex.into(),
            reason: error.to_string(),
        })
}

pub(super) fn check_epoch(caller: &Caller, current: i32) -> Result<(), GroupError> {
    if caller.generation == current {
        return Ok(());
    }
    Err(GroupError::StaleEpoch {
        member: caller.member.clone(),
        epoch: caller.generation,
        current,
    })
}

pub(super) fn is_subset(part: &Partitions, whole: &Partitions) -> bool {
    let has = |(topic, partitions): (&Uuid, &BTreeSet<i32>)| {
        whole.get(topic).is_some_and(|all| partitions.is_subset(all)) || partitions.is_empty()
    };
    part.iter().all(has)
}
