use std::{collections::BTreeMap, sync::Arc};

use datafusion_common::DataFusionError;
use millstream_formats::{Encoded, Encoder, carried, key_texts};
use millstream_sdk::{Processed, Processor, ProcessorPlan, Rejected, StreamSchema, TaskError};
use millstream_types::{Offset, Record};

use crate::{
    fault,
    operator::{Operator, Rows},
    plan::Program,
};

/// Rows that go through the operators at once: enough to make the work per batch vanish, few enough to stay in caches.
const MICRO_BATCH: usize = 1024;

/// A query that fits its stream and its output.
pub(crate) struct SqlPlan {
    pub(crate) stream: String,
    pub(crate) stream_columns: usize,
    pub(crate) output: StreamSchema,
    pub(crate) query: Arc<Query>,
}

/// What all tasks of a plan share.
pub(crate) struct Query {
    pub(crate) program: Program,
    pub(crate) encoder: Encoder,
    /// The column of the result that becomes the key; `None`: records keep theirs.
    pub(crate) key: Option<usize>,
}

impl ProcessorPlan for SqlPlan {
    fn output(&self) -> &StreamSchema {
        &self.output
    }

    fn explain(&self) -> String {
        let decoded = self.query.program.scan.decoded();
        let mut lines = vec![format!(
            "read {}: decode {} of {} columns ({})",
            self.stream,
            decoded.len(),
            self.stream_columns,
            decoded.join(", ")
        )];
        lines.extend(self.query.program.steps.iter().cloned());
        lines.join("\n")
    }

    fn open(&self) -> Result<Box<dyn Processor>, TaskError> {
        Ok(Box::new(SqlProcessor(self.query.clone())))
    }
}

/// Without state, so that all tasks may share one query.
struct SqlProcessor(Arc<Query>);

impl Processor for SqlProcessor {
    fn process(&mut self, input: &[Record]) -> Result<Processed, TaskError> {
        let mut processed = Processed::default();
        for records in input.chunks(MICRO_BATCH) {
            self.0.process(records, &mut processed)?;
        }
        Ok(processed)
    }
}

impl Query {
    fn process(&self, records: &[Record], processed: &mut Processed) -> Result<(), TaskError> {
        let (rows, failed) = self.program.scan.read(records).map_err(TaskError::retry)?;
        let mut results = Results {
            rows: Vec::new(),
            failed: failed.into_iter().collect(),
        };
        results.run(&self.program.operators, rows);
        let before = processed.records.len();
        for rows in &results.rows {
            let failed = self.emit(records, rows, &mut processed.records)?;
            results.failed.extend(failed);
        }
        let passed = processed.records.len() - before;
        processed.passed += passed as u64;
        processed.filtered += (records.len() - passed - results.failed.len()) as u64;
        let rejected = results.failed.into_iter().map(|(index, reason)| Rejected {
            record: records[index].clone(),
            reason,
            origin: Vec::new(),
        });
        processed.rejected.extend(rejected);
        Ok(())
    }

    /// Answers the records whose result cannot be written.
    fn emit(
        &self,
        records: &[Record],
        rows: &Rows,
        out: &mut Vec<Record>,
    ) -> Result<Vec<(usize, String)>, TaskError> {
        let Encoded { values, failed } = self.encoder.encode(&rows.batch)?;
        let mut keys = self
            .key
            .map(|column| key_texts(rows.batch.column(column)).into_iter());
        let mut values = values.into_iter();
        let mut unwritten = failed.iter().map(|(row, _)| *row).peekable();
        for (row, index) in rows.origin.values().iter().enumerate() {
            let key = keys.as_mut().map(|keys| keys.next().flatten());
            if unwritten.next_if_eq(&row).is_some() {
                continue;
            }
            let value = values.next();
            let record = &records[*index as usize];
            out.push(Record {
                offset: Offset::ZERO,
                timestamp: record.timestamp,
                key: key.unwrap_or_else(|| record.key.clone()),
                value,
                headers: carried(&record.headers, self.key.is_some()),
            });
        }
        let record = |row: usize| rows.origin.value(row) as usize;
        Ok(failed
            .into_iter()
            .map(|(row, reason)| (record(row), reason))
            .collect())
    }
}

/// What became of the rows of a micro-batch.
struct Results {
    /// In the order of their records.
    rows: Vec<Rows>,
    failed: BTreeMap<usize, String>,
}

impl Results {
    /// Runs the operators; if that fails, runs them on the halves, down to the rows that are at fault.
    fn run(&mut self, operators: &[Operator], rows: Rows) {
        match apply(operators, rows.clone()) {
            Ok(result) if result.len() > 0 => self.rows.push(result),
            Ok(_) => {}
            Err(error) if rows.len() <= 1 => {
                let index = rows.origin.values().first().map(|index| *index as usize);
                self.failed
                    .extend(index.map(|index| (index, fault::reason(&error))));
            }
            Err(_) => {
                let half = rows.len() / 2;
                self.run(operators, rows.slice(0, half));
                self.run(operators, rows.slice(half, rows.len() - half));
            }
        }
    }
}

fn apply(operators: &[Operator], rows: Rows) -> Result<Rows, DataFusionError> {
    operators.iter().try_fold(rows, |rows, operator| {
        // Nothing is left to do, and an operator must not be asked about rows that are not there.
        if rows.len() == 0 {
            Ok(rows)
        } else {
            operator.apply(rows)
        }
    })
}
