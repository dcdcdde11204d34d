use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The configuration of one node: a subtree of the pipeline file, with the way to it, so that a problem found by a
/// connector is shown at its line and column.
#[derive(Clone, Debug)]
pub struct Config {
    value: Value,
    path: ConfigPath,
    base_dir: Arc<Path>,
}

/// The way from the root of a pipeline file to a value in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConfigPath(pub Vec<PathSegment>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathSegment {
    Key(String),
    Index(usize),
}

/// Something wrong in a pipeline file: where, what, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    pub path: ConfigPath,
    pub message: String,
    /// What to try.
    pub help: Option<String>,
    /// Line and column inside a text value (from 1), for example in a SQL block.
    pub within: Option<(usize, usize)>,
}

impl Config {
    /// `path` leads from the root of the file to `value`; relative file names in it are meant from `base_dir`.
    pub fn new(value: Value, path: ConfigPath, base_dir: impl Into<Arc<Path>>) -> Self {
        Self {
            value,
            path,
            base_dir: base_dir.into(),
        }
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    pub fn path(&self) -> &ConfigPath {
        &self.path
    }

    /// The typed form. Unknown keys are errors if `T` denies them, as every config type does.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_path_to_error::deserialize(&self.value).map_err(|error| {
            let path = error
                .path()
                .iter()
                .fold(self.path.clone(), |path, segment| match segment {
                    serde_path_to_error::Segment::Seq { index } => path.index(*index),
                    serde_path_to_error::Segment::Map { key } => path.key(key),
                    serde_path_to_error::Segment::Enum { variant } => path.key(variant),
                    serde_path_to_error::Segment::Unknown => path,
                });
            Problem::new(path, error.into_inner())
        })
    }

    /// A problem at `key` of this node.
    pub fn problem(&self, key: &str, message: impl ToString) -> Problem {
        Problem::new(self.path.clone().key(key), message)
    }

    /// A file name of the configuration: relative ones are meant from the folder of the pipeline file.
    pub fn resolve(&self, file: impl AsRef<Path>) -> PathBuf {
        self.base_dir.join(file)
    }
}

impl ConfigPath {
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.push(PathSegment::Key(key.into()));
        self
    }

    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(PathSegment::Index(index));
        self
    }
}

impl Problem {
    pub fn new(path: ConfigPath, message: impl ToString) -> Self {
        Self {
            path,
            message: message.to_string(),
            help: None,
            within: None,
        }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn within(mut self, line: usize, column: usize) -> Self {
        self.within = Some((line, column));
        self
    }
}

impl fmt::Display for ConfigPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, segment) in self.0.iter().enumerate() {
            match segment {
                PathSegment::Key(key) if n == 0 => f.write_str(key)?,
                PathSegment::Key(key) => write!(f, ".{key}")?,
                PathSegment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Roll {
        #[expect(dead_code, reason = "only its type matters here")]
        records: u32,
    }

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Node {
        #[expect(dead_code, reason = "only its type matters here")]
        rolls: Vec<Roll>,
    }

    #[test]
    fn a_wrong_value_is_named_by_its_whole_path() {
        let path = ConfigPath::default().key("sinks").key("lake");
        let config = Config::new(
            json!({"rolls": [{"records": 1}, {"records": "many"}]}),
            path,
            Path::new("."),
        );
        let problem = config.parse::<Node>().unwrap_err();
        assert_eq!(problem.path.to_string(), "sinks.lake.rolls[1].records");
        assert!(problem.message.contains("invalid type"), "{problem}");
    }
}
