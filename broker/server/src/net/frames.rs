use bytes::{Bytes, BytesMut};
use millstream_protocol::frame::{FrameError, MAX_FRAME_BYTES, SIZE_BYTES, frame_length};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Why no further frame can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadFrameError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("connection failed")]
    Io(#[from] std::io::Error),
    #[error("connection closed within a frame")]
    Eof,
}

/// Cuts a byte stream into frames. Its buffer grows with what arrives, at most to twice that.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Room for the first read, and the least that is added.
    const CHUNK_BYTES: usize = 8 << 10;

    pub(super) fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// The next frame without its length; `None` when the stream ends between two frames. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ReadFrameError> {
        loop {
            let length = frame_length(&self.buffer, MAX_FRAME_BYTES)?;
            if let Some(frame) = length.and_then(|length| self.take(length)) {
                return Ok(Some(frame));
            }
            let wanted = length.map_or(Self::CHUNK_BYTES, |length| {
                SIZE_BYTES + length - self.buffer.len()
            });
            let room = wanted.min(self.buffer.len().max(Self::CHUNK_BYTES));
            self.buffer.reserve(room);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(ReadFrameError::Eof)
                };
            }
        }
    }

    fn take(&mut self, length: usize) -> Option<Bytes> {
        if self.buffer.len() < SIZE_BYTES + length {
            return None;
        }
        let mut frame = self.buffer.split_to(SIZE_BYTES + length);
        if self.buffer.is_empty() {
            // An empty remainder would still share the frame's memory, so that nobody could edit it in place.
            self.buffer = BytesMut::new();
        }
        let _size = frame.split_to(SIZE_BYTES);
        Some(frame.freeze())
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}
