//! How a record looks on stdout.

use std::io;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use millstream_types::{Header, Record, Timestamp, TopicPartition};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::output::Output;

/// What is printed in front of each value in the text form.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Columns {
    pub(crate) timestamps: bool,
    pub(crate) keys: bool,
}

/// A record as one JSON object.
#[derive(Serialize)]
pub(crate) struct RecordView<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: String,
    key: Option<Data<'a>>,
    value: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    headers: Headers<'a>,
}

/// Bytes as text where they are text, else as `{"hex": "…"}`: nothing is lost and nothing is guessed.
struct Data<'a>(&'a [u8]);

/// In their order; names may repeat.
#[derive(Serialize)]
#[serde(transparent)]
struct Headers<'a>(Vec<HeaderView<'a>>);

#[derive(Serialize)]
struct HeaderView<'a> {
    name: Data<'a>,
    value: Option<Data<'a>>,
}

impl<'a> RecordView<'a> {
    pub(crate) fn new(partition: &'a TopicPartition, record: &'a Record) -> Self {
        Self {
            topic: partition.topic.as_str(),
            partition: partition.partition,
            offset: record.offset.0,
            timestamp: instant(record.timestamp),
            key: record.key.as_deref().map(Data),
            value: record.value.as_deref().map(Data),
            headers: Headers(record.headers.iter().map(HeaderView::new).collect()),
        }
    }
}

impl RecordView<'_> {
    /// `topic-partition@offset`
    pub(crate) fn place(&self) -> String {
        format!("{}-{}@{}", self.topic, self.partition, self.offset)
    }
}

impl<'a> HeaderView<'a> {
    fn new(header: &'a Header) -> Self {
        Self {
            name: Data(&header.name),
            value: header.value.as_deref().map(Data),
        }
    }
}

impl Headers<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("hex", &hex(self.0))?;
        map.end()
    }
}

/// One line: the value's bytes as they are, behind the columns asked for, between tabs.
pub(crate) fn print_line(output: &mut Output, columns: Columns, record: &Record) -> io::Result<()> {
    if columns.timestamps {
        output.raw(instant(record.timestamp).as_bytes())?;
        output.raw(b"\t")?;
    }
    if columns.keys {
        output.raw(or_null(record.key.as_ref()))?;
        output.raw(b"\t")?;
    }
    output.raw(or_null(record.value.as_ref()))?;
    output.raw(b"\n")
}

/// `2013-01-01T05:00:00.000Z`; the number itself where it is not a moment of the calendar.
pub(crate) fn instant(timestamp: Timestamp) -> String {
    DateTime::from_timestamp_millis(timestamp.0).map_or_else(
        || timestamp.to_string(),
        |time| time.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}

/// The bytes as text, for people.
pub(crate) fn text(bytes: Option<&Bytes>) -> String {
    String::from_utf8_lossy(or_null(bytes)).into_owned()
}

fn or_null(bytes: Option<&Bytes>) -> &[u8] {
    bytes.map_or(b"null", Bytes::as_ref)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .map(|digit| char::from_digit(digit.into(), 16).expect("four bits are one hexadecimal digit"))
        .collect()
}

#[cfg(test)]
mod tests {
    use millstream_types::{Offset, TopicName};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_one_object_and_binary_data_is_hexadecimal() {
        let partition = TopicPartition::new(TopicName::new("t").unwrap(), 2);
        let record = Record {
            offset: Offset(7),
            timestamp: Timestamp(1_357_016_400_000),
            key: Some(Bytes::from_static(b"\xff\x01")),
            value: Some(Bytes::from_static("caf\u{e9}".as_bytes())),
            headers: vec![
                Header::new("h", "1"),
                Header {
                    name: "h".into(),
                    value: None,
                },
            ],
        };
        assert_eq!(
            serde_json::to_value(RecordView::new(&partition, &record)).unwrap(),
            json!({
                "topic": "t", "partition": 2, "offset": 7, "timestamp": "2013-01-01T05:00:00.000Z",
                "key": {"hex": "ff01"}, "value": "caf\u{e9}",
                "headers": [{"name": "h", "value": "1"}, {"name": "h", "value": null}],
            })
        );
    }
}
