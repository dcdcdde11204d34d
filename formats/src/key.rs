use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_schema::DataType;
use bytes::Bytes;
use millstream_sdk::StreamSchema;

use crate::{Decoder, FormatError, text};

/// Reads the text of one column of a value, to become the record's key. It is the same text that [`key_text`] gives for
/// the decoded column, so that a source and a SQL processor put the same thing under the same key.
pub struct KeyReader {
    decoder: Decoder,
}

impl KeyReader {
    /// `column`: its index.
    pub fn new(schema: &StreamSchema, column: usize) -> Result<Self, FormatError> {
        Ok(Self {
            decoder: Decoder::new(schema, &[column])?,
        })
    }

    /// The key of one value; NULL gives none.
    pub fn read(&self, value: &[u8]) -> Result<Option<Bytes>, String> {
        self.read_all([Some(value)].into_iter())
            .pop()
            .expect("one value gives one answer")
    }

    /// The keys of many values, in order: cheaper than one at a time.
    pub fn read_all<'a>(
        &self,
        values: impl ExactSizeIterator<Item = Option<&'a [u8]>> + Clone,
    ) -> Vec<Result<Option<Bytes>, String>> {
        let count = values.len();
        let decoded = match self.decoder.decode_values(values) {
            Ok(decoded) => decoded,
            Err(unavailable) => return (0..count).map(|_| Err(unavailable.to_string())).collect(),
        };
        let mut keys: Vec<_> = (0..count).map(|_| Ok(None)).collect();
        let column = decoded.batch.column(0);
        for (index, key) in decoded.rows.iter().zip(key_texts(column)) {
            keys[*index as usize] = Ok(key);
        }
        for (index, reason) in decoded.failed {
            keys[index] = Err(reason);
        }
        keys
    }
}

/// The text of one value of a column of a supported type, as it becomes a record key; NULL gives none.
/// Binary gives its bytes.
pub fn key_text(array: &ArrayRef, row: usize) -> Option<Bytes> {
    key_texts(&array.slice(row, 1)).pop()?
}

/// [`key_text`] of every row: slices of one buffer.
pub fn key_texts(array: &ArrayRef) -> Vec<Option<Bytes>> {
    let mut out = Vec::new();
    let mut ends = Vec::with_capacity(array.len());
    let write: text::Writer<'_> = match array.data_type() {
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Box::new(move |row, out| {
                out.extend_from_slice(array.value(row));
                text::Kind::Quoted
            })
        }
        _ => text::writer(array),
    };
    for row in 0..array.len() {
        if array.is_valid(row) {
            write(row, &mut out);
        }
        ends.push(out.len());
    }
    let out = Bytes::from(out);
    let starts = [0].into_iter().chain(ends.iter().copied());
    starts
        .zip(&ends)
        .enumerate()
        .map(|(row, (start, end))| array.is_valid(row).then(|| out.slice(start..*end)))
        .collect()
}
