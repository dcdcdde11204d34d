//! The bytes of a file from an offset, uncompressed.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use flate2::bufread::MultiGzDecoder;

use crate::config::SourceCompression;

pub(crate) type Input = Box<dyn Read + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    pub(crate) fn of(path: &Path, configured: SourceCompression) -> Self {
        match configured {
            SourceCompression::None => Self::None,
            SourceCompression::Gzip => Self::Gzip,
            SourceCompression::Zstd => Self::Zstd,
            SourceCompression::Auto => match path.extension().and_then(|extension| extension.to_str()) {
                Some("gz" | "gzip") => Self::Gzip,
                Some("zst" | "zstd") => Self::Zstd,
                _ => Self::None,
            },
        }
    }

    /// Opens the uncompressed bytes from `offset` on. Inside a compressed file, what comes before is read and dropped.
    /// Fails with `UnexpectedEof` when the file is shorter.
    pub(crate) fn open(self, file: &Arc<File>, offset: u64) -> io::Result<Input> {
        let start = if self == Self::None { offset } else { 0 };
        let raw = FileBytes {
            file: Arc::clone(file),
            at: start,
        };
        let mut input: Input = match self {
            Self::None => return Ok(Box::new(raw)),
            // Both decoders go on with the next gzip member or zstd frame; zstd refuses windows beyond 128 MiB.
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(
                COMPRESSED_BYTES,
                raw,
            ))),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(
                BufReader::with_capacity(COMPRESSED_BYTES, raw),
            )?),
        };
        let skipped = io::copy(&mut input.by_ref().take(offset), &mut io::sink())?;
        if skipped < offset {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(input)
    }
}

const COMPRESSED_BYTES: usize = 64 << 10;

/// Reads at its own offset, so that the file handle can be shared.
struct FileBytes {
    file: Arc<File>,
    at: u64,
}

impl Read for FileBytes {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
