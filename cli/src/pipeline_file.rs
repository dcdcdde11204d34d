//! From the path of a pipeline file to a plan, or to everything that is wrong with it.

use std::{collections::BTreeMap, env, fs, path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use miette::{GraphicalReportHandler, GraphicalTheme};
use millstream_pipeline::{Diagnostics, Located, Pipeline, Plan};
use millstream_sdk::{Catalog, Problem, StreamDesc};
use serde::Serialize;

use crate::{Context, exit::Exit, schemas::in_process::InProcess, talk::Talk};

/// Columns of an excerpt.
const WIDTH: usize = 110;
/// A larger file is not a pipeline.
const MAX_BYTES: u64 = 16 << 20;

/// Everything that this binary can put into a pipeline.
pub(crate) fn catalog() -> Catalog {
    millstream_connectors::catalog().with_processor(millstream_processors_sql::SqlFactory)
}

/// A checked pipeline and its plan.
pub(crate) struct Planned {
    pub(crate) pipeline: Pipeline,
    pub(crate) plan: Plan,
    /// What sources and sinks warn of.
    pub(crate) warnings: Problems,
}

/// Problems of one file, in the order of its text.
pub(crate) struct Problems {
    file: String,
    list: Vec<Located>,
    /// Those beyond the list too.
    total: usize,
}

/// The machine form.
#[derive(Serialize)]
pub(crate) struct Wrong<'a> {
    file: &'a str,
    valid: bool,
    total: usize,
    problems: &'a [Located],
}

/// Reads the file and checks all that can be known from it alone.
pub(crate) fn parse(file: &Path) -> anyhow::Result<Result<Pipeline, Problems>> {
    parse_with(file, Arc::default())
}

/// The same for a pipeline that will find its schemas there.
pub(crate) fn parse_with(file: &Path, schemas: Arc<InProcess>) -> anyhow::Result<Result<Pipeline, Problems>> {
    let unreadable = || format!("cannot read pipeline '{}'", file.display());
    let size = fs::metadata(file).with_context(unreadable)?.len();
    ensure!(
        size <= MAX_BYTES,
        "{}: it is larger than {MAX_BYTES} bytes",
        unreadable()
    );
    let text = fs::read_to_string(file).with_context(unreadable)?;
    let variable = |name: &str| env::var(name).ok();
    let parsed = millstream_pipeline::parse(&text, file, &catalog().with_schemas(schemas), &variable);
    Ok(parsed.map_err(|diagnostics| Problems::of(file, [diagnostics])))
}

/// Reads the file, asks its sources for their streams and its sinks whether they can be reached, and plans it.
pub(crate) async fn plan(file: &Path) -> anyhow::Result<Result<Planned, Problems>> {
    match parse(file)? {
        Ok(pipeline) => plan_pipeline(file, pipeline).await,
        Err(problems) => Ok(Err(problems)),
    }
}

/// Asks the sources of a pipeline for their streams and its sinks whether they can be reached, and plans it.
pub(crate) async fn plan_pipeline(
    file: &Path,
    pipeline: Pipeline,
) -> anyhow::Result<Result<Planned, Problems>> {
    let Answers {
        discovered,
        problems,
        warnings,
    } = ask(&pipeline).await;
    let planned = pipeline.plan(&discovered);
    let plan = match planned {
        Ok(plan) if problems.is_empty() => plan,
        planned => {
            let mut all = Problems::of(
                file,
                [pipeline.diagnostics(problems)].into_iter().chain(planned.err()),
            );
            all.forget_consequences(&pipeline, &discovered);
            return Ok(Err(all));
        }
    };
    Ok(Ok(Planned {
        plan,
        warnings: Problems::of(file, [pipeline.diagnostics(warnings)]),
        pipeline,
    }))
}

/// What the foreign systems say.
struct Answers {
    discovered: BTreeMap<String, Vec<StreamDesc>>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

async fn ask(pipeline: &Pipeline) -> Answers {
    let mut problems = Vec::new();
    let mut findings = Vec::new();
    let mut discovered = BTreeMap::new();
    for source in pipeline.sources() {
        findings.extend(source.factory.check(source.config).await);
        match source.factory.discover(source.config).await {
            Ok(streams) => {
                discovered.insert(source.name.to_owned(), streams);
            }
            Err(found) => problems.extend(found),
        }
    }
    for sink in pipeline.sinks() {
        findings.extend(sink.factory.check(sink.config).await);
    }
    let (fatal, warnings): (Vec<_>, Vec<_>) = findings.into_iter().partition(|finding| finding.fatal);
    // What a source says in both `check` and `discover` is said once.
    for finding in fatal {
        if !problems.contains(&finding.problem) {
            problems.push(finding.problem);
        }
    }
    Answers {
        discovered,
        problems,
        warnings: warnings.into_iter().map(|finding| finding.problem).collect(),
    }
}

impl Problems {
    pub(crate) fn of(file: &Path, diagnostics: impl IntoIterator<Item = Diagnostics>) -> Self {
        let mut problems = Self {
            file: file.display().to_string(),
            list: Vec::new(),
            total: 0,
        };
        for diagnostics in diagnostics {
            problems.total += diagnostics.total();
            problems.list.extend_from_slice(diagnostics.list());
        }
        problems
            .list
            .sort_by_key(|problem| (problem.line, problem.column));
        problems
    }

    /// That the streams of a source are unknown follows from what `discover` said: that was shown already.
    fn forget_consequences(&mut self, pipeline: &Pipeline, discovered: &BTreeMap<String, Vec<StreamDesc>>) {
        let unknown = pipeline
            .sources()
            .map(|source| source.name)
            .filter(|name| !discovered.contains_key(*name));
        let paths: Vec<_> = unknown.map(|name| format!("sources.{name}")).collect();
        let before = self.list.len();
        self.list
            .retain(|problem| !(paths.contains(&problem.path) && problem.message.ends_with("are not known")));
        self.total -= before - self.list.len();
    }

    /// With excerpts, on stderr.
    pub(crate) fn show(&self, talk: &Talk) {
        let theme = match (talk.is_tty(), talk.has_colour()) {
            (true, true) => GraphicalTheme::unicode(),
            (true, false) => GraphicalTheme::unicode_nocolor(),
            (false, _) => GraphicalTheme::none(),
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(WIDTH)
            .with_links(false);
        for problem in &self.list {
            let mut text = String::new();
            match handler.render_report(&mut text, problem) {
                Ok(()) => talk.say(text.trim_end()),
                Err(_) => talk.say(format_args!(
                    "{}:{}:{}: {problem}",
                    problem.file, problem.line, problem.column
                )),
            }
        }
    }

    pub(crate) fn json(&self) -> Wrong<'_> {
        Wrong {
            file: &self.file,
            valid: false,
            total: self.total,
            problems: &self.list,
        }
    }

    /// Shows all and answers how a command ends that cannot go on.
    pub(crate) fn refuse(&self, context: &mut Context) -> anyhow::Result<Exit> {
        if context.output.is_json() {
            context.output.json(&self.json())?;
        } else {
            self.show(&context.talk);
        }
        let count = match self.total {
            1 => "1 problem".to_owned(),
            total => format!("{total} problems"),
        };
        let hidden = self.total - self.list.len();
        let rest = if hidden > 0 {
            format!(", {hidden} of them not shown")
        } else {
            String::new()
        };
        context
            .talk
            .say(format_args!("error: {} has {count}{rest}", self.file));
        Ok(Exit::Failed)
    }
}
