//! JSON to Avro data: the way back from the JSON that decoding writes, and what people type.
//!
//! Times are RFC 3339, decimals numbers or texts, bytes base64, enums their symbols, a union's value stands bare; or, as
//! Avro's own JSON encoding has it, in an object that names the branch: `{"long": 5}`. A field that is missing has its
//! default, or null; one that the schema does not know is an error.

use std::{borrow::Cow, fmt};

use arrow_array::{ArrayRef, cast::AsArray, types::*};
use arrow_buffer::i256;
use arrow_cast::{
    base64::{BASE64_STANDARD, Engine},
    parse::{Parser, parse_decimal},
};
use arrow_schema::TimeUnit;
use bytes::Bytes;
use millstream_schema_registry_avro::{Kind, Logical, NodeId, Record, Schema, SchemaError};
use millstream_sdk::SchemaText;
use serde::{
    Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::writer::{Writer, write_decimal};
use crate::{
    avro::{
        literal::{self, write_bytes, write_long},
        stream,
    },
    text,
};

/// As deep as `serde_json` reads.
const MAX_DEPTH: usize = 128;

/// Writes JSON values as data of a schema.
#[derive(Debug)]
pub struct JsonEncoder {
    schema: Schema,
}

impl JsonEncoder {
    pub fn new(schema: &Schema) -> Self {
        Self {
            schema: schema.clone(),
        }
    }

    /// Of a schema that is registered.
    pub fn of_text(schema: &SchemaText) -> Result<Self, SchemaError> {
        Ok(Self::new(&stream::parse(schema)?))
    }

    /// The datum of one JSON text; the error says what does not fit, and where. `prefix` stands before it: the magic byte
    /// and the schema's id, or nothing.
    pub fn encode(&self, json: &[u8], prefix: &[u8]) -> Result<Bytes, String> {
        let value: &RawValue = serde_json::from_slice(json).map_err(|error| format!("not JSON: {error}"))?;
        let mut out = prefix.to_vec();
        write(&self.schema, self.schema.root(), Json::of(value)?, &mut out, 0)?;
        Ok(out.into())
    }
}

/// One level of a JSON text: what is inside stays text, and so every digit of a number counts.
#[derive(Clone, Debug)]
enum Json<'a> {
    Null,
    Boolean(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    Array(Vec<&'a RawValue>),
    Object(Vec<(String, &'a RawValue)>),
}

impl<'a> Json<'a> {
    fn of(raw: &'a RawValue) -> Result<Self, String> {
        let text = raw.get();
        let wrong = |error: serde_json::Error| format!("not JSON: {error}");
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Boolean(true),
            Some(b'f') => Self::Boolean(false),
            Some(b'"') => Self::Text(Cow::Owned(serde_json::from_str(text).map_err(wrong)?)),
            Some(b'[') => Self::Array(serde_json::from_str(text).map_err(wrong)?),
            Some(b'{') => {
                let mut json = serde_json::Deserializer::from_str(text);
                Self::Object(json.deserialize_map(Fields).map_err(wrong)?)
            }
            _ => Self::Number(text),
        })
    }

    /// A whole number; `1.0` and `1e3` are some too.
    fn long(&self) -> Option<i64> {
        match self {
            Self::Number(text) => text
                .parse()
                .ok()
                .or_else(|| i64::try_from(text::parse_decimal(text, 19, 0)?).ok()),
            _ => None,
        }
    }

    fn double(&self) -> Option<f64> {
        match self {
            Self::Number(text) => text.parse().ok(),
            Self::Text(text) => match text.as_ref() {
                "NaN" => Some(f64::NAN),
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                _ => None,
            },
            _ => None,
        }
    }
}

/// For an error message: short.
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => value.fmt(f),
            Self::Number(text) => f.write_str(text),
            Self::Text(text) => match text.char_indices().nth(SHOWN) {
                Some((end, _)) => write!(f, "\"{}…\"", &text[..end]),
                None => write!(f, "\"{text}\""),
            },
            Self::Array(_) => f.write_str("an array"),
            Self::Object(_) => f.write_str("an object"),
        }
    }
}

/// The fields of an object as they stand there.
struct Fields;

impl<'a> Visitor<'a> for Fields {
    type Value = Vec<(String, &'a RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

/// The writer of a text column as a type that is read as text: as JSON, or by its own spelling.
pub(super) fn column<'a>(schema: &'a Schema, node: NodeId, array: &'a ArrayRef) -> Option<Writer<'a>> {
    let texts = array.as_string::<i32>();
    let is_json = match (schema.kind(node), schema.node(node).logical) {
        (Kind::Array(_) | Kind::Map(_) | Kind::Record(_), _) => true,
        (
            _,
            Some(
                Logical::TimeMillis
                | Logical::TimeMicros
                | Logical::Decimal { .. }
                | Logical::Uuid
                | Logical::Duration,
            ),
        ) => false,
        _ => return None,
    };
    Some(Box::new(move |row, out| {
        let text = texts.value(row);
        if is_json {
            return write(schema, node, Json::of(parse(text)?)?, out, 0);
        }
        write(schema, node, Json::Text(text.into()), out, 0)
    }))
}

/// The writer of a text column as a union of several types: JSON.
pub(super) fn column_of_union<'a>(
    schema: &'a Schema,
    branches: &'a [NodeId],
    array: &'a ArrayRef,
) -> Writer<'a> {
    let texts = array.as_string::<i32>();
    Box::new(move |row, out| write_union(schema, branches, &Json::of(parse(texts.value(row))?)?, out, 0))
}

