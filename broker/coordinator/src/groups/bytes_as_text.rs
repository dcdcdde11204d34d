//! Opaque bytes of clients (subscriptions, assignments) within the JSON of a record: hexadecimal.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Bytes that are stored as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Opaque(pub(super) Bytes);

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * self.0.len());
        for byte in &self.0 {
            text.push(DIGITS[usize::from(byte >> 4)].into());
            text.push(DIGITS[usize::from(byte & 15)].into());
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>();
        bytes
            .map(|bytes| Self(bytes.into()))
            .ok_or_else(|| D::Error::custom("not hexadecimal"))
    }
}

fn byte(digits: &[u8]) -> Option<u8> {
    let digit = |d: u8| {
        DIGITS
            .iter()
            .position(|known| *known == d)
            .and_then(|d| u8::try_from(d).ok())
    };
    match digits {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn bytes_come_back_as_they_were(bytes: Vec<u8>) {
            let opaque = Opaque(bytes.into());
            let text = serde_json::to_string(&opaque).unwrap();
            prop_assert_eq!(serde_json::from_str::<Opaque>(&text).unwrap(), opaque);
        }

        #[test]
        fn foreign_text_is_refused_or_read(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            let all_digits = text.len() % 2 == 0 && text.bytes().all(|b| DIGITS.contains(&b));
            prop_assert_eq!(serde_json::from_str::<Opaque>(&json).is_ok(), all_digits);
        }
    }
}
