use millstream_protocol::{
    ErrorCode,
    messages::{
        self, DeleteTopicsRequest, DeleteTopicsResponse, StrBytes, delete_topics_request::DeleteTopicState,
        delete_topics_response::DeletableTopicResult,
    },
};

use super::{Call, Handle, Node, Reply, errors::ToKafka};

impl Handle for DeleteTopicsRequest {
    async fn handle(self, call: Call) -> Reply<DeleteTopicsResponse> {
        let by_name = self
            .topic_names
            .into_iter()
            .map(|name| DeleteTopicState::default().with_name(Some(name)));
        let enabled = call.node.settings().delete_topics;
        let mut responses = Vec::new();
        for wanted in by_name.chain(self.topics) {
            responses.push(if enabled {
                delete(&call.node, wanted).await
            } else {
                disabled(call.version, wanted)
            });
        }
        Reply::Now(DeleteTopicsResponse::default().with_responses(responses))
    }
}

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

async fn delete(node: &Node, wanted: DeleteTopicState) -> DeletableTopicResult {
    let answer = DeletableTopicResult::default()
        .with_name(wanted.name.clone())
        .with_topic_id(wanted.topic_id);
    let topics = node.storage().topics();
    let topic = match &wanted.name {
        Some(name) => topics.iter().find(|topic| topic.name.as_str() == name.as_str()),
        None => topics.iter().find(|topic| topic.id == wanted.topic_id),
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
    match node.broker.delete_topic(&topic.name).await {
        Ok(()) => answer,
        Err(error) => answer
            .with_error_code(error.code().code())
            .with_error_message(error.text()),
    }
}
