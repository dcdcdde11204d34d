//! The file sink: `type: file`. Exactly once, whatever rolls and whoever crashes.
//!
//! A range of offsets is decided durably before it is written ([`manifest`]), its files appear whole and only once
//! ([`publish`]), and only then the group's offset moves. Repeating any step changes nothing.
//!
//! A range is held in memory as columns until it is written, one file after the other: so the number of folders does
//! not matter, an end that another incarnation decided can be adopted at any record, and the same range always gives
//! the same files. `roll.size` is therefore what bounds the memory.

mod manifest;
mod pattern;
mod plan;
mod publish;
mod range;
#[cfg(test)]
mod tests;
mod write;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use manifest::{Manifest, Manifests, Witness};
use millstream_formats::{Decoder, key_texts};
use millstream_sdk::{
    Config, Finding, Guarantee, Problem, Range, Rejected, RollReason, Sink, SinkFactory, SinkPlan, Spec,
    StreamSchema, TaskContext, TaskError,
};
use millstream_types::{Offset, Record, Timestamp, TopicPartition};
use pattern::{Pattern, encode};
use plan::Plan;
use publish::Staging;
use range::{Buffer, Chunk, ChunkRows};
use rustix::fs::Access;
use schemars::schema_for;
use tokio::task::spawn_blocking;

use crate::config::SinkConfig;

/// A range with more folders is rolled: each is a file.
const MAX_FOLDERS: usize = 10_000;
/// What a record costs besides its bytes.
const RECORD_OVERHEAD_BYTES: u64 = 16;

/// Writes Parquet, NDJSON and CSV files.
pub struct FileSinkFactory;

#[async_trait]
impl SinkFactory for FileSinkFactory {
    fn spec(&self) -> Spec {
        Spec {
            kind: "file",
            about: "writes Parquet, NDJSON or CSV files into a folder, partitioned by column or time",
            config: schema_for!(SinkConfig),
            guarantee: Guarantee::ExactlyOnce,
        }
    }

    fn plan(&self, config: &Config, input: &StreamSchema) -> Result<Box<dyn SinkPlan>, Vec<Problem>> {
        Ok(Box::new(FileSinkPlan(Arc::new(Plan::new(config, input)?))))
    }

    async fn check(&self, config: &Config) -> Vec<Finding> {
        let Ok(typed) = config.parse::<SinkConfig>() else {
            return Vec::new();
        };
        let Ok((root, _)) = Pattern::parse(&typed.path) else {
            return Vec::new();
        };
        let root = config.resolve(root);
        let problem = spawn_blocking(move || unwritable(&root))
            .await
            .unwrap_or_else(|error| Some(error.to_string()));
        let finding = |message: String| Finding {
            problem: config
                .problem("path", message)
                .help("choose a folder that this user may write into"),
            fatal: true,
        };
        problem.map(finding).into_iter().collect()
    }
}

/// Why nothing can be written into `folder`, or into the nearest one above it that exists.
fn unwritable(folder: &Path) -> Option<String> {
    let nearest = folder
        .ancestors()
        .find(|folder| folder.as_os_str().is_empty() || folder.exists())?;
    let nearest = if nearest.as_os_str().is_empty() {
        Path::new(".")
    } else {
        nearest
    };
    if !nearest.is_dir() {
        return Some(format!("'{}' is not a folder", nearest.display()));
    }
    let error = rustix::fs::access(nearest, Access::WRITE_OK | Access::EXEC_OK).err()?;
    Some(format!("cannot write into '{}': {error}", nearest.display()))
}

struct FileSinkPlan(Arc<Plan>);

#[async_trait]
impl SinkPlan for FileSinkPlan {
    async fn open(
        &self,
        partition: TopicPartition,
        context: TaskContext,
    ) -> Result<Box<dyn Sink>, TaskError> {
        let plan = Arc::clone(&self.0);
        let opened = spawn_blocking(move || FileSink::open(plan, partition, context));
        let sink = opened.await.map_err(TaskError::fatal)??;
        Ok(Box::new(sink))
    }
}

