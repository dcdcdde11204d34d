//! Columns while rows are added: plain vectors by physical type, and the tree that makes arrays of them.
//!
//! A row that fails half way is taken back by cutting every column to its length before the row; nothing is noted down
//! for that when a row begins. So the columns at the top always have one length, and those inside of a list have the
//! length that the list's last offset says.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, ListArray, MapArray, NullArray,
    PrimitiveArray, StringArray, StructArray, types::*,
};
use arrow_buffer::{BooleanBuffer, IntervalMonthDayNano, NullBuffer, OffsetBuffer, ScalarBuffer, i256};
use arrow_schema::{DataType, FieldRef, Fields, IntervalUnit, TimeUnit};

/// An index into the columns of one physical type.
pub(super) type Slot = u32;

/// Which rows have no value. Those that have one cost nothing.
#[derive(Debug, Default)]
pub(super) struct Nulls {
    /// Ascending.
    rows: Vec<u32>,
}

impl Nulls {
    fn push(&mut self, row: usize) {
        self.rows
            .push(u32::try_from(row).expect("a batch has less than 2^32 rows"));
    }

    /// Forgets the rows from `len` on.
    fn truncate(&mut self, len: usize) {
        while self.rows.last().is_some_and(|row| *row as usize >= len) {
            self.rows.pop();
        }
    }

    /// Of a column of so many rows.
    fn finish(&mut self, len: usize) -> Option<NullBuffer> {
        if self.rows.is_empty() {
            return None;
        }
        let mut bits = vec![u8::MAX; len.div_ceil(8)];
        for row in &self.rows {
            bits[*row as usize / 8] &= !(1 << (row % 8));
        }
        let nulls = self.rows.len();
        self.rows.clear();
        let bits = BooleanBuffer::new(bits.into(), 0, len);
        let buffer = NullBuffer::new(bits);
        debug_assert_eq!(buffer.null_count(), nulls);
        Some(buffer)
    }
}

/// Numbers of one width.
#[derive(Debug)]
pub(super) struct Numbers<T> {
    values: Vec<T>,
    nulls: Nulls,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            nulls: Nulls::default(),
        }
    }
}

impl<T: Copy + Default> Numbers<T> {
    #[inline]
    pub(super) fn push(&mut self, value: T) {
        self.values.push(value);
    }

    fn push_null(&mut self) {
        self.nulls.push(self.values.len());
        self.values.push(T::default());
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.nulls.truncate(len);
    }
}

/// Values of any length, texts and binaries.
#[derive(Debug)]
pub(super) struct Bytes {
    ends: Vec<i32>,
    pub(super) values: Vec<u8>,
    nulls: Nulls,
}

impl Default for Bytes {
    fn default() -> Self {
        Self {
            ends: vec![0],
            values: Vec::new(),
            nulls: Nulls::default(),
        }
    }
}

impl Bytes {
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) -> Result<(), Full> {
        self.values.extend_from_slice(value);
        self.close()
    }

    /// Ends a value whose bytes were appended to `values`.
    #[inline]
    pub(super) fn close(&mut self) -> Result<(), Full> {
        self.ends
            .push(i32::try_from(self.values.len()).map_err(|_| Full)?);
        Ok(())
    }

    fn push_null(&mut self) {
        self.nulls.push(self.ends.len() - 1);
        self.ends.push(self.last());
    }

    fn last(&self) -> i32 {
        *self.ends.last().expect("the first end is 0")
    }

    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len + 1);
        self.values.truncate(self.last() as usize);
        self.nulls.truncate(len);
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Vec<u8>, Option<NullBuffer>) {
        let len = self.ends.len() - 1;
        let mut ends = Vec::with_capacity(self.ends.len());
        ends.push(0);
        let ends = std::mem::replace(&mut self.ends, ends);
        let values = Vec::with_capacity(self.values.len());
        (
            OffsetBuffer::new(ends.into()),
            std::mem::replace(&mut self.values, values),
            self.nulls.finish(len),
        )
    }
}

/// Values of one length.
#[derive(Debug)]
pub(super) struct Fixed {
    size: usize,
    len: usize,
    values: Vec<u8>,
    nulls: Nulls,
}

