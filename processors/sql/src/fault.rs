use datafusion_common::{Column, DataFusionError, Diagnostic, SchemaError, Span};
use datafusion_sql::sqlparser::{
    parser::ParserError,
    tokenizer::{Location, Span as ParserSpan},
};
use millstream_sdk::{Config, Problem};

/// Something wrong in a SQL text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// Line and column, from 1.
    pub(crate) within: Option<(usize, usize)>,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            within: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn at(mut self, span: ParserSpan) -> Self {
        self.within = place(span.start);
        self
    }

    fn at_span(mut self, span: Option<Span>) -> Self {
        self.within = span.map(|span| (span.start.line as usize, span.start.column as usize));
        self
    }

    /// As a problem of the configuration value that holds the SQL.
    pub(crate) fn into_problem(self, config: &Config) -> Problem {
        Problem {
            path: config.path().clone(),
            message: self.message,
            help: self.help,
            within: self.within,
        }
    }
}

/// The parser counts from 1; line 0 is its "nowhere".
fn place(location: Location) -> Option<(usize, usize)> {
    (location.line > 0).then_some((location.line as usize, location.column as usize))
}

/// The name most like `wanted`, if one is like it at all.
pub(crate) fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.75;
    let wanted = wanted.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wanted, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

pub(crate) fn did_you_mean(name: &str) -> String {
    format!("did you mean '{name}'?")
}

impl From<ParserError> for Fault {
    fn from(error: ParserError) -> Self {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => return Self::new("the SQL is nested too deeply"),
        };
        // The parser gives places in its text only: `… at Line: 2, Column: 8`.
        let (message, place) = match text.rsplit_once(" at Line: ") {
            Some((message, place)) => (message.to_owned(), numbers(place)),
            None => (text, None),
        };
        Self {
            within: place,
            ..Self::new(lower_first(&message))
        }
    }
}

fn numbers(place: &str) -> Option<(usize, usize)> {
    let (line, column) = place.split_once(", Column: ")?;
    Some((line.trim().parse().ok()?, column.trim().parse().ok()?))
}

impl From<DataFusionError> for Fault {
    fn from(error: DataFusionError) -> Self {
        if let DataFusionError::SQL(error, _) = error.find_root() {
            return error.as_ref().clone().into();
        }
        if let Some((column, known)) = field_not_found(&error) {
            return unknown_column(column, known);
        }
        match error.diagnostic() {
            Some(diagnostic) => from_diagnostic(diagnostic),
            None => Self::new(reason(&error)),
        }
    }
}

fn from_diagnostic(diagnostic: &Diagnostic) -> Fault {
    let helps = diagnostic.helps.iter().map(|help| &help.message);
    let hints: Vec<_> = helps
        .chain(diagnostic.notes.iter().map(|note| &note.message))
        .cloned()
        .collect();
    Fault {
        help: (!hints.is_empty()).then(|| hints.join("; ")),
        ..Fault::new(lower_first(&diagnostic.message)).at_span(diagnostic.span)
    }
}

/// The column that the query names and that is not there, if that is the error.
pub(crate) fn missing_column(error: &DataFusionError) -> Option<&Column> {
    field_not_found(error).map(|(column, _)| column)
}

fn field_not_found(error: &DataFusionError) -> Option<(&Column, &[Column])> {
    let DataFusionError::SchemaError(schema_error, _) = error.find_root() else {
        return None;
    };
    match schema_error.as_ref() {
        SchemaError::FieldNotFound { field, valid_fields } => Some((field, valid_fields)),
        _ => None,
    }
}

fn unknown_column(column: &Column, known: &[Column]) -> Fault {
    let names = || known.iter().map(Column::name);
    let help = match nearest(&column.name, names()) {
        Some(name) => did_you_mean(name),
        None => format!("known columns: {}", names().collect::<Vec<_>>().join(", ")),
    };
    Fault::new(format!("there is no column '{}'", column.name)).help(help)
}

/// What DataFusion says, without the names of its error classes.
pub(crate) fn reason(error: &DataFusionError) -> String {
    const CLASSES: &[&str] = &[
        "Arrow error: ",
        "Error during planning: ",
        "Execution error: ",
        "Optimizer rule 'simplify_expressions' failed\ncaused by\n",
        "Optimizer rule 'optimize_projections' failed\ncaused by\n",
        "type_coercion\ncaused by\n",
        "This feature is not implemented: ",
        "Schema error: ",
        "External error: ",
    ];
    let text = error.strip_backtrace();
    let mut rest = text.as_str();
    while let Some(shorter) = CLASSES.iter().find_map(|class| rest.strip_prefix(class)) {
        rest = shorter;
    }
    lower_first(rest.trim_end())
}

/// Errors are lowercase phrases; a name in capitals stays one.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_alike_only() {
        let known = ["carrier", "dep_delay", "arr_delay"];
        assert_eq!(nearest("carier", known), Some("carrier"));
        assert_eq!(nearest("DEP_DELAY", known), Some("dep_delay"));
        assert_eq!(nearest("zzz", known), None);
    }

    #[test]
    fn reads_places_out_of_parser_messages() {
        let error = ParserError::ParserError("Expected: end, found: x at Line: 2, Column: 8".into());
        let fault = Fault::from(error);
        assert_eq!(fault.message, "expected: end, found: x");
        assert_eq!(fault.within, Some((2, 8)));
    }
}
