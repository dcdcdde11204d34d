//! Reads the files of a task, batch by batch: the blocking half of the source.
//!
//! Not following: the files one after the other, by name. Following: all files in turn, each as far as it goes; a file
//! is known by its inode and first bytes, so a renamed one is read on and a replaced one begins anew. The handle of a
//! followed file stays open, so that what was written before a rotation can still be read after it.
//!
//! A file holds a buffer only while it is being read: at its end the reader is dropped, and opened again at the same
//! place when the file has grown.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use millstream_sdk::{Position, Problem, Rejected, StreamSchema, TaskError, ValueFormat};
use millstream_types::{Clock, Record};

use super::{
    batch::{Batch, Finish},
    discover::split,
    files::Identity,
    input::{Compression, Input},
    parquet::{ParquetError, ParquetRows},
    position::{FileProgress, Place, Progress},
    rows::{Framing, Row, Rows, RowsError},
    setup::{NO_AVRO, Setup},
};
use crate::{config::Start, hash::Fnv};

/// Followed files stay open.
const MAX_FOLLOWED: usize = 500;
/// Followed files that are all busy are looked for new neighbours after this many batches.
const BATCHES_BETWEEN_SCANS: u32 = 64;
/// A file that is gone from its path is finished after it was found at its end this often: who writes to it may need
/// a moment to notice.
const LOOKS_AFTER_ROTATION: u8 = 2;

pub(crate) struct Reader {
    setup: Arc<Setup>,
    schema: StreamSchema,
    finish: Finish,
    clock: Arc<dyn Clock>,
    /// The share of this task: file hash modulo the second is the first.
    share: (u64, u64),
    until_end: bool,
    files: Vec<Tracked>,
    /// The file to read next.
    turn: usize,
    batches_since_scan: u32,
}

/// What came of one look at the files.
pub(crate) enum Step {
    Batch {
        records: Vec<Record>,
        rejected: Vec<Rejected>,
        position: Position,
    },
    /// Nothing to read now.
    Wait,
    End(Position),
}

struct Tracked {
    path: PathBuf,
    progress: FileProgress,
    /// Open while the file is read, and always when following.
    file: Option<Arc<File>>,
    content: Option<Content>,
    /// How often it was missing at its path.
    missed: u8,
    /// The size of the file when `content` was opened: what grows later is read when it is opened again.
    opened_size: u64,
    /// Its end was reached, and a last line without line end was read, too.
    is_finished: bool,
    compression: Compression,
}

enum Content {
    Rows {
        rows: Rows<Input>,
        /// The first row is the header.
        header: bool,
    },
    Parquet(Box<ParquetRows>),
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    #[error("its header is {found}, expected {expected}")]
    Header { found: String, expected: String },
    #[error("it shrank or was replaced after it was read")]
    Replaced,
}

impl Reader {
    /// Blocking.
    pub(crate) fn open(
        setup: Arc<Setup>,
        schema: StreamSchema,
        key: Option<&str>,
        share: (u64, u64),
        resume: Option<&Position>,
        clock: Arc<dyn Clock>,
        until_end: bool,
    ) -> Result<Self, TaskError> {
        let finish = Finish::new(&setup, &schema, key).map_err(|message| TaskError::Config {
            problem: setup.problem("format", message),
        })?;
        let mut reader = Self {
            setup,
            schema,
            finish,
            clock,
            share,
            until_end,
            files: Vec::new(),
            turn: 0,
            batches_since_scan: 0,
        };
        match resume {
            None => reader.begin()?,
            Some(position) => reader.resume(Progress::decode(position)?)?,
        }
        Ok(reader)
    }

    /// Reads one batch, or finds that there is nothing to read.
    pub(crate) fn step(&mut self) -> Result<Step, TaskError> {
        let mut batch = Batch::default();
        self.fill(&mut batch)?;
        self.batches_since_scan += 1;
        if self.follows() && (batch.is_empty() || self.batches_since_scan >= BATCHES_BETWEEN_SCANS) {
            self.batches_since_scan = 0;
            self.scan()?;
            if batch.is_empty() {
                self.fill(&mut batch)?;
            }
        }
        if batch.is_empty() {
            return Ok(if self.follows() && !self.until_end {
                Step::Wait
            } else {
                Step::End(self.position())
            });
        }
        let (records, rejected) = self
            .finish
            .finish(batch, |file| self.files[file].progress.path.clone());
        Ok(Step::Batch {
            records,
            rejected,
            position: self.position(),
        })
    }

    fn position(&self) -> Position {
        let begun = self.files.iter().map(|tracked| tracked.progress.clone());
        Progress {
            files: begun.collect(),
        }
        .encode()
    }

    fn follows(&self) -> bool {
        self.setup.config.follow
    }

