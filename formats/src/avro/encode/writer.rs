//! The writer of one column: chosen once for a batch by the types of both sides.

use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, cast::AsArray, types::*};
use arrow_buffer::{IntervalMonthDayNano, i256};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use millstream_schema_registry_avro::{Enum, Kind, Logical, NodeId, Record, Schema};

use super::json;
use crate::avro::{
    derive::column_name,
    literal::{write_bytes, write_long},
};

/// Appends the value of one row.
pub(super) type Writer<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> Result<(), String> + 'a>;

/// The writer of a column as a type; the text says why there is none.
pub(super) fn writer<'a>(
    schema: &'a Schema,
    node: NodeId,
    array: &'a ArrayRef,
) -> Result<Writer<'a>, String> {
    if let Kind::Union(branches) = schema.kind(node) {
        return union(schema, branches, array);
    }
    if let (Kind::Null, DataType::Null) = (schema.kind(node), array.data_type()) {
        return Ok(Box::new(|_, _| Ok(())));
    }
    let write = value(schema, node, array)?;
    if !array.is_nullable() {
        return Ok(write);
    }
    Ok(Box::new(move |row, out| match array.is_null(row) {
        true => Err("must not be NULL".into()),
        false => write(row, out),
    }))
}

/// NULL is the branch of null; a value is of the first other branch that takes the column's type.
fn union<'a>(schema: &'a Schema, branches: &'a [NodeId], array: &'a ArrayRef) -> Result<Writer<'a>, String> {
    let is_null = |branch: &NodeId| matches!(schema.kind(*branch), Kind::Null);
    let null = branches.iter().position(is_null).map(|index| long(index as i64));
    if let DataType::Null = array.data_type() {
        let null = null.ok_or("the union has no null")?;
        return Ok(Box::new(move |_, out| {
            out.extend_from_slice(&null);
            Ok(())
        }));
    }
    let values = branches.iter().enumerate().filter(|(_, branch)| !is_null(branch));
    let (head, write) = if values.clone().count() > 1 && array.data_type() == &DataType::Utf8 {
        (Vec::new(), json::column_of_union(schema, branches, array))
    } else {
        let mut reason = "the union has nothing but null".to_owned();
        let mut writers = values.filter_map(|(index, branch)| match value(schema, *branch, array) {
            Ok(write) => Some((long(index as i64), write)),
            Err(error) => {
                reason = error;
                None
            }
        });
        let first = writers.next();
        drop(writers);
        first.ok_or(reason)?
    };
    Ok(Box::new(move |row, out| {
        if array.is_null(row) {
            out.extend_from_slice(null.as_deref().ok_or("must not be NULL")?);
            return Ok(());
        }
        out.extend_from_slice(&head);
        write(row, out)
    }))
}

fn long(value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    write_long(value, &mut out);
    out
}

