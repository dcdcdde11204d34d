//! The codecs of record batches, each in the framing that the Java client and librdkafka write and read.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
};

use bytes::Bytes;

use super::BatchError;

/// What one batch may decompress to, unless the caller says otherwise. A bomb is an error, not an allocation.
pub const MAX_DECOMPRESSED_BYTES: usize = 128 << 20;

/// Of codecs that do not have blocks of their own.
const PIECE_BYTES: usize = 64 << 10;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in the attributes of a batch.
    pub fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    pub fn from_id(id: i16) -> Result<Self, BatchError> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.id() == id)
            .ok_or(BatchError::UnknownCompression { id })
    }

    /// The value of Kafka's `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// At the codec's own level, `None` for its default. Snappy has none, and the lz4 here has one only.
    pub(super) fn compress(self, plain: &[u8], level: Option<i32>) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(plain.to_vec()),
            Self::Gzip => {
                let level = level.and_then(|level| u32::try_from(level).ok());
                let level = level.map_or_else(flate2::Compression::default, |level| {
                    flate2::Compression::new(level.min(9))
                });
                let mut out = flate2::write::GzEncoder::new(Vec::new(), level);
                out.write_all(plain)?;
                out.finish()
            }
            Self::Snappy => snappy::compress(plain),
            Self::Lz4 => {
                let mut out = lz4_flex::frame::FrameEncoder::with_frame_info(lz4_frame(), Vec::new());
                out.write_all(plain)?;
                out.finish().map_err(io::Error::other)
            }
            Self::Zstd => zstd::stream::encode_all(plain, level.unwrap_or(ZSTD_LEVEL)),
        }
    }

    /// The plain records; without compression a view of the same bytes.
    pub(super) fn decompress(self, packed: &Bytes, limit: usize) -> Result<Bytes, BatchError> {
        if self == Self::None {
            return Ok(packed.clone());
        }
        let mut pieces = self.pieces(packed, limit)?;
        let mut plain = Vec::new();
        loop {
            let piece = pieces.next()?;
            if piece.is_empty() {
                return Ok(plain.into());
            }
            plain.extend_from_slice(piece);
        }
    }

    /// The plain records as they come out of the codec, for who does not need them all at once.
    pub(super) fn pieces(self, packed: &[u8], limit: usize) -> Result<Pieces<'_>, BatchError> {
        let failed = |error| self.failed(&error);
        Ok(match self {
            Self::None => Pieces::of(self, packed, limit),
            Self::Gzip => Pieces::of(
                self,
                buffered(flate2::bufread::MultiGzDecoder::new(packed)),
                limit,
            ),
            Self::Snappy => {
                let plain = snappy::decompress(packed, limit).map_err(failed)?;
                Pieces::of(self, io::Cursor::new(plain), limit)
            }
            Self::Lz4 => Pieces::of(self, lz4_flex::frame::FrameDecoder::new(packed), limit),
            Self::Zstd => Pieces::of(self, buffered(zstd_decoder(packed).map_err(failed)?), limit),
        })
    }

    fn failed(self, error: &io::Error) -> BatchError {
        BatchError::Decompress {
            codec: self,
            reason: error.to_string(),
        }
    }
}

/// Plain records, piece by piece out of the decoder's own buffer.
pub(super) struct Pieces<'a> {
    plain: Box<dyn BufRead + 'a>,
    codec: Compression,
    limit: usize,
    seen_bytes: usize,
    piece_bytes: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn of(codec: Compression, plain: impl BufRead + 'a, limit: usize) -> Self {
        Self {
            plain: Box::new(plain),
            codec,
            limit,
            seen_bytes: 0,
            piece_bytes: 0,
        }
    }

    /// The next piece; an empty one is the end.
    pub(super) fn next(&mut self) -> Result<&[u8], BatchError> {
        self.plain.consume(self.piece_bytes);
        let piece = self.plain.fill_buf().map_err(|error| self.codec.failed(&error))?;
        self.piece_bytes = piece.len();
        self.seen_bytes += piece.len();
        if self.seen_bytes > self.limit {
            return Err(BatchError::TooLarge { limit: self.limit });
        }
        Ok(piece)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// zstd's own default: beyond it, time grows faster than the gain.
const ZSTD_LEVEL: i32 = 3;
/// 8 MiB, what RFC 8878 asks every decoder to support: a frame must not make us allocate a larger window.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

fn zstd_decoder(packed: &[u8]) -> io::Result<zstd::stream::read::Decoder<'static, &[u8]>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// Kafka's choice: independent blocks of 64 KB.
fn lz4_frame() -> lz4_flex::frame::FrameInfo {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent)
}

