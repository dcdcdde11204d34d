//! Whether a JSON value can be the default of a field: Java's `Schema.isValidDefault`.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Draft;
use crate::model::{Kind, NodeId};

/// How many values one default may cost; unions within records within unions multiply.
const MAX_STEPS: usize = 2_000_000;

/// Why there is no verdict.
pub(super) enum Undecided {
    /// Java looks at the fields of a record that it has not finished, and gives up.
    Unfinished,
    TooComplex,
}

pub(super) struct Defaults<'d> {
    drafts: &'d [Draft],
    /// While names are unresolved (`None`) a pending one is taken for a record without fields. After that, only the
    /// records that are not in here are finished.
    unfinished: Option<&'d HashSet<NodeId>>,
    /// Verdicts within unions, where the same value is asked about again and again.
    known: HashMap<(NodeId, *const Value), bool>,
    steps: usize,
}

impl<'d> Defaults<'d> {
    pub(super) fn new(drafts: &'d [Draft], unfinished: Option<&'d HashSet<NodeId>>) -> Self {
        Self {
            drafts,
            unfinished,
            known: HashMap::new(),
            steps: 0,
        }
    }

    /// Recurses over the value, whose depth the reader of JSON has bounded.
    pub(super) fn valid(&mut self, schema: NodeId, value: &Value) -> Result<bool, Undecided> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Undecided::TooComplex);
        }
        let (schema, kind) = match &self.drafts[schema.index()] {
            Draft::Type(node) => (schema, &node.kind),
            Draft::Pending(pending) => match pending.target {
                Some(target) => match &self.drafts[target.index()] {
                    Draft::Type(node) => (target, &node.kind),
                    Draft::Pending(_) => unreachable!("a name leads to a definition"),
                },
                None => return Ok(value.is_object()),
            },
        };
        match (kind, value) {
            (Kind::Null, value) => Ok(value.is_null()),
            (Kind::Boolean, value) => Ok(value.is_boolean()),
            (Kind::Int, value) => Ok(value.as_i64().is_some_and(|int| i32::try_from(int).is_ok())),
            (Kind::Long, value) => Ok(value.is_i64()),
            (Kind::Float | Kind::Double, value) => Ok(value.is_number()),
            (Kind::String | Kind::Bytes | Kind::Enum(_) | Kind::Fixed(_), value) => Ok(value.is_string()),
            (Kind::Array(element), Value::Array(values)) => self.all(*element, values.iter()),
            (Kind::Map(element), Value::Object(entries)) => self.all(*element, entries.values()),
            (Kind::Union(branches), value) => self.any(schema, branches, value),
            (Kind::Record(record), Value::Object(entries)) => {
                if self
                    .unfinished
                    .is_some_and(|unfinished| unfinished.contains(&schema))
                {
                    return Err(Undecided::Unfinished);
                }
                for field in &record.fields {
                    let valid = match entries.get(&field.name) {
                        Some(value) => self.valid(field.schema, value)?,
                        // The field's own default was checked when its record was.
                        None => field.default.is_some(),
                    };
                    if !valid {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Kind::Array(_) | Kind::Map(_) | Kind::Record(_), _) => Ok(false),
        }
    }

    fn all<'v>(
        &mut self,
        element: NodeId,
        values: impl Iterator<Item = &'v Value>,
    ) -> Result<bool, Undecided> {
        for value in values {
            if !self.valid(element, value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the value fits any branch.
    fn any(&mut self, union: NodeId, branches: &'d [NodeId], value: &Value) -> Result<bool, Undecided> {
        let key = (union, std::ptr::from_ref(value));
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        let mut valid = false;
        for &branch in branches {
            if self.valid(branch, value)? {
                valid = true;
                break;
            }
        }
        if value.is_object() || value.is_array() {
            self.known.insert(key, valid);
        }
        Ok(valid)
    }
}
