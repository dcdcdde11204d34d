use std::collections::{BTreeMap, BTreeSet};

use millstream_protocol::messages::{
    self, DescribeLogDirsRequest, DescribeLogDirsResponse,
    describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic},
};
use millstream_types::TopicPartition;

use super::{Call, Handle, Reply, transactions::text};

/// From this version on, the answer has the room of the disk.
const SPACE_SINCE: i16 = 4;

impl Handle for DescribeLogDirsRequest {
    async fn handle(self, call: Call) -> Reply<DescribeLogDirsResponse> {
        let wanted: Option<BTreeMap<String, BTreeSet<i32>>> = self.topics.map(|topics| {
            let topics = topics.into_iter();
            topics
                .map(|t| (t.topic.to_string(), t.partitions.into_iter().collect()))
                .collect()
        });
        let storage = call.node.storage();
        let mut topics = Vec::new();
        for topic in storage.topics() {
            let is_wanted = |index: &i32| match &wanted {
                None => true,
                Some(topics) => topics
                    .get(topic.name.as_str())
                    .is_some_and(|indexes| indexes.contains(index)),
            };
            let partitions: Vec<_> = (0..topic.partitions)
                .filter(is_wanted)
                .filter_map(|index| {
                    let partition = TopicPartition::new(topic.name.clone(), index);
                    let bytes = storage.size_bytes(&partition).ok()?;
                    let partition = DescribeLogDirsPartition::default().with_partition_index(index);
                    Some(partition.with_partition_size(i64::try_from(bytes).unwrap_or(i64::MAX)))
                })
                .collect();
            if !partitions.is_empty() {
                let name = messages::TopicName(text(topic.name.as_str()));
                topics.push(
                    DescribeLogDirsTopic::default()
                        .with_name(name)
                        .with_partitions(partitions),
                );
            }
        }
        let mut dir = DescribeLogDirsResult::default()
            .with_log_dir(text(&storage.log_dir().display().to_string()))
            .with_topics(topics);
        if call.version >= SPACE_SINCE
            && let Ok(Some(space)) = storage.space()
        {
            let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
            dir = dir
                .with_total_bytes(bytes(space.total_bytes))
                .with_usable_bytes(bytes(space.usable_bytes));
        }
        Reply::Now(DescribeLogDirsResponse::default().with_results(vec![dir]))
    }
}
