use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::anyhow;
use millstream_pipeline::{LogChoice, Pipeline, Plan};
use millstream_runtime::{NodeKind, NodeState, NodeStatus, Outcome, RunError, RunOptions, Status};
use millstream_schema_registry_server::AvroSchemas;
use millstream_sdk::Problem;
use millstream_types::HumanDuration;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Context,
    exit::Exit,
    host::{Host, Port},
    monitor::MetricsListen,
    output::{Row, grouped},
    pipeline_file::{self, Problems},
    progress,
    schemas::{
        in_process::{self, InProcess},
        port::{RegistryListen, SchemaPort},
    },
    stop,
};

/// Run a pipeline
///
/// Checks the file as `validate` does, opens the embedded log, opens its Kafka port so that other programs can read
/// and write topics meanwhile, and runs until all is done (--until-end) or until Ctrl-C. A run that is stopped or
/// killed goes on where it was the next time; each record takes effect once.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream run examples/flights/pipeline.yaml --until-end
  millstream run pipeline.yaml --listen none --data-dir /var/lib/millstream
  millstream run pipeline.yaml --until-end -o json | jq '.nodes[] | {node, records_in, records_out}'

The first Ctrl-C (or SIGTERM) commits what is done and stops; the second stops at once. Neither loses anything.")]
pub(crate) struct Args {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    pipeline: PathBuf,
    /// End when the sources have no more and everything has passed through, instead of waiting for more
    #[arg(long)]
    until_end: bool,
    /// The address for Kafka clients, or `none` [default: as the file says, else 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// The data directory [default: as the file says, else ./data beside it]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How often tasks commit, for example 500ms or 5s: how long a record waits at each step, at most
    #[arg(long, value_name = "DURATION")]
    commit_interval: Option<HumanDuration>,
    #[command(flatten)]
    metrics: MetricsListen,
    #[command(flatten)]
    registry: RegistryListen,
}

/// What a run works on.
struct Opened {
    host: Host,
    registry: SchemaPort,
}

impl Opened {
    /// The registry first: it stands on the log.
    async fn close(self) {
        self.registry.close().await;
        self.host.close().await;
    }
}

/// A pipeline that can run.
struct Ready {
    pipeline: Pipeline,
    plan: Plan,
    opened: Opened,
    listen: Option<String>,
}

