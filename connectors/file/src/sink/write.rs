//! Rows to the bytes of one file. The same rows always give the same bytes.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    sync::Arc,
};

use arrow_array::RecordBatch;
use arrow_select::interleave::interleave_record_batch;
use flate2::{Compression, write::GzEncoder};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression as Codec, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};

use super::{
    plan::{Target, TextTarget},
    range::{Chunk, ChunkRows, RowIndex},
};
use crate::config::{ParquetCompression, ParquetSink, SinkCompression};

/// Rows that are gathered at once.
const BATCH_ROWS: usize = 8_192;

#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    #[error(transparent)]
    Format(#[from] millstream_formats::FormatError),
}

/// Writes `rows` of `chunks`.
pub(crate) fn write(
    file: &File,
    target: &Target,
    chunks: &[Arc<Chunk>],
    rows: &[RowIndex],
) -> Result<(), WriteError> {
    match target {
        Target::Parquet(options) => write_parquet(file, options, chunks, rows),
        Target::Text(text) => write_text(file, text, chunks, rows),
    }
}

fn write_parquet(
    file: &File,
    options: &ParquetSink,
    chunks: &[Arc<Chunk>],
    rows: &[RowIndex],
) -> Result<(), WriteError> {
    let codec = match options.compression {
        ParquetCompression::None => Codec::UNCOMPRESSED,
        ParquetCompression::Snappy => Codec::SNAPPY,
        ParquetCompression::Lz4 => Codec::LZ4_RAW,
        ParquetCompression::Zstd => Codec::ZSTD(ZstdLevel::default()),
    };
    let properties = WriterProperties::builder().set_compression(codec).build();
    let mut writer: Option<ArrowWriter<BufWriter<&File>>> = None;
    for rows in rows.chunks(BATCH_ROWS) {
        let batch = gather(chunks, rows)?;
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(ArrowWriter::try_new(
                BufWriter::new(file),
                batch.schema(),
                Some(properties.clone()),
            )?),
        };
        writer.write(&batch)?;
        if writer.in_progress_size() as u64 >= options.row_group.0 {
            writer.flush()?;
        }
    }
    if let Some(writer) = writer {
        writer.into_inner()?.flush()?;
    }
    Ok(())
}

fn write_text(
    file: &File,
    text: &TextTarget,
    chunks: &[Arc<Chunk>],
    rows: &[RowIndex],
) -> Result<(), WriteError> {
    let file = BufWriter::new(file);
    match text.compression {
        SinkCompression::None => write_lines(file, text, chunks, rows)?.flush()?,
        SinkCompression::Gzip => {
            let gzip = GzEncoder::new(file, Compression::default());
            write_lines(gzip, text, chunks, rows)?.finish()?.flush()?;
        }
        SinkCompression::Zstd => {
            let zstd = zstd::stream::write::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            write_lines(zstd, text, chunks, rows)?.finish()?.flush()?;
        }
    }
    Ok(())
}

fn write_lines<W: Write>(
    mut out: W,
    text: &TextTarget,
    chunks: &[Arc<Chunk>],
    rows: &[RowIndex],
) -> Result<W, WriteError> {
    out.write_all(&text.header)?;
    for rows in rows.chunks(BATCH_ROWS) {
        match &text.encoder {
            Some(encoder) => {
                for value in encoder.encode(&gather(chunks, rows)?)?.values {
                    out.write_all(&value)?;
                    out.write_all(b"\n")?;
                }
            }
            None => {
                for (chunk, row) in rows {
                    let ChunkRows::Values(values) = &chunks[*chunk].rows else {
                        unreachable!("a target without encoder holds values");
                    };
                    write_value(&mut out, &values[*row])?;
                }
            }
        }
    }
    Ok(out)
}

/// A JSON value on one line: line ends in it can only be blanks between its parts.
fn write_value(out: &mut impl Write, value: &[u8]) -> io::Result<()> {
    for (index, line) in value.split(|byte| matches!(byte, b'\n' | b'\r')).enumerate() {
        if index > 0 {
            out.write_all(b" ")?;
        }
        out.write_all(line)?;
    }
    out.write_all(b"\n")
}

fn gather(chunks: &[Arc<Chunk>], rows: &[RowIndex]) -> Result<RecordBatch, WriteError> {
    // Only the chunks in use: gathering costs something for each one.
    let (first, last) = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => (first.0, last.0),
        _ => (0, 0),
    };
    let batches: Vec<&RecordBatch> = chunks[first..=last]
        .iter()
        .map(|chunk| match &chunk.rows {
            ChunkRows::Columns(batch) => batch,
            ChunkRows::Values(_) => unreachable!("a target with columns holds columns"),
        })
        .collect();
    let rows: Vec<_> = rows.iter().map(|(chunk, row)| (chunk - first, *row)).collect();
    Ok(interleave_record_batch(&batches, &rows)?)
}
