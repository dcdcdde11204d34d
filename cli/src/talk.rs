//! Everything people read on stderr: sentences, the log, progress bars. They share one [`MultiProgress`], so that
//! bars and lines never tear each other.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use indicatif::MultiProgress;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::loggers::LogLevels;

/// Cheap to clone; all clones share the bars.
#[derive(Clone)]
pub(crate) struct Talk {
    bars: MultiProgress,
    tty: bool,
}

impl Talk {
    pub(crate) fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
            tty: io::stderr().is_terminal(),
        }
    }

    /// Whether somebody looks at a screen: progress bars and colours make sense only then.
    pub(crate) fn is_tty(&self) -> bool {
        self.tty
    }

    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    pub(crate) fn has_colour(&self) -> bool {
        self.tty && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// A line for people. That nobody listens is not an error.
    pub(crate) fn say(&self, text: impl Display) {
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }

    /// The chain of an error as one sentence, without the repetitions of errors that print their source themselves.
    pub(crate) fn fail(&self, error: &anyhow::Error) {
        self.say(format_args!("error: {}", sentence(error)));
    }

    /// Sends the log to stderr; `level` wins over RUST_LOG, and that over the default. Answers what turns its levels later.
    pub(crate) fn start_log(&self, level: Option<&str>, default: &str) -> LogLevels {
        let directives = level
            .map(str::to_owned)
            .or_else(|| env::var("RUST_LOG").ok())
            .unwrap_or_else(|| default.to_owned());
        let log = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(&directives))
            .with_ansi(self.has_colour())
            .with_writer(self.clone())
            .with_filter_reloading();
        let handle = log.reload_handle();
        log.init();
        let reload = move |filter| handle.reload(filter).map_err(|error| error.to_string());
        LogLevels::new(directives, Box::new(reload))
    }
}

pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for part in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = part;
        } else if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
    }
    text
}

/// One event of the log: collected, then written at once.
pub(crate) struct LogLine {
    bars: MultiProgress,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Talk {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine {
            bars: self.bars.clone(),
            text: Vec::new(),
        }
    }
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        self.bars.suspend(|| {
            let _ = io::stderr().lock().write_all(&self.text);
        });
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn an_error_is_one_sentence_without_repetitions() {
        let error = anyhow!("permission denied")
            .context("cannot write ./data/wal: permission denied")
            .context("cannot open the log");
        assert_eq!(
            sentence(&error),
            "cannot open the log: cannot write ./data/wal: permission denied"
        );
        let plain = Err::<(), _>(anyhow!("a")).context("b").unwrap_err();
        assert_eq!(sentence(&plain), "b: a");
    }
}
