use async_trait::async_trait;
use millstream_types::{Record, TopicPartition, TransactionalId};

use super::MemoryLog;
use crate::{Consumed, LogError, TransactionalProducer};

pub(super) struct MemoryProducer {
    log: MemoryLog,
    id: TransactionalId,
    incarnation: u64,
}

impl MemoryProducer {
    pub(super) fn begin(log: MemoryLog, id: TransactionalId) -> Box<dyn TransactionalProducer> {
        let incarnation = log.state().begin_producer(&id);
        Box::new(Self { log, id, incarnation })
    }
}

#[async_trait]
impl TransactionalProducer for MemoryProducer {
    async fn append(&mut self, partition: &TopicPartition, records: &[Record]) -> Result<(), LogError> {
        let now = self.log.shared.clock.now();
        self.log
            .state()
            .append_transactional((&self.id, self.incarnation), partition, records.to_vec(), now)
    }

    async fn commit(&mut self, consumed: Option<Consumed>) -> Result<(), LogError> {
        self.log.state().commit((&self.id, self.incarnation), consumed)
    }

    async fn abort(&mut self) -> Result<(), LogError> {
        self.log.state().abort((&self.id, self.incarnation))
    }
}
