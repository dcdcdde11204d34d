//! Avro's binary encoding, walked without building values.
//!
//! [`Validator`] compiles a schema once into a flat program and walks data along it: no recursion, no tree, no allocation
//! unless there are arrays, maps or records used more than once. [`Cursor`] reads the primitive types, for whoever builds
//! something from them (the decode plans of `formats`), [`Walk`] and [`Places`] are what a flat program needs beside its
//! operations, and [`Validator::skip`] passes over the fields that nobody wants.
//!
//! Bytes come from outside. So: a length is checked against what is left before it is believed; nesting is bounded by
//! [`MAX_DEPTH`]; items without bytes (`array<null>`) are bounded, for ten bytes can claim 2^63 of them; a block that says
//! its size must have it, else a reader that skips it and one that reads it would go on at different places.
//!
//! Stricter than Java, on purpose: strings must be UTF-8, booleans 0 or 1, ints must fit 32 bits, nothing may follow the
//! value.

mod cursor;
mod error;
mod places;
mod program;
mod walk;

pub use cursor::{Block, Cursor, Fault, is_text};
pub use error::DataError;
pub use places::{Place, Places, Step};
pub use walk::{Pc, Walk};

use crate::{NodeId, Schema};

use program::{Op, Program};

/// How deep records, arrays and maps of a datum may lie in each other.
pub const MAX_DEPTH: usize = 1_000;
/// How many items of a datum's arrays may take no bytes.
pub const MAX_EMPTY_ITEMS: u64 = 1_000;
/// A datum may have so many records of shared types, whatever its length: even if they take no bytes...
pub const MAX_CALLS: u64 = 65_536;
/// ... and so many more for each of its bytes: a byte can lie in several records, but not in any number.
pub const CALLS_PER_BYTE: u64 = 64;

/// Checks data of one schema, or passes over parts of it.
#[derive(Debug)]
pub struct Validator {
    program: Program,
    end: Pc,
}

/// A part of data that is passed over at once: neighbouring fields of one record, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    from: Pc,
    to: Pc,
}

impl Validator {
    pub fn compile(schema: &Schema) -> Self {
        let program = Program::compile(schema);
        let end = program.ops.iter().position(|op| *op == Op::Return);
        Self {
            end: end.expect("every unit ends with a return, and the root's is the first") as Pc,
            program,
        }
    }

    /// Whether the bytes are exactly one datum of the schema.
    pub fn validate(&self, datum: &[u8]) -> Result<(), DataError> {
        let mut walk = Walk::new(datum.len());
        let cursor = self
            .program
            .walk::<true>(Cursor::new(datum), &mut walk, 0, self.end)
            .map_err(|fault| DataError {
                offset: walk.at,
                path: self.program.places.path(&walk, datum),
                message: fault.to_string(),
            })?;
        cursor.end().map_err(|fault| DataError {
            offset: cursor.at(),
            path: String::new(),
            message: fault.to_string(),
        })
    }

    /// The fields `first..=last` of a record, to be skipped; `None` for what is no record, or has no such fields.
    pub fn span(&self, record: NodeId, first: usize, last: usize) -> Option<Span> {
        let fields = &self.program.fields[record.index()];
        Some(Span {
            from: *fields.get(first)?,
            to: *fields.get(last + 1)?,
        })
    }

    /// The whole datum.
    pub fn whole(&self) -> Span {
        Span {
            from: 0,
            to: self.end,
        }
    }

    /// The cursor behind the fields of a span. Nobody reads them, so their strings may be anything.
    pub fn skip<'a>(&self, span: Span, cursor: Cursor<'a>) -> Result<Cursor<'a>, Fault> {
        let mut walk = Walk::new(cursor.left());
        self.program.walk::<false>(cursor, &mut walk, span.from, span.to)
    }
}

#[cfg(test)]
mod tests;
