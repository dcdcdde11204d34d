//! Rows on their way to records: checked, keyed and stamped together.

use arrow_array::{Array, RecordBatch, cast::AsArray, types::TimestampMillisecondType};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use millstream_formats::{Decoder, FormatError, KeyReader};
use millstream_sdk::{Rejected, StreamSchema, ValueFormat};
use millstream_types::{Record, Timestamp};
use serde::de::IgnoredAny;

use super::{
    check::RowCheck,
    setup::{NO_AVRO, Setup},
};

/// Bounds of a batch.
pub(crate) const MAX_RECORDS: usize = 4_096;
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// What every row goes through.
pub(crate) struct Finish {
    check: Check,
    key: Option<KeyReader>,
    event_time: Option<EventTimeReader>,
}

enum Check {
    Nothing,
    Csv(Box<RowCheck>),
    Json,
}

/// Rows of one batch, with where they came from.
#[derive(Default)]
pub(crate) struct Batch {
    records: Vec<Record>,
    /// File and line of each record.
    origins: Vec<(usize, u64)>,
    /// Indices of the records that are not plainly good.
    suspects: Vec<usize>,
    rejected: Vec<Rejected>,
    bytes: usize,
}

impl Finish {
    pub(crate) fn new(setup: &Setup, schema: &StreamSchema, key: Option<&str>) -> Result<Self, String> {
        let index = |column: &str| {
            schema
                .columns
                .index_of(column)
                .map_err(|_| format!("there is no column '{column}'"))
        };
        let unfit = |error: FormatError| error.to_string();
        let check = match &setup.format {
            _ if setup.is_parquet() => Check::Nothing,
            ValueFormat::Raw => Check::Nothing,
            ValueFormat::Json => Check::Json,
            ValueFormat::Csv(dialect) => {
                Check::Csv(Box::new(RowCheck::new(dialect, &schema.columns).map_err(unfit)?))
            }
            ValueFormat::Avro(_) => unreachable!("{NO_AVRO}"),
        };
        let key = key
            .map(|key| KeyReader::new(schema, index(key)?).map_err(unfit))
            .transpose()?;
        let event_time = setup.config.event_time.as_ref().map(|time| {
            let decoder = Decoder::new(schema, &[index(&time.column)?]).map_err(unfit)?;
            Ok::<_, String>(EventTimeReader {
                decoder,
                column: time.column.clone(),
                format: time.format.clone(),
            })
        });
        Ok(Self {
            check,
            key,
            event_time: event_time.transpose()?,
        })
    }

    /// The records and those that cannot be one; `name` gives a file its name.
    pub(crate) fn finish(
        &self,
        mut batch: Batch,
        name: impl Fn(usize) -> String,
    ) -> (Vec<Record>, Vec<Rejected>) {
        if let Check::Csv(check) = &self.check {
            let suspects = batch.suspects.iter().map(|index| value(&batch.records[*index]));
            let failed = check.verdicts(suspects);
            let failed = failed
                .into_iter()
                .map(|(suspect, reason)| (batch.suspects[suspect], reason));
            batch.reject(failed.collect(), &name);
        }
        if let Some(keys) = &self.key {
            let read = keys.read_all(batch.records.iter().map(|record| record.value.as_deref()));
            let mut failed = Vec::new();
            for (index, key) in read.into_iter().enumerate() {
                match key {
                    Ok(key) => batch.records[index].key = key,
                    Err(reason) => failed.push((index, reason)),
                }
            }
            batch.reject(failed, &name);
        }
        if let Some(event_time) = &self.event_time {
            let failed = event_time.stamp(&mut batch.records);
            batch.reject(failed, &name);
        }
        (batch.records, batch.rejected)
    }

    fn fault(&self, row: &[u8]) -> Option<String> {
        let Check::Json = self.check else { return None };
        let first = row.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'{') {
            return Some("not a JSON object".into());
        }
        let error = serde_json::from_slice::<IgnoredAny>(row).err()?;
        Some(format!("not a JSON object: {error}"))
    }
}

