//! Frames that were written a moment ago and are still in memory, for the sealer: what it copies from here need not be
//! read back.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::{WalFile, cursor::Placed};

/// Durable frames in the order of the log, without a gap within; the oldest leave when there are too many.
#[derive(Debug)]
pub(crate) struct Fresh {
    frames: VecDeque<Placed>,
    bytes: usize,
    /// So many are worth the sealer's while.
    much_bytes: usize,
}

impl Fresh {
    /// The most that is kept, in times of what is much.
    const MAX: usize = 3;

    pub(crate) fn new(much_bytes: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            much_bytes,
        }
    }

    /// Answers whether there is much now.
    pub(crate) fn push(&mut self, frame: Placed) -> bool {
        self.bytes += frame.len();
        self.frames.push_back(frame);
        while self.bytes > self.much_bytes * Self::MAX {
            self.pop();
        }
        self.bytes >= self.much_bytes
    }

    /// The file of the oldest frame, if there is much.
    pub(crate) fn much_of(&self) -> Option<Arc<WalFile>> {
        let oldest = self.frames.front()?;
        (self.bytes >= self.much_bytes).then(|| oldest.file.clone())
    }

    /// The parts of the frame at that place, if it is here. Forgets all before it.
    pub(crate) fn take(&mut self, file: &WalFile, position: u64) -> Option<Vec<Bytes>> {
        let place = (file.header.sequence, position);
        while self.first().is_some_and(|first| first < place) {
            self.pop();
        }
        if self.first() == Some(place) {
            return self.pop().map(|frame| frame.parts);
        }
        None
    }

    /// Whether the frame at that place is the oldest one here.
    pub(crate) fn has(&self, file: &WalFile, position: u64) -> bool {
        self.first() == Some((file.header.sequence, position))
    }

    /// Sequence number of its file, and position.
    fn first(&self) -> Option<(u64, u64)> {
        let frame = self.frames.front()?;
        Some((frame.file.header.sequence, frame.position))
    }

    fn pop(&mut self) -> Option<Placed> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::{Disk, Mode, sim::SimDisk},
        wal::frame::FileHeader,
    };

    fn file(sequence: u64) -> Arc<WalFile> {
        let file = SimDisk::new(1).open("0.wal", Mode::Create).expect("a new disk");
        Arc::new(WalFile {
            slot: 0,
            header: FileHeader {
                sequence,
                salt: sequence,
                without_fsync: false,
            },
            file,
            capacity: 1000,
        })
    }

    fn frame(file: &Arc<WalFile>, position: u64) -> Placed {
        Placed {
            file: file.clone(),
            position,
            parts: vec![Bytes::from_static(&[0; 10])],
        }
    }

    #[test]
    fn frames_are_taken_in_the_order_of_the_log_and_earlier_ones_are_forgotten() {
        let (first, second) = (file(1), file(2));
        let mut fresh = Fresh::new(40);
        let pushed = [(&first, 64), (&first, 74), (&second, 64), (&second, 74)];
        let much = pushed.map(|(file, position)| fresh.push(frame(file, position)));
        assert_eq!(much, [false, false, false, true]);
        assert_eq!(fresh.much_of().map(|file| file.header), Some(first.header));
        assert!(fresh.has(&first, 64) && fresh.take(&first, 64).is_some());
        assert!(fresh.much_of().is_none());
        assert!(fresh.take(&first, 84).is_none(), "there is none");
        assert!(
            !fresh.has(&first, 74),
            "what lay before it was sealed from elsewhere"
        );
        assert!(fresh.take(&second, 64).is_some() && fresh.take(&second, 74).is_some());
        assert!(fresh.take(&second, 84).is_none());
        assert_eq!(fresh.bytes, 0);
    }

    #[test]
    fn the_oldest_leave_when_there_are_too_many() {
        let file = file(1);
        let mut fresh = Fresh::new(20);
        for at in 0..10 {
            fresh.push(frame(&file, 64 + at * 10));
        }
        assert_eq!(fresh.bytes, 60);
        assert!(fresh.take(&file, 64).is_none() && fresh.has(&file, 104));
    }
}