/// The writer of values that are not NULL, as a type that is no union.
pub(super) fn value<'a>(schema: &'a Schema, node: NodeId, array: &'a ArrayRef) -> Result<Writer<'a>, String> {
    let (kind, logical) = (schema.kind(node), schema.node(node).logical);
    let written = match (kind, array.data_type()) {
        (Kind::Boolean, DataType::Boolean) => {
            let array = array.as_boolean();
            boxed(move |row, out| out.push(array.value(row).into()))
        }
        (Kind::Int | Kind::Long | Kind::Float | Kind::Double, data_type) if data_type.is_integer() => {
            integer(kind, array)
        }
        (Kind::Float, DataType::Float32) => {
            let array = array.as_primitive::<Float32Type>();
            boxed(move |row, out| out.extend(array.value(row).to_le_bytes()))
        }
        (Kind::Double, DataType::Float32) => {
            let array = array.as_primitive::<Float32Type>();
            boxed(move |row, out| out.extend(f64::from(array.value(row)).to_le_bytes()))
        }
        (Kind::Double, DataType::Float64) => {
            let array = array.as_primitive::<Float64Type>();
            boxed(move |row, out| out.extend(array.value(row).to_le_bytes()))
        }
        (Kind::String | Kind::Bytes, DataType::Utf8) if !matches!(logical, Some(Logical::Decimal { .. })) => {
            let array = array.as_string::<i32>();
            boxed(move |row, out| write_bytes(array.value(row).as_bytes(), out))
        }
        (Kind::Enum(symbols), DataType::Utf8) => Some(symbol(symbols, array)),
        (Kind::Bytes, DataType::Binary) => {
            let array = array.as_binary::<i32>();
            boxed(move |row, out| write_bytes(array.value(row), out))
        }
        (Kind::Bytes, DataType::FixedSizeBinary(_)) => {
            let array = array.as_fixed_size_binary();
            boxed(move |row, out| write_bytes(array.value(row), out))
        }
        (Kind::Fixed(fixed), DataType::Binary | DataType::FixedSizeBinary(_)) => {
            fixed_bytes(fixed.size, array)
        }
        (Kind::Int, DataType::Date32) if logical == Some(Logical::Date) => {
            numbers::<Date32Type>(array, |days| Some(days.into()))
        }
        (Kind::Int | Kind::Long, DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(_, _)) => {
            time(logical, array)
        }
        (Kind::Bytes | Kind::Fixed(_), DataType::Decimal128(_, _) | DataType::Decimal256(_, _)) => {
            decimal(kind, logical, array)
        }
        (Kind::Fixed(_), DataType::Interval(IntervalUnit::MonthDayNano))
            if logical == Some(Logical::Duration) =>
        {
            let array = array.as_primitive::<IntervalMonthDayNanoType>();
            Some(Box::new(move |row, out: &mut Vec<u8>| duration(array.value(row), out)) as Writer<'a>)
        }
        (Kind::Array(items), DataType::List(_)) => return list(schema, *items, array),
        (Kind::Map(values), DataType::Map(_, _)) => return map(schema, *values, array),
        (Kind::Record(record), DataType::Struct(_)) => return record_writer(schema, record, array),
        (_, DataType::Utf8) => json::column(schema, node, array),
        _ => None,
    };
    written.ok_or_else(|| {
        let found = array.data_type();
        let found = millstream_sdk::type_name(found).unwrap_or_else(|| found.to_string());
        let logical = logical
            .map(|logical| format!(" ({logical:?})"))
            .unwrap_or_default();
        format!(
            "{found} cannot be written as {}{logical} without a loss",
            kind.type_name()
        )
    })
}

/// A writer that never fails.
fn boxed<'a>(write: impl Fn(usize, &mut Vec<u8>) + 'a) -> Option<Writer<'a>> {
    Some(Box::new(move |row, out| {
        write(row, out);
        Ok(())
    }))
}

/// Numbers written as an int or a long; what does not fit is an error of its row.
fn numbers<'a, T: ArrowPrimitiveType>(
    array: &'a ArrayRef,
    convert: impl Fn(T::Native) -> Option<i64> + 'a,
) -> Option<Writer<'a>> {
    let array = array.as_primitive::<T>();
    Some(Box::new(move |row, out| {
        let value = array.value(row);
        let long = convert(value).ok_or_else(|| format!("{value:?} is out of range"))?;
        write_long(long, out);
        Ok(())
    }))
}

/// Whole numbers go where every value of their type fits.
fn integer<'a>(kind: &Kind, array: &'a ArrayRef) -> Option<Writer<'a>> {
    macro_rules! number {
        ($type:ty) => {
            numbers::<$type>(array, |value| Some(value.into()))
        };
    }
    macro_rules! float {
        ($type:ty, $float:ty) => {{
            let array = array.as_primitive::<$type>();
            boxed(move |row, out| out.extend(<$float>::from(array.value(row)).to_le_bytes()))
        }};
    }
    match (kind, array.data_type()) {
        (Kind::Int | Kind::Long, DataType::Int8) => number!(Int8Type),
        (Kind::Int | Kind::Long, DataType::Int16) => number!(Int16Type),
        (Kind::Int | Kind::Long, DataType::Int32) => number!(Int32Type),
        (Kind::Int | Kind::Long, DataType::UInt8) => number!(UInt8Type),
        (Kind::Int | Kind::Long, DataType::UInt16) => number!(UInt16Type),
        (Kind::Long, DataType::UInt32) => number!(UInt32Type),
        (Kind::Long, DataType::Int64) => number!(Int64Type),
        (Kind::Long, DataType::UInt64) => numbers::<UInt64Type>(array, |value| i64::try_from(value).ok()),
        (Kind::Float, DataType::Int8) => float!(Int8Type, f32),
        (Kind::Float, DataType::Int16) => float!(Int16Type, f32),
        (Kind::Float, DataType::UInt8) => float!(UInt8Type, f32),
        (Kind::Float, DataType::UInt16) => float!(UInt16Type, f32),
        (Kind::Double, DataType::Int8) => float!(Int8Type, f64),
        (Kind::Double, DataType::Int16) => float!(Int16Type, f64),
        (Kind::Double, DataType::Int32) => float!(Int32Type, f64),
        (Kind::Double, DataType::UInt8) => float!(UInt8Type, f64),
        (Kind::Double, DataType::UInt16) => float!(UInt16Type, f64),
        (Kind::Double, DataType::UInt32) => float!(UInt32Type, f64),
        _ => None,
    }
}

