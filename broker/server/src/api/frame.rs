use std::{collections::VecDeque, io, io::IoSlice, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millstream_broker_storage::FileRange;

use crate::budget::Held;

/// An answer on its way to a socket, as the pieces it was made of: record batches are sent from where they lie.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    sections: VecDeque<Section>,
    len: usize,
    /// Its share of the memory.
    held: Held,
    /// How long the client must pause after it, because of what is in it.
    throttle: Duration,
}

/// A part of a frame that leaves in one way.
#[derive(Debug)]
pub(crate) enum Section {
    Memory(Pieces),
    File(FileRange),
}

impl Frame {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.len += piece.len();
        if let Some(Section::Memory(pieces)) = self.sections.back_mut() {
            pieces.push(piece);
        } else {
            self.sections.push_back(Section::Memory(piece.into()));
        }
    }

    pub(crate) fn push_file(&mut self, range: FileRange) {
        self.len += range.len();
        self.sections.push_back(Section::File(range));
    }

    pub(crate) fn push_front(&mut self, piece: Bytes) {
        self.len += piece.len();
        if let Some(Section::Memory(pieces)) = self.sections.front_mut() {
            pieces.push_front(piece);
        } else {
            self.sections.push_front(Section::Memory(piece.into()));
        }
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

    /// Overwrites a field of the answer, before anything in it that lies in a file.
    pub(crate) fn set_i32(&mut self, at: usize, value: i32) {
        if let Some(Section::Memory(pieces)) = self.sections.front_mut() {
            pieces.set_i32(at, value);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What leaves next.
    pub(crate) fn take_section(&mut self) -> Option<Section> {
        self.sections.pop_front()
    }

    /// All of it, read from its files.
    pub(crate) fn into_bytes(self) -> io::Result<Bytes> {
        let mut whole = BytesMut::with_capacity(self.len);
        for section in self.sections {
            match section {
                Section::Memory(pieces) => whole.put(pieces),
                Section::File(range) => whole.put(range.read()?),
            }
        }
        Ok(whole.freeze())
    }
}

impl From<Bytes> for Frame {
    fn from(whole: Bytes) -> Self {
        let mut frame = Self::default();
        frame.push(whole);
        frame
    }
}

/// Pieces of memory, one after the other: what is left of them.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pieces: VecDeque<Bytes>,
    remaining: usize,
}

impl Pieces {
    fn push(&mut self, piece: Bytes) {
        self.remaining += piece.len();
        self.pieces.push_back(piece);
    }

    fn push_front(&mut self, piece: Bytes) {
        self.remaining += piece.len();
        self.pieces.push_front(piece);
    }

    fn set_i32(&mut self, at: usize, value: i32) {
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
}

impl From<Bytes> for Pieces {
    fn from(piece: Bytes) -> Self {
        let mut pieces = Self::default();
        pieces.push(piece);
        pieces
    }
}

impl Buf for Pieces {
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
            let Some(Section::Memory(mut pieces)) = frame.take_section() else {
                panic!("there is no file");
            };
            let mut written = Vec::new();
            while pieces.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 2];
                let count = pieces.chunks_vectored(&mut slices);
                let seen: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                let taken = step.min(seen.len());
                written.extend_from_slice(&seen[..taken]);
                pieces.advance(taken);
            }
            assert_eq!(written, whole, "step {step}");
        }
    }
}
