//! The same result without a log: read the CSV, filter, derive the columns, write one Parquet file.

use std::{fs::File, path::Path, sync::Arc};

use anyhow::{Context, Result};
use arrow_arith::numeric::{div, mul, sub};
use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, Scalar, StringArray, cast::AsArray, types::Int64Type,
};
use arrow_cast::cast;
use arrow_ord::cmp::gt;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_select::filter::filter_record_batch;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use regex::Regex;

const BATCH_ROWS: usize = 8192;

pub(crate) fn run(csv: &Path, out: &Path) -> Result<()> {
    let reader = arrow_csv::ReaderBuilder::new(flights())
        .with_header(true)
        .with_null_regex(Regex::new("^(NA)?$")?)
        .with_batch_size(BATCH_ROWS)
        .build(File::open(csv)?)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .build();
    let mut writer = None;
    for batch in reader {
        let delays = delays(&batch?)?;
        if writer.is_none() {
            writer = Some(ArrowWriter::try_new(
                File::create(out)?,
                delays.schema(),
                Some(properties.clone()),
            )?);
        }
        writer.as_mut().context("was just made")?.write(&delays)?;
    }
    writer.context("the file has rows")?.close()?;
    Ok(())
}

fn flights() -> SchemaRef {
    let number = DataType::Int64;
    let columns = [
        ("year", number.clone()),
        ("month", number.clone()),
        ("day", number.clone()),
        ("dep_time", number.clone()),
        ("sched_dep_time", number.clone()),
        ("dep_delay", number.clone()),
        ("arr_time", number.clone()),
        ("sched_arr_time", number.clone()),
        ("arr_delay", number.clone()),
        ("carrier", DataType::Utf8),
        ("flight", number.clone()),
        ("tailnum", DataType::Utf8),
        ("origin", DataType::Utf8),
        ("dest", DataType::Utf8),
        ("air_time", number.clone()),
        ("distance", number.clone()),
        ("hour", number.clone()),
        ("minute", number),
        ("time_hour", DataType::Timestamp(TimeUnit::Millisecond, None)),
    ];
    Arc::new(Schema::new(
        columns
            .map(|(name, data_type)| Field::new(name, data_type, true))
            .to_vec(),
    ))
}

fn delays(flights: &RecordBatch) -> Result<RecordBatch> {
    let delayed = gt(
        column(flights, "dep_delay")?,
        &Scalar::new(Int64Array::from(vec![15])),
    )?;
    let late = filter_record_batch(flights, &delayed)?;
    let delay = column(&late, "dep_delay")?;
    let made_up = sub(delay, column(&late, "arr_delay")?)?;
    let distance = cast(column(&late, "distance")?, &DataType::Float64)?;
    let air_time = cast(column(&late, "air_time")?, &DataType::Float64)?;
    let speed = mul(
        &div(&distance, &air_time)?,
        &Scalar::new(Float64Array::from(vec![60.0])),
    )?;
    let severity: StringArray = delay
        .as_primitive::<Int64Type>()
        .iter()
        .map(|delay| delay.map(severity))
        .collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("carrier", column(&late, "carrier")?.clone()),
        ("flight", column(&late, "flight")?.clone()),
        ("tailnum", column(&late, "tailnum")?.clone()),
        ("origin", column(&late, "origin")?.clone()),
        ("dest", column(&late, "dest")?.clone()),
        ("scheduled_hour", column(&late, "time_hour")?.clone()),
        ("departure_delay_minutes", delay.clone()),
        ("arrival_delay_minutes", column(&late, "arr_delay")?.clone()),
        ("made_up_minutes", made_up),
        ("miles_per_hour", speed),
        ("severity", Arc::new(severity)),
    ];
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    Ok(RecordBatch::try_from_iter_with_nullable(nullable)?)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch
        .column_by_name(name)
        .with_context(|| format!("column {name}"))
}

fn severity(minutes: i64) -> &'static str {
    match minutes {
        180.. => "severe",
        60.. => "long",
        _ => "short",
    }
}
