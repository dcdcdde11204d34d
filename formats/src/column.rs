//! Cells of one column to an Arrow array: one tight loop per type.
//!
//! A cell that is not of the column's type is reported with its row and stands as a placeholder; the decoder drops
//! such rows afterwards. So the loops know nothing of error handling.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use arrow_array::{ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray, types::*};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_cast::{
    base64::{BASE64_STANDARD, Engine},
    parse::Parser,
};
use arrow_schema::{DataType, Field, TimeUnit};

use crate::{cell::Cell, text};

/// The first thing wrong with each row, by row.
pub(crate) type Failures = BTreeMap<usize, String>;

/// One column being built.
pub(crate) struct Column<'f> {
    pub(crate) field: &'f Field,
    /// Texts that stand for NULL where they are not a value of the column's type.
    pub(crate) null_texts: &'f [String],
}

/// Why a cell cannot become a value.
struct NotA(&'static str);

impl Column<'_> {
    pub(crate) fn build(&self, cells: &[Cell<'_>], failures: &mut Failures) -> ArrayRef {
        match self.field.data_type() {
            DataType::Boolean => self.boolean(cells, failures),
            DataType::Int8 => self.integer::<Int8Type>(cells, failures, "an 8-bit integer"),
            DataType::Int16 => self.integer::<Int16Type>(cells, failures, "a 16-bit integer"),
            DataType::Int32 => self.integer::<Int32Type>(cells, failures, "a 32-bit integer"),
            DataType::Int64 => self.integer::<Int64Type>(cells, failures, "a 64-bit integer"),
            DataType::UInt8 => self.integer::<UInt8Type>(cells, failures, "an unsigned 8-bit integer"),
            DataType::UInt16 => self.integer::<UInt16Type>(cells, failures, "an unsigned 16-bit integer"),
            DataType::UInt32 => self.integer::<UInt32Type>(cells, failures, "an unsigned 32-bit integer"),
            DataType::UInt64 => self.integer::<UInt64Type>(cells, failures, "an unsigned 64-bit integer"),
            DataType::Float32 => {
                self.primitive::<Float32Type>(cells, failures, "a number", Float32Type::parse)
            }
            DataType::Float64 => {
                self.primitive::<Float64Type>(cells, failures, "a number", Float64Type::parse)
            }
            DataType::Date32 => self.primitive::<Date32Type>(cells, failures, "a date", Date32Type::parse),
            DataType::Timestamp(unit, zone) => self.timestamp(*unit, zone.as_ref(), cells, failures),
            DataType::Decimal128(precision, scale) => self.decimal(*precision, *scale, cells, failures),
            DataType::Utf8 => self.utf8(cells, failures),
            DataType::Binary => self.binary(cells, failures),
            other => unreachable!("the decoder was built for supported types, not {other}"),
        }
    }

    /// NULL, or what `parse` makes of the text. Anything else is written down as a failure of the row.
    fn value<'c, T>(
        &self,
        row: usize,
        cell: &'c Cell<'_>,
        failures: &mut Failures,
        parse: impl Fn(&'c Cell<'_>) -> Result<T, NotA>,
    ) -> Option<T> {
        if matches!(cell, Cell::Null) {
            if !self.field.is_nullable() {
                failures
                    .entry(row)
                    .or_insert_with(|| format!("column '{}' must not be NULL", self.field.name()));
            }
            return None;
        }
        match parse(cell) {
            Ok(value) => Some(value),
            Err(_) if self.is_null_text(cell) => None,
            Err(NotA(wanted)) => {
                failures.entry(row).or_insert_with(|| {
                    format!("column '{}': {} is not {wanted}", self.field.name(), quoted(cell))
                });
                None
            }
        }
    }

    fn is_null_text(&self, cell: &Cell<'_>) -> bool {
        let is_null = |text: &str| self.null_texts.iter().any(|null| null == text);
        self.field.is_nullable() && cell.text().is_some_and(is_null)
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        cells: &[Cell<'_>],
        failures: &mut Failures,
        wanted: &'static str,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> ArrayRef {
        Arc::new(self.typed::<T>(cells, failures, wanted, parse))
    }

    fn typed<T: ArrowPrimitiveType>(
        &self,
        cells: &[Cell<'_>],
        failures: &mut Failures,
        wanted: &'static str,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> PrimitiveArray<T> {
        let mut values = Vec::with_capacity(cells.len());
        let mut nulls = NullBufferBuilder::new(cells.len());
        for (row, cell) in cells.iter().enumerate() {
            let value = self.value(row, cell, failures, |cell| {
                cell.text().and_then(&parse).ok_or(NotA(wanted))
            });
            nulls.append(value.is_some());
            values.push(value.unwrap_or_default());
        }
        PrimitiveArray::new(ScalarBuffer::from(values), nulls.finish())
    }

    fn integer<T: ArrowPrimitiveType + Parser>(
        &self,
        cells: &[Cell<'_>],
        failures: &mut Failures,
        wanted: &'static str,
    ) -> ArrayRef
    where
        T::Native: TryFrom<i64>,
    {
        self.primitive::<T>(cells, failures, wanted, |text| {
            T::parse(text).or_else(|| T::Native::try_from(text::whole_number(text)?).ok())
        })
    }

    fn timestamp(
        &self,
        unit: TimeUnit,
        zone: Option<&Arc<str>>,
        cells: &[Cell<'_>],
        failures: &mut Failures,
    ) -> ArrayRef {
        let zone = zone.cloned();
        let wanted = "a timestamp";
        let parse = |text: &str| text::parse_timestamp(text, unit);
        match unit {
            TimeUnit::Second => Arc::new(
                self.typed::<TimestampSecondType>(cells, failures, wanted, parse)
                    .with_timezone_opt(zone),
            ),
            TimeUnit::Millisecond => Arc::new(
                self.typed::<TimestampMillisecondType>(cells, failures, wanted, parse)
                    .with_timezone_opt(zone),
            ),
            TimeUnit::Microsecond => Arc::new(
                self.typed::<TimestampMicrosecondType>(cells, failures, wanted, parse)
                    .with_timezone_opt(zone),
            ),
            TimeUnit::Nanosecond => Arc::new(
                self.typed::<TimestampNanosecondType>(cells, failures, wanted, parse)
                    .with_timezone_opt(zone),
            ),
        }
    }

    fn decimal(&self, precision: u8, scale: i8, cells: &[Cell<'_>], failures: &mut Failures) -> ArrayRef {
        let parse = |text: &str| text::parse_decimal(text, precision, scale);
        let values = self.typed::<Decimal128Type>(cells, failures, "a number of the declared digits", parse);
        Arc::new(values.with_data_type(self.field.data_type().clone()))
    }

    fn boolean(&self, cells: &[Cell<'_>], failures: &mut Failures) -> ArrayRef {
        let mut values = BooleanBufferBuilder::new(cells.len());
        let mut nulls = NullBufferBuilder::new(cells.len());
        for (row, cell) in cells.iter().enumerate() {
            let value = self.value(row, cell, failures, |cell| {
                cell.text()
                    .and_then(text::parse_bool)
                    .ok_or(NotA("true or false"))
            });
            nulls.append(value.is_some());
            values.append(value.unwrap_or_default());
        }
        Arc::new(BooleanArray::new(values.finish(), nulls.finish()))
    }

    fn utf8(&self, cells: &[Cell<'_>], failures: &mut Failures) -> ArrayRef {
        let mut bytes = ByteColumn::for_cells(cells);
        for (row, cell) in cells.iter().enumerate() {
            let value = self.value(row, cell, failures, |cell| match cell {
                Cell::Literal(_) => Err(NotA("text")),
                Cell::Bytes(bytes) => str::from_utf8(bytes).map_err(|_| NotA("UTF-8 text")),
                text => text.text().ok_or(NotA("text")),
            });
            let value = value.filter(|value| bytes.has_room(row, value.len(), failures));
            bytes.append(value.map(str::as_bytes));
        }
        let (offsets, values, nulls) = bytes.finish();
        // Every value was a `&str`, so the concatenation is UTF-8 and every offset a character boundary.
        Arc::new(StringArray::new(offsets, values, nulls))
    }

    fn binary(&self, cells: &[Cell<'_>], failures: &mut Failures) -> ArrayRef {
        let mut bytes = ByteColumn::for_cells(cells);
        for (row, cell) in cells.iter().enumerate() {
            let value = self.value(row, cell, failures, |cell| match cell {
                Cell::Bytes(bytes) => Ok(Cow::Borrowed(*bytes)),
                Cell::Literal(_) => Err(NotA("base64 text")),
                text => BASE64_STANDARD
                    .decode(text.bytes().unwrap_or_default())
                    .map(Into::into)
                    .map_err(|_| NotA("base64 text")),
            });
            let value = value.filter(|value| bytes.has_room(row, value.len(), failures));
            bytes.append(value.as_deref());
        }
        let (offsets, values, nulls) = bytes.finish();
        Arc::new(BinaryArray::new(offsets, values, nulls))
    }
}

/// Values of varying length, end to end.
struct ByteColumn {
    offsets: Vec<i32>,
    values: Vec<u8>,
    nulls: NullBufferBuilder,
}

impl ByteColumn {
    fn for_cells(cells: &[Cell<'_>]) -> Self {
        let bytes = cells.iter().filter_map(Cell::bytes).map(<[u8]>::len).sum();
        let mut offsets = Vec::with_capacity(cells.len() + 1);
        offsets.push(0);
        Self {
            offsets,
            values: Vec::with_capacity(bytes),
            nulls: NullBufferBuilder::new(cells.len()),
        }
    }

    /// Arrow's offsets have 31 bits.
    fn has_room(&self, row: usize, bytes: usize, failures: &mut Failures) -> bool {
        let fits = self.values.len() + bytes <= i32::MAX as usize;
        if !fits {
            failures.insert(row, "more than 2 GiB in one column of a batch".into());
        }
        fits
    }

    fn append(&mut self, value: Option<&[u8]>) {
        self.values.extend_from_slice(value.unwrap_or_default());
        self.offsets
            .push(i32::try_from(self.values.len()).expect("has_room was asked"));
        self.nulls.append(value.is_some());
    }

    fn finish(mut self) -> (OffsetBuffer<i32>, Buffer, Option<NullBuffer>) {
        (
            OffsetBuffer::new(self.offsets.into()),
            self.values.into(),
            self.nulls.finish(),
        )
    }
}

/// A cell for an error message: short, with its kind to be seen.
fn quoted(cell: &Cell<'_>) -> String {
    const SHOWN: usize = 40;
    let Some(text) = cell.text() else {
        return "the value".into();
    };
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(end, _)| end);
    let more = if end < text.len() { "…" } else { "" };
    match cell {
        Cell::Literal(_) => format!("{}{more}", &text[..end]),
        _ => format!("'{}{more}'", &text[..end]),
    }
}