impl Fixed {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            len: 0,
            values: Vec::new(),
            nulls: Nulls::default(),
        }
    }

    /// `value`: as many bytes as the column's values have.
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.len += 1;
    }

    fn push_null(&mut self) {
        self.nulls.push(self.len);
        self.len += 1;
        self.values.resize(self.len * self.size, 0);
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.values.truncate(len * self.size);
        self.nulls.truncate(len);
    }
}

/// Where the items of each row end, in a list or a map.
#[derive(Debug)]
pub(super) struct Lists {
    ends: Vec<i32>,
    nulls: Nulls,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            ends: vec![0],
            nulls: Nulls::default(),
        }
    }
}

impl Lists {
    /// A row of so many items.
    #[inline]
    pub(super) fn push(&mut self, items: u64) -> Result<(), Full> {
        let end = i32::try_from(items)
            .ok()
            .and_then(|items| self.last().checked_add(items));
        self.ends.push(end.ok_or(Full)?);
        Ok(())
    }

    fn push_null(&mut self) {
        self.nulls.push(self.ends.len() - 1);
        self.ends.push(self.last());
    }

    fn last(&self) -> i32 {
        *self.ends.last().expect("the first end is 0")
    }

    /// Answers the length that the items must have.
    fn truncate(&mut self, len: usize) -> usize {
        self.ends.truncate(len + 1);
        self.nulls.truncate(len);
        self.last() as usize
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let nulls = self.nulls.finish(ends.len() - 1);
        (OffsetBuffer::new(ends.into()), nulls)
    }
}

/// Rows that have nothing themselves: structs (their columns have it) and nulls.
#[derive(Debug, Default)]
pub(super) struct Rows {
    len: usize,
    nulls: Nulls,
}

impl Rows {
    #[inline]
    pub(super) fn push(&mut self) {
        self.len += 1;
    }

    fn push_null(&mut self) {
        self.nulls.push(self.len);
        self.len += 1;
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.nulls.truncate(len);
    }
}

/// Something in a text column is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotText;

/// A column has more than Arrow's offsets of 31 bits can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What a column is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    Null(Slot),
    Boolean(Slot),
    Int32(Slot),
    Int64(Slot),
    Float32(Slot),
    Float64(Slot),
    Text(Slot),
    Binary(Slot),
    Fixed(Slot),
    Decimal128(Slot),
    Decimal256(Slot),
    Interval(Slot),
    List(Slot),
    Map(Slot),
    Struct(Slot),
}

/// How a value stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As the column's type has it.
    Native,
    /// A single value as text.
    Text,
    /// Whatever it is as JSON.
    Json,
}

/// A column, with those inside of it.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) field: FieldRef,
    pub(super) form: Form,
    pub(super) storage: Storage,
    /// A list's items; a map's keys and values; a struct's fields.
    pub(super) inside: Vec<Column>,
}

/// All columns of a batch that is being made, by physical type.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) booleans: Vec<Numbers<bool>>,
    pub(super) int32s: Vec<Numbers<i32>>,
    pub(super) int64s: Vec<Numbers<i64>>,
    pub(super) float32s: Vec<Numbers<f32>>,
    pub(super) float64s: Vec<Numbers<f64>>,
    pub(super) bytes: Vec<Bytes>,
    pub(super) fixed: Vec<Fixed>,
    pub(super) decimal128s: Vec<Numbers<i128>>,
    pub(super) decimal256s: Vec<Numbers<i256>>,
    pub(super) intervals: Vec<Numbers<IntervalMonthDayNano>>,
    pub(super) lists: Vec<Lists>,
    pub(super) rows: Vec<Rows>,
}

/// Appends a default and answers its slot.
fn another<T>(all: &mut Vec<T>, one: T) -> Slot {
    all.push(one);
    Slot::try_from(all.len() - 1).expect("the number of columns is bounded")
}

impl Columns {
    /// Room for columns: gives each one its storage.
    pub(super) fn assign(columns: &mut [Column]) -> Self {
        let mut room = Self::default();
        columns.iter_mut().for_each(|column| room.assign_one(column));
        room
    }

    fn assign_one(&mut self, column: &mut Column) {
        column.storage = self.storage(column.field.data_type());
        column
            .inside
            .iter_mut()
            .for_each(|inside| self.assign_one(inside));
    }

