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
        let mut responses = Vec::new();
        for wanted in by_name.chain(self.topics) {
            responses.push(delete(&call.node, wanted).await);
        }
        Reply::Now(DeleteTopicsResponse::default().with_responses(responses))
    }
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
