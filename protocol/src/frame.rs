//! Frames: every request and answer is a 4-byte big-endian length and that many bytes.
//!
//! ```text
//!  size i32 | api key i16 | api version i16 | correlation id i32 | client id … | body
//! ```

/// What Kafka allows by default (`socket.request.max.bytes`).
pub const MAX_FRAME_BYTES: usize = 100 << 20;
/// Bytes of the length before each frame.
pub const SIZE_BYTES: usize = 4;

/// Why a frame is refused. The connection cannot go on after it: its place in the stream is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame length {length} is negative")]
    NegativeLength { length: i32 },
    #[error("frame of {length} bytes is larger than {limit}")]
    TooLarge { length: usize, limit: usize },
    #[error("request header is cut off after {length} bytes")]
    ShortHeader { length: usize },
}

/// The length of the frame at the front of `bytes`, without the length field itself; `None` until that has arrived.
pub fn frame_length(bytes: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    let Some(length) = bytes.first_chunk() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*length);
    let length = usize::try_from(length).map_err(|_| FrameError::NegativeLength { length })?;
    if length > limit {
        return Err(FrameError::TooLarge { length, limit });
    }
    Ok(Some(length))
}

/// The first fields of every request, whatever its key and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPeek {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
}

impl RequestPeek {
    pub const BYTES: usize = 8;

    /// Reads the front of a frame, which is given without its length.
    pub fn read(frame: &[u8]) -> Result<Self, FrameError> {
        let [k0, k1, v0, v1, c0, c1, c2, c3] = *frame
            .first_chunk()
            .ok_or(FrameError::ShortHeader { length: frame.len() })?;
        Ok(Self {
            api_key: i16::from_be_bytes([k0, k1]),
            api_version: i16::from_be_bytes([v0, v1]),
            correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_known_after_four_bytes_and_capped() {
        let check = |bytes: &[u8], expected| assert_eq!(frame_length(bytes, 1000), expected);
        check(&[0, 0, 1], Ok(None));
        check(&[0, 0, 1, 0, 9], Ok(Some(256)));
        check(
            &[0, 0, 3, 233],
            Err(FrameError::TooLarge {
                length: 1001,
                limit: 1000,
            }),
        );
        check(&[0xff; 4], Err(FrameError::NegativeLength { length: -1 }));
    }

    #[test]
    fn the_front_of_a_request_is_read_or_refused() {
        let frame = [0, 18, 0, 3, 0, 0, 0, 7, 99];
        let peek = RequestPeek {
            api_key: 18,
            api_version: 3,
            correlation_id: 7,
        };
        assert_eq!(RequestPeek::read(&frame), Ok(peek));
        assert_eq!(
            RequestPeek::read(&frame[..7]),
            Err(FrameError::ShortHeader { length: 7 })
        );
    }
}
