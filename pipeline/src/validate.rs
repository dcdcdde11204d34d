//! Checks a tree against the JSON Schema of the format: unknown and missing keys, wrong kinds of values, unknown
//! words. All problems at once, each at its key or value.
//!
//! Understands what `schemars` writes: `type`, `properties`, `required`, closed objects, `items`, `enum`, `const`,
//! `$ref`, `oneOf`/`anyOf` told apart by kind, tag or key, `allOf`, minima and maxima. What else a schema says
//! (patterns, formats) is left to the typed reading that follows.

use std::fmt::Write;

use millstream_sdk::ConfigPath;
use serde_json::{Map, Value};

use crate::{
    diagnostics::Mark,
    later,
    suggest::{did_you_mean, nearest},
    yaml::{Data, Key, Node, Span, first_line},
};

/// References to definitions may form a chain, never a long one.
const MAX_REFERENCES: usize = 16;
const MAX_LISTED: usize = 16;

/// Everything in `root` that its schema does not allow.
pub(crate) fn check(root: &Node, schema: &Value, text: &str) -> Vec<Mark> {
    let checker = Checker { root: schema, text };
    let mut marks = Vec::new();
    checker.check(
        &Place {
            node: root,
            key: None,
            path: ConfigPath::default(),
        },
        schema,
        &mut marks,
    );
    marks
}

struct Checker<'a> {
    root: &'a Value,
    text: &'a str,
}

/// A value and the way to it.
struct Place<'n> {
    node: &'n Node,
    key: Option<&'n Span>,
    path: ConfigPath,
}

/// What the schemas that hold for one object say of its keys.
#[derive(Default)]
struct Shape<'a> {
    properties: Vec<(&'a str, &'a Value)>,
    required: Vec<&'a str>,
    /// The schema of keys that are not named.
    others: Option<&'a Value>,
    closed: bool,
}

impl<'a> Checker<'a> {
    fn check(&self, place: &Place<'_>, schema: &'a Value, marks: &mut Vec<Mark>) {
        let schema = self.resolve(schema);
        if matches!(place.node.data, Data::Unknown) {
            return;
        }
        match &place.node.data {
            Data::Map(entries) if self.takes(schema, place.node) => {
                self.check_map(place, entries, schema, marks)
            }
            Data::List(items) if self.takes(schema, place.node) && alternatives(schema).is_none() => {
                self.check_list(place, items, schema, marks);
            }
            _ => match alternatives(schema) {
                Some(branches) => match self.choose(place, branches) {
                    Ok(branch) => self.check(place, branch, marks),
                    Err(mark) => marks.extend(mark),
                },
                None => self.check_scalar(place, schema, marks),
            },
        }
    }

    fn check_map(
        &self,
        place: &Place<'_>,
        entries: &[(Key, Node)],
        schema: &'a Value,
        marks: &mut Vec<Mark>,
    ) {
        let mut shape = Shape::default();
        if let Err(mark) = self.gather(place, schema, &mut shape) {
            marks.extend(mark);
            return;
        }
        let mut meant = Vec::new();
        for (key, node) in entries {
            let path = place.path.clone().key(&key.text);
            let place = Place {
                node,
                key: Some(&key.span),
                path,
            };
            match shape.property(&key.text).or(shape.others) {
                Some(property) => self.check(&place, property, marks),
                None if shape.closed => {
                    meant.extend(nearest(&key.text, shape.names()).map(|(name, _)| name));
                    marks.push(unknown_key(key, &place.path, &shape));
                }
                None => {}
            }
        }
        for name in &shape.required {
            // Not missing if it is there with a slip of the pen.
            if place.node.get(name).is_none() && !meant.contains(name) {
                let help = shape.property(name).and_then(|schema| self.about(schema));
                let mark = self.mark(place, format!("missing key '{name}'"));
                marks.push(Mark { help, ..mark });
            }
        }
        let least = schema.get("minProperties").and_then(Value::as_u64).unwrap_or(0);
        if (entries.len() as u64) < least {
            marks.push(self.mark(place, "at least one entry is needed"));
        }
    }