struct FileSink {
    plan: Arc<Plan>,
    partition: TopicPartition,
    context: TaskContext,
    decoder: Decoder,
    manifests: Arc<Manifests>,
    /// Where the range begins that is being collected.
    start: Offset,
    buffer: Buffer,
    /// Records given since the start, rejected ones included.
    records: u64,
    bytes: u64,
    /// When the first of them came.
    since: Option<Timestamp>,
    first: Option<Witness>,
}

impl FileSink {
    /// Blocking.
    fn open(plan: Arc<Plan>, partition: TopicPartition, context: TaskContext) -> Result<Self, TaskError> {
        let mut owner = String::new();
        encode(context.pipeline.as_bytes(), &mut owner);
        owner.push('.');
        encode(context.node.as_bytes(), &mut owner);
        let mut topic = String::new();
        encode(partition.topic.as_str().as_bytes(), &mut topic);
        let number = partition.partition.to_string();
        let folder = plan.root.join("_millstream").join(owner).join(topic).join(number);
        let staging = Staging::open(folder.join("tmp")).map_err(|error| {
            TaskError::retry(format!("cannot write into '{}': {error}", folder.display()))
        })?;
        Ok(Self {
            decoder: plan.decoder(),
            plan,
            partition,
            context,
            manifests: Arc::new(Manifests { folder, staging }),
            start: Offset::ZERO,
            buffer: Buffer::default(),
            records: 0,
            bytes: 0,
            since: None,
            first: None,
        })
    }

    /// Decodes what must be decoded, finds each record's folder; answers the records that cannot be written.
    fn take(&mut self, records: Vec<Record>) -> Result<Vec<Rejected>, TaskError> {
        let decoded = self.decoder.decode(&records).map_err(TaskError::retry)?;
        let mut failed = decoded.failed;
        let columns = self.plan.pattern.columns();
        let texts: Vec<_> = columns
            .iter()
            .filter_map(|column| decoded.batch.column_by_name(column))
            .map(key_texts)
            .collect();
        let mut folders = Vec::with_capacity(decoded.rows.len());
        let mut kept: Vec<u32> = Vec::with_capacity(decoded.rows.len());
        for (row, index) in decoded.rows.iter().enumerate() {
            let record = &records[*index as usize];
            let text = |name: &str| -> Option<&[u8]> {
                let column = columns.iter().position(|column| *column == name)?;
                texts.get(column)?[row].as_deref()
            };
            match self.plan.pattern.fill(&self.partition, record.timestamp, text) {
                Ok(folder) => {
                    folders.push(self.buffer.folder(&folder));
                    kept.push(u32::try_from(row).expect("a micro-batch has less than 2^32 records"));
                }
                Err(reason) => failed.push((*index as usize, reason)),
            }
        }
        let index_of = |row: &u32| decoded.rows[*row as usize] as usize;
        if !kept.is_empty() {
            let rows = if self.plan.target.passes_through() {
                let value = |row| -> Bytes { records[index_of(row)].value.clone().unwrap_or_default() };
                ChunkRows::Values(kept.iter().map(value).collect())
            } else if kept.len() == decoded.rows.len() {
                ChunkRows::Columns(decoded.batch)
            } else {
                let wanted = arrow_array::UInt32Array::from(kept.clone());
                let taken = arrow_select::take::take_record_batch(&decoded.batch, &wanted);
                ChunkRows::Columns(taken.expect("the indices are rows of the batch"))
            };
            let bytes = kept.iter().map(|row| cost(&records[index_of(row)]));
            self.buffer.chunks.push(Arc::new(Chunk {
                offsets: kept.iter().map(|row| records[index_of(row)].offset).collect(),
                bytes: bytes.sum(),
                folders,
                rows,
            }));
        }
        failed.sort_by_key(|(index, _)| *index);
        let rejected = |(index, reason): (usize, String)| Rejected {
            record: records[index].clone(),
            reason,
            origin: Vec::new(),
        };
        Ok(failed.into_iter().map(rejected).collect())
    }

