use millstream_schema_registry_avro::wire::{KEY_HEADER, VALUE_HEADER};
use millstream_types::Header;

/// The headers of a record whose value is written anew: all but the one that names the schema of the old value, and, if
/// its key is another one, too, the one that names the schema of the old key.
pub fn carried(headers: &[Header], has_new_key: bool) -> Vec<Header> {
    let is_stale = |header: &Header| {
        header.name == VALUE_HEADER.as_bytes() || has_new_key && header.name == KEY_HEADER.as_bytes()
    };
    let others = headers.iter().filter(|header| !is_stale(header));
    others.cloned().collect()
}
