//! A batch as it comes: header, length, checksum, split.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millstream_protocol::batch::{RecordBatch, split};

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    let _ = RecordBatch::parse(bytes.clone());
    for batch in split(bytes).flatten() {
        let _ = batch.validate_records();
    }
});