    fn check_list(&self, place: &Place<'_>, items: &[Node], schema: &'a Value, marks: &mut Vec<Mark>) {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        if (items.len() as u64) < least {
            marks.push(self.mark(place, "at least one entry is needed"));
        }
        let Some(item_schema) = schema.get("items") else {
            return;
        };
        for (n, node) in items.iter().enumerate() {
            let path = place.path.clone().index(n);
            self.check(
                &Place {
                    node,
                    key: None,
                    path,
                },
                item_schema,
                marks,
            );
        }
    }

    fn check_scalar(&self, place: &Place<'_>, schema: &'a Value, marks: &mut Vec<Mark>) {
        if let Some(words) = words(schema) {
            if !words.contains(&&place.node.to_json()) {
                marks.push(self.unknown_word(place, &words));
            }
            return;
        }
        if !self.takes(schema, place.node) {
            marks.push(self.wrong_kind(place, &[schema]));
            return;
        }
        if let Some(message) = out_of_range(place.node, schema) {
            marks.push(self.mark(place, message));
        }
    }

    /// All that is said of the keys of an object, through references, parts and the branch that fits.
    fn gather(
        &self,
        place: &Place<'_>,
        schema: &'a Value,
        shape: &mut Shape<'a>,
    ) -> Result<(), Option<Mark>> {
        let schema = self.resolve(schema);
        if let Some(Value::Object(properties)) = schema.get("properties") {
            shape
                .properties
                .extend(properties.iter().map(|(key, schema)| (key.as_str(), schema)));
        }
        if let Some(Value::Array(required)) = schema.get("required") {
            shape.required.extend(required.iter().filter_map(Value::as_str));
        }
        for word in ["additionalProperties", "unevaluatedProperties"] {
            match schema.get(word) {
                Some(Value::Bool(false)) => shape.closed = true,
                Some(others @ Value::Object(_)) => shape.others = Some(others),
                _ => {}
            }
        }
        for part in schema
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.gather(place, part, shape)?;
        }
        let only_required = |branch: &Value| {
            branch
                .as_object()
                .is_some_and(|b| b.keys().all(|k| k == "required"))
        };
        match alternatives(schema) {
            // "One of these keys": said better by whoever knows what they mean.
            Some(branches) if branches.iter().all(only_required) => Ok(()),
            Some(branches) => {
                let branch = self.choose(place, branches)?;
                self.gather(place, branch, shape)
            }
            None => Ok(()),
        }
    }

    /// The branch that is meant: the one whose kind, tag or key fits.
    fn choose(&self, place: &Place<'_>, branches: &'a [Value]) -> Result<&'a Value, Option<Mark>> {
        let branches: Vec<&'a Value> = branches.iter().map(|branch| self.resolve(branch)).collect();
        let fitting: Vec<&'a Value> = branches
            .iter()
            .copied()
            .filter(|branch| self.takes(branch, place.node))
            .collect();
        match (&place.node.data, fitting.as_slice()) {
            (_, [only]) => Ok(only),
            (_, []) => Err(Some(self.no_branch(place, &branches))),
            (Data::Map(entries), fitting) => self.choose_object(place, entries, fitting),
            (_, fitting) => self.choose_by_trial(place, fitting),
        }
    }

    fn no_branch(&self, place: &Place<'_>, branches: &[&'a Value]) -> Mark {
        if branches.is_empty() {
            return self.mark(place, "nothing of this kind is available in this version");
        }
        self.wrong_kind(place, branches)
    }

    fn choose_object(
        &self,
        place: &Place<'_>,
        entries: &[(Key, Node)],
        branches: &[&'a Value],
    ) -> Result<&'a Value, Option<Mark>> {
        let Some(tag) = tag_of(branches) else {
            let named = |branch: &&&Value| {
                let required = branch
                    .get("required")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                required
                    .filter_map(Value::as_str)
                    .any(|name| place.node.get(name).is_some())
            };
            if let Some(branch) = branches.iter().find(named) {
                return Ok(branch);
            }
            return self.choose_by_trial(place, branches);
        };
        let tags: Vec<&Value> = branches
            .iter()
            .map(|branch| &branch["properties"][tag]["const"])
            .collect();
        let Some((key, value)) = entries.iter().find(|(key, _)| key.text == tag) else {
            let mark = self.mark(place, format!("missing key '{tag}'"));
            return Err(Some(mark.help(format!("one of: {}", list(&tags)))));
        };
        if matches!(value.data, Data::Unknown) {
            return Err(None);
        }
        let given = value.to_json();
        if let Some(found) = tags.iter().position(|tag| **tag == given) {
            return Ok(branches[found]);
        }
        let path = place.path.clone().key(tag);
        let tag = Place {
            node: value,
            key: Some(&key.span),
            path,
        };
        Err(Some(self.unknown_word(&tag, &tags)))
    }

    fn choose_by_trial(&self, place: &Place<'_>, branches: &[&'a Value]) -> Result<&'a Value, Option<Mark>> {
        let all_words: Vec<&Value> = branches
            .iter()
            .filter_map(|branch| words(branch))
            .flatten()
            .collect();
        let word_branches = branches.iter().filter(|branch| words(branch).is_some()).count();
        let trials = branches.iter().map(|branch| {
            let mut marks = Vec::new();
            self.check(place, branch, &mut marks);
            (marks.len(), *branch)
        });
        match trials.min_by_key(|(problems, _)| *problems) {
            Some((0, branch)) => Ok(branch),
            Some(_) if word_branches == branches.len() => Err(Some(self.unknown_word(place, &all_words))),
            Some((_, branch)) => Ok(branch),
            None => Err(None),
        }
    }

    fn resolve<'s>(&self, mut schema: &'s Value) -> &'s Value
    where
        'a: 's,
    {
        for _ in 0..MAX_REFERENCES {
            let target = schema
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|r| r.strip_prefix("#/$defs/"));
            let Some(definition) = target.and_then(|name| self.root.get("$defs")?.get(name)) else {
                break;
            };
            schema = definition;
        }
        schema
    }

    /// Whether the kind of the value is allowed; a schema that says nothing allows all.
    fn takes(&self, schema: &Value, node: &Node) -> bool {
        if let Some(kinds) = kinds(schema) {
            return kinds.iter().any(|kind| is_kind(node, kind));
        }
        if let Some(words) = words(schema) {
            return words.iter().any(|word| word.is_string()) == matches!(node.data, Data::Text(_));
        }
        if schema.get("properties").is_some() {
            return matches!(node.data, Data::Map(_));
        }
        match alternatives(schema) {
            Some(branches) => branches
                .iter()
                .any(|branch| self.takes(self.resolve(branch), node)),
            None => schema != &Value::Bool(false),
        }
    }

    fn wrong_kind(&self, place: &Place<'_>, schemas: &[&Value]) -> Mark {
        let mut wanted: Vec<String> = Vec::new();
        for schema in schemas {
            let name = self.kind_name(schema);
            if !wanted.contains(&name) && name != "nothing" {
                wanted.push(name);
            }
        }
        let wanted = wanted.join(" or ");
        let mark = self.mark(place, format!("expected {wanted}, found {}", found(place.node)));
        match self.kind_help(place.node, schemas) {
            Some(help) => mark.help(help),
            None => mark,
        }
    }

    fn kind_help(&self, node: &Node, schemas: &[&Value]) -> Option<String> {
        let wants = |kind: &str| {
            schemas
                .iter()
                .any(|s| kinds(self.resolve(s)).is_some_and(|k| k.contains(&kind)))
        };
        match &node.data {
            Data::Number(_) | Data::Bool(_) if wants("string") => {
                Some("quote it, or add its unit (30s, 64MB)".into())
            }
            Data::Text(text) if wants("boolean") => match text.to_lowercase().as_str() {
                "yes" | "on" | "y" => Some("write true".into()),
                "no" | "off" | "n" => Some("write false".into()),
                _ => None,
            },
            Data::Text(text) if wants("integer") || wants("number") => {
                text.parse::<f64>().is_ok().then(|| "remove the quotes".into())
            }
            Data::Null => Some("give a value, or remove the key".into()),
            _ => None,
        }
    }

    /// What a schema asks for, in words: a text schema may say it in its title.
    fn kind_name(&self, schema: &Value) -> String {
        let schema = self.resolve(schema);
        if let Some(words) = words(schema) {
            return match words.as_slice() {
                [word] => format!("'{}'", bare(word)),
                words => format!("one of {}", list(words)),
            };
        }
        let title = schema.get("title").and_then(Value::as_str);
        let kinds = kinds(schema).unwrap_or_default();
        if let (Some(title), true) = (title, kinds.contains(&"string")) {
            return title.into();
        }
        if let (Some(branches), true) = (alternatives(schema), kinds.is_empty()) {
            let mut names: Vec<String> = branches.iter().map(|branch| self.kind_name(branch)).collect();
            names.retain(|name| name != "nothing");
            names.dedup();
            return names.join(" or ");
        }
        let names = kinds
            .iter()
            .filter(|kind| **kind != "null")
            .map(|kind| match *kind {
                "string" => "a text",
                "integer" => "a whole number",
                "number" => "a number",
                "boolean" => "true or false",
                "array" => "a list",
                "object" => "a mapping",
                other => other,
            });
        let names: Vec<&str> = names.collect();
        if names.is_empty() {
            "nothing".into()
        } else {
            names.join(" or ")
        }
    }

    fn unknown_word(&self, place: &Place<'_>, words: &[&Value]) -> Mark {
        let found = match &place.node.data {
            Data::Text(text) => format!("'{text}'"),
            Data::Number(number) => number.to_string(),
            _ => found(place.node),
        };
        let known: Vec<String> = words.iter().map(|word| bare(word)).collect();
        let given = bare(&place.node.to_json());
        if later::is_kind(&place.path, &given) {
            let mark = self.mark(place, format!("{found} is not available in this version"));
            return mark.help(format!("available: {}", known.join(", ")));
        }
        let key = place.path.0.last().map(|segment| match segment {
            millstream_sdk::PathSegment::Key(key) => format!(" for '{key}'"),
            millstream_sdk::PathSegment::Index(_) => String::new(),
        });
        let message = format!("unknown value {found}{}", key.unwrap_or_default());
        let text = words.iter().filter_map(|word| word.as_str());
        let help = did_you_mean(&given, text);
        self.mark(place, message)
            .help(help.unwrap_or_else(|| format!("one of: {}", known.join(", "))))
    }

    fn about(&self, schema: &Value) -> Option<String> {
        let about = schema
            .get("description")
            .or_else(|| self.resolve(schema).get("description"))?
            .as_str()?;
        let sentence = about.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        Some(sentence)
    }

    /// At the value if it is a scalar, else at its key.
    fn mark(&self, place: &Place<'_>, message: impl Into<String>) -> Mark {
        let scalar = !matches!(place.node.data, Data::Map(_) | Data::List(_) | Data::Null);
        let span = match place.key {
            Some(key) if !scalar || self.text[place.node.span.clone()].contains('\n') => key.clone(),
            _ => first_line(&place.node.span, self.text),
        };
        Mark::new(span, message).at(&place.path)
    }
}