fn symbol<'a>(symbols: &'a Enum, array: &'a ArrayRef) -> Writer<'a> {
    let array = array.as_string::<i32>();
    Box::new(move |row, out| {
        let text = array.value(row);
        let index = symbols.symbols.iter().position(|symbol| symbol == text);
        let index = index.ok_or_else(|| format!("'{text}' is no symbol of the enum {}", symbols.name))?;
        write_long(index as i64, out);
        Ok(())
    })
}

fn fixed_bytes(size: usize, array: &ArrayRef) -> Option<Writer<'_>> {
    match array.data_type() {
        DataType::FixedSizeBinary(found) if *found as usize == size => {
            let array = array.as_fixed_size_binary();
            boxed(move |row, out| out.extend_from_slice(array.value(row)))
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Some(Box::new(move |row, out| {
                let bytes = array.value(row);
                if bytes.len() != size {
                    return Err(format!("{} bytes where the schema wants {size}", bytes.len()));
                }
                out.extend_from_slice(bytes);
                Ok(())
            }))
        }
        _ => None,
    }
}

/// Times go to the same or a finer unit.
fn time<'a>(logical: Option<Logical>, array: &'a ArrayRef) -> Option<Writer<'a>> {
    let per_second = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let data_type = array.data_type();
    let written: i64 = match (logical?, data_type) {
        (Logical::TimeMillis, DataType::Time32(_)) => 1_000,
        (Logical::TimeMicros, DataType::Time32(_) | DataType::Time64(_)) => 1_000_000,
        (Logical::TimestampMillis | Logical::LocalTimestampMillis, DataType::Timestamp(_, _)) => 1_000,
        (Logical::TimestampMicros | Logical::LocalTimestampMicros, DataType::Timestamp(_, _)) => 1_000_000,
        (Logical::TimestampNanos | Logical::LocalTimestampNanos, DataType::Timestamp(_, _)) => 1_000_000_000,
        _ => return None,
    };
    let (DataType::Time32(unit) | DataType::Time64(unit) | DataType::Timestamp(unit, _)) = data_type else {
        return None;
    };
    let factor = written / per_second(unit);
    if factor == 0 {
        return None;
    }
    let scaled = move |value: i64| value.checked_mul(factor);
    match data_type {
        DataType::Time32(TimeUnit::Second) => {
            numbers::<Time32SecondType>(array, move |value| scaled(value.into()))
        }
        DataType::Time32(_) => numbers::<Time32MillisecondType>(array, move |value| scaled(value.into())),
        DataType::Time64(TimeUnit::Microsecond) => numbers::<Time64MicrosecondType>(array, scaled),
        DataType::Timestamp(TimeUnit::Second, _) => numbers::<TimestampSecondType>(array, scaled),
        DataType::Timestamp(TimeUnit::Millisecond, _) => numbers::<TimestampMillisecondType>(array, scaled),
        DataType::Timestamp(TimeUnit::Microsecond, _) => numbers::<TimestampMicrosecondType>(array, scaled),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => numbers::<TimestampNanosecondType>(array, scaled),
        _ => None,
    }
}

/// Decimals go where there is room for their digits on both sides of the point.
fn decimal<'a>(kind: &'a Kind, logical: Option<Logical>, array: &'a ArrayRef) -> Option<Writer<'a>> {
    let Some(Logical::Decimal { precision, scale }) = logical else {
        return None;
    };
    let (DataType::Decimal128(from_precision, from_scale) | DataType::Decimal256(from_precision, from_scale)) =
        array.data_type()
    else {
        return None;
    };
    let shift = i64::from(scale) - i64::from(*from_scale);
    let more = i64::from(precision) - i64::from(*from_precision);
    if shift < 0 || more < shift {
        return None;
    }
    let size = match kind {
        Kind::Fixed(fixed) => Some(fixed.size),
        _ => None,
    };
    let factor = i256::from_i128(10).checked_pow(u32::try_from(shift).ok()?)?;
    let value: Box<dyn Fn(usize) -> i256> = match array.data_type() {
        DataType::Decimal128(_, _) => {
            let array = array.as_primitive::<Decimal128Type>();
            Box::new(move |row| i256::from_i128(array.value(row)))
        }
        _ => {
            let array = array.as_primitive::<Decimal256Type>();
            Box::new(move |row| array.value(row))
        }
    };
    Some(Box::new(move |row, out| {
        let value = value(row);
        let scaled = value
            .checked_mul(factor)
            .ok_or_else(|| format!("{value} has too many digits"))?;
        write_decimal(scaled, size, out)
    }))
}