    /// Gives each file its turn until the batch is full or all had one.
    fn fill(&mut self, batch: &mut Batch) -> Result<(), TaskError> {
        let (first, count) = (self.turn, self.files.len());
        for index in first..first + count {
            let index = if self.follows() { index % count } else { index };
            if index >= count {
                break;
            }
            self.turn = index;
            self.read(index, batch)?;
            if batch.is_full() {
                break;
            }
            self.turn = index + 1;
        }
        if self.follows() && count > 0 {
            self.turn %= count;
        }
        Ok(())
    }

    /// Reads on in a file until the batch is full or the file has no more.
    fn read(&mut self, index: usize, batch: &mut Batch) -> Result<(), TaskError> {
        let result = self.try_read(index, batch);
        result.map_err(|error| self.failure(index, &error))
    }

    fn try_read(&mut self, index: usize, batch: &mut Batch) -> Result<(), ReadError> {
        let is_final = self.until_end || !self.follows() || self.files[index].missed >= LOOKS_AFTER_ROTATION;
        if self.files[index].content.is_none() && !self.open_content(index, is_final)? {
            self.files[index].is_finished = is_final;
            return Ok(());
        }
        let now = self.clock.now();
        while !batch.is_full() {
            let tracked = &mut self.files[index];
            let Some(row) = tracked.next(is_final)? else {
                tracked.content = None;
                tracked.is_finished = is_final;
                tracked.progress.ended_at = Some(tracked.opened_size);
                if !self.setup.config.follow {
                    tracked.file = None;
                }
                return Ok(());
            };
            if tracked.take_header(&row, &self.setup, &self.schema)? {
                continue;
            }
            let name = |_| self.files[index].progress.path.clone();
            batch.push(&self.finish, row.bytes, (index, row.line), row.fault, now, name);
        }
        Ok(())
    }

