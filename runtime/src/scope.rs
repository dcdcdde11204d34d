//! What every task knows: who it is, where the log is, how errors are met, when to stop.

use std::{future::Future, sync::Arc};

use millstream_client::{Log, OffsetAt};
use millstream_pipeline::ErrorPolicy;
use millstream_sdk::{TaskContext, TaskError};
use millstream_types::{Clock, GroupId, Offset, TopicName, TopicPartition};
use tokio_util::sync::CancellationToken;

use crate::{error::from_log, names, prepare::Partitions, run::RunOptions, status::TaskCell};

/// What all tasks of a run share.
pub(crate) struct Shared {
    pub(crate) pipeline: String,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: RunOptions,
    pub(crate) stop: CancellationToken,
    pub(crate) partitions: Partitions,
}

impl Shared {
    /// All partitions of a topic of the plan.
    pub(crate) fn partitions_of(&self, topic: &TopicName) -> impl Iterator<Item = TopicPartition> + use<> {
        let partitions = self.partitions.get(topic).copied().unwrap_or_default();
        let topic = topic.clone();
        (0..partitions).map(move |partition| TopicPartition::new(topic.clone(), partition))
    }
}

/// One task of the run.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: Arc<str>,
    /// Unique within the node, the same after a restart.
    pub(crate) task: Arc<str>,
    pub(crate) policy: Arc<ErrorPolicy>,
    pub(crate) cell: Arc<TaskCell>,
}

impl Scope {
    pub(crate) fn log(&self) -> &dyn Log {
        &*self.shared.log
    }

    pub(crate) fn group(&self) -> GroupId {
        names::group(&self.shared.pipeline, &self.node)
    }

    pub(crate) fn context(&self) -> TaskContext {
        TaskContext {
            pipeline: self.shared.pipeline.clone(),
            node: self.node.to_string(),
            clock: Arc::clone(&self.shared.clock),
            until_end: self.shared.options.until_end,
        }
    }

    pub(crate) fn partitions(&self, topic: &TopicName) -> Result<i32, TaskError> {
        let partitions = self.shared.partitions.get(topic).copied();
        partitions.ok_or_else(|| TaskError::fatal(format!("the plan does not list topic '{topic}'")))
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.shared.stop.is_cancelled()
    }

    /// Waits for `opening` unless the run is told to stop: nothing has been taken yet that would have to be put back.
    pub(crate) async fn unless_stopped<T>(
        &self,
        opening: impl Future<Output = Result<T, TaskError>> + Send,
    ) -> Result<Option<T>, TaskError> {
        tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => Ok(None),
            opened = opening => opened.map(Some),
        }
    }

    /// Where the task's group goes on in that partition: the committed offset, else the beginning.
    pub(crate) async fn group_offset(&self, partition: &TopicPartition) -> Result<Offset, TaskError> {
        let committed = self
            .log()
            .committed(&self.group(), std::slice::from_ref(partition))
            .await
            .map_err(from_log)?;
        match committed.get(partition) {
            Some(offset) => Ok(*offset),
            None => self
                .log()
                .offset(partition, OffsetAt::Earliest)
                .await
                .map_err(from_log),
        }
    }
}