    fn storage(&mut self, data_type: &DataType) -> Storage {
        match data_type {
            DataType::Null => Storage::Null(another(&mut self.rows, Rows::default())),
            DataType::Boolean => Storage::Boolean(another(&mut self.booleans, Numbers::default())),
            DataType::Int32 | DataType::Date32 | DataType::Time32(_) => {
                Storage::Int32(another(&mut self.int32s, Numbers::default()))
            }
            DataType::Int64 | DataType::Time64(_) | DataType::Timestamp(_, _) => {
                Storage::Int64(another(&mut self.int64s, Numbers::default()))
            }
            DataType::Float32 => Storage::Float32(another(&mut self.float32s, Numbers::default())),
            DataType::Float64 => Storage::Float64(another(&mut self.float64s, Numbers::default())),
            DataType::Utf8 => Storage::Text(another(&mut self.bytes, Bytes::default())),
            DataType::Binary => Storage::Binary(another(&mut self.bytes, Bytes::default())),
            DataType::FixedSizeBinary(size) => {
                Storage::Fixed(another(&mut self.fixed, Fixed::new(*size as usize)))
            }
            DataType::Decimal128(_, _) => {
                Storage::Decimal128(another(&mut self.decimal128s, Numbers::default()))
            }
            DataType::Decimal256(_, _) => {
                Storage::Decimal256(another(&mut self.decimal256s, Numbers::default()))
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                Storage::Interval(another(&mut self.intervals, Numbers::default()))
            }
            DataType::List(_) => Storage::List(another(&mut self.lists, Lists::default())),
            DataType::Map(_, _) => Storage::Map(another(&mut self.lists, Lists::default())),
            DataType::Struct(_) => Storage::Struct(another(&mut self.rows, Rows::default())),
            other => unreachable!("no Avro type becomes {other}"),
        }
    }

    /// A row without a value; a struct's columns get one too, for they are as long as it is.
    pub(super) fn push_null(&mut self, column: &Column) {
        match column.storage {
            Storage::Null(slot) => self.rows[slot as usize].push(),
            Storage::Boolean(slot) => self.booleans[slot as usize].push_null(),
            Storage::Int32(slot) => self.int32s[slot as usize].push_null(),
            Storage::Int64(slot) => self.int64s[slot as usize].push_null(),
            Storage::Float32(slot) => self.float32s[slot as usize].push_null(),
            Storage::Float64(slot) => self.float64s[slot as usize].push_null(),
            Storage::Text(slot) | Storage::Binary(slot) => self.bytes[slot as usize].push_null(),
            Storage::Fixed(slot) => self.fixed[slot as usize].push_null(),
            Storage::Decimal128(slot) => self.decimal128s[slot as usize].push_null(),
            Storage::Decimal256(slot) => self.decimal256s[slot as usize].push_null(),
            Storage::Interval(slot) => self.intervals[slot as usize].push_null(),
            Storage::List(slot) | Storage::Map(slot) => self.lists[slot as usize].push_null(),
            Storage::Struct(slot) => {
                self.rows[slot as usize].push_null();
                column
                    .inside
                    .iter()
                    .for_each(|inside| self.push_placeholder(inside));
            }
        }
    }

    /// A value that nobody sees, in a column that may have no nulls: inside of a struct that is null.
    fn push_placeholder(&mut self, column: &Column) {
        if column.field.is_nullable() {
            return self.push_null(column);
        }
        const NEVER_FULL: &str = "nothing was added";
        match column.storage {
            Storage::Null(slot) => self.rows[slot as usize].push(),
            Storage::Boolean(slot) => self.booleans[slot as usize].push(false),
            Storage::Int32(slot) => self.int32s[slot as usize].push(0),
            Storage::Int64(slot) => self.int64s[slot as usize].push(0),
            Storage::Float32(slot) => self.float32s[slot as usize].push(0.0),
            Storage::Float64(slot) => self.float64s[slot as usize].push(0.0),
            Storage::Text(slot) | Storage::Binary(slot) => {
                self.bytes[slot as usize].close().expect(NEVER_FULL);
            }
            Storage::Fixed(slot) => {
                let fixed = &mut self.fixed[slot as usize];
                fixed.push(&vec![0; fixed.size]);
            }
            Storage::Decimal128(slot) => self.decimal128s[slot as usize].push(0),
            Storage::Decimal256(slot) => self.decimal256s[slot as usize].push(i256::ZERO),
            Storage::Interval(slot) => self.intervals[slot as usize].push(IntervalMonthDayNano::ZERO),
            Storage::List(slot) | Storage::Map(slot) => {
                self.lists[slot as usize].push(0).expect(NEVER_FULL);
            }
            Storage::Struct(slot) => {
                self.rows[slot as usize].push();
                column
                    .inside
                    .iter()
                    .for_each(|inside| self.push_placeholder(inside));
            }
        }
    }

