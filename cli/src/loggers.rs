//! The levels of this process's log, which an administrator may turn while it runs: what was given at the start, as
//! RUST_LOG has it, and what was altered since.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use millstream_broker_server::{LoggerError, Loggers, ROOT_LOGGER};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, filter::Targets};

/// The parts of this program that write the log; parts of theirs, as `millstream_broker_server::net`, have loggers too.
const PARTS: &[&str] = &[
    "millstream",
    "millstream_broker_coordinator",
    "millstream_broker_embedded",
    "millstream_broker_server",
    "millstream_broker_storage",
    "millstream_client",
    "millstream_runtime",
];

type Reload = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

pub(crate) struct LogLevels {
    /// What was given at the start.
    directives: String,
    altered: Mutex<BTreeMap<String, LevelFilter>>,
    reload: Reload,
}

impl LogLevels {
    pub(crate) fn new(directives: String, reload: Reload) -> Self {
        Self {
            directives,
            altered: Mutex::default(),
            reload,
        }
    }

    /// The levels by target, as far as the directives are that plain; the root's among them.
    fn given(&self) -> BTreeMap<String, LevelFilter> {
        let targets = Targets::from_str(&self.directives).unwrap_or_default();
        let root = targets.default_level().unwrap_or(LevelFilter::ERROR);
        let mut levels: BTreeMap<_, _> = targets
            .iter()
            .map(|(name, level)| (name.to_owned(), level))
            .collect();
        levels.insert(ROOT_LOGGER.to_owned(), root);
        levels
    }

    fn directives(&self, altered: &BTreeMap<String, LevelFilter>) -> String {
        let mut directives = self.directives.clone();
        for (name, level) in altered {
            let level = level.to_string().to_lowercase();
            let directive = if name == ROOT_LOGGER {
                level
            } else {
                format!("{name}={level}")
            };
            // Later ones win.
            directives = format!("{directives},{directive}");
        }
        directives
    }
}

impl Loggers for LogLevels {
    fn levels(&self) -> Vec<(String, LevelFilter)> {
        let mut levels = self.given();
        let altered = self.altered.lock().unwrap_or_else(PoisonError::into_inner);
        levels.extend(altered.iter().map(|(name, level)| (name.clone(), *level)));
        let root = levels[ROOT_LOGGER];
        for part in PARTS {
            levels.entry((*part).to_owned()).or_insert(root);
        }
        levels.into_iter().collect()
    }

    fn set(&self, changes: &[(String, Option<LevelFilter>)]) -> Result<(), LoggerError> {
        let unknown = changes.iter().find(|(name, _)| !is_logger(name));
        if let Some((name, _)) = unknown {
            return Err(LoggerError::Unknown { name: name.clone() });
        }
        let mut altered = self.altered.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = altered.clone();
        for (name, level) in changes {
            match level {
                Some(level) => drop(next.insert(name.clone(), *level)),
                None => drop(next.remove(name)),
            }
        }
        let filter = EnvFilter::new(self.directives(&next));
        (self.reload)(filter).map_err(|reason| LoggerError::Gone { reason })?;
        *altered = next;
        Ok(())
    }
}

fn is_logger(name: &str) -> bool {
    let part = name.split("::").next().unwrap_or_default();
    let is_path = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    name == ROOT_LOGGER || (is_path && PARTS.contains(&part))
}

impl fmt::Debug for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLevels")
            .field("directives", &self.directives)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_altered_wins_until_it_is_taken_back() {
        let seen = Arc::new(Mutex::new(String::new()));
        let shown = seen.clone();
        let reload = move |filter: EnvFilter| {
            *shown.lock().unwrap() = filter.to_string();
            Ok(())
        };
        let levels = LogLevels::new("info,millstream_client=warn".into(), Box::new(reload));
        let of = |name: &str| {
            let all = levels.levels().into_iter();
            all.collect::<BTreeMap<_, _>>()[name]
        };
        assert_eq!(of(ROOT_LOGGER), LevelFilter::INFO);
        assert_eq!(of("millstream_client"), LevelFilter::WARN);
        assert_eq!(of("millstream_broker_server"), LevelFilter::INFO);
        let set = |name: &str, level| levels.set(&[(name.to_owned(), level)]);
        set("millstream_broker_server::net", Some(LevelFilter::TRACE)).unwrap();
        set("millstream_client", Some(LevelFilter::DEBUG)).unwrap();
        set(ROOT_LOGGER, Some(LevelFilter::ERROR)).unwrap();
        assert_eq!(of("millstream_broker_server::net"), LevelFilter::TRACE);
        assert_eq!(of("millstream_broker_server"), LevelFilter::ERROR);
        let filter = seen.lock().unwrap().clone();
        assert!(
            filter.contains("millstream_client=debug") && filter.contains("error"),
            "{filter}"
        );
        assert!(!filter.contains("millstream_client=warn"), "{filter}");
        set("millstream_client", None).unwrap();
        assert_eq!(of("millstream_client"), LevelFilter::WARN);
        for unknown in ["kafka.server", "", "millstream_client=trace,info"] {
            assert!(set(unknown, Some(LevelFilter::INFO)).is_err(), "{unknown}");
        }
    }
}
