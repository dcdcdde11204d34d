//! How a record says which schema wrote it.
//!
//! ```text
//! in the payload   00 | schema id, 4 bytes, big endian | Avro binary
//! in a header      00 | schema id, 4 bytes, big endian          (the payload is Avro binary alone)
//!                  01 | GUID of the schema, 16 bytes
//! ```
//!
//! The header is `__key_schema_id` for the key, `__value_schema_id` for the value.

use std::fmt;

use millstream_types::SchemaId;

/// The header that names the schema of a record's key.
pub const KEY_HEADER: &str = "__key_schema_id";
/// The header that names the schema of a record's value.
pub const VALUE_HEADER: &str = "__value_schema_id";

/// Bytes before the data of a framed payload.
pub const PREFIX_BYTES: usize = 5;

const MAGIC_ID: u8 = 0;
const MAGIC_GUID: u8 = 1;

/// What a record names as its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchemaRef {
    Id(SchemaId),
    Guid([u8; 16]),
}

impl fmt::Display for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Guid(guid) => write!(f, "{:032x}", u128::from_be_bytes(*guid)),
        }
    }
}

/// Why bytes do not name a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the payload has {length} bytes, too short for a magic byte and a schema id")]
    TooShort { length: usize },
    #[error("unknown magic byte {magic}")]
    Magic { magic: u8 },
    #[error("a header of {length} bytes names no schema")]
    Header { length: usize },
}

/// Splits a payload into the id of its schema and its data.
pub fn split(payload: &[u8]) -> Result<(SchemaId, &[u8]), WireError> {
    match payload.first_chunk() {
        Some(&[MAGIC_ID, a, b, c, d]) => Ok((
            SchemaId(i32::from_be_bytes([a, b, c, d])),
            &payload[PREFIX_BYTES..],
        )),
        Some(&[magic, ..]) => Err(WireError::Magic { magic }),
        None => match payload.first() {
            Some(&magic) if magic != MAGIC_ID => Err(WireError::Magic { magic }),
            _ => Err(WireError::TooShort {
                length: payload.len(),
            }),
        },
    }
}

/// What a record names as the schema of its key or value, and the data. `header` is the value of [`KEY_HEADER`] or
/// [`VALUE_HEADER`]: where there is one, the payload is the data alone.
pub fn named<'a>(header: Option<&[u8]>, payload: &'a [u8]) -> Result<(SchemaRef, &'a [u8]), WireError> {
    match header {
        Some(header) => Ok((read_header(header)?, payload)),
        None => split(payload).map(|(id, data)| (SchemaRef::Id(id), data)),
    }
}

/// Writes what goes before the data.
pub fn frame(id: SchemaId, out: &mut Vec<u8>) {
    out.push(MAGIC_ID);
    out.extend_from_slice(&id.0.to_be_bytes());
}

/// Reads the value of [`KEY_HEADER`] or [`VALUE_HEADER`].
pub fn read_header(value: &[u8]) -> Result<SchemaRef, WireError> {
    match value.split_first() {
        Some((&MAGIC_ID, id)) if id.len() == 4 => Ok(SchemaRef::Id(SchemaId(i32::from_be_bytes(
            id.try_into().expect("the length was checked"),
        )))),
        Some((&MAGIC_GUID, guid)) if guid.len() == 16 => {
            Ok(SchemaRef::Guid(guid.try_into().expect("the length was checked")))
        }
        Some((&magic, _)) if magic > MAGIC_GUID => Err(WireError::Magic { magic }),
        _ => Err(WireError::Header { length: value.len() }),
    }
}

/// The value of [`KEY_HEADER`] or [`VALUE_HEADER`] for a schema.
pub fn header(schema: SchemaRef) -> Vec<u8> {
    let mut value = Vec::new();
    match schema {
        SchemaRef::Id(id) => frame(id, &mut value),
        SchemaRef::Guid(guid) => {
            value.push(MAGIC_GUID);
            value.extend_from_slice(&guid);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_a_zero_byte_an_id_and_the_data() {
        let mut payload = Vec::new();
        frame(SchemaId(0x0102_0304), &mut payload);
        assert_eq!(payload, [0, 1, 2, 3, 4]);
        payload.extend_from_slice(b"data");
        assert_eq!(split(&payload), Ok((SchemaId(0x0102_0304), b"data".as_slice())));
        assert_eq!(split(&payload[..5]), Ok((SchemaId(0x0102_0304), b"".as_slice())));
    }

    #[test]
    fn where_there_is_a_header_the_payload_is_the_data_alone() {
        let payload = [0, 0, 0, 0, 7, 1];
        let named = |header: Option<&[u8]>| named(header, &payload);
        assert_eq!(named(None), Ok((SchemaRef::Id(SchemaId(7)), &payload[5..])));
        let guid = SchemaRef::Guid([3; 16]);
        assert_eq!(named(Some(&header(guid))), Ok((guid, &payload[..])));
        assert_eq!(guid.to_string(), "03".repeat(16));
        assert_eq!(named(Some(&[1])), Err(WireError::Header { length: 1 }));
    }

    #[test]
    fn what_is_no_framed_payload_says_why() {
        assert_eq!(split(b""), Err(WireError::TooShort { length: 0 }));
        assert_eq!(split(&[0, 0, 0, 1]), Err(WireError::TooShort { length: 4 }));
        assert_eq!(split(b"{"), Err(WireError::Magic { magic: b'{' }));
        assert_eq!(split(b"{\"a\":1}"), Err(WireError::Magic { magic: b'{' }));
    }

    #[test]
    fn a_header_names_a_schema_by_guid_or_by_id() {
        let guid: [u8; 16] = std::array::from_fn(|i| i as u8);
        for schema in [SchemaRef::Guid(guid), SchemaRef::Id(SchemaId(7))] {
            assert_eq!(read_header(&header(schema)), Ok(schema));
        }
        assert_eq!(header(SchemaRef::Guid(guid))[0], 1);
        assert_eq!(read_header(&[]), Err(WireError::Header { length: 0 }));
        assert_eq!(read_header(&[1, 2, 3]), Err(WireError::Header { length: 3 }));
        assert_eq!(read_header(&[0, 0, 0, 0]), Err(WireError::Header { length: 4 }));
        assert_eq!(read_header(&[9; 17]), Err(WireError::Magic { magic: 9 }));
    }
}
