use millstream_protocol::{
    ErrorCode,
    messages::{
        self, DeleteTopicsRequest, DeleteTopicsResponse, StrBytes, delete_topics_request::DeleteTopicState,
        delete_topics_response::DeletableTopicResult,
    },
};

use millstream_types::TopicName;

use super::{Call, Handle, Reply, mutations::Mutations, refusal::Refusal};

impl Handle for DeleteTopicsRequest {
    async fn handle(self, call: Call) -> Reply<DeleteTopicsResponse> {
        let by_name = self
            .topic_names
            .into_iter()
            .map(|name| DeleteTopicState::default().with_name(Some(name)));
        let enabled = call.node.settings().delete_topics;
        let mut mutations = Mutations::new(&call, STRICT_SINCE);
        let mut responses = Vec::new();
        for wanted in by_name.chain(self.topics) {
            responses.push(if enabled {
                delete(&mut mutations, wanted).await
            } else {
                disabled(call.version, wanted)
            });
        }
        mutations.reply(DeleteTopicsResponse::default().with_responses(responses))
    }
}

/// From this version on, clients know THROTTLING_QUOTA_EXCEEDED.
const STRICT_SINCE: i16 = 5;
/// From this version on, there is a code for it.
const DISABLED_SINCE: i16 = 3;

/// `delete.topic.enable` says no.
fn disabled(version: i16, wanted: DeleteTopicState) -> DeletableTopicResult {
    let code = if version < DISABLED_SINCE {
        ErrorCode::InvalidRequest
    } else {
        ErrorCode::TopicDeletionDisabled
    };
    DeletableTopicResult::default()
        .with_name(wanted.name)
        .with_topic_id(wanted.topic_id)
        .with_error_code(code.code())
}

async fn delete(mutations: &mut Mutations<'_>, wanted: DeleteTopicState) -> DeletableTopicResult {
    let node = mutations.node();
    let answer = DeletableTopicResult::default()
        .with_name(wanted.name.clone())
        .with_topic_id(wanted.topic_id);
    let topic = match &wanted.name {
        Some(name) => TopicName::new(name.as_str())
            .ok()
            .and_then(|name| node.storage().topic(&name)),
        None => node.storage().topic_of_id(wanted.topic_id),
    };
    let Some(topic) = topic else {
        let code = match wanted.name {
            Some(_) => ErrorCode::UnknownTopicOrPartition,
            None => ErrorCode::UnknownTopicId,
        };
        return answer.with_error_code(code.code());
    };
    let answer = answer
        .with_name(Some(messages::TopicName(StrBytes::from_string(
            topic.name.to_string(),
        ))))
        .with_topic_id(topic.id);
    let deleted = match mutations.count(topic.partitions) {
        Ok(()) => node.broker.delete_topic(&topic.name).await.map_err(Refusal::from),
        Err(refusal) => Err(refusal),
    };
    match deleted {
        Ok(()) => answer,
        Err(refusal) => answer
            .with_error_code(refusal.code.code())
            .with_error_message(refusal.text),
    }
}
