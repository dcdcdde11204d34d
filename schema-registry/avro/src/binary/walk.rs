//! The state of a walk: what is open, where it is, how far it may go. Any flat program may walk with it.

use std::ops::Range;

use super::{
    CALLS_PER_BYTE, MAX_CALLS, MAX_DEPTH, MAX_EMPTY_ITEMS,
    cursor::{Block, Cursor, Fault},
};

/// An index into the operations of a program.
pub type Pc = u32;

/// What a walk has open.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    Call {
        back: Pc,
    },
    /// A block of an array or a map. `left`: items not finished, with the current one.
    Block {
        block: Block,
        /// Where the block's first item begins.
        start: usize,
        /// Where the current item begins.
        item: usize,
        left: u64,
        /// Of the current item, from the first block on.
        index: u64,
        key: Range<usize>,
    },
}

/// The state of a walk along a flat program.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    pub(super) frames: Vec<Frame>,
    /// The operation at which the walk is, or stopped.
    pub pc: Pc,
    /// Where its value begins.
    pub at: usize,
    /// How many more calls there may be.
    calls: u64,
    /// Items so far that took no bytes.
    empty_items: u64,
}

impl Walk {
    /// Of a datum of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let mut walk = Self::default();
        walk.restart(bytes);
        walk
    }

    /// The next datum; what is allocated stays.
    #[inline]
    pub fn restart(&mut self, bytes: usize) {
        self.frames.clear();
        self.calls = MAX_CALLS + CALLS_PER_BYTE * bytes as u64;
        self.empty_items = 0;
    }

    /// Whether nothing is open.
    #[inline]
    pub fn is_flat(&self) -> bool {
        self.frames.is_empty()
    }

    #[inline]
    fn push(&mut self, frame: Frame) -> Result<(), Fault> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(Fault::Depth);
        }
        self.frames.push(frame);
        Ok(())
    }

    /// Enters a unit; [`Walk::back`] goes on at `back`.
    #[inline]
    pub fn call(&mut self, back: Pc) -> Result<(), Fault> {
        self.calls = self.calls.checked_sub(1).ok_or(Fault::Calls)?;
        self.push(Frame::Call { back })
    }

    /// Leaves a unit.
    #[inline]
    pub fn back(&mut self) -> Pc {
        match self.frames.pop() {
            Some(Frame::Call { back }) => back,
            _ => unreachable!("whoever leaves a unit has entered it, and its blocks have ended"),
        }
    }

    /// The head of the first block of an array or map. `false`: there are no items, and nothing is open.
    #[inline]
    pub fn open(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        let Some(block) = cursor.block()? else {
            return Ok(false);
        };
        self.push(Frame::Block {
            left: block.items,
            block,
            start: cursor.at(),
            item: cursor.at(),
            index: 0,
            key: 0..0,
        })?;
        Ok(true)
    }

    /// After an item: `None` if there is another one, else how many there were, and nothing is open any more.
    #[inline]
    pub fn next(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<u64>, Fault> {
        let Some(Frame::Block {
            block,
            start,
            item,
            left,
            index,
            ..
        }) = self.frames.last_mut()
        else {
            unreachable!("an item is inside of its block");
        };
        if *item == cursor.at() {
            self.empty_items += 1;
            if self.empty_items > MAX_EMPTY_ITEMS {
                return Err(Fault::EmptyItems);
            }
        }
        *left -= 1;
        if *left == 0 {
            cursor.close_block(block, *start)?;
            match cursor.block()? {
                Some(another) => {
                    (*left, *start) = (another.items, cursor.at());
                    *block = another;
                }
                None => {
                    let items = *index + 1;
                    self.frames.pop();
                    return Ok(Some(items));
                }
            }
        }
        *index += 1;
        *item = cursor.at();
        Ok(None)
    }

    /// The key of a map's current entry.
    #[inline]
    pub fn key<'a>(&mut self, cursor: &mut Cursor<'a>) -> Result<&'a [u8], Fault> {
        self.at = cursor.at();
        let key = cursor.bytes()?;
        if let Some(Frame::Block { key: range, .. }) = self.frames.last_mut() {
            *range = cursor.at() - key.len()..cursor.at();
        }
        Ok(key)
    }
}
