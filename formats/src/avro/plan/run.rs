//! The loop along a plan's operations.

use millstream_schema_registry_avro::binary::{Cursor, DataError, Fault, Pc, is_text};

use super::{Plan, Scratch, op::Op};
use crate::{
    avro::{
        columns::{Columns, Slot},
        scalar::{self, Stop},
    },
    json,
};

pub(super) fn run<const CHECK: bool>(
    plan: &Plan,
    datum: &[u8],
    columns: &mut Columns,
    scratch: &mut Scratch,
) -> Result<(), DataError> {
    scratch.walk.restart(datum.len());
    let done = plan.go::<CHECK>(Cursor::new(datum), columns, scratch);
    done.map_err(|stop| {
        if let Some(open) = scratch.open.take() {
            std::mem::swap(&mut columns.bytes[open as usize].values, &mut scratch.text);
        }
        scratch.marks.clear();
        plan.explain(stop, datum, scratch)
    })
}

impl Plan {
    #[cold]
    #[inline(never)]
    fn explain(&self, stop: Stop, datum: &[u8], scratch: &Scratch) -> DataError {
        if let Stop::Fault(_) = stop {
            // Also within what was skipped, and with the writer's names.
            if let Err(error) = self.validator.validate(datum) {
                return error;
            }
        }
        DataError {
            offset: scratch.walk.at,
            path: self.places.path(&scratch.walk, datum),
            message: match stop {
                Stop::Fault(fault) => fault.to_string(),
                Stop::Unreadable(reason) => reason,
            },
        }
    }

