//! The fields of a record, read one by one.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Builder, Draft, Step, defaults, optional_text};
use crate::{
    json,
    model::{Field, Kind, Name, NodeId, Order, SchemaError, Strictness},
    names,
};

/// Properties that Avro defines on fields.
const RESERVED: [&str; 6] = ["default", "doc", "name", "order", "type", "aliases"];

impl Builder {
    pub(super) fn fields(&mut self, values: &[Value], record: &Name) -> Result<Vec<Field>, SchemaError> {
        let mut fields: Vec<Field> = Vec::with_capacity(values.len());
        let mut seen = HashSet::with_capacity(values.len());
        self.path.push(Step::Key("fields"));
        for (index, value) in values.iter().enumerate() {
            self.path.push(Step::Index(index));
            let Value::Object(object) = value else {
                return Err(self.error(format!("No field name: {}", json::snippet(value))));
            };
            let field = self.field(object, record)?;
            if !seen.insert(field.name.clone()) {
                let message = format!("Duplicate field {} in record {record}", field.name);
                return Err(self.error_at(&[Step::Key("name")], message));
            }
            fields.push(field);
            self.path.pop();
        }
        self.path.pop();
        Ok(fields)
    }

    fn field(&mut self, object: &Map<String, Value>, record: &Name) -> Result<Field, SchemaError> {
        let name = self.required_text(object, "name", "No field name")?;
        let Some(value) = object.get("type") else {
            return Err(self.error(format!("No field type: {}", super::snippet(object))));
        };
        self.path.push(Step::Key("type"));
        let schema = self.schema(value, record.namespace.as_deref())?;
        self.path.pop();
        names::validate(name).map_err(|error| self.error_at(&[Step::Key("name")], error))?;
        let default = self.default(object, name, schema)?;
        Ok(Field {
            name: name.to_owned(),
            schema,
            default_text: default
                .as_ref()
                .and_then(|value| self.exact_text("default", value)),
            default,
            order: self.order(object)?,
            aliases: self.aliases(object)?,
            doc: optional_text(object, "doc"),
            properties: self.properties(object, &RESERVED, &[]),
        })
    }

    fn order(&self, object: &Map<String, Value>) -> Result<Order, SchemaError> {
        let Some(order) = object.get("order") else {
            return Ok(Order::Ascending);
        };
        match order.as_str().map(str::to_uppercase).as_deref() {
            Some("ASCENDING") => Ok(Order::Ascending),
            Some("DESCENDING") => Ok(Order::Descending),
            Some("IGNORE") => Ok(Order::Ignore),
            _ => {
                let message = format!(
                    "{} is none of ascending, descending, ignore",
                    json::snippet(order)
                );
                Err(self.error_at(&[Step::Key("order")], message))
            }
        }
    }

    fn default(
        &self,
        object: &Map<String, Value>,
        field: &str,
        schema: NodeId,
    ) -> Result<Option<Value>, SchemaError> {
        let Some(default) = object.get("default") else {
            return Ok(None);
        };
        let floating = match self.draft(schema) {
            Draft::Type(node) => matches!(node.kind, Kind::Float | Kind::Double),
            Draft::Pending(_) => false,
        };
        if floating && let Value::String(text) = default {
            // Java reads a number out of the text, whatever is validated.
            return match parse_double(text) {
                Some(number) => Ok(Some(json::float(number))),
                None => {
                    let message = format!("For input string: \"{}\"", json::brief(text));
                    Err(self.error_at(&[Step::Key("default")], message))
                }
            };
        }
        if self.strictness == Strictness::New {
            let valid = defaults::Defaults::new(&self.drafts, None).valid(schema, default);
            self.expect_valid(valid, field, schema, default)
                .map_err(|message| self.error_at(&[Step::Key("default")], message))?;
        }
        Ok(Some(default.clone()))
    }

    /// What is wrong with a default.
    pub(super) fn expect_valid(
        &self,
        valid: Result<bool, defaults::Undecided>,
        field: &str,
        schema: NodeId,
        default: &Value,
    ) -> Result<(), String> {
        let reason = match valid {
            Ok(true) => return Ok(()),
            Ok(false) => match self.draft(schema) {
                Draft::Type(node) => format!("not a {}", node.kind.type_name()),
                Draft::Pending(pending) => format!("not a {}", pending.full),
            },
            Err(defaults::Undecided::Unfinished) => "a record cannot be the default within itself".into(),
            Err(defaults::Undecided::TooComplex) => "too complex to be checked".into(),
        };
        Err(format!(
            "Invalid default for field {field}: {} {reason}",
            json::snippet(default)
        ))
    }
}

/// Java's `Double.parseDouble`, without its hexadecimal floats.
fn parse_double(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c| c <= ' ');
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match rest {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(sign * f64::INFINITY),
        _ => {}
    }
    let digits = rest.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(rest);
    let begins_well = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !begins_well
        || !digits
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
    {
        return None;
    }
    digits.parse::<f64>().ok().map(|number| sign * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_double_where_java_takes_it_for_one() {
        for (text, number) in [
            ("1", 1.0),
            (" 1.5 ", 1.5),
            ("-.5", -0.5),
            ("1.", 1.0),
            ("1e3f", 1000.0),
            ("+2D", 2.0),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_double(text), Some(number), "{text}");
        }
        assert!(parse_double("NaN").is_some_and(f64::is_nan));
        for text in ["", ".", "inf", "nan", "infinity", "1,5", "1 2", "--1", "f", "one"] {
            assert_eq!(parse_double(text), None, "{text}");
        }
    }
}