    /// Opens the file at its place if there is something new in it.
    fn open_content(&mut self, index: usize, is_final: bool) -> Result<bool, ReadError> {
        let follows = self.follows();
        let is_parquet = self.setup.is_parquet();
        let tracked = &mut self.files[index];
        let file = match &tracked.file {
            Some(file) => Arc::clone(file),
            None => match File::open(&tracked.path) {
                Ok(file) => Arc::new(file),
                // Whoever removes a file that was read to its end takes nothing away.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && tracked.progress.ended_at.is_some() =>
                {
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            },
        };
        let size = file.metadata()?.len();
        // Only text that is not compressed can have a line that waits for its end.
        let is_text = !is_parquet && tracked.compression == Compression::None;
        let may_wait = is_final && is_text && tracked.progress.at.offset < size;
        if follows && tracked.progress.ended_at == Some(size) && !may_wait {
            return Ok(false);
        }
        tracked.check_beginning(&file, size, is_text, follows)?;
        if tracked.progress.ended_at == Some(size) && !may_wait {
            return Ok(false);
        }
        if follows {
            tracked.file = Some(Arc::clone(&file));
        }
        if size == 0 {
            tracked.progress.ended_at = Some(0);
            return Ok(false);
        }
        let at = tracked.progress.at;
        if is_parquet {
            let rows = ParquetRows::open(file.try_clone()?, &self.schema, at.offset)?;
            tracked.content = Some(Content::Parquet(Box::new(rows)));
        } else {
            let framing = match &self.setup.format {
                ValueFormat::Csv(dialect) => Framing::csv(dialect),
                ValueFormat::Json => Framing::Lines { keep_blank: false },
                ValueFormat::Raw => Framing::Lines { keep_blank: true },
                ValueFormat::Avro(_) => unreachable!("{NO_AVRO}"),
            };
            tracked.content = Some(Content::Rows {
                rows: Rows::new(tracked.compression.open(&file, at.offset)?, framing, at),
                header: at.offset == 0 && self.setup.has_header(),
            });
        }
        tracked.opened_size = size;
        tracked.progress.ended_at = None;
        Ok(true)
    }

    /// The first start: all files from their beginning, or from their end.
    fn begin(&mut self) -> Result<(), TaskError> {
        for path in self.listed()? {
            let mut tracked = self.track(&path)?;
            if self.follows() && self.setup.config.start == Start::End {
                tracked
                    .skip_to_end()
                    .map_err(|error| retry(&tracked.progress.path, &error))?;
            }
            self.files.push(tracked);
        }
        if !self.follows() {
            for path in self.setup.patterns.plain() {
                if self.is_ours(path) && !self.files.iter().any(|tracked| tracked.path == path) {
                    let message = format!("'{}' does not exist", self.setup.show(path));
                    return Err(TaskError::retry(message));
                }
            }
        }
        Ok(())
    }

    fn resume(&mut self, progress: Progress) -> Result<(), TaskError> {
        let listed = self.listed()?;
        for progress in progress.files {
            let path = self.setup.base.join(&progress.path);
            if self.follows() {
                self.resume_followed(path, progress, &listed)?;
            } else if progress.ended_at.is_none() && !path.exists() {
                return Err(TaskError::Lost {
                    what: format!("the rest of '{}'", progress.path),
                    message: "the file is gone before it was read to its end".into(),
                });
            } else {
                let compression = Compression::of(&path, self.setup.config.compression);
                self.files.push(Tracked::new(path, progress, None, compression));
            }
        }
        if self.follows() {
            return self.scan();
        }
        for path in listed {
            if !self.files.iter().any(|tracked| tracked.path == path) {
                let tracked = self.track(&path)?;
                self.files.push(tracked);
            }
        }
        Ok(())
    }

    /// Looks for a followed file at its path, at the other paths, and beside it under another name.
    fn resume_followed(
        &mut self,
        path: PathBuf,
        progress: FileProgress,
        listed: &BTreeSet<PathBuf>,
    ) -> Result<(), TaskError> {
        let beside = path.parent().and_then(|folder| fs::read_dir(folder).ok());
        let beside = beside
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()));
        let candidates = std::iter::once(path.clone())
            .chain(listed.iter().cloned())
            .chain(beside);
        for candidate in candidates {
            // Opening a pipe would wait for its writer.
            if !candidate.is_file() {
                continue;
            }
            let Ok(file) = File::open(&candidate) else {
                continue;
            };
            let is_it = file
                .metadata()
                .is_ok_and(|metadata| progress.identity.inode == metadata.ino());
            let alike = is_it
                && progress
                    .identity
                    .begins_alike(&file)
                    .map_err(|e| retry(&progress.path, &e))?;
            // A file that was emptied in place is the same one, too.
            if alike || (is_it && candidate == path) {
                let compression = Compression::of(&candidate, self.setup.config.compression);
                self.files
                    .push(Tracked::new(candidate, progress, Some(file), compression));
                return Ok(());
            }
        }
        if progress.ended_at.is_none() {
            tracing::warn!(
                file = progress.path,
                "a followed file is gone, what was not read of it is lost"
            );
        }
        Ok(())
    }

    /// Following: notes renamed and rotated files, finds new ones, forgets finished ones.
    fn scan(&mut self) -> Result<(), TaskError> {
        let listed = self.listed()?;
        let mut seen = vec![false; self.files.len()];
        let mut fresh = Vec::new();
        for path in listed {
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            let known = self
                .files
                .iter()
                .position(|tracked| tracked.progress.identity.is_at(&metadata));
            match known {
                Some(index) => {
                    seen[index] = true;
                    self.files[index].path.clone_from(&path);
                    self.files[index].progress.path = self.setup.show(&path);
                }
                None => fresh.push(path),
            }
        }
        for (tracked, seen) in self.files.iter_mut().zip(seen) {
            tracked.missed = if seen { 0 } else { tracked.missed.saturating_add(1) };
        }
        self.files
            .retain(|tracked| tracked.missed == 0 || !tracked.is_finished);
        for path in fresh {
            // First the old file to its end, then its successor.
            if !self.files.iter().any(|tracked| tracked.path == path) {
                let tracked = self.track(&path)?;
                self.files.push(tracked);
            }
        }
        Ok(())
    }

    fn listed(&self) -> Result<BTreeSet<PathBuf>, TaskError> {
        let mut listed = self.setup.patterns.list().map_err(TaskError::retry)?;
        listed.retain(|path| self.is_ours(path));
        if self.follows() && listed.len() > MAX_FOLLOWED {
            let message =
                format!("more than {MAX_FOLLOWED} files match, each would stay open while it is followed");
            return Err(TaskError::Config {
                problem: self.setup.problem("path", message),
            });
        }
        Ok(listed)
    }

    fn is_ours(&self, path: &Path) -> bool {
        let (share, of) = self.share;
        of <= 1 || Fnv::of(self.setup.show(path).as_bytes()) % of == share
    }

    /// Begins with a file. Followed ones stay open from here on.
    fn track(&self, path: &Path) -> Result<Tracked, TaskError> {
        let shown = self.setup.show(path);
        let file = File::open(path).map_err(|error| retry(&shown, &error))?;
        let progress = FileProgress {
            identity: Identity::of(&file).map_err(|error| retry(&shown, &error))?,
            path: shown,
            at: Place::default(),
            ended_at: None,
        };
        let compression = Compression::of(path, self.setup.config.compression);
        let file = self.follows().then_some(file);
        Ok(Tracked::new(path.into(), progress, file, compression))
    }

    fn failure(&mut self, index: usize, error: &ReadError) -> TaskError {
        let tracked = &mut self.files[index];
        tracked.content = None;
        tracked.progress.ended_at = None;
        let path = &tracked.progress.path;
        let lost = || TaskError::Lost {
            what: format!("the rest of '{path}'"),
            message: error.to_string(),
        };
        match error {
            ReadError::Replaced | ReadError::Rows(RowsError::GrewInsideALine) => lost(),
            ReadError::Parquet(ParquetError::Shorter { .. }) => lost(),
            ReadError::Header { .. }
            | ReadError::Parquet(ParquetError::Columns { .. } | ParquetError::Type { .. }) => {
                let problem = self
                    .setup
                    .problem("path", format!("'{path}' does not fit: {error}"));
                let help = "files of one source have the same columns in the same order";
                TaskError::Config {
                    problem: Problem::help(problem, help),
                }
            }
            ReadError::Io(cause) | ReadError::Rows(RowsError::Io(cause)) => {
                broken(path, tracked.compression, cause)
            }
            ReadError::Parquet(_) => TaskError::fatal(format!("cannot read '{path}': {error}")),
        }
    }
}

