use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use millstream_broker_storage::{Disk, Finding, RealDisk, Severity, Verification, verify};
use serde::Serialize;

use crate::{
    Context,
    exit::Exit,
    output::{Row, grouped},
    store::DataDir,
};

/// Read a whole data directory and say what is damaged
///
/// Checks every frame of the write-ahead log, every batch and record of every segment, every index against its segment,
/// and the checkpoint. Changes nothing, and needs the directory for itself: stop the broker first, or copy the directory.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream verify --data-dir ./data
  millstream verify --data-dir ./data -o json | jq '.findings[] | select(.severity == \"damage\")'

Exit code 1 says that something is damaged. Notes are what a crash leaves by design; the next start deals with them.")]
pub(crate) struct Args {
    #[command(flatten)]
    dir: DataDir,
}

#[derive(Serialize)]
struct Report {
    sound: bool,
    topics: u64,
    partitions: u64,
    segments: u64,
    indexes: u64,
    batches: u64,
    records: u64,
    wal_files: u64,
    wal_frames: u64,
    bytes: u64,
    findings: Vec<FindingRow>,
    /// Findings beyond those that are listed.
    more_findings: u64,
}

#[derive(Serialize)]
struct FindingRow {
    severity: &'static str,
    file: PathBuf,
    byte: u64,
    partition: Option<String>,
    reason: String,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let dir = self.dir.existing()?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(&dir));
        let found = tokio::task::spawn_blocking(move || verify(&disk))
            .await?
            .with_context(|| format!("cannot verify '{}'", dir.display()))?;
        let report = Report::from(found);
        if context.output.is_json() {
            context.output.json(&report)?;
        } else if !report.findings.is_empty() {
            context.output.table(&report.findings)?;
        }
        context.output.flush()?;
        context.talk.say(report.summary());
        Ok(if report.sound { Exit::Ok } else { Exit::Failed })
    }
}

impl Report {
    fn summary(&self) -> String {
        let read = format!(
            "read {} records in {} segments and {} files of the write-ahead log, {} bytes",
            grouped(self.records),
            grouped(self.segments),
            grouped(self.wal_files),
            grouped(self.bytes)
        );
        let damaged =
            self.findings.iter().filter(|row| row.severity == DAMAGE).count() as u64 + self.more_findings;
        match damaged {
            0 => format!("{read}: nothing is damaged"),
            1 => format!("{read}: one thing is damaged"),
            damaged => format!("{read}: {} things are damaged", grouped(damaged)),
        }
    }
}

impl From<Verification> for Report {
    fn from(found: Verification) -> Self {
        Self {
            sound: found.is_sound(),
            topics: found.topics,
            partitions: found.partitions,
            segments: found.segments,
            indexes: found.indexes,
            batches: found.batches,
            records: found.records,
            wal_files: found.wal_files,
            wal_frames: found.wal_frames,
            bytes: found.bytes,
            findings: found.findings.into_iter().map(FindingRow::from).collect(),
            more_findings: found.more_findings,
        }
    }
}

const DAMAGE: &str = "damage";

impl From<Finding> for FindingRow {
    fn from(finding: Finding) -> Self {
        Self {
            severity: match finding.severity {
                Severity::Note => "note",
                Severity::Damage => DAMAGE,
            },
            file: finding.file,
            byte: finding.position,
            partition: finding.partition,
            reason: finding.reason,
        }
    }
}

impl Row for FindingRow {
    const TITLES: &'static [&'static str] = &["SEVERITY", "FILE", "#BYTE", "PARTITION", "WHAT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.severity.to_owned(),
            self.file.display().to_string(),
            grouped(self.byte),
            self.partition.clone().unwrap_or_else(|| "-".to_owned()),
            self.reason.clone(),
        ]
    }
}
