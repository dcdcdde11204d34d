//! Which schemas occur where in a log, as far as records say it themselves: by the id in front of the data, or by the
//! header that names a schema.
//!
//! A census holds a few numbers for each schema that was asked for, partition and part of the record, however many
//! records there are and whatever they say.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use millstream_schema_registry_avro::wire::{self, SchemaRef};
use millstream_types::{Offset, Record, SchemaId, Timestamp, TopicPartition};
use serde::Serialize;

/// Which half of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Key,
    Value,
}

impl Part {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
        }
    }

    /// What a record names as the schema of this part; `None` if it has no such part, or names none.
    fn schema(self, record: &Record) -> Named {
        let (header, payload) = match self {
            Self::Key => (wire::KEY_HEADER, &record.key),
            Self::Value => (wire::VALUE_HEADER, &record.value),
        };
        let Some(payload) = payload else {
            return Named::Absent;
        };
        match wire::named(record.header(header).map(Bytes::as_ref), payload) {
            Ok((schema, _)) => Named::Schema(schema),
            Err(_) => Named::Nothing,
        }
    }
}

enum Named {
    Schema(SchemaRef),
    /// There is data, which names no schema.
    Nothing,
    /// There is no data.
    Absent,
}

/// Where a schema occurs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) id: SchemaId,
    pub(crate) partition: TopicPartition,
    pub(crate) part: Part,
}

/// How it occurs there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Occurrence {
    pub(crate) records: u64,
    pub(crate) first_offset: Offset,
    pub(crate) last_offset: Offset,
    /// Of the records: the earliest and the latest.
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Occurrence {
    fn add(&mut self, record: &Record) {
        self.records += 1;
        self.last_offset = record.offset;
        self.from = self.from.min(record.timestamp);
        self.to = self.to.max(record.timestamp);
    }

    /// What a group that goes on there has read of it.
    pub(crate) fn read_by(&self, committed: Offset) -> Read {
        if committed <= self.first_offset {
            Read::None
        } else if committed <= self.last_offset {
            Read::Some
        } else {
            Read::All
        }
    }
}

/// How much of the records of a schema a group has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Read {
    None,
    Some,
    All,
}

/// Counts records by schema.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// The schemas that are asked for, by both their names.
    ids: HashMap<SchemaRef, SchemaId>,
    found: BTreeMap<Place, Occurrence>,
    /// Parts that name another schema.
    pub(crate) of_other_schemas: u64,
    /// Parts that name none.
    pub(crate) without_schema: u64,
}

impl Census {
    pub(crate) fn of(schemas: impl IntoIterator<Item = (SchemaId, Option<[u8; 16]>)>) -> Self {
        let mut census = Self::default();
        for (id, guid) in schemas {
            census.ids.insert(SchemaRef::Id(id), id);
            if let Some(guid) = guid {
                census.ids.insert(SchemaRef::Guid(guid), id);
            }
        }
        census
    }

    pub(crate) fn add(&mut self, partition: &TopicPartition, part: Part, record: &Record) {
        let named = match part.schema(record) {
            Named::Absent => return,
            Named::Nothing => {
                self.without_schema += 1;
                return;
            }
            Named::Schema(named) => named,
        };
        let Some(&id) = self.ids.get(&named) else {
            self.of_other_schemas += 1;
            return;
        };
        let place = Place {
            id,
            partition: partition.clone(),
            part,
        };
        let occurrence = self.found.entry(place).or_insert_with(|| Occurrence {
            records: 0,
            first_offset: record.offset,
            last_offset: record.offset,
            from: record.timestamp,
            to: record.timestamp,
        });
        occurrence.add(record);
    }

    /// Where a schema occurs, by topic and partition.
    pub(crate) fn of_schema(&self, id: SchemaId) -> impl Iterator<Item = (&Place, &Occurrence)> {
        self.found.iter().filter(move |(place, _)| place.id == id)
    }
}

#[cfg(test)]
mod tests {
    use millstream_types::{Header, TopicName};

    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition::new(TopicName::new("t").expect("a name"), 0)
    }

    fn framed(id: i32) -> Bytes {
        let mut payload = Vec::new();
        wire::frame(SchemaId(id), &mut payload);
        payload.push(7);
        payload.into()
    }

    #[test]
    fn a_census_counts_by_id_and_by_guid_and_keeps_the_rest_in_two_numbers() {
        let guid = [9; 16];
        let mut census = Census::of([(SchemaId(1), Some(guid)), (SchemaId(2), None)]);
        let records = [
            (Some(framed(1)), None),
            (Some(framed(5)), None),
            (Some("text".into()), None),
            (None, None),
            (Some("data".into()), Some(wire::header(SchemaRef::Guid(guid)))),
            (
                Some("data".into()),
                Some(wire::header(SchemaRef::Id(SchemaId(2)))),
            ),
            (Some("data".into()), Some(vec![8])),
        ];
        for (offset, (value, header)) in (10..).zip(records) {
            let record = Record {
                offset: Offset(offset),
                timestamp: Timestamp(100 - offset),
                value,
                headers: header
                    .map(|header| Header::new(wire::VALUE_HEADER, header))
                    .into_iter()
                    .collect(),
                ..Record::default()
            };
            census.add(&partition(), Part::Value, &record);
            census.add(&partition(), Part::Key, &record);
        }
        let of = |id| {
            census
                .of_schema(SchemaId(id))
                .map(|(_, o)| o.clone())
                .collect::<Vec<_>>()
        };
        let expected = Occurrence {
            records: 2,
            first_offset: Offset(10),
            last_offset: Offset(14),
            from: Timestamp(86),
            to: Timestamp(90),
        };
        assert_eq!(of(1), [expected]);
        assert_eq!(of(2)[0].first_offset, Offset(15));
        assert_eq!((census.of_other_schemas, census.without_schema), (1, 2));
    }

    #[test]
    fn a_group_has_read_what_is_before_its_offset() {
        let occurrence = Occurrence {
            records: 2,
            first_offset: Offset(10),
            last_offset: Offset(14),
            from: Timestamp(0),
            to: Timestamp(0),
        };
        for (committed, read) in [
            (0, Read::None),
            (10, Read::None),
            (11, Read::Some),
            (14, Read::Some),
            (15, Read::All),
        ] {
            assert_eq!(occurrence.read_by(Offset(committed)), read, "{committed}");
        }
    }
}
