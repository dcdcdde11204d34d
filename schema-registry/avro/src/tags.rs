//! Tags within a schema: the property `confluent:tags` of records and fields, under the names that catalogues know them by.

use serde_json::Value;

use crate::model::{Kind, Node, Properties, Schema, SchemaError};

const TAGS: &str = "confluent:tags";

/// What tags hang on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entity {
    pub kind: EntityKind,
    /// The full name of a record; for a field, a dot and its name behind it.
    pub path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityKind {
    Record,
    Field,
}

/// An entity with tags.
pub type Tagged = (Entity, Vec<String>);

impl Schema {
    /// Everything that has tags, in the order of the text.
    pub fn tags(&self) -> Vec<Tagged> {
        let mut tagged = Vec::new();
        let mut add = |kind, path: String, properties: &Properties| {
            let tags = tags_of(properties);
            if !tags.is_empty() {
                tagged.push((Entity { kind, path }, tags));
            }
        };
        for (_, node) in self.nodes() {
            let Kind::Record(record) = &node.kind else {
                continue;
            };
            let name = record.name.full();
            add(EntityKind::Record, name.clone(), &node.properties);
            for field in &record.fields {
                let path = format!("{name}.{}", field.name);
                add(EntityKind::Field, path, &field.properties);
            }
        }
        tagged
    }

    /// The schema with more tags, and then with fewer. What they hang on must be in its own text, not in one that it refers
    /// to.
    pub fn with_tags(&self, add: &[Tagged], remove: &[Tagged]) -> Result<Self, SchemaError> {
        let mut nodes = self.inner.nodes.clone();
        for (entity, tags) in add {
            change(find(&mut nodes, &self.inner.external, entity)?, |known| {
                for tag in tags {
                    if !known.contains(tag) {
                        known.push(tag.clone());
                    }
                }
            });
        }
        for (entity, tags) in remove {
            change(find(&mut nodes, &self.inner.external, entity)?, |known| {
                known.retain(|tag| !tags.contains(tag));
            });
        }
        self.with_nodes(nodes)
    }
}

fn find<'n>(
    nodes: &'n mut [Node],
    external: &[bool],
    entity: &Entity,
) -> Result<&'n mut Properties, SchemaError> {
    let path = entity.path.strip_prefix('.').unwrap_or(&entity.path);
    let (name, field) = match entity.kind {
        EntityKind::Record => (path, None),
        EntityKind::Field => match path.rsplit_once('.') {
            Some((name, field)) => (name, Some(field)),
            None => ("", Some(path)),
        },
    };
    for (node, _) in nodes.iter_mut().zip(external).filter(|(_, external)| !**external) {
        let Kind::Record(record) = &mut node.kind else {
            continue;
        };
        if record.name.full() != name {
            continue;
        }
        let found = match field {
            None => Some(&mut node.properties),
            Some(name) => match record.field(name) {
                Some(index) => Some(&mut record.fields[index].properties),
                None => None,
            },
        };
        if let Some(properties) = found {
            return Ok(properties);
        }
    }
    Err(SchemaError {
        pointer: String::new(),
        message: format!("No matching path '{path}' found in the schema"),
    })
}

fn tags_of(properties: &Properties) -> Vec<String> {
    let mut tags = Vec::new();
    for tag in properties
        .get(TAGS)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let tag = tag.as_str().map_or_else(|| tag.to_string(), str::to_owned);
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

fn change(properties: &mut Properties, change: impl FnOnce(&mut Vec<String>)) {
    let mut tags = tags_of(properties);
    change(&mut tags);
    properties.texts.remove(TAGS);
    if tags.is_empty() {
        properties.values.shift_remove(TAGS);
    } else {
        properties.values.insert(TAGS.to_owned(), tags.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Strictness;

    fn schema(text: &str) -> Schema {
        Schema::parse(text, &[], Strictness::New).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn tagged(kind: EntityKind, path: &str, tags: &[&str]) -> Tagged {
        let path = path.to_owned();
        (
            Entity { kind, path },
            tags.iter().map(|tag| (*tag).to_owned()).collect(),
        )
    }

    #[test]
    fn tags_come_and_go_on_records_and_fields_wherever_they_are() {
        use EntityKind::{Field, Record};
        let plain = schema(
            r#"["null",{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"string"},
            {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
            {"name":"sku","type":"string","p":1}]}}}]}]"#,
        );
        let add = [
            tagged(Record, "shop.Order", &["A", "B", "A"]),
            tagged(Field, "shop.Line.sku", &["PII"]),
            tagged(Field, ".shop.Order.lines", &["C"]),
        ];
        let with = plain.with_tags(&add, &[]).expect("all of them are there");
        assert!(
            with.text()
                .contains(r#"{"name":"sku","type":"string","p":1,"confluent:tags":["PII"]}"#),
            "{with:?}"
        );
        assert!(
            with.text().ends_with(r#"],"confluent:tags":["A","B"]}]"#),
            "{with:?}"
        );
        assert_eq!(
            with.tags(),
            [
                tagged(Record, "shop.Order", &["A", "B"]),
                tagged(Field, "shop.Order.lines", &["C"]),
                tagged(Field, "shop.Line.sku", &["PII"]),
            ]
        );
        let fewer = with.with_tags(
            &[tagged(Record, "shop.Order", &["D"])],
            &[tagged(Record, "shop.Order", &["B"])],
        );
        let fewer = fewer.expect("it is there");
        assert_eq!(fewer.tags()[0], tagged(Record, "shop.Order", &["A", "D"]));
        let none = with.with_tags(&[], &with.tags()).expect("they are there");
        assert_eq!(none.text(), plain.text());
    }

    #[test]
    fn what_is_not_in_the_text_itself_cannot_be_tagged() {
        let other =
            r#"{"type":"record","name":"Other","fields":[{"name":"a","type":"int","confluent:tags":["X"]}]}"#;
        let text = r#"{"type":"record","name":"R","fields":[{"name":"o","type":"Other"}]}"#;
        let schema = Schema::parse(text, &[other], Strictness::New).expect("it is one");
        assert_eq!(schema.tags(), [tagged(EntityKind::Field, "Other.a", &["X"])]);
        for (kind, path) in [
            (EntityKind::Record, "Other"),
            (EntityKind::Field, "Other.a"),
            (EntityKind::Field, "R.x"),
            (EntityKind::Field, "R"),
            (EntityKind::Record, "R.o"),
        ] {
            let error = schema
                .with_tags(&[tagged(kind, path, &["T"])], &[])
                .expect_err("not there");
            assert_eq!(
                error.message,
                format!("No matching path '{path}' found in the schema")
            );
        }
    }
}
