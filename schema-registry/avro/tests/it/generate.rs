//! Random schemas: mostly valid, with everything that the text of a schema can say, and now and then what it cannot.
//!
//! A schema is a JSON value; what such a value cannot hold (numbers as they are written) is a string `@@number@@` until
//! [`spell`] makes the text.

use std::collections::BTreeMap;

use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

const PRIMITIVES: [&str; 8] = [
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
];
const NAMES: [&str; 12] = [
    "A", "B", "C", "D", "E", "F", "G", "H", "Ünï", "_x1", "record", "string",
];
const NAMESPACES: [&str; 4] = ["a", "a.b", "org.example", "größe.x"];
const LOGICAL: [(&str, &str); 15] = [
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "time-micros"),
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("long", "timestamp-nanos"),
    ("long", "local-timestamp-millis"),
    ("long", "local-timestamp-micros"),
    ("long", "local-timestamp-nanos"),
    ("string", "uuid"),
    ("bytes", "decimal"),
    ("bytes", "big-decimal"),
    ("int", "uuid"),
    ("string", "unheard-of"),
    ("long", "date"),
];
/// Numbers whose text Java and we must agree on.
const NUMBERS: [&str; 16] = [
    "-0",
    "1.50",
    "1e3",
    "1E7",
    "0.001",
    "0.0001",
    "-0.0",
    "123456789.5",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "1.0e-10",
    "100",
    "12345678901",
    "3.4028235e38",
    "0.1",
];
/// Integers that only some places can hold.
const LONG_NUMBERS: [&str; 2] = ["9223372036854775808", "123456789012345678901234567890"];
const TEXTS: [&str; 8] = [
    "",
    "doc",
    "two words",
    "q\"uote \\ /",
    "tab\tnew\nline",
    "\u{1}\u{1f}\u{7f}",
    "é 日本 😀",
    "@",
];

pub(crate) struct Generator<'r> {
    rng: &'r mut SmallRng,
    /// Definitions by full name: those that are finished.
    defined: BTreeMap<String, Value>,
    /// Full names of the records around.
    open: Vec<String>,
    /// How many more types may be made.
    budget: usize,
    /// Whether to say what is invalid, too.
    pub(crate) wild: bool,
}

impl<'r> Generator<'r> {
    pub(crate) fn new(rng: &'r mut SmallRng, budget: usize) -> Self {
        Self {
            rng,
            defined: BTreeMap::new(),
            open: Vec::new(),
            budget,
            wild: false,
        }
    }

