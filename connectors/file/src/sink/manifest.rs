//! Which offsets belong together: decided once for each start, by whoever comes first.
//!
//! `_millstream/<pipeline>.<node>/<topic>/<partition>/<start>.json`, created only if absent. Every later incarnation
//! that begins at `start`, be it a restart or a zombie, adopts the end that stands there, so all of them write the same
//! records into the files of that name. The manifests of a partition form one chain from offset to offset.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use millstream_sdk::TaskError;
use millstream_types::{Offset, Record};
use serde::{Deserialize, Serialize};

use super::publish::{Published, Staging};
use crate::hash::Fnv;

const VERSION: u16 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: u16,
    pub(crate) start: Offset,
    /// Exclusive.
    pub(crate) end: Offset,
    /// Pattern and format of the files: another configuration would write the same records to other names.
    pub(crate) layout: String,
    /// The first record of the range, to notice that the folder belongs to the output of another log.
    pub(crate) first: Option<Witness>,
}

/// What a record is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Witness {
    offset: Offset,
    hash: u64,
}

impl Witness {
    pub(crate) fn of(record: &Record) -> Self {
        let mut hash = Fnv::new();
        hash.write(&record.timestamp.0.to_le_bytes());
        for part in [&record.key, &record.value] {
            hash.write(&[u8::from(part.is_some())]);
            hash.write(part.as_deref().unwrap_or_default());
        }
        Self {
            offset: record.offset,
            hash: hash.finish(),
        }
    }
}

impl Manifest {
    pub(crate) fn new(start: Offset, end: Offset, layout: &str, first: Option<Witness>) -> Self {
        Self {
            version: VERSION,
            start,
            end,
            layout: layout.into(),
            first,
        }
    }

    /// Whether `self`, which stands in the folder, was meant by a configuration and a log like those of `ours`.
    fn fits(&self, ours: &Self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!(
                "it has version {}, this program knows {VERSION}",
                self.version
            ));
        }
        if self.start != ours.start || self.end <= self.start {
            return Err(format!("it holds {}..{}", self.start, self.end));
        }
        if self.layout != ours.layout {
            return Err(format!(
                "the range was begun as '{}', the configuration says '{}': finish it with the old configuration, or \
                 choose another path",
                self.layout, ours.layout
            ));
        }
        // A compacted topic may have lost the first record meanwhile; then there is nothing to compare.
        match (self.first, ours.first) {
            (Some(theirs), Some(ours)) if theirs.offset == ours.offset && theirs.hash != ours.hash => Err(
                "the folder holds the output of another log: choose another path, or remove the folder to write anew"
                    .into(),
            ),
            _ => Ok(()),
        }
    }
}

/// The manifests of one partition.
pub(crate) struct Manifests {
    pub(crate) folder: PathBuf,
    pub(crate) staging: Staging,
}

impl Manifests {
    /// Blocking. Writes `ours`, or answers the one that was there before.
    pub(crate) fn fix(&self, ours: &Manifest) -> Result<Manifest, TaskError> {
        let name = self.name(ours.start);
        let write = || {
            let mut staged = self.staging.create()?;
            serde_json::to_writer(&mut staged.file, ours)?;
            staged.file.write_all(b"\n")?;
            staged.publish(&name)
        };
        let failed =
            |error: io::Error| TaskError::retry(format!("cannot write '{}': {error}", name.display()));
        match write().map_err(failed)? {
            Published::Now => Ok(ours.clone()),
            Published::Before => self
                .read(ours)?
                .ok_or_else(|| TaskError::retry(format!("'{}' vanished while it was read", name.display()))),
        }
    }

    /// The manifest that starts where `ours` does, if there is one.
    pub(crate) fn read(&self, ours: &Manifest) -> Result<Option<Manifest>, TaskError> {
        let name = self.name(ours.start);
        let text = match fs::read(&name) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(TaskError::retry(format!(
                    "cannot read '{}': {error}",
                    name.display()
                )));
            }
        };
        let unfit = |reason: String| TaskError::fatal(format!("'{}' does not fit: {reason}", name.display()));
        let found: Manifest = serde_json::from_slice(&text).map_err(|error| unfit(error.to_string()))?;
        found.fits(ours).map_err(unfit)?;
        Ok(Some(found))
    }

    fn name(&self, start: Offset) -> PathBuf {
        self.folder.join(format!("{start}.json"))
    }
}