/// In two's complement, in as few bytes as it takes, or in exactly `size`.
pub(super) fn write_decimal(value: i256, size: Option<usize>, out: &mut Vec<u8>) -> Result<(), String> {
    let bytes = value.to_be_bytes();
    let sign = if value.is_negative() { 0xff } else { 0 };
    let is_surplus = |at: &usize| bytes[*at] == sign && (bytes[*at + 1] ^ sign) & 0x80 == 0;
    let surplus = (0..bytes.len() - 1).take_while(is_surplus).count();
    let needed = &bytes[surplus..];
    let Some(size) = size else {
        write_bytes(needed, out);
        return Ok(());
    };
    let missing = size
        .checked_sub(needed.len())
        .ok_or_else(|| format!("a number of {} bytes where the schema has {size}", needed.len()))?;
    out.resize(out.len() + missing, sign);
    out.extend_from_slice(needed);
    Ok(())
}

fn duration(value: IntervalMonthDayNano, out: &mut Vec<u8>) -> Result<(), String> {
    const MILLI: i64 = 1_000_000;
    let millis = (value.nanoseconds % MILLI == 0).then(|| u32::try_from(value.nanoseconds / MILLI).ok());
    let parts = [
        u32::try_from(value.months).ok(),
        u32::try_from(value.days).ok(),
        millis.flatten(),
    ];
    for part in parts {
        let part = part.ok_or("an interval that is negative or has more than milliseconds")?;
        out.extend(part.to_le_bytes());
    }
    Ok(())
}

fn list<'a>(schema: &'a Schema, items: NodeId, array: &'a ArrayRef) -> Result<Writer<'a>, String> {
    let array = array.as_list::<i32>();
    let write = writer(schema, items, array.values()).map_err(|reason| format!("its items: {reason}"))?;
    let ends = array.value_offsets();
    Ok(Box::new(move |row, out| {
        let items = ends[row] as usize..ends[row + 1] as usize;
        if !items.is_empty() {
            write_long(items.len() as i64, out);
        }
        for item in items {
            write(item, out)?;
        }
        out.push(0);
        Ok(())
    }))
}

fn map<'a>(schema: &'a Schema, values: NodeId, array: &'a ArrayRef) -> Result<Writer<'a>, String> {
    let array = array.as_map();
    let keys = array
        .keys()
        .as_string_opt::<i32>()
        .ok_or("the keys of a map must be text")?;
    let write = writer(schema, values, array.values()).map_err(|reason| format!("its values: {reason}"))?;
    let ends = array.value_offsets();
    Ok(Box::new(move |row, out| {
        let entries = ends[row] as usize..ends[row + 1] as usize;
        if !entries.is_empty() {
            write_long(entries.len() as i64, out);
        }
        for entry in entries {
            write_bytes(keys.value(entry).as_bytes(), out);
            write(entry, out)?;
        }
        out.push(0);
        Ok(())
    }))
}

fn record_writer<'a>(
    schema: &'a Schema,
    record: &'a Record,
    array: &'a ArrayRef,
) -> Result<Writer<'a>, String> {
    let array = array.as_struct();
    if record.fields.len() != array.num_columns() {
        return Err(format!(
            "a struct of {} columns for the record {} of {} fields",
            array.num_columns(),
            record.name,
            record.fields.len()
        ));
    }
    let field = |field: &'a millstream_schema_registry_avro::Field| {
        let column = array.column_by_name(column_name(field));
        let column = column.ok_or_else(|| format!("the struct has no column '{}'", field.name))?;
        writer(schema, field.schema, column).map_err(|reason| format!("'{}': {reason}", field.name))
    };
    let writers = record.fields.iter().map(field).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(move |row, out| {
        writers.iter().try_for_each(|write| write(row, out))
    }))
}