    fn go<'a, const CHECK: bool>(
        &'a self,
        mut cursor: Cursor<'a>,
        columns: &mut Columns,
        scratch: &mut Scratch,
    ) -> Result<(), Stop> {
        let mut data: Option<Cursor<'a>> = None;
        let mut pc = 0;
        loop {
            scratch.walk.pc = pc;
            scratch.walk.at = cursor.at();
            let op = self.ops[pc as usize];
            pc += 1;
            match op {
                Op::Boolean(slot) => columns.booleans[slot as usize].push(cursor.boolean()?),
                Op::Int(slot) => columns.int32s[slot as usize].push(cursor.int()?),
                Op::Long(slot) => columns.int64s[slot as usize].push(cursor.long()?),
                Op::Float(slot) => columns.float32s[slot as usize].push(float(&mut cursor)?),
                Op::Double(slot) => columns.float64s[slot as usize].push(double(&mut cursor)?),
                Op::Text(slot) => columns.bytes[slot as usize].push(text::<CHECK>(cursor.bytes()?)?)?,
                Op::Binary(slot) => columns.bytes[slot as usize].push(cursor.bytes()?)?,
                Op::Optional { null, column, end } => {
                    if cursor.branch(2)? == null {
                        columns.push_null(&self.columns[column as usize]);
                        pc = end;
                    }
                }
                Op::Symbol { slot, table } => {
                    columns.bytes[slot as usize].push(self.symbol(table, &mut cursor)?.as_bytes())?;
                }
                Op::Skip { span } => cursor = self.validator.skip(self.spans[span as usize], cursor)?,
                Op::End => {
                    cursor.end()?;
                    return Ok(());
                }
                Op::Branch { table, branches } => {
                    let branch = cursor.branch(branches)?;
                    pc = self.targets[(table + branch) as usize];
                }
                Op::Jump(target) => pc = target,
                Op::List { slot, end } => {
                    if !scratch.walk.open(&mut cursor)? {
                        columns.lists[slot as usize].push(0)?;
                        pc = end;
                    }
                }
                Op::NextItem { slot, body } => match scratch.walk.next(&mut cursor)? {
                    None => pc = body,
                    Some(items) => columns.lists[slot as usize].push(items)?,
                },
                Op::Map { slot, keys, end } => {
                    if scratch.walk.open(&mut cursor)? {
                        let key = text::<CHECK>(scratch.walk.key(&mut cursor)?)?;
                        columns.bytes[keys as usize].push(key)?;
                    } else {
                        columns.lists[slot as usize].push(0)?;
                        pc = end;
                    }
                }
                Op::NextEntry { slot, keys, body } => match scratch.walk.next(&mut cursor)? {
                    None => {
                        let key = text::<CHECK>(scratch.walk.key(&mut cursor)?)?;
                        columns.bytes[keys as usize].push(key)?;
                        pc = body;
                    }
                    Some(items) => columns.lists[slot as usize].push(items)?,
                },
                Op::Struct(slot) => columns.rows[slot as usize].push(),
                Op::Call(target) => {
                    scratch.walk.call(pc)?;
                    pc = target;
                }
                Op::Return => pc = scratch.walk.back(),
                Op::Default { index } => {
                    let default = Cursor::new(&self.defaults[index as usize]);
                    data = Some(std::mem::replace(&mut cursor, default));
                }
                Op::Resume => {
                    cursor = data.take().expect("the default was begun");
                }
                other => (pc, cursor) = self.seldom(other, pc, cursor, columns, scratch)?,
            }
        }
    }

    /// The operations that are not worth a place in the loop. Answers where to go on.
    #[inline(never)]
    fn seldom<'a>(
        &'a self,
        op: Op,
        next: Pc,
        mut cursor: Cursor<'a>,
        columns: &mut Columns,
        scratch: &mut Scratch,
    ) -> Result<(Pc, Cursor<'a>), Stop> {
        match op {
            Op::IntAsLong(slot) => columns.int64s[slot as usize].push(cursor.int()?.into()),
            Op::IntAsFloat(slot) => columns.float32s[slot as usize].push(cursor.int()? as f32),
            Op::IntAsDouble(slot) => columns.float64s[slot as usize].push(cursor.int()?.into()),
            Op::LongAsFloat(slot) => columns.float32s[slot as usize].push(cursor.long()? as f32),
            Op::LongAsDouble(slot) => columns.float64s[slot as usize].push(cursor.long()? as f64),
            Op::FloatAsDouble(slot) => columns.float64s[slot as usize].push(float(&mut cursor)?.into()),
            Op::Fixed { slot, size } => {
                columns.fixed[slot as usize].push(cursor.take(size as usize)?);
            }
            Op::FixedAsBinary { slot, index } => {
                columns.bytes[slot as usize].push(cursor.take(self.sizes[index as usize])?)?;
            }
            Op::Decimal128 { slot, index } => {
                let value = self.decimals[index as usize].read128(&mut cursor)?;
                columns.decimal128s[slot as usize].push(value);
            }
            Op::Decimal256 { slot, index } => {
                let value = self.decimals[index as usize].read256(&mut cursor)?;
                columns.decimal256s[slot as usize].push(value);
            }
            Op::Scaled { slot, index } => {
                let value = self.scales[index as usize].read(&mut cursor)?;
                columns.int64s[slot as usize].push(value);
            }
            Op::Duration(slot) => {
                columns.intervals[slot as usize].push(scalar::duration(&mut cursor)?);
            }
            Op::Null { column } => columns.push_null(&self.columns[column as usize]),
            Op::Mark => scratch.marks.push(cursor.at()),
            Op::Rewind => cursor.go_back(scratch.marks.pop().expect("a mark was set")),
            Op::Fail { index } => return Err(Stop::Unreadable(self.reasons[index as usize].clone())),
            Op::Begin(slot) => {
                swap_text(columns, scratch, slot);
                scratch.open = Some(slot);
            }
            Op::Close(slot) => {
                swap_text(columns, scratch, slot);
                scratch.open = None;
                columns.bytes[slot as usize].close()?;
            }
            other => {
                let next = self.write(other, next, &mut cursor, scratch)?;
                return Ok((next, cursor));
            }
        }
        Ok((next, cursor))
    }

    /// The operations that write JSON.
    fn write<'a>(
        &'a self,
        op: Op,
        next: Pc,
        cursor: &mut Cursor<'a>,
        scratch: &mut Scratch,
    ) -> Result<Pc, Stop> {
        let (walk, out) = (&mut scratch.walk, &mut scratch.text);
        match op {
            Op::Raw { index } => out.extend_from_slice(&self.raw[index as usize]),
            Op::WriteBoolean => out.extend_from_slice(if cursor.boolean()? { b"true" } else { b"false" }),
            Op::WriteInt => scalar::write_number(cursor.int()?.into(), out),
            Op::WriteLong => scalar::write_number(cursor.long()?, out),
            Op::WriteFloat => scalar::write_float(float(cursor)?, out),
            Op::WriteDouble => scalar::write_double(double(cursor)?, out),
            Op::WriteText => write_text(cursor.bytes()?, out)?,
            Op::WriteBytes => scalar::write_base64(cursor.bytes()?, out),
            Op::WriteFixed { index } => scalar::write_base64(cursor.take(self.sizes[index as usize])?, out),
            Op::WriteSymbol { table } => out.extend_from_slice(self.symbol(table, cursor)?.as_bytes()),
            Op::WriteScalar { index } => self.scalars[index as usize].write(cursor, out)?,
            Op::WriteArray { end } => {
                out.push(b'[');
                if !walk.open(cursor)? {
                    out.push(b']');
                    return Ok(end);
                }
            }
            Op::WriteNextItem { body } => {
                if walk.next(cursor)?.is_none() {
                    out.push(b',');
                    return Ok(body);
                }
                out.push(b']');
            }
            Op::WriteMap { end } => {
                out.push(b'{');
                if !walk.open(cursor)? {
                    out.push(b'}');
                    return Ok(end);
                }
                write_text(walk.key(cursor)?, out)?;
                out.push(b':');
            }
            Op::WriteNextEntry { body } => {
                if walk.next(cursor)?.is_none() {
                    out.push(b',');
                    write_text(walk.key(cursor)?, out)?;
                    out.push(b':');
                    return Ok(body);
                }
                out.push(b'}');
            }
            other => unreachable!("{other:?} writes no text"),
        }
        Ok(next)
    }

    #[inline]
    fn symbol(&self, table: u32, cursor: &mut Cursor<'_>) -> Result<&str, Stop> {
        let symbols = &self.symbols[table as usize];
        let symbol = cursor.symbol(symbols.len() as u32)?;
        symbols[symbol as usize]
            .as_deref()
            .ok_or_else(|| Stop::Unreadable("a symbol that the reader's enum does not have".into()))
    }
}

fn swap_text(columns: &mut Columns, scratch: &mut Scratch, slot: Slot) {
    std::mem::swap(&mut columns.bytes[slot as usize].values, &mut scratch.text);
}

#[inline]
fn text<const CHECK: bool>(bytes: &[u8]) -> Result<&[u8], Fault> {
    if CHECK && !is_text(bytes) {
        return Err(Fault::Utf8);
    }
    Ok(bytes)
}

fn write_text(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = str::from_utf8(bytes).map_err(|_| Fault::Utf8)?;
    json::write_string(text, out);
    Ok(())
}

#[inline]
fn float(cursor: &mut Cursor<'_>) -> Result<f32, Fault> {
    Ok(f32::from_le_bytes(cursor.array()?))
}

#[inline]
fn double(cursor: &mut Cursor<'_>) -> Result<f64, Fault> {
    Ok(f64::from_le_bytes(cursor.array()?))
}
