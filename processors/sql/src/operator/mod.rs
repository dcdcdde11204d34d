//! The steps of a running query. Each takes rows and gives rows; which record a row comes from goes along.

mod filter;
mod project;

use arrow_array::{RecordBatch, UInt32Array};
use datafusion_common::DataFusionError;

pub(crate) use self::{
    filter::{Filter, keep_rows},
    project::Project,
};

/// Rows on their way through a query.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) batch: RecordBatch,
    /// For each row the index of the record it comes from.
    pub(crate) origin: UInt32Array,
}

#[derive(Debug)]
pub(crate) enum Operator {
    Filter(Filter),
    Project(Project),
}

impl Operator {
    pub(crate) fn apply(&self, rows: Rows) -> Result<Rows, DataFusionError> {
        match self {
            Self::Filter(filter) => filter.apply(rows),
            Self::Project(project) => project.apply(rows),
        }
    }
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    pub(crate) fn slice(&self, start: usize, len: usize) -> Self {
        Self {
            batch: self.batch.slice(start, len),
            origin: self.origin.slice(start, len),
        }
    }
}
