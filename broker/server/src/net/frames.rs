use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::future::{BoxFuture, FutureExt};
use millstream_protocol::frame::{FrameError, SIZE_BYTES, frame_length};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, timeout_at},
};

use crate::budget::{Budget, Held};

/// How long a frame may take to arrive, and how much of it must arrive per second beyond that.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
const LEAST_BYTES_PER_SECOND: usize = 16 << 10;

/// How long a client has to hang up after the last answer.
const LINGER: Duration = Duration::from_millis(500);

/// Why no further frame can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadFrameError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("connection failed")]
    Io(#[from] std::io::Error),
    #[error("connection closed within a frame")]
    Eof,
    #[error("the rest of a frame does not come")]
    Slow,
}

/// Cuts a byte stream into frames. Its buffer grows with what arrives, at most to [`Self::GROWTH`] times that, and beyond the
/// first [`Self::CHUNK_BYTES`] only as the budget of all connections allows.
pub(super) struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
    max_bytes: usize,
    budget: Budget,
    /// For the frame that is arriving.
    held: Held,
    /// Kept between calls, so that a call that is given up does not lose its place in the queue.
    waiting: Option<BoxFuture<'static, Held>>,
    /// When the frame that is arriving began to.
    began: Option<Instant>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Room for the first read, and the least that is added.
    const CHUNK_BYTES: usize = 8 << 10;
    /// Growing copies what is there: with few steps that is little of a frame.
    const GROWTH: usize = 16;

    pub(super) fn new(stream: R, max_bytes: usize, budget: Budget) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            max_bytes,
            budget,
            held: Held::default(),
            waiting: None,
            began: None,
        }
    }

    /// The next frame without its length, and its share of the budget; `None` when the stream ends between two frames.
    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<(Bytes, Held)>, ReadFrameError> {
        loop {
            let length = frame_length(&self.buffer, self.max_bytes)?;
            if let Some(length) = length.filter(|length| self.buffer.len() >= SIZE_BYTES + length) {
                self.afford(length).await;
                let held = std::mem::take(&mut self.held);
                return Ok(Some((self.take(length), held)));
            }
            let wanted = length.map_or(Self::CHUNK_BYTES, |length| {
                SIZE_BYTES + length - self.buffer.len()
            });
            let room = wanted.min((self.buffer.len() * (Self::GROWTH - 1)).max(Self::CHUNK_BYTES));
            self.afford((self.buffer.len() + room).saturating_sub(Self::CHUNK_BYTES))
                .await;
            self.buffer.reserve(room);
            if self.read(room).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(ReadFrameError::Eof)
                };
            }
        }
    }

    /// Reads to the end and keeps nothing, for as long as the client may take to hang up.
    pub(super) async fn discard(&mut self) {
        let to_end = async {
            loop {
                self.buffer.clear();
                self.buffer.reserve(Self::CHUNK_BYTES);
                if !matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..)) {
                    return;
                }
            }
        };
        let _ = timeout_at(Instant::now() + LINGER, to_end).await;
    }

    /// Not beyond what was asked for, though there may be room: what comes behind a large frame would share its memory.
    async fn read(&mut self, at_most: usize) -> Result<usize, ReadFrameError> {
        let arrived_bytes = self.buffer.len();
        let mut room = (&mut self.buffer).limit(at_most);
        let read = self.stream.read_buf(&mut room);
        let Some(began) = self.began else {
            let read = read.await?;
            self.began = Some(Instant::now());
            return Ok(read);
        };
        match timeout_at(arrives_until(began, arrived_bytes), read).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(ReadFrameError::Slow),
        }
    }

    /// Waits until the frame that is arriving may have that much memory.
    async fn afford(&mut self, bytes: usize) {
        let missing = bytes.saturating_sub(self.held.bytes());
        if missing == 0 {
            return;
        }
        if self.waiting.is_none() {
            if let Some(more) = self.budget.try_take(missing) {
                self.held.add(more);
                return;
            }
            let budget = self.budget.clone();
            self.waiting = Some(async move { budget.take(missing).await }.boxed());
        }
        if let Some(waiting) = &mut self.waiting {
            let more = waiting.await;
            self.waiting = None;
            self.held.add(more);
            // It was not the client who was slow.
            self.began = Some(Instant::now());
        }
    }

    fn take(&mut self, length: usize) -> Bytes {
        let mut frame = self.buffer.split_to(SIZE_BYTES + length);
        self.began = (!self.buffer.is_empty()).then(Instant::now);
        // A remainder, even an empty one, shares the frame's memory, so that nobody could edit the frame in place.
        if self.buffer.len() < length {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        let _size = frame.split_to(SIZE_BYTES);
        frame.freeze()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}

/// When a frame that has come so far must go on.
pub(super) fn arrives_until(began: Instant, arrived_bytes: usize) -> Instant {
    let pace = Duration::from_secs((arrived_bytes / LEAST_BYTES_PER_SECOND) as u64);
    began + FRAME_TIMEOUT + pace
}
