//! A decode plan: how data of one writer's schema become the columns of one layout.
//!
//! `compile` settles everything that the two schemas settle, once, into a flat list of operations (`op`); `run` goes along
//! it for each datum. Who is read as whom is asked of `resolve`.

mod compile;
mod op;
mod run;

use millstream_schema_registry_avro::{
    Schema,
    binary::{DataError, Pc, Places, Span, Validator, Walk},
};

use super::{
    columns::{Column, Columns, Slot},
    layout::Layout,
    scalar::{Decimal, Scalar, Scale},
};

use op::Op;

/// Why data of a writer's schema cannot be read as the reader's schema at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", before(path))]
pub struct PlanError {
    /// The reader's fields that lead there; empty at the root.
    pub path: String,
    pub message: String,
}

fn before(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!("field '{path}': "),
    }
}

/// How data of a writer's schema become the columns of a layout.
#[derive(Debug)]
pub(super) struct Plan {
    ops: Vec<Op>,
    targets: Vec<Pc>,
    places: Places,
    /// Of the writer's schema: passes over what nobody wants, and says where data is wrong.
    validator: Validator,
    spans: Vec<Span>,
    /// Columns that an operation gives a null.
    columns: Vec<Column>,
    /// Texts of symbols, or `None` where the reader has none.
    symbols: Vec<Vec<Option<Box<str>>>>,
    sizes: Vec<usize>,
    decimals: Vec<Decimal>,
    scales: Vec<Scale>,
    scalars: Vec<Scalar>,
    /// Pieces of JSON.
    raw: Vec<Box<[u8]>>,
    /// Defaults, as data of the reader's schema.
    defaults: Vec<Box<[u8]>>,
    /// Why something cannot be read.
    reasons: Vec<String>,
}

/// What running a plan needs and keeps from datum to datum.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    walk: Walk,
    /// The values of the text column that is open.
    text: Vec<u8>,
    open: Option<Slot>,
    marks: Vec<usize>,
}

impl Plan {
    pub(super) fn compile(writer: &Schema, layout: &Layout) -> Result<Self, PlanError> {
        compile::compile(writer, layout)
    }

    /// Adds one row. After an error some columns have it and some do not: the caller cuts them.
    #[inline]
    pub(super) fn run<const CHECK: bool>(
        &self,
        datum: &[u8],
        columns: &mut Columns,
        scratch: &mut Scratch,
    ) -> Result<(), DataError> {
        run::run::<CHECK>(self, datum, columns, scratch)
    }
}