impl<'a> Shape<'a> {
    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.properties.iter().map(|(name, _)| *name)
    }

    fn property(&self, name: &str) -> Option<&'a Value> {
        self.properties
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, schema)| *schema)
    }
}

fn unknown_key(key: &Key, path: &ConfigPath, shape: &Shape<'_>) -> Mark {
    let known = || shape.names();
    if later::is_key(path) && nearest(&key.text, known()).is_none_or(|(_, distance)| distance > 0) {
        let message = format!("'{}' is not available in this version", key.text);
        return Mark::new(key.span.clone(), message)
            .at(path)
            .help("remove it; the reference lists what is built");
    }
    let mark = Mark::new(key.span.clone(), format!("unknown key '{}'", key.text)).at(path);
    mark.help(did_you_mean(&key.text, known()).unwrap_or_else(|| {
        let mut help = String::from("known keys: ");
        for (n, name) in known().enumerate() {
            match n {
                0 => help.push_str(name),
                MAX_LISTED => {
                    help.push_str(", …");
                    break;
                }
                _ => _ = write!(help, ", {name}"),
            }
        }
        help
    }))
}

fn alternatives(schema: &Value) -> Option<&[Value]> {
    let branches = schema.get("oneOf").or_else(|| schema.get("anyOf"))?;
    branches.as_array().map(Vec::as_slice)
}

