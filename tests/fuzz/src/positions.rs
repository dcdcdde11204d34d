//! The records of `__millstream_positions`: whose position it is, and the position.
//!
//! ```text
//! length of the key: 1 byte | key | value
//! ```

use bytes::Bytes;
use millstream_runtime::{PositionKey, decode_position, encode_position};
use millstream_sdk::Position;

pub fn run(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else {
        return;
    };
    let Some((key, value)) = rest.split_at_checked(usize::from(*length)) else {
        return;
    };
    if let Ok(read) = PositionKey::decode(key) {
        assert_eq!(read.encode(), key, "a key changes when it is read and written");
    }
    let value = Bytes::copy_from_slice(value);
    if let Ok(read) = decode_position(&value) {
        assert_eq!(
            encode_position(&read),
            value,
            "a position changes when it is read and written"
        );
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let of_file = Position {
        version: 1,
        bytes: Bytes::from_static(br#"{"file":"a/b.csv","offset":12}"#),
    };
    let record = |key: &str, value: &[u8]| {
        let mut input = vec![u8::try_from(key.len()).expect("a short key")];
        input.extend_from_slice(key.as_bytes());
        input.extend_from_slice(value);
        input
    };
    vec![
        record("flights/january/0/part", &encode_position(&of_file)),
        record("//", &[0, 0, 0]),
        record("pipeline/source", &[0, 1]),
        record("", &[1]),
    ]
}