    /// Begins the next range with what is left over.
    fn begin(&mut self, start: Offset) {
        self.buffer.drop_before(start);
        self.start = start;
        self.records = self
            .buffer
            .chunks
            .iter()
            .map(|chunk| chunk.offsets.len() as u64)
            .sum();
        self.bytes = self.buffer.bytes();
        self.since = (self.records > 0).then(|| self.context.clock.now());
        self.first = None;
    }
}

fn cost(record: &Record) -> u64 {
    record.payload_bytes() as u64 + RECORD_OVERHEAD_BYTES
}

#[async_trait]
impl Sink for FileSink {
    async fn resume(&mut self, group: Offset) -> Result<Offset, TaskError> {
        self.buffer = Buffer::default();
        self.begin(group);
        Ok(group)
    }

    async fn write(&mut self, mut records: Vec<Record>) -> Result<Vec<Rejected>, TaskError> {
        records.retain(|record| record.offset >= self.start);
        let Some(first) = records.first() else {
            return Ok(Vec::new());
        };
        if self.since.is_none() {
            self.since = Some(self.context.clock.now());
            self.first = Some(Witness::of(first));
        }
        self.records += records.len() as u64;
        self.bytes += records.iter().map(cost).sum::<u64>();
        self.take(records)
    }

    fn should_roll(&self, now: Timestamp) -> Option<RollReason> {
        let roll = &self.plan.roll;
        let since = self.since?;
        if self.bytes >= roll.size.0 {
            return Some(RollReason::Bytes);
        }
        if self.records >= roll.records.get() || self.buffer.folder_count() >= MAX_FOLDERS {
            return Some(RollReason::Records);
        }
        let every = i64::try_from(roll.every.0.as_millis()).unwrap_or(i64::MAX);
        (now.0.saturating_sub(since.0) >= every).then_some(RollReason::Time)
    }

    async fn prepare(&mut self, next: Offset) -> Result<Range, TaskError> {
        if next <= self.start {
            return Ok(Range {
                start: self.start,
                end: self.start,
            });
        }
        let ours = Manifest::new(self.start, next, &self.plan.layout, self.first);
        let manifests = Arc::clone(&self.manifests);
        let fixed = spawn_blocking(move || manifests.fix(&ours))
            .await
            .map_err(TaskError::fatal)??;
        Ok(Range {
            start: fixed.start,
            end: fixed.end,
        })
    }

    async fn commit(&mut self, range: Range) -> Result<(), TaskError> {
        if range.end <= self.start {
            return Ok(());
        }
        if range.start != self.start {
            let Range { start, end } = range;
            let expected = self.start;
            return Err(TaskError::fatal(format!(
                "range {start}..{end} cannot be committed, {expected} is next"
            )));
        }
        let files = self.buffer.files(range.end);
        let chunks = self.buffer.chunks.clone();
        let plan = Arc::clone(&self.plan);
        let manifests = Arc::clone(&self.manifests);
        let topic = &self.partition.topic;
        let name = format!(
            "{topic}+{}+{}.{}",
            self.partition.partition,
            range.start,
            plan.target.extension()
        );
        let written = spawn_blocking(move || {
            for (folder, rows) in files {
                let path = plan.root.join(folder.as_ref()).join(&name);
                publish_file(&plan, &manifests.staging, &path, &chunks, &rows).map_err(|error| {
                    TaskError::retry(format!("cannot write '{}': {error}", path.display()))
                })?;
            }
            Ok::<(), TaskError>(())
        });
        written.await.map_err(TaskError::fatal)??;
        self.begin(range.end);
        Ok(())
    }
}

fn publish_file(
    plan: &Plan,
    staging: &Staging,
    path: &Path,
    chunks: &[Arc<Chunk>],
    rows: &[range::RowIndex],
) -> Result<(), write::WriteError> {
    // What is there was written from the same range.
    if path.exists() {
        return Ok(publish::sync_above(path)?);
    }
    let staged = staging.create()?;
    write::write(&staged.file, &plan.target, chunks, rows)?;
    staged.publish(path)?;
    Ok(())
}
