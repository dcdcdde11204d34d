//! The consumer protocol's requests (KIP-848), and the topics that its groups are told of.

use std::future::Future;

use millstream_broker_coordinator::{
    ConsumerAnswer, ConsumerDescription, ConsumerHeartbeat, GroupError, Topics,
};
use millstream_broker_storage::Storage;
use millstream_types::{GroupId, TopicName};
use uuid::Uuid;

use super::Broker;

impl Broker {
    /// ConsumerGroupHeartbeat. What this returns resolves when all that it says is durable.
    pub(crate) async fn heartbeat_consumer(
        &self,
        group: &GroupId,
        request: &ConsumerHeartbeat,
    ) -> Result<impl Future<Output = Result<ConsumerAnswer, GroupError>> + use<>, GroupError> {
        self.storage().room().await;
        let mut coordinator = self.lock();
        let now = self.clock().now();
        let (answer, effects) =
            coordinator
                .groups
                .consumer_heartbeat(group, request, &Catalog(self.storage()), now)?;
        let durable = self.settle(&mut coordinator, effects);
        Ok(async move {
            durable.await?;
            Ok(answer)
        })
    }

    pub fn describe_consumer_group(&self, group: &GroupId) -> Result<ConsumerDescription, GroupError> {
        self.lock().groups.describe_consumer(group)
    }

    /// Consumer groups look at the topics again.
    pub(in crate::broker) fn topics_changed(&self) {
        let mut coordinator = self.lock();
        let now = self.clock().now();
        let effects = coordinator.groups.topics_changed(&Catalog(self.storage()), now);
        let _later = self.settle(&mut coordinator, effects);
    }
}

pub(super) struct Catalog<'a>(pub(super) &'a Storage);

impl Topics for Catalog<'_> {
    fn get(&self, name: &TopicName) -> Option<(Uuid, i32)> {
        self.0.topic(name).map(|topic| (topic.id, topic.partitions))
    }

    fn names(&self) -> Vec<TopicName> {
        self.0.topics().iter().map(|topic| topic.name.clone()).collect()
    }
}
