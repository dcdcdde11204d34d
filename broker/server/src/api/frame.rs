use std::{collections::VecDeque, io::IoSlice, time::Duration};

use bytes::{Buf, Bytes, BytesMut};

use crate::budget::Held;

/// An answer on its way to a socket, as the pieces it was made of: record batches are written from where they lie.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pieces: VecDeque<Bytes>,
    remaining: usize,
    /// Its share of the memory.
    held: Held,
    /// How long the client must pause after it, because of what is in it.
    throttle: Duration,
}

impl Frame {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.remaining += piece.len();
            self.pieces.push_back(piece);
        }
    }

    pub(crate) fn push_front(&mut self, piece: Bytes) {
        self.remaining += piece.len();
        self.pieces.push_front(piece);
    }

    /// Keeps a share of the memory until it is dropped.
    pub(crate) fn hold(mut self, held: Held) -> Self {
        self.held.add(held);
        self
    }

    pub(crate) fn throttled(mut self, throttle: Duration) -> Self {
        self.throttle = throttle;
        self
    }

    pub(crate) fn throttle(&self) -> Duration {
        self.throttle
    }

    /// Overwrites a field of the answer, which must not have begun to leave.
    pub(crate) fn set_i32(&mut self, at: usize, value: i32) {
        let mut begin = 0;
        for piece in &mut self.pieces {
            if at < begin + piece.len() {
                let whole = std::mem::take(piece);
                let mut bytes = whole
                    .try_into_mut()
                    .unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
                bytes[at - begin..][..4].copy_from_slice(&value.to_be_bytes());
                *piece = bytes.freeze();
                return;
            }
            begin += piece.len();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.remaining
    }
}

impl From<Bytes> for Frame {
    fn from(whole: Bytes) -> Self {
        let mut frame = Self::default();
        frame.push(whole);
        frame
    }
}

/// What is left to be written.
impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.pieces);
        pairs.map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining, "no more is written than there is");
        self.remaining -= count;
        let mut left = count;
        while left > 0 {
            let piece = self.pieces.front_mut().expect("the pieces are what remains");
            if piece.len() > left {
                piece.advance(left);
                return;
            }
            left -= piece.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_leave_in_order_however_they_are_cut() {
        let whole = b"head|batch one|batch two|end";
        for step in 1..whole.len() {
            let mut frame = Frame::default();
            for piece in [&whole[..4], &whole[4..15], &[], &whole[15..]] {
                frame.push(Bytes::copy_from_slice(piece));
            }
            let mut written = Vec::new();
            while frame.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 2];
                let count = frame.chunks_vectored(&mut slices);
                let seen: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                let taken = step.min(seen.len());
                written.extend_from_slice(&seen[..taken]);
                frame.advance(taken);
            }
            assert_eq!(written, whole, "step {step}");
        }
    }
}
