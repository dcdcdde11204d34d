//! The operations of a decode plan. Each reads a value and puts it where it belongs; so there is one branch per value.

use crate::avro::columns::Slot;
use millstream_schema_registry_avro::binary::Pc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    // Values into columns, by what is written and what is read.
    Boolean(Slot),
    Int(Slot),
    Long(Slot),
    Float(Slot),
    Double(Slot),
    IntAsLong(Slot),
    IntAsFloat(Slot),
    IntAsDouble(Slot),
    LongAsFloat(Slot),
    LongAsDouble(Slot),
    FloatAsDouble(Slot),
    /// A string, or bytes that must be text.
    Text(Slot),
    /// Bytes or a string.
    Binary(Slot),
    Fixed {
        slot: Slot,
        size: u32,
    },
    FixedAsBinary {
        slot: Slot,
        index: u32,
    },
    Symbol {
        slot: Slot,
        table: u32,
    },
    Decimal128 {
        slot: Slot,
        index: u32,
    },
    Decimal256 {
        slot: Slot,
        index: u32,
    },
    /// A count of another unit.
    Scaled {
        slot: Slot,
        index: u32,
    },
    Duration(Slot),
    /// A struct is complete.
    Struct(Slot),
    /// A column's row without a value.
    Null {
        column: u32,
    },

    // Ways through the data.
    /// A union of null and one type, read as a column: with null, add one and go to `end`.
    Optional {
        null: u32,
        column: u32,
        end: Pc,
    },
    /// Any other union: go to where `targets[table + branch]` says.
    Branch {
        table: u32,
        branches: u32,
    },
    Jump(Pc),
    List {
        slot: Slot,
        end: Pc,
    },
    NextItem {
        slot: Slot,
        body: Pc,
    },
    Map {
        slot: Slot,
        keys: Slot,
        end: Pc,
    },
    NextEntry {
        slot: Slot,
        keys: Slot,
        body: Pc,
    },
    /// Fields that nobody wants.
    Skip {
        span: u32,
    },
    /// From here on the field is read twice.
    Mark,
    /// Back to the mark.
    Rewind,
    /// A field that the writer does not have: read on in the default, until `Resume`.
    Default {
        index: u32,
    },
    Resume,
    /// What the writer has here cannot be read.
    Fail {
        index: u32,
    },
    Call(Pc),
    Return,
    /// The end of the datum.
    End,

    // Text: a column's value is taken out, the following write to it, and it is closed.
    Begin(Slot),
    Close(Slot),
    Raw {
        index: u32,
    },
    WriteBoolean,
    WriteInt,
    WriteLong,
    WriteFloat,
    WriteDouble,
    WriteText,
    WriteBytes,
    WriteFixed {
        index: u32,
    },
    WriteSymbol {
        table: u32,
    },
    WriteScalar {
        index: u32,
    },
    WriteArray {
        end: Pc,
    },
    WriteNextItem {
        body: Pc,
    },
    WriteMap {
        end: Pc,
    },
    WriteNextEntry {
        body: Pc,
    },
}
