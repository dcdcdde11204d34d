use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The name of a topic, valid by Kafka's rule: 1 to 249 of `[a-zA-Z0-9._-]`, not `.` and not `..`.
///
/// Cloning is a reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

/// Why a text is not a topic name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    #[error("a topic name must not be empty")]
    Empty,
    #[error("topic name '{0}' is reserved")]
    Dots(String),
    #[error("topic name has {length} characters, at most {max} are allowed", max = TopicName::MAX_LENGTH)]
    TooLong { length: usize },
    #[error("topic name '{name}' holds '{character}', allowed are letters, digits, '.', '_' and '-'")]
    Character { name: String, character: char },
}

impl TopicName {
    /// Kafka's limit (`org.apache.kafka.common.internals.Topic`), in characters.
    pub const MAX_LENGTH: usize = 249;

    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidTopicName> {
        let name = name.as_ref();
        if name.is_empty() {
            return Err(InvalidTopicName::Empty);
        }
        if name == "." || name == ".." {
            return Err(InvalidTopicName::Dots(name.into()));
        }
        if let Some(character) = name
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c))
        {
            return Err(InvalidTopicName::Character {
                name: name.into(),
                character,
            });
        }
        if name.len() > Self::MAX_LENGTH {
            return Err(InvalidTopicName::TooLong { length: name.len() });
        }
        Ok(Self(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Topics whose name begins with two underscores belong to the runtime and are hidden in listings.
    pub fn is_internal(&self) -> bool {
        self.0.starts_with("__")
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TopicName {
    type Err = InvalidTopicName;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl TryFrom<String> for TopicName {
    type Error = InvalidTopicName;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::new(s)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// One partition of a topic; shown as `topic-0`, as Kafka does.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicPartition {
    pub topic: TopicName,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: TopicName, partition: i32) -> Self {
        Self { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_kafkas_rule_for_names() {
        for good in ["a", "orders.v1", "__millstream_positions", "A-b_c.9"] {
            assert_eq!(TopicName::new(good).map(String::from), Ok(good.to_owned()));
        }
        assert_eq!(TopicName::new(""), Err(InvalidTopicName::Empty));
        assert!(matches!(TopicName::new(".."), Err(InvalidTopicName::Dots(_))));
        assert!(matches!(
            TopicName::new("a b"),
            Err(InvalidTopicName::Character { character: ' ', .. })
        ));
        assert!(TopicName::new("x".repeat(249)).is_ok());
        assert_eq!(
            TopicName::new("x".repeat(250)),
            Err(InvalidTopicName::TooLong { length: 250 })
        );
    }
}
