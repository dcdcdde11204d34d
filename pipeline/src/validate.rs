//! Checks a tree against the JSON Schema of the format: unknown and missing keys, wrong kinds of values, unknown
//! words. All problems at once, each at its key or value.
//!
//! Understands what `schemars` writes: `type`, `properties`, `required`, closed objects, `items`, `enum`, `const`,
//! `$ref`, `oneOf`/`anyOf` told apart by kind, tag or key, `allOf`, minima and maxima. What else a schema says
//! (patterns, formats) is left to the typed reading that follows.

mod keywords;
mod wording;

use millstream_sdk::ConfigPath;
use serde_json::Value;

use self::{
    keywords::{alternatives, is_kind, kinds, out_of_range, tag_of, words},
    wording::{list, unknown_key},
};
use crate::{
    diagnostics::Mark,
    suggest::nearest,
    tree::{Data, Key, Node, Span, first_line},
};

/// References to definitions may form a chain, never a long one.
const MAX_REFERENCES: usize = 16;

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
            (_, []) => Err(Some(self.no_branch(place, &branches))),
            // Also of one branch the tag is asked first: the keys of another kind would all be unknown.
            (Data::Map(entries), fitting) if fitting.len() > 1 || tag_of(fitting).is_some() => {
                self.choose_object(place, entries, fitting)
            }
            (_, [only]) => Ok(only),
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