    /// Cuts a column to so many rows.
    pub(super) fn truncate(&mut self, column: &Column, len: usize) {
        let inside = match column.storage {
            Storage::Null(slot) => return self.rows[slot as usize].truncate(len),
            Storage::Boolean(slot) => return self.booleans[slot as usize].truncate(len),
            Storage::Int32(slot) => return self.int32s[slot as usize].truncate(len),
            Storage::Int64(slot) => return self.int64s[slot as usize].truncate(len),
            Storage::Float32(slot) => return self.float32s[slot as usize].truncate(len),
            Storage::Float64(slot) => return self.float64s[slot as usize].truncate(len),
            Storage::Text(slot) | Storage::Binary(slot) => return self.bytes[slot as usize].truncate(len),
            Storage::Fixed(slot) => return self.fixed[slot as usize].truncate(len),
            Storage::Decimal128(slot) => return self.decimal128s[slot as usize].truncate(len),
            Storage::Decimal256(slot) => return self.decimal256s[slot as usize].truncate(len),
            Storage::Interval(slot) => return self.intervals[slot as usize].truncate(len),
            Storage::List(slot) | Storage::Map(slot) => self.lists[slot as usize].truncate(len),
            Storage::Struct(slot) => {
                self.rows[slot as usize].truncate(len);
                len
            }
        };
        column
            .inside
            .iter()
            .for_each(|column| self.truncate(column, inside));
    }

    /// Room for so many more rows at the top.
    pub(super) fn reserve(&mut self, column: &Column, rows: usize) {
        match column.storage {
            Storage::Boolean(slot) => self.booleans[slot as usize].values.reserve(rows),
            Storage::Int32(slot) => self.int32s[slot as usize].values.reserve(rows),
            Storage::Int64(slot) => self.int64s[slot as usize].values.reserve(rows),
            Storage::Float32(slot) => self.float32s[slot as usize].values.reserve(rows),
            Storage::Float64(slot) => self.float64s[slot as usize].values.reserve(rows),
            Storage::Text(slot) | Storage::Binary(slot) => self.bytes[slot as usize].ends.reserve(rows),
            Storage::Decimal128(slot) => self.decimal128s[slot as usize].values.reserve(rows),
            Storage::List(slot) | Storage::Map(slot) => self.lists[slot as usize].ends.reserve(rows),
            Storage::Struct(_) => column.inside.iter().for_each(|inside| self.reserve(inside, rows)),
            Storage::Null(_) | Storage::Fixed(_) | Storage::Decimal256(_) | Storage::Interval(_) => {}
        }
    }

