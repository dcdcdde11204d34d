use std::sync::Arc;

use arrow_array::{BooleanArray, cast::AsArray};
use arrow_select::filter::{FilterBuilder, filter};
use datafusion_common::DataFusionError;
use datafusion_physical_expr::PhysicalExpr;

use super::Rows;

/// Keeps the rows for which the predicate is true (neither false nor NULL).
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) predicate: Arc<dyn PhysicalExpr>,
}

impl Filter {
    pub(super) fn apply(&self, rows: Rows) -> Result<Rows, DataFusionError> {
        let keep = self
            .predicate
            .evaluate(&rows.batch)?
            .into_array_of_size(rows.len())?;
        keep_rows(rows, keep.as_boolean())
    }
}

/// The rows where `keep` is true.
pub(crate) fn keep_rows(rows: Rows, keep: &BooleanArray) -> Result<Rows, DataFusionError> {
    let predicate = FilterBuilder::new(keep).optimize().build();
    Ok(Rows {
        batch: predicate.filter_record_batch(&rows.batch)?,
        origin: filter(&rows.origin, keep)?.as_primitive().clone(),
    })
}