fn parse(text: &str) -> Result<&RawValue, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("not JSON, as which the schema's type is written: {error}"))
}

fn write(
    schema: &Schema,
    node: NodeId,
    value: Json<'_>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err("nested too deep".into());
    }
    let kind = schema.kind(node);
    match (kind, value) {
        (Kind::Array(items), Json::Array(values)) => {
            if !values.is_empty() {
                write_long(values.len() as i64, out);
            }
            for (index, value) in values.into_iter().enumerate() {
                write(schema, *items, Json::of(value)?, out, depth + 1)
                    .map_err(|reason| format!("[{index}] {reason}"))?;
            }
            out.push(0);
            Ok(())
        }
        (Kind::Map(types), Json::Object(values)) => {
            if !values.is_empty() {
                write_long(values.len() as i64, out);
            }
            for (key, value) in values {
                write_bytes(key.as_bytes(), out);
                write(schema, *types, Json::of(value)?, out, depth + 1)
                    .map_err(|reason| within(&key, &reason))?;
            }
            out.push(0);
            Ok(())
        }
        (Kind::Union(branches), value) => write_union(schema, branches, &value, out, depth),
        (Kind::Record(record), Json::Object(values)) => write_record(schema, record, &values, out, depth),
        (Kind::Array(_) | Kind::Map(_) | Kind::Record(_), value) => Err(wrong(kind, &value)),
        (_, value) => {
            let logical = schema.node(node).logical;
            if let Some(logical) = logical
                && write_logical(kind, logical, &value, out)?
            {
                return Ok(());
            }
            write_plain(kind, &value, out)
        }
    }
}

fn wrong(kind: &Kind, value: &Json<'_>) -> String {
    format!("{value} is no {}", kind.type_name())
}

fn within(name: &str, reason: &str) -> String {
    format!("'{name}': {reason}")
}

fn write_record(
    schema: &Schema,
    record: &Record,
    values: &[(String, &RawValue)],
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), String> {
    let is_known = |name: &String| record.fields.iter().any(|field| field.name == *name);
    if let Some((unknown, _)) = values.iter().find(|(name, _)| !is_known(name)) {
        return Err(format!("the record {} has no field '{unknown}'", record.name));
    }
    for field in &record.fields {
        // Of repeated ones the last counts.
        let value = values.iter().rev().find(|(name, _)| *name == field.name);
        let written = match (value, &field.default) {
            (Some((_, value)), _) => {
                Json::of(value).and_then(|value| write(schema, field.schema, value, out, depth + 1))
            }
            (None, Some(default)) => {
                literal::encode(schema, field.schema, default).map(|data| out.extend_from_slice(&data))
            }
            (None, None) => write(schema, field.schema, Json::Null, out, depth + 1)
                .map_err(|_| "is missing, and has no default".into()),
        };
        written.map_err(|reason| within(&field.name, &reason))?;
    }
    Ok(())
}

/// As the branch that an object names, else as the first branch that takes it.
fn write_union(
    schema: &Schema,
    branches: &[NodeId],
    value: &Json<'_>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), String> {
    let start = out.len();
    let mut reasons = Vec::new();
    let mut try_as = |index: usize, value: Json<'_>, out: &mut Vec<u8>| {
        write_long(index as i64, out);
        let done = write(schema, branches[index], value, out, depth + 1);
        if let Err(reason) = &done {
            out.truncate(start);
            reasons.push(reason.clone());
        }
        done.is_ok()
    };
    if let Json::Object(fields) = value
        && let [(name, inside)] = &fields[..]
        && let Some(index) = branches
            .iter()
            .position(|branch| is_named(schema.kind(*branch), name))
        && try_as(index, Json::of(inside)?, out)
    {
        return Ok(());
    }
    if (0..branches.len()).any(|index| try_as(index, value.clone(), out)) {
        return Ok(());
    }
    reasons.dedup();
    Err(reasons.join("; "))
}

/// What Avro's JSON encoding calls a branch.
fn is_named(kind: &Kind, name: &str) -> bool {
    match kind.name() {
        Some(full) => full.full() == name,
        None => kind.type_name() == name,
    }
}

