use millstream_schema_registry_avro::wire::VALUE_HEADER;
use millstream_types::Header;

/// The headers of a record whose value is written anew: all but the one that names the schema of the old value.
pub fn carried(headers: &[Header]) -> Vec<Header> {
    let others = headers
        .iter()
        .filter(|header| header.name != VALUE_HEADER.as_bytes());
    others.cloned().collect()
}