fn buffered<R: Read>(decoder: R) -> BufReader<R> {
    BufReader::with_capacity(PIECE_BYTES, decoder)
}

/// The framing of `snappy-java`, which Kafka's Java client writes: a 16-byte header, then blocks with their length.
/// librdkafka writes one bare snappy block; readers take both.
mod snappy {
    use std::io;

    const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
    const VERSION: [u8; 4] = 1_i32.to_be_bytes();
    const COMPATIBLE_VERSION: [u8; 4] = 1_i32.to_be_bytes();
    const HEADER_BYTES: usize = 16;
    /// Of a packed byte at most: a copy of 64 bytes takes three.
    const MOST_PLAIN_BYTES: usize = 22;
    /// Plain bytes per block.
    const BLOCK_BYTES: usize = 32 << 10;

    pub(super) fn compress(plain: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = [MAGIC.as_slice(), &VERSION, &COMPATIBLE_VERSION].concat();
        let mut encoder = snap::raw::Encoder::new();
        for chunk in plain.chunks(BLOCK_BYTES) {
            let block = encoder.compress_vec(chunk)?;
            let length = i32::try_from(block.len()).expect("a block is smaller than 64 KB");
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&block);
        }
        Ok(out)
    }

    /// Stops with more than `limit` bytes without having allocated them.
    pub(super) fn decompress(packed: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        if !packed.starts_with(&MAGIC) {
            append_block(&mut plain, packed, limit)?;
            return Ok(plain);
        }
        let mut rest = packed.get(HEADER_BYTES..).ok_or(io::ErrorKind::UnexpectedEof)?;
        while let Some((length, blocks)) = rest.split_first_chunk() {
            let length = usize::try_from(i32::from_be_bytes(*length)).map_err(io::Error::other)?;
            let (block, next) = blocks
                .split_at_checked(length)
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            append_block(&mut plain, block, limit)?;
            rest = next;
        }
        if rest.is_empty() {
            Ok(plain)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn append_block(plain: &mut Vec<u8>, block: &[u8], limit: usize) -> io::Result<()> {
        let at = plain.len();
        let length = snap::raw::decompress_len(block)?;
        if length > block.len().saturating_mul(MOST_PLAIN_BYTES) {
            return Err(io::Error::other("a block that claims more than it can hold"));
        }
        if length > limit.saturating_sub(at) {
            return Err(io::Error::other(format!("more than {limit} bytes")));
        }
        plain.resize(at + length, 0);
        snap::raw::Decoder::new().decompress(block, &mut plain[at..])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_an_error_with_every_codec() {
        let zeros = vec![0; 1 << 20];
        for codec in Compression::ALL.into_iter().skip(1) {
            let packed = Bytes::from(codec.compress(&zeros, None).unwrap());
            assert_eq!(codec.decompress(&packed, zeros.len()).unwrap(), zeros);
            assert!(codec.decompress(&packed, zeros.len() - 1).is_err(), "{codec}");
        }
    }

    /// The length stands in front of a block of snappy, and anybody can write a large one.
    #[test]
    fn a_snappy_block_that_cannot_hold_what_it_claims_is_refused_before_memory_is_taken() {
        let claims_126_million = Bytes::from_static(b"\x82\xed\xd5\x3c\x6c\xb4S\0\0\0");
        let refused = Compression::Snappy.decompress(&claims_126_million, MAX_DECOMPRESSED_BYTES);
        let Err(BatchError::Decompress { reason, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert!(reason.contains("claims"), "{reason}");
        let zeros = vec![0; 1 << 20];
        let block = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        assert_eq!(
            Compression::Snappy
                .decompress(&block.into(), zeros.len())
                .unwrap(),
            zeros
        );
    }

    #[test]
    fn a_bare_snappy_block_is_read_too() {
        let block = snap::raw::Encoder::new()
            .compress_vec(b"as librdkafka writes")
            .unwrap();
        let plain = Compression::Snappy.decompress(&block.into(), 100).unwrap();
        assert_eq!(plain, "as librdkafka writes");
    }

    #[test]
    fn ids_and_names_are_kafkas() {
        for codec in Compression::ALL {
            assert_eq!(Compression::from_id(codec.id()), Ok(codec));
            assert_eq!(Compression::from_name(codec.name()), Some(codec));
        }
        assert_eq!(
            Compression::from_id(5),
            Err(BatchError::UnknownCompression { id: 5 })
        );
    }
}