/// What has no spelling of its own.
fn write_plain(kind: &Kind, value: &Json<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    let wrong = || wrong(kind, value);
    match (kind, value) {
        (Kind::Null, Json::Null) => {}
        (Kind::Boolean, Json::Boolean(value)) => out.push((*value).into()),
        (Kind::Int, _) => {
            let int = value.long().and_then(|long| i32::try_from(long).ok());
            write_long(int.ok_or_else(wrong)?.into(), out);
        }
        (Kind::Long, _) => write_long(value.long().ok_or_else(wrong)?, out),
        (Kind::Float, Json::Number(text)) => {
            let float: f32 = text.parse().map_err(|_| wrong())?;
            out.extend(float.to_le_bytes());
        }
        (Kind::Float, _) => out.extend((value.double().ok_or_else(wrong)? as f32).to_le_bytes()),
        (Kind::Double, _) => out.extend(value.double().ok_or_else(wrong)?.to_le_bytes()),
        (Kind::String, Json::Text(text)) => write_bytes(text.as_bytes(), out),
        (Kind::Enum(symbols), Json::Text(text)) => {
            let index = symbols.symbols.iter().position(|symbol| *symbol == **text);
            write_long(index.ok_or_else(wrong)? as i64, out);
        }
        (Kind::Bytes | Kind::Fixed(_), Json::Text(text)) => {
            let bytes = BASE64_STANDARD.decode(text.as_bytes());
            let bytes = bytes.map_err(|_| format!("{} in base64", wrong()))?;
            match kind {
                Kind::Fixed(fixed) if bytes.len() != fixed.size => {
                    return Err(format!(
                        "{} bytes where the schema has {}",
                        bytes.len(),
                        fixed.size
                    ));
                }
                Kind::Fixed(_) => out.extend(bytes),
                _ => write_bytes(&bytes, out),
            }
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

/// By the logical type's own spelling. `false`: it has none, or this is not it.
fn write_logical(kind: &Kind, logical: Logical, value: &Json<'_>, out: &mut Vec<u8>) -> Result<bool, String> {
    if let Logical::Decimal { precision, scale } = logical {
        return write_number(kind, precision, scale, value, out).map(|()| true);
    }
    let Json::Text(text) = value else {
        return Ok(false);
    };
    let wrong = |what: &str| format!("{value} is no {what}");
    let timestamp = |unit| text::parse_timestamp(text, unit).ok_or_else(|| wrong("timestamp"));
    let count = match logical {
        Logical::Date => Date32Type::parse(text)
            .map(i64::from)
            .ok_or_else(|| wrong("date"))?,
        Logical::TimeMillis => Time32MillisecondType::parse(text)
            .map(i64::from)
            .ok_or_else(|| wrong("time"))?,
        Logical::TimeMicros => Time64MicrosecondType::parse(text).ok_or_else(|| wrong("time"))?,
        Logical::TimestampMillis | Logical::LocalTimestampMillis => timestamp(TimeUnit::Millisecond)?,
        Logical::TimestampMicros | Logical::LocalTimestampMicros => timestamp(TimeUnit::Microsecond)?,
        Logical::TimestampNanos | Logical::LocalTimestampNanos => timestamp(TimeUnit::Nanosecond)?,
        Logical::Uuid if matches!(kind, Kind::Fixed(_)) => {
            out.extend(uuid(text).ok_or_else(|| wrong("uuid"))?);
            return Ok(true);
        }
        Logical::Duration => {
            for part in duration(text).ok_or_else(|| wrong("duration"))? {
                out.extend(part.to_le_bytes());
            }
            return Ok(true);
        }
        Logical::Uuid | Logical::BigDecimal | Logical::Decimal { .. } => return Ok(false),
    };
    write_long(count, out);
    Ok(true)
}

fn write_number(
    kind: &Kind,
    precision: u32,
    scale: u32,
    value: &Json<'_>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let wrong = || format!("{value} is no decimal({precision}, {scale})");
    let text = match value {
        Json::Number(text) => text,
        Json::Text(text) => text.as_ref(),
        _ => return Err(wrong()),
    };
    let digits = u8::try_from(precision).ok().zip(i8::try_from(scale).ok());
    let (precision, scale) = digits.ok_or_else(wrong)?;
    let number = match text::parse_decimal(text, precision, scale) {
        Some(number) => Some(i256::from_i128(number)),
        None if precision > 38 => parse_decimal::<Decimal256Type>(text, precision, scale).ok(),
        None => None,
    };
    let size = match kind {
        Kind::Fixed(fixed) => Some(fixed.size),
        _ => None,
    };
    write_decimal(number.ok_or_else(wrong)?, size, out)
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let mut bytes = [0; 16];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(16 * digit(pair[0])? + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

/// `P1M2DT3.004S` to months, days and milliseconds; parts that are missing are 0.
fn duration(text: &str) -> Option<[u32; 3]> {
    let rest = text.strip_prefix('P')?;
    let (days, seconds) = rest.split_once('T').unwrap_or((rest, ""));
    let (months, days) = days.split_once('M').unwrap_or(("", days));
    let whole = |text: &str| {
        if text.is_empty() {
            Some(0)
        } else {
            text.parse().ok()
        }
    };
    let days = days.strip_suffix('D').or(days.is_empty().then_some(""))?;
    let seconds = seconds.strip_suffix('S').or(seconds.is_empty().then_some(""))?;
    let millis = match seconds {
        "" => 0,
        seconds => text::parse_decimal(seconds, 13, 3)?,
    };
    Some([whole(months)?, whole(days)?, u32::try_from(millis).ok()?])
}
