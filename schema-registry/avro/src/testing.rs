//! Random schemas and random data of any schema, from a seed: for the tests of everything that reads data.

use serde_json::{Value, json};

use crate::{Kind, NodeId, Schema};

/// A small generator of random numbers (SplitMix64): the same seed gives the same numbers for ever.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit
    }

    /// Once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// Small numbers and those at the edges of every width are as likely as others.
    pub fn long(&mut self) -> i64 {
        let value = self.bits() as i64 >> self.below(64);
        match self.below(16) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => 0,
            _ => value,
        }
    }

    fn text(&mut self) -> String {
        const LETTERS: [char; 12] = ['a', 'b', 'z', '0', ' ', '"', '\\', '\n', 'é', 'ß', '語', '🦀'];
        let letters = self.below(12);
        (0..letters).map(|_| *self.pick(&LETTERS)).collect()
    }
}

/// Appends a number as Avro writes it.
pub fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// A random datum of a schema. Blocks of arrays and maps are written with and without their size, and in several pieces.
pub fn datum(schema: &Schema, random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    write_node(schema, schema.root(), random, 0, &mut out);
    out
}

/// From here on arrays are empty and unions take the branch that ends soonest.
const DEEP: usize = 6;

fn write_node(schema: &Schema, id: NodeId, random: &mut Random, depth: usize, out: &mut Vec<u8>) {
    match schema.kind(id) {
        Kind::Null => {}
        Kind::Boolean => out.push(random.below(2) as u8),
        Kind::Int => write_long((random.long() as i32).into(), out),
        Kind::Long => write_long(random.long(), out),
        Kind::Float => out.extend(f32::from_bits(random.bits() as u32).to_le_bytes()),
        Kind::Double => out.extend(f64::from_bits(random.bits()).to_le_bytes()),
        Kind::Bytes => {
            let bytes: Vec<u8> = (0..random.below(12)).map(|_| random.bits() as u8).collect();
            write_bytes(&bytes, out);
        }
        Kind::String => write_bytes(random.text().as_bytes(), out),
        Kind::Fixed(fixed) => out.extend((0..fixed.size).map(|_| random.bits() as u8)),
        Kind::Enum(symbols) => write_long(random.below(symbols.symbols.len() as u64) as i64, out),
        Kind::Array(items) => write_blocks(random, depth, out, |random, out| {
            write_node(schema, *items, random, depth + 1, out);
        }),
        Kind::Map(values) => write_blocks(random, depth, out, |random, out| {
            write_bytes(random.text().as_bytes(), out);
            write_node(schema, *values, random, depth + 1, out);
        }),
        Kind::Union(branches) => {
            let branch = if depth < DEEP {
                random.below(branches.len() as u64) as usize
            } else {
                let ends_soon = |id: &NodeId| !matches!(schema.kind(*id), Kind::Record(_));
                branches.iter().position(ends_soon).unwrap_or(0)
            };
            write_long(branch as i64, out);
            write_node(schema, branches[branch], random, depth + 1, out);
        }
        Kind::Record(record) => {
            for field in &record.fields {
                write_node(schema, field.schema, random, depth + 1, out);
            }
        }
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

fn write_blocks(
    random: &mut Random,
    depth: usize,
    out: &mut Vec<u8>,
    mut item: impl FnMut(&mut Random, &mut Vec<u8>),
) {
    let blocks = if depth < DEEP { random.below(3) } else { 0 };
    for _ in 0..blocks {
        let items = 1 + random.below(3);
        let mut body = Vec::new();
        for _ in 0..items {
            item(random, &mut body);
        }
        if random.one_in(2) {
            write_long(-(items as i64), out);
            write_long(body.len() as i64, out);
        } else {
            write_long(items as i64, out);
        }
        out.extend(body);
    }
    write_long(0, out);
}

/// The text of a random schema: a record with every kind of type within reach, named types used again, and recursion.
pub fn schema_text(random: &mut Random) -> String {
    let mut types = Types {
        named: Vec::new(),
        open: Vec::new(),
        count: 0,
    };
    types.record(random, 0).to_string()
}

struct Types {
    /// Finished named types, which may be used again.
    named: Vec<(String, &'static str)>,
    /// Records around the place that is being made.
    open: Vec<String>,
    count: usize,
}

impl Types {
    fn name(&mut self) -> String {
        self.count += 1;
        format!("T{}", self.count)
    }

    fn record(&mut self, random: &mut Random, depth: usize) -> Value {
        let name = self.name();
        self.open.push(name.clone());
        let fields: Vec<_> = (0..random.below(6))
            .map(|n| json!({ "name": format!("f{n}"), "type": self.any(random, depth + 1) }))
            .collect();
        self.open.pop();
        self.named.push((name.clone(), "record"));
        json!({ "type": "record", "name": name, "fields": fields })
    }

    fn any(&mut self, random: &mut Random, depth: usize) -> Value {
        const PRIMITIVES: [&str; 8] = [
            "null", "boolean", "int", "long", "float", "double", "bytes", "string",
        ];
        let complex = if depth < 4 { 8 } else { 2 };
        match random.below(8 + complex) {
            8 => self.fixed(random),
            9 => self.symbols(random),
            10 => json!({ "type": "array", "items": self.any(random, depth + 1) }),
            11 => json!({ "type": "map", "values": self.any(random, depth + 1) }),
            12 => self.record(random, depth),
            13 => self.union(random, depth),
            14 => self.known(random),
            15 => match self.open.last() {
                Some(record) => json!(["null", record]),
                None => json!("null"),
            },
            primitive => json!(PRIMITIVES[primitive as usize]),
        }
    }

    fn known(&mut self, random: &mut Random) -> Value {
        match self.named.is_empty() {
            true => json!("string"),
            false => json!(random.pick(&self.named).0),
        }
    }

    fn fixed(&mut self, random: &mut Random) -> Value {
        let name = self.name();
        self.named.push((name.clone(), "fixed"));
        json!({ "type": "fixed", "name": name, "size": random.below(20) })
    }

    fn symbols(&mut self, random: &mut Random) -> Value {
        let name = self.name();
        self.named.push((name.clone(), "enum"));
        let symbols: Vec<_> = (0..=random.below(4)).map(|n| format!("S{n}")).collect();
        json!({ "type": "enum", "name": name, "symbols": symbols })
    }

    /// Each kind at most once, as unions must have it.
    fn union(&mut self, random: &mut Random, depth: usize) -> Value {
        let mut branches = vec![json!("null"), json!("long"), json!("string")];
        branches.truncate(1 + random.below(3) as usize);
        match random.below(4) {
            0 => branches.push(json!({ "type": "array", "items": self.any(random, depth + 1) })),
            1 => branches.push(self.record(random, depth)),
            2 => branches.push(self.symbols(random)),
            _ => {}
        }
        if random.one_in(2) {
            branches.reverse();
        }
        Value::Array(branches)
    }
}
