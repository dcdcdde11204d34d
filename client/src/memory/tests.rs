use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use millstream_types::{ManualClock, Record, Timestamp, TopicName, TopicPartition};

use super::MemoryLog;
use crate::{Fetch, Isolation, Log, NewTopic, conformance::Harness};

struct Memory(MemoryLog);

#[async_trait]
impl Harness for Memory {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.0.clone())
    }

    async fn restart(&mut self) -> bool {
        false
    }
}

async fn memory() -> Memory {
    Memory(MemoryLog::new(Arc::new(ManualClock::at(Timestamp(1)))))
}

crate::conformance_suite!(memory);

#[tokio::test]
async fn stamps_records_where_the_topic_asks_for_it() {
    let clock = Arc::new(ManualClock::at(Timestamp(70)));
    let log = MemoryLog::new(clock.clone());
    let name = TopicName::new("stamped").unwrap();
    log.create_topic(NewTopic {
        name: name.clone(),
        partitions: 1,
        config: [("message.timestamp.type".into(), "LogAppendTime".into())].into(),
    })
    .await
    .unwrap();
    let partition = TopicPartition::new(name, 0);
    log.append(&partition, vec![Record::default()]).await.unwrap();
    clock.advance_ms(5);
    log.append(&partition, vec![Record::default()]).await.unwrap();
    let fetch = Fetch {
        partition,
        offset: millstream_types::Offset(0),
        max_bytes: 1000,
        max_wait: Duration::ZERO,
        isolation: Isolation::ReadCommitted,
    };
    let fetched = log.fetch(fetch).await.unwrap();
    let stamps: Vec<_> = fetched.records.iter().map(|r| r.timestamp.0).collect();
    assert_eq!(stamps, [70, 75]);
}
