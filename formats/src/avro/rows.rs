use arrow_array::{RecordBatch, RecordBatchOptions};
use millstream_schema_registry_avro::binary::DataError;

use super::{
    columns::{Columns, NotText},
    layout::Layout,
    plan::{Plan, Scratch},
};

/// The rows of a batch that is being made. Data of different writers may follow each other.
pub(super) struct Rows {
    layout: Layout,
    columns: Columns,
    len: usize,
    scratch: Scratch,
}

impl Rows {
    pub(super) fn new(layout: Layout) -> Self {
        let mut layout = layout;
        Self {
            columns: Columns::assign(&mut layout.columns),
            layout,
            len: 0,
            scratch: Scratch::default(),
        }
    }

    /// Room for so many more.
    pub(super) fn reserve(&mut self, rows: usize) {
        for column in &self.layout.columns {
            self.columns.reserve(column, rows);
        }
    }

    /// Adds one datum as a row, or nothing. `plan` was compiled for the same layout. `CHECK`: whether each text is looked at by
    /// itself; else all are when the batch is finished.
    #[inline]
    pub(super) fn push<const CHECK: bool>(&mut self, plan: &Plan, datum: &[u8]) -> Result<(), DataError> {
        let done = plan.run::<CHECK>(datum, &mut self.columns, &mut self.scratch);
        match done {
            Ok(()) => self.len += 1,
            Err(_) => self.take_back(),
        }
        done
    }

    /// Cuts a row that failed half way.
    #[cold]
    fn take_back(&mut self) {
        for column in &self.layout.columns {
            self.columns.truncate(column, self.len);
        }
    }

    /// The rows; none are left.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, NotText> {
        let columns = self.layout.columns.iter();
        let arrays: Result<_, _> = columns.map(|column| self.columns.finish(column)).collect();
        let arrays = arrays.inspect_err(|_| self.reset())?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.len));
        self.len = 0;
        let batch = RecordBatch::try_new_with_options(self.layout.schema().clone(), arrays, &options);
        Ok(batch.expect("every column has a value of its type for each row"))
    }

    /// Forgets all rows.
    #[cold]
    pub(super) fn reset(&mut self) {
        self.columns = Columns::assign(&mut self.layout.columns);
        self.len = 0;
    }
}