impl Batch {
    pub(crate) fn is_full(&self) -> bool {
        self.records.len() + self.rejected.len() >= MAX_RECORDS || self.bytes >= MAX_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.rejected.is_empty()
    }

    /// Takes a row. `file`: its index; `fault`: why it is none.
    pub(crate) fn push(
        &mut self,
        finish: &Finish,
        row: Bytes,
        origin: (usize, u64),
        fault: Option<&'static str>,
        now: Timestamp,
        name: impl Fn(usize) -> String,
    ) {
        self.bytes += row.len();
        if let Check::Csv(check) = &finish.check
            && fault.is_none()
            && !check.is_plainly_good(&row)
        {
            self.suspects.push(self.records.len());
        }
        let fault = fault.map(str::to_owned).or_else(|| finish.fault(&row));
        let record = Record {
            timestamp: now,
            value: Some(row),
            ..Record::default()
        };
        match fault {
            None => {
                self.records.push(record);
                self.origins.push(origin);
            }
            Some(reason) => self.rejected.push(rejected(record, reason, origin, name)),
        }
    }

    /// Takes out the records of these indices, ascending.
    fn reject(&mut self, failed: Vec<(usize, String)>, name: impl Fn(usize) -> String) {
        if failed.is_empty() {
            return;
        }
        let mut failed = failed.into_iter().peekable();
        let records = std::mem::take(&mut self.records);
        let origins = std::mem::take(&mut self.origins);
        for (index, (record, origin)) in records.into_iter().zip(origins).enumerate() {
            match failed.next_if(|(bad, _)| *bad == index) {
                None => {
                    self.records.push(record);
                    self.origins.push(origin);
                }
                Some((_, reason)) => self.rejected.push(rejected(record, reason, origin, &name)),
            }
        }
    }
}

fn value(record: &Record) -> &[u8] {
    record.value.as_deref().unwrap_or_default()
}

fn rejected(
    record: Record,
    reason: String,
    (file, line): (usize, u64),
    name: impl Fn(usize) -> String,
) -> Rejected {
    Rejected {
        record,
        reason,
        origin: vec![("file", name(file)), ("line", line.to_string())],
    }
}

struct EventTimeReader {
    decoder: Decoder,
    column: String,
    format: Option<String>,
}

impl EventTimeReader {
    /// Sets the timestamps; answers the records that have none.
    fn stamp(&self, records: &mut [Record]) -> Vec<(usize, String)> {
        let decoded = self.decoder.decode(records).expect(NO_AVRO);
        let mut failed = decoded.failed;
        let times = self.times(&decoded.batch);
        for (index, time) in decoded.rows.iter().zip(times) {
            let index = *index as usize;
            match time {
                Some(time) => records[index].timestamp = Timestamp(time),
                None => failed.push((index, format!("column '{}' is not a time", self.column))),
            }
        }
        failed.sort_by_key(|(index, _)| *index);
        failed
    }

    fn times(&self, batch: &RecordBatch) -> Vec<Option<i64>> {
        let column = batch.column(0);
        if let (Some(format), Some(texts)) = (&self.format, column.as_string_opt::<i32>()) {
            return texts.iter().map(|text| parse(text?, format)).collect();
        }
        let target = DataType::Timestamp(TimeUnit::Millisecond, None);
        match cast(column, &target) {
            Ok(times) => times.as_primitive::<TimestampMillisecondType>().iter().collect(),
            Err(_) => vec![None; column.len()],
        }
    }
}

fn parse(text: &str, format: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_str(text, format) {
        return Some(time.timestamp_millis());
    }
    let time = NaiveDateTime::parse_from_str(text, format)
        .or_else(|_| NaiveDate::parse_from_str(text, format).map(|date| date.and_time(Default::default())));
    time.ok().map(|time| time.and_utc().timestamp_millis())
}