impl Tracked {
    fn new(path: PathBuf, progress: FileProgress, file: Option<File>, compression: Compression) -> Self {
        Self {
            path,
            progress,
            file: file.map(Arc::new),
            content: None,
            missed: 0,
            opened_size: 0,
            is_finished: false,
            compression,
        }
    }

    /// The next row; the place moves past it.
    fn next(&mut self, is_final: bool) -> Result<Option<Row>, ReadError> {
        match &mut self.content {
            None => Ok(None),
            Some(Content::Rows { rows, .. }) => {
                let row = rows.next(is_final)?;
                if row.is_some() {
                    self.progress.at = rows.place();
                }
                Ok(row)
            }
            Some(Content::Parquet(rows)) => {
                let Some(bytes) = rows.next()? else {
                    return Ok(None);
                };
                let at = &mut self.progress.at;
                at.offset += 1;
                at.lines += 1;
                Ok(Some(Row {
                    bytes,
                    line: at.lines,
                    fault: None,
                }))
            }
        }
    }

    /// Whether `row` is the header, which must name the columns.
    fn take_header(&mut self, row: &Row, setup: &Setup, schema: &StreamSchema) -> Result<bool, ReadError> {
        let (Some(Content::Rows { header, .. }), ValueFormat::Csv(dialect)) =
            (&mut self.content, &setup.format)
        else {
            return Ok(false);
        };
        if !std::mem::take(header) {
            return Ok(false);
        }
        let found: Vec<_> = split(&row.bytes, dialect)
            .into_iter()
            .map(|field| field.text)
            .collect();
        let expected: Vec<_> = schema
            .columns
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        if found != expected {
            let show = |names: &[String]| names.join(",").chars().take(200).collect();
            return Err(ReadError::Header {
                found: show(&found),
                expected: show(&expected),
            });
        }
        Ok(true)
    }

    /// Whether the file is still the one that was begun. A followed one that was emptied begins anew.
    fn check_beginning(
        &mut self,
        file: &File,
        size: u64,
        is_text: bool,
        follows: bool,
    ) -> Result<(), ReadError> {
        let shrank = is_text && size < self.progress.at.offset;
        let identity = &mut self.progress.identity;
        let is_same = size >= identity.length && !shrank && identity.begins_alike(file)?;
        if is_same {
            if !identity.is_complete() {
                *identity = Identity::of(file)?;
            }
            return Ok(());
        }
        if !follows {
            return Err(ReadError::Replaced);
        }
        tracing::warn!(
            file = self.progress.path,
            "a followed file was emptied and begins anew"
        );
        *identity = Identity::of(file)?;
        self.progress.at = Place::default();
        self.progress.ended_at = None;
        Ok(())
    }

    /// To the beginning of the last, unfinished line. Counts the lines before it.
    fn skip_to_end(&mut self) -> Result<(), ReadError> {
        let Some(file) = &self.file else { return Ok(()) };
        let size = file.metadata()?.len();
        let input = self.compression.open(file, 0)?;
        let mut rows = Rows::new(
            io::Read::take(input, size),
            Framing::Lines { keep_blank: true },
            Place::default(),
        );
        while rows.next(false)?.is_some() {}
        self.progress.at = rows.place();
        Ok(())
    }
}

fn retry(path: &str, error: &impl ToString) -> TaskError {
    TaskError::retry(format!("cannot read '{path}': {}", error.to_string()))
}

/// An error of the disk may pass; a broken gzip or zstd stream will not.
fn broken(path: &str, compression: Compression, cause: &io::Error) -> TaskError {
    let is_content = matches!(
        cause.kind(),
        io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Other
    );
    if compression != Compression::None && is_content {
        return TaskError::fatal(format!("'{path}' is damaged or cut off: {cause}"));
    }
    retry(path, cause)
}
