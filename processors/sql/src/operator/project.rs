use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use datafusion_common::DataFusionError;
use datafusion_physical_expr::PhysicalExpr;

use super::Rows;

/// Computes the columns of the result.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) columns: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) schema: SchemaRef,
}

impl Project {
    pub(super) fn apply(&self, rows: Rows) -> Result<Rows, DataFusionError> {
        let count = rows.len();
        let evaluate = |column: &Arc<dyn PhysicalExpr>| {
            column
                .evaluate(&rows.batch)
                .and_then(|value| value.into_array_of_size(count))
        };
        let columns = self.columns.iter().map(evaluate).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(Rows {
            batch: RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?,
            origin: rows.origin,
        })
    }
}