    /// What a column holds, as an array; it is empty afterwards. Texts are looked at here, all at once, unless they were
    /// before.
    pub(super) fn finish(&mut self, column: &Column) -> Result<ArrayRef, NotText> {
        const SAME: &str = "all parts of a column were filled together, with values of its type";
        Ok(match column.storage {
            Storage::Null(slot) => {
                Arc::new(NullArray::new(std::mem::take(&mut self.rows[slot as usize]).len))
            }
            Storage::Boolean(slot) => {
                let booleans = &mut self.booleans[slot as usize];
                let nulls = booleans.nulls.finish(booleans.values.len());
                let bits = BooleanBuffer::collect_bool(booleans.values.len(), |row| booleans.values[row]);
                booleans.values.clear();
                Arc::new(BooleanArray::new(bits, nulls))
            }
            Storage::Int32(slot) => int32(&mut self.int32s[slot as usize], column.field.data_type()),
            Storage::Int64(slot) => int64(&mut self.int64s[slot as usize], column.field.data_type()),
            Storage::Float32(slot) => Arc::new(numbers::<Float32Type>(&mut self.float32s[slot as usize])),
            Storage::Float64(slot) => Arc::new(numbers::<Float64Type>(&mut self.float64s[slot as usize])),
            Storage::Text(slot) => {
                let (ends, values, nulls) = self.bytes[slot as usize].finish();
                Arc::new(StringArray::try_new(ends, values.into(), nulls).map_err(|_| NotText)?)
            }
            Storage::Binary(slot) => {
                let (ends, values, nulls) = self.bytes[slot as usize].finish();
                Arc::new(BinaryArray::try_new(ends, values.into(), nulls).expect(SAME))
            }
            Storage::Fixed(slot) => {
                let fixed = &mut self.fixed[slot as usize];
                let done = std::mem::replace(fixed, Fixed::new(fixed.size));
                Arc::new(fixed_array(done))
            }
            Storage::Decimal128(slot) => {
                let values = numbers::<Decimal128Type>(&mut self.decimal128s[slot as usize]);
                Arc::new(values.with_data_type(column.field.data_type().clone()))
            }
            Storage::Decimal256(slot) => {
                let values = numbers::<Decimal256Type>(&mut self.decimal256s[slot as usize]);
                Arc::new(values.with_data_type(column.field.data_type().clone()))
            }
            Storage::Interval(slot) => Arc::new(numbers::<IntervalMonthDayNanoType>(
                &mut self.intervals[slot as usize],
            )),
            Storage::List(slot) => {
                let items = self.finish(&column.inside[0])?;
                let (ends, nulls) = self.lists[slot as usize].finish();
                Arc::new(ListArray::try_new(column.inside[0].field.clone(), ends, items, nulls).expect(SAME))
            }
            Storage::Map(slot) => {
                let arrays = self.finish_all(&column.inside)?;
                let (ends, nulls) = self.lists[slot as usize].finish();
                Arc::new(map_array(column, arrays, ends, nulls))
            }
            Storage::Struct(slot) => {
                let rows = std::mem::take(&mut self.rows[slot as usize]);
                let mut nulls = rows.nulls;
                let arrays = self.finish_all(&column.inside)?;
                let fields = fields(column);
                let array =
                    StructArray::try_new_with_length(fields, arrays, nulls.finish(rows.len), rows.len);
                Arc::new(array.expect(SAME))
            }
        })
    }

    fn finish_all(&mut self, columns: &[Column]) -> Result<Vec<ArrayRef>, NotText> {
        columns.iter().map(|column| self.finish(column)).collect()
    }
}

fn fields(column: &Column) -> Fields {
    column.inside.iter().map(|inside| inside.field.clone()).collect()
}

fn numbers<T: ArrowPrimitiveType>(numbers: &mut Numbers<T::Native>) -> PrimitiveArray<T> {
    let values = Vec::with_capacity(numbers.values.len());
    let values = std::mem::replace(&mut numbers.values, values);
    let nulls = numbers.nulls.finish(values.len());
    PrimitiveArray::new(ScalarBuffer::from(values), nulls)
}

fn int32(values: &mut Numbers<i32>, data_type: &DataType) -> ArrayRef {
    match data_type {
        DataType::Date32 => Arc::new(numbers::<Date32Type>(values)),
        DataType::Time32(_) => Arc::new(numbers::<Time32MillisecondType>(values)),
        _ => Arc::new(numbers::<Int32Type>(values)),
    }
}

fn int64(values: &mut Numbers<i64>, data_type: &DataType) -> ArrayRef {
    match data_type {
        DataType::Time64(_) => Arc::new(numbers::<Time64MicrosecondType>(values)),
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            Arc::new(numbers::<TimestampMillisecondType>(values).with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            Arc::new(numbers::<TimestampMicrosecondType>(values).with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(_, zone) => {
            Arc::new(numbers::<TimestampNanosecondType>(values).with_timezone_opt(zone.clone()))
        }
        _ => Arc::new(numbers::<Int64Type>(values)),
    }
}

fn fixed_array(mut fixed: Fixed) -> FixedSizeBinaryArray {
    let nulls = fixed.nulls.finish(fixed.len);
    let size = i32::try_from(fixed.size).expect("a column of larger values is binary");
    let array = FixedSizeBinaryArray::try_new_with_len(size, fixed.values.into(), nulls, fixed.len);
    array.expect("every value has the size")
}

fn map_array(
    column: &Column,
    arrays: Vec<ArrayRef>,
    ends: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
) -> MapArray {
    let DataType::Map(entries, _) = column.field.data_type() else {
        unreachable!("the storage is a map's");
    };
    let pairs = StructArray::try_new(fields(column), arrays, None).expect("each key has its value");
    MapArray::try_new(entries.clone(), ends, pairs, nulls, false).expect("keys and values are not null")
}