    /// A schema; those that were made before can be named in it.
    pub(crate) fn schema(&mut self) -> Value {
        match self.rng.random_range(0..10) {
            0 => self.any(None, 0),
            1 => self.union(None, 0),
            _ => self.record(None, 0),
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn text(&mut self) -> String {
        (*TEXTS.choose(self.rng).expect("there are texts")).to_owned()
    }

    fn any(&mut self, namespace: Option<&str>, depth: usize) -> Value {
        self.budget = self.budget.saturating_sub(1);
        if self.budget == 0 || depth > 4 {
            return (*PRIMITIVES.choose(self.rng).expect("there are primitives")).into();
        }
        match self.rng.random_range(0..100) {
            0..38 => (*PRIMITIVES.choose(self.rng).expect("there are primitives")).into(),
            38..50 => self.decorated(),
            50..57 => self.collection("array", "items", namespace, depth),
            57..63 => self.collection("map", "values", namespace, depth),
            63..77 => self.union(namespace, depth),
            77..83 => self.record(namespace, depth),
            83..89 => self.enumeration(namespace),
            89..92 => self.fixed(namespace),
            92..99 => self.reference(namespace),
            _ if self.wild => self.nonsense(),
            _ => "int".into(),
        }
    }

    fn nonsense(&mut self) -> Value {
        [
            json!(5),
            json!(null),
            json!({}),
            json!({"type": {"type": "int"}}),
            json!({"type": "array"}),
            json!({"type": "map", "values": true}),
            json!("no.such.Name"),
            json!({"type": "record", "name": "1bad", "fields": []}),
            json!({"type": "record", "name": "X", "fields": {}}),
            json!({"type": "record", "name": "X", "namespace": "a..b", "fields": []}),
            json!({"type": "enum", "name": "X", "symbols": ["A", "A"]}),
            json!({"type": "enum", "name": "X", "symbols": ["A"], "default": "B"}),
            json!({"type": "enum", "name": "X", "symbols": ["A"], "default": 1}),
            json!({"type": "fixed", "name": "X", "size": -1}),
            json!({"type": "fixed", "name": "X", "size": "@@2147483640@@"}),
            json!({"type": "fixed", "name": "X", "size": "@@1.0@@"}),
            json!({"type": "fixed", "name": "int", "size": 1}),
            json!({"type": "fixed", "name": "X", "size": 1, "aliases": "Y"}),
            json!({"type": "fixed", "name": "X", "size": 1, "aliases": ["a-b"]}),
            json!({"type": "fixed", "name": "X", "size": 1, "aliases": ["a-b.Y", ".Z"]}),
            json!(["int", "int"]),
            json!(["int", ["string"]]),
            json!({"type": "array", "items": "int", "long": "@@9223372036854775808@@"}),
            json!({"type": "error", "name": "X", "fields": []}),
            json!({"type": "union"}),
            json!([]),
        ]
        .choose(self.rng)
        .expect("there is nonsense")
        .clone()
    }

    /// A primitive as an object, with properties or a logical type.
    fn decorated(&mut self) -> Value {
        let mut object = Map::new();
        if self.chance(60) {
            let (kind, logical) = *LOGICAL.choose(self.rng).expect("there are logical types");
            object.insert("type".into(), kind.into());
            object.insert("logicalType".into(), logical.into());
            if logical == "decimal" {
                self.decimal(&mut object);
            }
        } else {
            let kind = *PRIMITIVES.choose(self.rng).expect("there are primitives");
            object.insert("type".into(), kind.into());
        }
        self.properties(&mut object, true);
        Value::Object(object)
    }

    fn decimal(&mut self, object: &mut Map<String, Value>) {
        let precision = self.rng.random_range(0..40);
        object.insert("precision".into(), precision.into());
        match self.rng.random_range(0..4) {
            0 => {}
            1 => drop(object.insert("scale".into(), 0.into())),
            2 => drop(object.insert("scale".into(), (precision / 2).into())),
            _ => drop(object.insert("scale".into(), (precision + 1).into())),
        }
    }

    fn properties(&mut self, object: &mut Map<String, Value>, long_numbers: bool) {
        while self.chance(25) {
            let keys = [
                "connect.name",
                "avro.java.string",
                "zeta",
                "alpha",
                "order",
                "default",
                "größe",
                "x y",
            ];
            let key = *keys.choose(self.rng).expect("there are keys");
            if !object.contains_key(key) {
                let value = self.value(long_numbers, 0);
                object.insert(key.into(), value);
            }
        }
    }

    fn value(&mut self, long_numbers: bool, depth: usize) -> Value {
        match self.rng.random_range(0..9) {
            0 => Value::Null,
            1 => self.rng.random_bool(0.5).into(),
            2 => self.rng.random_range(-5..500).into(),
            3 => number(NUMBERS.choose(self.rng).expect("there are numbers")),
            4 if long_numbers => number(LONG_NUMBERS.choose(self.rng).expect("there are numbers")),
            5 if depth < 2 => (0..self.rng.random_range(0..3))
                .map(|_| self.value(long_numbers, depth + 1))
                .collect(),
            6 if depth < 2 => {
                let mut object = Map::new();
                for _ in 0..self.rng.random_range(0..3) {
                    object.insert(self.text(), self.value(long_numbers, depth + 1));
                }
                Value::Object(object)
            }
            _ => self.text().into(),
        }
    }

    fn collection(&mut self, word: &str, key: &str, namespace: Option<&str>, depth: usize) -> Value {
        let mut object = Map::new();
        object.insert("type".into(), word.into());
        object.insert(key.into(), self.any(namespace, depth + 1));
        self.properties(&mut object, false);
        Value::Object(object)
    }

    fn union(&mut self, namespace: Option<&str>, depth: usize) -> Value {
        let mut branches: Vec<Value> = Vec::new();
        let mut seen = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            let branch = match branches.is_empty() && self.chance(50) {
                true => "null".into(),
                false => self.any(namespace, depth + 1),
            };
            let word = match &branch {
                Value::String(word) => word.clone(),
                Value::Object(object) => match object.get("type").and_then(Value::as_str) {
                    Some(word @ ("record" | "error" | "enum" | "fixed")) => {
                        format!("{word} {:?}", object.get("name"))
                    }
                    word => word.unwrap_or_default().to_owned(),
                },
                _ => continue,
            };
            if !seen.contains(&word) {
                seen.push(word);
                branches.push(branch);
            }
        }
        Value::Array(branches)
    }

    /// Begins a named type: its full name and what its text says of it.
    fn named(&mut self, word: &str, namespace: Option<&str>) -> (String, Map<String, Value>) {
        let mut object = Map::new();
        object.insert("type".into(), word.into());
        let mut name = String::new();
        let mut own = namespace.map(str::to_owned);
        for _ in 0..20 {
            name = (*NAMES.choose(self.rng).expect("there are names")).to_owned();
            own = match self.rng.random_range(0..6) {
                0 => Some((*NAMESPACES.choose(self.rng).expect("there are namespaces")).to_owned()),
                1 => None,
                _ => namespace.map(str::to_owned),
            };
            if own.is_none() && name == "string" {
                continue;
            }
            let full = full_name(own.as_deref(), &name);
            if !self.defined.contains_key(&full) && !self.open.contains(&full) {
                break;
            }
            name.push_str(&self.rng.random_range(0..100).to_string());
            break;
        }
        let full = full_name(own.as_deref(), &name);
        if own.as_deref() == namespace && self.chance(80) {
            object.insert("name".into(), name.into());
        } else if own.is_some() && self.chance(50) {
            object.insert("name".into(), full.clone().into());
        } else {
            object.insert("name".into(), name.into());
            object.insert("namespace".into(), own.unwrap_or_default().into());
        }
        if self.chance(15) {
            object.insert("doc".into(), self.text().into());
        }
        if self.chance(15) {
            let aliases = ["A", "B", "C9", "a.A", "a.b.B", ".D", "org.example.E", "A"];
            let aliases: Vec<_> = aliases.choose_multiple(self.rng, 2).copied().collect();
            object.insert("aliases".into(), aliases.into());
        }
        (full, object)
    }

    fn record(&mut self, namespace: Option<&str>, depth: usize) -> Value {
        let word = if self.chance(3) { "error" } else { "record" };
        let (full, mut object) = self.named(word, namespace);
        let own = full.rsplit_once('.').map(|(namespace, _)| namespace.to_owned());
        self.open.push(full.clone());
        let count = self.rng.random_range(0..6);
        let fields: Vec<Value> = (0..count)
            .map(|index| self.field(index, own.as_deref(), depth))
            .collect();
        self.open.pop();
        if self.chance(50) {
            self.properties(&mut object, false);
        }
        object.insert("fields".into(), fields.into());
        self.properties(&mut object, false);
        self.defined.insert(full, Value::Object(object.clone()));
        Value::Object(object)
    }

    fn field(&mut self, index: usize, namespace: Option<&str>, depth: usize) -> Value {
        let mut object = Map::new();
        let kind = self.any(namespace, depth + 1);
        object.insert("name".into(), format!("f{index}").into());
        let default = match self.chance(40) {
            true => self.default_of(&kind, namespace, 0),
            false => None,
        };
        object.insert("type".into(), kind);
        if self.chance(10) {
            object.insert("doc".into(), self.text().into());
        }
        if let Some(default) = default {
            object.insert("default".into(), default);
        } else if self.chance(if self.wild { 10 } else { 2 }) {
            object.insert("default".into(), self.value(true, 0));
        }
        if self.chance(8) {
            let orders = ["ascending", "descending", "ignore", "Descending"];
            object.insert(
                "order".into(),
                (*orders.choose(self.rng).expect("there are orders")).into(),
            );
        }
        if self.chance(8) {
            let aliases = ["f0", "f9", "g0", "g1", "g2", "g3", "", "not a name"];
            let aliases: Vec<_> = aliases.choose_multiple(self.rng, 2).copied().collect();
            object.insert("aliases".into(), aliases.into());
        }
        if self.chance(10) {
            let mut more = Map::new();
            self.properties(&mut more, true);
            more.remove("order");
            more.remove("default");
            object.extend(more);
        }
        Value::Object(object)
    }

    fn enumeration(&mut self, namespace: Option<&str>) -> Value {
        let (full, mut object) = self.named("enum", namespace);
        let symbols: Vec<_> = ["S1", "S2", "S3", "S4", "Ä"]
            .choose_multiple(self.rng, 3)
            .copied()
            .collect();
        if self.chance(40) {
            object.insert("default".into(), symbols[0].into());
        }
        object.insert("symbols".into(), symbols.into());
        if self.chance(20) {
            let mut more = Map::new();
            self.properties(&mut more, true);
            more.remove("default");
            object.extend(more);
        }
        self.defined.insert(full, Value::Object(object.clone()));
        Value::Object(object)
    }

    fn fixed(&mut self, namespace: Option<&str>) -> Value {
        let (full, mut object) = self.named("fixed", namespace);
        let size = *[1, 4, 12, 16].choose(self.rng).expect("there are sizes");
        object.insert("size".into(), size.into());
        if self.chance(50) {
            let logical = *["decimal", "uuid", "duration"]
                .choose(self.rng)
                .expect("there are types");
            object.insert("logicalType".into(), logical.into());
            if logical == "decimal" {
                self.decimal(&mut object);
            }
        }
        self.defined.insert(full, Value::Object(object.clone()));
        Value::Object(object)
    }

    /// The name of a type that is defined, is being defined, or (rarely) will be.
    fn reference(&mut self, namespace: Option<&str>) -> Value {
        let names: Vec<&String> = self.defined.keys().chain(&self.open).collect();
        let Some(full) = names.choose(self.rng).map(|name| (*name).clone()) else {
            return "int".into();
        };
        let written = match full.rsplit_once('.') {
            Some((own, short)) if Some(own) == namespace && self.chance(70) => short.to_owned(),
            _ => full,
        };
        // Java takes the word for a type in an object too.
        match self.chance(5) {
            true => json!({"type": written}),
            false => written.into(),
        }
    }

    /// A default that is valid, if one can be found.
    fn default_of(&mut self, kind: &Value, namespace: Option<&str>, depth: usize) -> Option<Value> {
        if depth > 4 {
            return None;
        }
        let text = match kind {
            Value::Array(branches) => {
                let branch = match self.chance(80) {
                    true => branches.first()?,
                    false => branches.choose(self.rng)?,
                };
                return self.default_of(branch, namespace, depth);
            }
            Value::Object(object) => object.get("type")?.as_str()?,
            Value::String(text) => text,
            _ => return None,
        };
        Some(match text {
            "null" => Value::Null,
            "boolean" => self.rng.random_bool(0.5).into(),
            "int" => self.rng.random_range(-9..9).into(),
            "long" => number(["0", "-9223372036854775808", "4294967296"].choose(self.rng)?),
            "float" | "double" => match self.rng.random_range(0..4) {
                0 => (*["1.5", "NaN", " -Infinity ", "1e2f"].choose(self.rng)?).into(),
                1 => number(LONG_NUMBERS.choose(self.rng)?),
                2 => number(NUMBERS.choose(self.rng)?),
                _ => 1.into(),
            },
            "bytes" => "\u{0}\u{ff}é".into(),
            "string" => self.text().into(),
            "array" => match self.default_of(kind.get("items")?, namespace, depth + 1) {
                Some(item) => vec![item].into(),
                None => Value::Array(Vec::new()),
            },
            "map" => match self.default_of(kind.get("values")?, namespace, depth + 1) {
                Some(value) => json!({"k": value}),
                None => json!({}),
            },
            "enum" => kind.get("symbols")?.get(0)?.clone(),
            "fixed" => "x".into(),
            "record" | "error" => {
                let mut object = Map::new();
                for field in kind.get("fields")?.as_array()? {
                    if field.get("default").is_none() || self.chance(50) {
                        let value = self.default_of(field.get("type")?, namespace, depth + 1)?;
                        object.insert(field.get("name")?.as_str()?.to_owned(), value);
                    }
                }
                Value::Object(object)
            }
            name => {
                let full = full_name(namespace.filter(|_| !name.contains('.')), name);
                let definition = self
                    .defined
                    .get(&full)
                    .or_else(|| self.defined.get(name))?
                    .clone();
                return self.default_of(&definition, namespace, depth + 1);
            }
        })
    }
}

fn number(text: &str) -> Value {
    format!("@@{text}@@").into()
}

fn full_name(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}.{name}"),
        None => name.to_owned(),
    }
}

/// The text of a schema, with blanks and comments as they come.
pub(crate) fn spell(schema: &Value, rng: &mut SmallRng) -> String {
    let plain = match rng.random_range(0..4) {
        0 => serde_json::to_string_pretty(schema),
        _ => serde_json::to_string(schema),
    }
    .expect("a value has a text");
    let mut text = plain.replace("\"@@", "").replace("@@\"", "");
    if rng.random_range(0..20) == 0 {
        text = text
            .replacen('{', "{ /* a comment */ ", 2)
            .replacen(":", " : ", 3);
    }
    text
}
