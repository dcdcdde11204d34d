use std::{collections::BTreeMap, sync::Arc};

use arrow_schema::Schema;
use millstream_formats::Encoder;
use millstream_sdk::{
    Config, Guarantee, Output, Problem, ProcessorFactory, ProcessorPlan, Spec, StreamSchema, ValueFormat,
};

use crate::{
    clauses,
    fault::{Fault, did_you_mean, nearest},
    parse::{self, on_deep_stack},
    plan::{self, Program},
    processor::{Query, SqlPlan},
};

/// `sql: SELECT … FROM … WHERE …`
#[derive(Debug, Default, Clone, Copy)]
pub struct SqlFactory;

impl ProcessorFactory for SqlFactory {
    fn spec(&self) -> Spec {
        Spec {
            kind: "sql",
            about: "Filters and computes records with a SELECT over one topic",
            config: schemars::schema_for!(String),
            guarantee: Guarantee::ExactlyOnce,
        }
    }

    fn inputs(&self, config: &Config) -> Result<Vec<String>, Vec<Problem>> {
        let read = || -> Result<_, Fault> { Ok(parse::streams(&mut *parse::parse(text(config)?)?)) };
        on_deep_stack(|| read().map_err(|fault| vec![fault])).map_err(|faults| problems(faults, config))
    }

    fn plan(
        &self,
        config: &Config,
        inputs: &BTreeMap<String, StreamSchema>,
        output: &Output,
    ) -> Result<Box<dyn ProcessorPlan>, Vec<Problem>> {
        let (stream, program) =
            on_deep_stack(|| typed(config, inputs)).map_err(|faults| problems(faults, config))?;
        let key = key_column(config, &program.output, output)?;
        let schema = StreamSchema {
            format: output.format.clone().unwrap_or(ValueFormat::Json),
            columns: program.output.clone(),
        };
        let unfit = |error| vec![Problem::new(config.path().clone(), error)];
        let encoder = Encoder::new(&schema).map_err(unfit)?;
        Ok(Box::new(SqlPlan {
            stream_columns: inputs
                .get(&stream)
                .map_or(0, |stream| stream.columns.fields().len()),
            stream,
            output: schema,
            query: Arc::new(Query {
                program,
                encoder,
                key,
            }),
        }))
    }
}

fn problems(faults: Vec<Fault>, config: &Config) -> Vec<Problem> {
    faults
        .into_iter()
        .map(|fault| fault.into_problem(config))
        .collect()
}

fn text(config: &Config) -> Result<&str, Fault> {
    let text = config.value().as_str();
    text.ok_or_else(|| Fault::new("`sql` is a text").help("write `sql: SELECT … FROM … WHERE …`"))
}

/// The name of the one stream that the query reads, and the query typed against it.
fn typed(config: &Config, inputs: &BTreeMap<String, StreamSchema>) -> Result<(String, Program), Vec<Fault>> {
    let one = |fault: Fault| vec![fault];
    let mut query = parse::parse(text(config).map_err(one)?).map_err(one)?;
    let streams = parse::streams(&mut query);
    let Some(name) = streams.first() else {
        return Err(clauses::refusals(&query));
    };
    let Some(stream) = inputs.get(name) else {
        let fault = Fault::new(format!("there is no stream '{name}'"));
        let nearest = nearest(name, inputs.keys().map(String::as_str));
        return Err(one(match nearest {
            Some(known) => fault.help(did_you_mean(known)),
            None => fault,
        }));
    };
    let program = plan::plan(query, name, stream)?;
    Ok((name.clone(), program))
}

/// The index of the column that `into: { key: … }` names.
fn key_column(config: &Config, columns: &Schema, output: &Output) -> Result<Option<usize>, Vec<Problem>> {
    let Some(key) = &output.key else {
        return Ok(None);
    };
    if let Some((index, _)) = columns.column_with_name(key) {
        return Ok(Some(index));
    }
    let mut node = config.path().clone();
    node.0.pop();
    let names = || columns.fields().iter().map(|field| field.name().as_str());
    let help = match nearest(key, names()) {
        Some(name) => did_you_mean(name),
        None => format!(
            "the columns of the result: {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    };
    let problem = Problem::new(
        node.key("into").key("key"),
        format!("the key '{key}' is not a column of the result"),
    );
    Err(vec![problem.help(help)])
}