/// What a run did.
#[derive(Serialize)]
struct Summary<'a> {
    pipeline: &'a str,
    outcome: &'static str,
    elapsed_ms: u128,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    nodes: &'a [NodeStatus],
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let stop = stop::on_signal(&context.talk)?;
        let monitor = self.metrics.open(&context.talk).await?;
        let Ready {
            pipeline,
            plan,
            opened,
            listen,
        } = match self.prepare(context).await? {
            Ok(ready) => ready,
            Err(problems) => return problems.refuse(context),
        };
        let port = match self.open_port(&opened.host, listen, context).await {
            Ok(port) => port,
            Err(error) => {
                opened.close().await;
                return Err(error);
            }
        };
        if let Some(registry) = opened.registry.registry() {
            monitor.show(registry);
        }
        monitor.started(&opened.host);
        let name = plan.name.clone();
        let begin = Instant::now();
        let (outcome, nodes) = self.run(plan, &opened.host, stop, context).await;
        let elapsed = begin.elapsed();
        monitor.stopping();
        if let Some(port) = port {
            port.close().await;
        }
        opened.close().await;
        monitor.close().await;
        self.show(&name, &outcome, &nodes, elapsed, context)?;
        match outcome {
            Ok(Outcome::Done | Outcome::Stopped) => Ok(Exit::Ok),
            Ok(Outcome::Fenced) => Err(anyhow!("another run of pipeline '{name}' took over")),
            Err(RunError::Problems { problems }) => {
                Problems::of(&self.pipeline, [pipeline.diagnostics(problems)]).refuse(context)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Plans the pipeline, opens the log, and registers what it writes. Nothing is made while the pipeline may be wrong,
    /// unless only the registry knows what it reads.
    async fn prepare(&self, context: &Context) -> anyhow::Result<Result<Ready, Problems>> {
        let schemas = Arc::new(InProcess::default());
        let pipeline = match pipeline_file::parse_with(&self.pipeline, schemas.clone())? {
            Ok(pipeline) => pipeline,
            Err(problems) => return Ok(Err(problems)),
        };
        let (dir, listen) = self.place(pipeline.log());
        let mut opened = None;
        if pipeline.unknown_columns().next().is_some() {
            opened = Some(self.open(&dir, true, &schemas, context).await?);
        }
        let planned = self.plan(pipeline, &dir, &schemas, &mut opened, context).await;
        match (planned, opened) {
            (Ok(Ok((pipeline, plan))), Some(opened)) => Ok(Ok(Ready {
                pipeline,
                plan,
                opened,
                listen,
            })),
            (planned, opened) => {
                if let Some(opened) = opened {
                    opened.close().await;
                }
                planned.map(|planned| Err(planned.err().expect("a plan is made on an open log")))
            }
        }
    }

    async fn plan(
        &self,
        mut pipeline: Pipeline,
        dir: &Path,
        schemas: &InProcess,
        opened: &mut Option<Opened>,
        context: &Context,
    ) -> anyhow::Result<Result<(Pipeline, Plan), Problems>> {
        let refused = |pipeline: &Pipeline, problems: Vec<Problem>| {
            Ok(Err(Problems::of(
                &self.pipeline,
                [pipeline.diagnostics(problems)],
            )))
        };
        if let Some(registry) = opened.as_ref().and_then(|opened| opened.registry.registry()) {
            let problems = in_process::teach(&mut pipeline, &AvroSchemas::of(registry.clone()))?;
            if !problems.is_empty() {
                return refused(&pipeline, problems);
            }
        }
        let planned = match pipeline_file::plan_pipeline(&self.pipeline, pipeline).await? {
            Ok(planned) => planned,
            Err(problems) => return Ok(Err(problems)),
        };
        planned.warnings.show(&context.talk);
        let (pipeline, plan) = (planned.pipeline, planned.plan);
        if opened.is_none() {
            *opened = Some(self.open(dir, !plan.avro.is_empty(), schemas, context).await?);
        }
        if let Some(registry) = opened.as_ref().and_then(|opened| opened.registry.registry()) {
            let problems = in_process::register(&plan, &AvroSchemas::of(registry.clone())).await?;
            if !problems.is_empty() {
                return refused(&pipeline, problems);
            }
        }
        Ok(Ok((pipeline, plan)))
    }

    /// The data directory, and the address to listen on.
    fn place(&self, log: &LogChoice) -> (PathBuf, Option<String>) {
        let LogChoice::Embedded { dir, listen } = log;
        let dir = self.data_dir.as_ref().unwrap_or(dir).clone();
        let listen = match self.listen.as_deref() {
            Some("none") => None,
            Some(address) => Some(address.to_owned()),
            None => listen.clone(),
        };
        (dir, listen)
    }

    /// Opens the log, and a registry if somebody needs one.
    async fn open(
        &self,
        dir: &Path,
        needs_registry: bool,
        schemas: &InProcess,
        context: &Context,
    ) -> anyhow::Result<Opened> {
        let host = Host::open(dir, context.clock.clone()).await?;
        if !needs_registry && !self.registry.is_asked_for() {
            let registry = SchemaPort::none();
            return Ok(Opened { host, registry });
        }
        let clock = context.clock.clone();
        let registry = self
            .registry
            .open_needed(host.log(), dir, clock, &context.talk)
            .await;
        match registry {
            Ok(port) => {
                if let Some(registry) = port.registry() {
                    schemas.bind(AvroSchemas::of(registry.clone()));
                    host.schemas().look_into(registry.clone());
                }
                let registry = port;
                Ok(Opened { host, registry })
            }
            Err(error) => {
                host.close().await;
                Err(error)
            }
        }
    }

    async fn open_port(
        &self,
        host: &Host,
        listen: Option<String>,
        context: &Context,
    ) -> anyhow::Result<Option<Port>> {
        let Some(address) = listen else {
            return Ok(None);
        };
        let port = host.listen(Some(&address)).await.map_err(|error| {
            error.context(
                "cannot open the Kafka port; --listen none runs without it, --listen HOST:PORT elsewhere",
            )
        })?;
        let address = port.address();
        context
            .talk
            .say(format_args!("Kafka clients can connect to {address}"));
        Ok(Some(port))
    }

    async fn run(
        &self,
        plan: Plan,
        host: &Host,
        stop: CancellationToken,
        context: &Context,
    ) -> (Result<Outcome, RunError>, Vec<NodeStatus>) {
        let defaults = RunOptions::default();
        let options = RunOptions {
            until_end: self.until_end,
            commit_interval: self
                .commit_interval
                .map_or(defaults.commit_interval, |interval| interval.0),
            ..defaults
        };
        let status = Arc::new(Status::default());
        let run = millstream_runtime::run(
            plan,
            host.log(),
            context.clock.clone(),
            options,
            stop,
            status.clone(),
        );
        let report = tokio::select! {
            report = run => report,
            () = progress::show(status.clone(), context.talk.clone()) => unreachable!("it shows for ever"),
        };
        (report.map(|report| report.outcome), status.snapshot())
    }

    fn show(
        &self,
        pipeline: &str,
        outcome: &Result<Outcome, RunError>,
        nodes: &[NodeStatus],
        elapsed: Duration,
        context: &mut Context,
    ) -> anyhow::Result<()> {
        if !context.output.is_json() {
            if !nodes.is_empty() {
                context
                    .output
                    .table(&nodes.iter().map(NodeRow).collect::<Vec<_>>())?;
            }
            context.output.flush()?;
            let how = describe(outcome);
            context.talk.say(format_args!(
                "{pipeline} {how} after {:.1} s",
                elapsed.as_secs_f64()
            ));
            return Ok(());
        }
        // Problems of the file have a machine form of their own.
        if matches!(outcome, Err(RunError::Problems { .. })) {
            return Ok(());
        }
        Ok(context.output.json(&Summary {
            pipeline,
            outcome: describe(outcome),
            elapsed_ms: elapsed.as_millis(),
            error: outcome.as_ref().err().map(ToString::to_string),
            nodes,
        })?)
    }
}

fn describe(outcome: &Result<Outcome, RunError>) -> &'static str {
    match outcome {
        Ok(Outcome::Done) => "done",
        Ok(Outcome::Stopped) => "stopped",
        Ok(Outcome::Fenced) => "fenced",
        Err(_) => "failed",
    }
}

struct NodeRow<'a>(&'a NodeStatus);

impl Row for NodeRow<'_> {
    const TITLES: &'static [&'static str] = &[
        "NODE",
        "KIND",
        "#IN",
        "#OUT",
        "#FILTERED",
        "#DEAD LETTERS",
        "STATE",
    ];

    fn cells(&self) -> Vec<String> {
        let node = self.0;
        let kind = match node.kind {
            NodeKind::Source => "source",
            NodeKind::Processor => "processor",
            NodeKind::Sink => "sink",
        };
        let state = match node.state {
            NodeState::Done => "done",
            NodeState::Stopped => "stopped",
            NodeState::Fenced => "fenced",
            NodeState::Running => "running",
            NodeState::Retrying { .. } => "retrying",
            NodeState::Failed { .. } => "failed",
        };
        vec![
            node.node.clone(),
            kind.to_owned(),
            grouped(node.records_in),
            grouped(node.records_out),
            grouped(node.filtered),
            grouped(node.dead_letters),
            state.to_owned(),
        ]
    }
}
