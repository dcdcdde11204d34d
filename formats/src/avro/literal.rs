//! Values that schemas hold as JSON, as data: the defaults of fields.

use millstream_schema_registry_avro::{Kind, NodeId, Schema};
use serde_json::Value;

/// A default may use the defaults of the records in it, and theirs.
const MAX_DEPTH: usize = 64;

/// A field's default as data of the field's type. The text says why it is not one.
pub(super) fn encode(schema: &Schema, node: NodeId, value: &Value) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    write(schema, node, value, &mut out, 0)?;
    Ok(out)
}

/// Appends a number as Avro writes it.
pub(super) fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Appends bytes or text with their length.
pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

fn write(
    schema: &Schema,
    node: NodeId,
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err("it never ends".into());
    }
    let kind = schema.kind(node);
    let wrong = || format!("{value} is no {}", kind.type_name());
    match (kind, value) {
        (Kind::Null, Value::Null) => {}
        (Kind::Boolean, Value::Bool(value)) => out.push((*value).into()),
        (Kind::Int, _) => {
            let int = whole(value).and_then(|long| i32::try_from(long).ok());
            write_long(int.ok_or_else(wrong)?.into(), out);
        }
        (Kind::Long, _) => write_long(whole(value).ok_or_else(wrong)?, out),
        (Kind::Float, _) => {
            let float = number(value).ok_or_else(wrong)? as f32;
            out.extend(float.to_le_bytes());
        }
        (Kind::Double, _) => out.extend(number(value).ok_or_else(wrong)?.to_le_bytes()),
        (Kind::String, Value::String(text)) => write_bytes(text.as_bytes(), out),
        (Kind::Bytes, Value::String(text)) => write_bytes(&latin1(text).ok_or_else(wrong)?, out),
        (Kind::Fixed(fixed), Value::String(text)) => {
            let bytes = latin1(text).filter(|bytes| bytes.len() == fixed.size);
            out.extend(bytes.ok_or_else(wrong)?);
        }
        (Kind::Enum(symbols), Value::String(text)) => {
            let index = symbols.symbols.iter().position(|symbol| symbol == text);
            write_long(index.ok_or_else(wrong)? as i64, out);
        }
        (Kind::Array(items), Value::Array(values)) => {
            if !values.is_empty() {
                write_long(values.len() as i64, out);
            }
            for value in values {
                write(schema, *items, value, out, depth + 1)?;
            }
            out.push(0);
        }
        (Kind::Map(types), Value::Object(values)) => {
            if !values.is_empty() {
                write_long(values.len() as i64, out);
            }
            for (key, value) in values {
                write_bytes(key.as_bytes(), out);
                write(schema, *types, value, out, depth + 1)?;
            }
            out.push(0);
        }
        (Kind::Union(branches), _) => return write_union(schema, branches, value, out, depth),
        (Kind::Record(record), Value::Object(values)) => {
            for field in &record.fields {
                let value = values.get(&field.name).or(field.default.as_ref());
                let value = value.ok_or_else(|| format!("{value:?} for field '{}'", field.name))?;
                write(schema, field.schema, value, out, depth + 1)?;
            }
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

/// Of the first branch that it fits. (It should be the first one of all, but not every schema keeps to that.)
fn write_union(
    schema: &Schema,
    branches: &[NodeId],
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), String> {
    let start = out.len();
    let mut reason = None;
    for (index, branch) in branches.iter().enumerate() {
        write_long(index as i64, out);
        match write(schema, *branch, value, out, depth + 1) {
            Ok(()) => return Ok(()),
            Err(error) => reason.get_or_insert(error),
        };
        out.truncate(start);
    }
    Err(reason.unwrap_or_else(|| "a union without branches has no values".into()))
}

/// `1.0` counts as a whole number, as in Java.
fn whole(value: &Value) -> Option<i64> {
    let number = value.as_number()?;
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 9.2e18).then_some(float as i64)
    })
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" | "INF" => Some(f64::INFINITY),
            "-Infinity" | "-INF" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Bytes stand in JSON as the characters U+0000 to U+00FF.
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| u8::try_from(letter).ok()).collect()
}