/// The values that a schema lists: `const`, `enum`, or branches of nothing but these.
fn words(schema: &Value) -> Option<Vec<&Value>> {
    if let Some(word) = schema.get("const") {
        return Some(vec![word]);
    }
    if let Some(Value::Array(words)) = schema.get("enum") {
        return Some(words.iter().collect());
    }
    let branches = schema.get("oneOf")?.as_array()?;
    let words: Option<Vec<Vec<&Value>>> = branches.iter().map(words).collect();
    words.map(|words| words.into_iter().flatten().collect())
}

fn kinds(schema: &Value) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Value::String(kind) => Some(vec![kind]),
        Value::Array(kinds) => Some(kinds.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

/// The property that tells objects apart: in every branch a constant.
fn tag_of<'a>(branches: &[&'a Value]) -> Option<&'a str> {
    let properties = branches.first()?.get("properties")?.as_object()?;
    let constant = |branch: &Value, name: &str| branch["properties"][name].get("const").is_some();
    let names: &Map<String, Value> = properties;
    names
        .keys()
        .map(String::as_str)
        .find(|name| branches.iter().all(|branch| constant(branch, name)))
}

fn is_kind(node: &Node, kind: &str) -> bool {
    match &node.data {
        Data::Unknown => true,
        Data::Null => kind == "null",
        Data::Bool(_) => kind == "boolean",
        Data::Number(number) => kind == "number" || kind == "integer" && !number.is_f64(),
        Data::Text(_) => kind == "string",
        Data::List(_) => kind == "array",
        Data::Map(_) => kind == "object",
    }
}

fn out_of_range(node: &Node, schema: &Value) -> Option<String> {
    let Data::Number(number) = &node.data else {
        return None;
    };
    let value = number.as_f64()?;
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), _) if value < least => Some(format!("{number} is too small: at least {least}")),
        (_, Some(most)) if value > most => Some(format!("{number} is too large: at most {most}")),
        _ => None,
    }
}

fn found(node: &Node) -> String {
    match &node.data {
        Data::Unknown | Data::Null => "nothing".into(),
        Data::Bool(value) => format!("the boolean {value}"),
        Data::Number(number) => format!("the number {number}"),
        Data::Text(text) if text.chars().count() <= 40 && !text.contains('\n') => {
            format!("the text '{text}'")
        }
        Data::Text(_) => "a text".into(),
        Data::List(_) => "a list".into(),
        Data::Map(_) => "a mapping".into(),
    }
}

fn bare(word: &Value) -> String {
    match word {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn list(words: &[&Value]) -> String {
    words.iter().map(|word| bare(word)).collect::<Vec<_>>().join(", ")
}
