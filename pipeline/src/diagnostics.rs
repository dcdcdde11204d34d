//! What is wrong with a pipeline file, all of it at once: each with its place, an excerpt, the reason and a cure.

use std::{collections::HashSet, fmt, path::Path, sync::Arc};

use miette::{LabeledSpan, NamedSource, SourceCode};
use millstream_sdk::{ConfigPath, Problem};
use serde::Serialize;

use crate::tree::{Node, Span, first_line};

/// Problems shown; a file that is wrong from end to end is not listed in full.
const MAX_SHOWN: usize = 50;

/// Everything that is wrong with a pipeline file, in the order of the text. Rendered by `miette` as excerpts,
/// by [`Diagnostics::list`] for machines and plain text.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {}", count(*.total))]
pub struct Diagnostics {
    file: String,
    total: usize,
    shown: Vec<Located>,
}

/// One problem and where it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Located {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The way from the root of the file, for example `sinks.lake.roll`; empty where it is not known.
    pub path: String,
    pub message: String,
    /// What to try.
    pub help: Option<String>,
    #[serde(skip)]
    span: Span,
    #[serde(skip)]
    source: Arc<NamedSource<String>>,
}

/// A problem at a place in the text, before it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) span: Span,
    pub(crate) path: ConfigPath,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// The text of a file under its name.
#[derive(Clone, Debug)]
pub(crate) struct SourceText {
    file: String,
    source: Arc<NamedSource<String>>,
}

impl Diagnostics {
    pub fn list(&self) -> &[Located] {
        &self.shown
    }

    /// How many there are, also of those that are not listed.
    pub fn total(&self) -> usize {
        self.total
    }
}

impl miette::Diagnostic for Diagnostics {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        Some(Box::new(
            self.shown.iter().map(|one| one as &dyn miette::Diagnostic),
        ))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let rest = self.total - self.shown.len();
        (rest > 0).then(|| Box::new(format!("{rest} more are not shown")) as Box<dyn fmt::Display>)
    }
}

impl std::error::Error for Located {}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl miette::Diagnostic for Located {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = (!self.path.is_empty()).then(|| self.path.clone());
        let label = LabeledSpan::new_primary_with_span(label, self.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

impl Mark {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            path: ConfigPath::default(),
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn at(mut self, path: &ConfigPath) -> Self {
        self.path = path.clone();
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl SourceText {
    pub(crate) fn new(file: &Path, text: &str) -> Self {
        let file = file.display().to_string();
        Self {
            source: Arc::new(NamedSource::new(&file, text.to_owned()).with_language("YAML")),
            file,
        }
    }

    pub(crate) fn text(&self) -> &str {
        self.source.inner()
    }

    /// Finds the places of problems that know only their path.
    pub(crate) fn marks(&self, root: &Node, problems: Vec<Problem>) -> Vec<Mark> {
        let mark = |problem: Problem| Mark {
            span: root.locate(&problem.path, problem.within, self.text()),
            path: problem.path,
            message: problem.message,
            help: problem.help,
        };
        problems.into_iter().map(mark).collect()
    }

    pub(crate) fn diagnostics(&self, mut marks: Vec<Mark>) -> Diagnostics {
        marks.sort_by_key(|mark| mark.span.start);
        let mut said = HashSet::new();
        marks.retain(|mark| said.insert((mark.span.clone(), mark.message.clone())));
        let total = marks.len();
        marks.truncate(MAX_SHOWN);
        Diagnostics {
            file: self.file.clone(),
            total,
            shown: marks.into_iter().map(|mark| self.place(mark)).collect(),
        }
    }

    fn place(&self, mark: Mark) -> Located {
        let text = self.text();
        let before = &text[..mark.span.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Located {
            file: self.file.clone(),
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_start..].chars().count(),
            path: mark.path.to_string(),
            message: mark.message,
            help: mark.help,
            span: first_line(&mark.span, text),
            source: self.source.clone(),
        }
    }
}

fn count(problems: usize) -> String {
    match problems {
        1 => "1 problem".into(),
        many => format!("{many} problems"),
    }
}
