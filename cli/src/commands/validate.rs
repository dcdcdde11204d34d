use std::path::PathBuf;

use millstream_pipeline::{BadRecords, ErrorPolicy, LogChoice, Plan};
use millstream_types::TopicName;
use serde::Serialize;

use crate::{
    Context,
    exit::Exit,
    output::Row,
    pipeline_file::{self, Planned},
};

/// Check a pipeline file and show what it would do
///
/// Checks the whole file, types every edge, compiles the SQL, and asks sources and sinks whether what they name is
/// there. Nothing is started and nothing is written. All problems are shown at once, with line and column.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream validate examples/flights/pipeline.yaml
  millstream validate pipeline.yaml -o json | jq -r '.problems[] | \"\\(.line):\\(.column) \\(.message)\"'

Exit code 1 says that there are problems.")]
pub(crate) struct Args {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    pipeline: PathBuf,
}

/// What a pipeline would do.
#[derive(Serialize)]
struct Summary<'a> {
    file: String,
    valid: bool,
    pipeline: &'a str,
    log: String,
    nodes: Vec<NodeRow>,
    topics: Vec<TopicRow<'a>>,
}

#[derive(Serialize)]
struct NodeRow {
    node: String,
    kind: &'static str,
    reads: Vec<TopicName>,
    writes: Vec<TopicName>,
    /// What becomes of records that cannot be handled.
    bad_records: String,
    /// What a processor does and which columns it decodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<String>,
}

#[derive(Serialize)]
struct TopicRow<'a> {
    topic: &'a TopicName,
    partitions: i32,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let Planned { plan, warnings, .. } = match pipeline_file::plan(&self.pipeline).await? {
            Ok(planned) => planned,
            Err(problems) => return problems.refuse(context),
        };
        warnings.show(&context.talk);
        let summary = Summary {
            file: self.pipeline.display().to_string(),
            valid: true,
            pipeline: &plan.name,
            log: describe_log(&plan.log),
            nodes: nodes(&plan),
            topics: topics(&plan),
        };
        let output = &mut context.output;
        if output.is_json() {
            output.json(&summary)?;
            return Ok(Exit::Ok);
        }
        output.table(&summary.nodes)?;
        for node in &summary.nodes {
            if let Some(explain) = &node.explain {
                output.line(format_args!("\n{}:", node.node))?;
                for line in explain.lines() {
                    output.line(format_args!("  {line}"))?;
                }
            }
        }
        output.line("")?;
        output.table(&summary.topics)?;
        context.talk.say(format_args!(
            "{} is valid; its log is {}",
            summary.file, summary.log
        ));
        Ok(Exit::Ok)
    }
}

fn describe_log(log: &LogChoice) -> String {
    match log {
        LogChoice::Embedded { dir, listen } => {
            let listen = listen.as_deref().unwrap_or("nowhere");
            format!("embedded in '{}', listening on {listen}", dir.display())
        }
    }
}

fn nodes(plan: &Plan) -> Vec<NodeRow> {
    let sources = plan.sources.iter().map(|source| NodeRow {
        node: source.name.clone(),
        kind: "source",
        reads: Vec::new(),
        writes: source.topics.clone(),
        bad_records: describe_policy(&source.on_error),
        explain: None,
    });
    let processors = plan.processors.iter().map(|processor| NodeRow {
        node: processor.name.clone(),
        kind: "processor",
        reads: vec![processor.from.clone()],
        writes: vec![processor.into.clone()],
        bad_records: describe_policy(&processor.on_error),
        explain: Some(processor.plan.explain()),
    });
    let sinks = plan.sinks.iter().map(|sink| NodeRow {
        node: sink.name.clone(),
        kind: "sink",
        reads: sink.inputs.iter().map(|(topic, _)| topic.clone()).collect(),
        writes: Vec::new(),
        bad_records: describe_policy(&sink.on_error),
        explain: None,
    });
    sources.chain(processors).chain(sinks).collect()
}

fn describe_policy(policy: &ErrorPolicy) -> String {
    match &policy.bad_records {
        BadRecords::DeadLetter(topic) => topic.to_string(),
        BadRecords::Skip => "skipped".to_owned(),
        BadRecords::Fail => "stop the task".to_owned(),
    }
}

fn topics(plan: &Plan) -> Vec<TopicRow<'_>> {
    let topics = plan.topics.iter();
    topics
        .map(|topic| TopicRow {
            topic: &topic.name,
            partitions: topic.partitions,
        })
        .collect()
}

impl Row for NodeRow {
    const TITLES: &'static [&'static str] = &["NODE", "KIND", "READS", "WRITES", "BAD RECORDS"];

    fn cells(&self) -> Vec<String> {
        let names = |topics: &[TopicName]| {
            topics
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        vec![
            self.node.clone(),
            self.kind.to_owned(),
            names(&self.reads),
            names(&self.writes),
            self.bad_records.clone(),
        ]
    }
}

impl Row for TopicRow<'_> {
    const TITLES: &'static [&'static str] = &["TOPIC", "#PARTITIONS"];

    fn cells(&self) -> Vec<String> {
        vec![self.topic.to_string(), self.partitions.to_string()]
    }
}
