//! The binary `millstream`: arguments and wiring. The only place that knows everything, and therefore the place
//! that decides nothing: each command opens a log, calls the crate that does the work, and shows what came of it.
//!
//! Invariants: data goes to stdout through [`output`], talk goes to stderr through [`talk`]; a reader that goes away
//! (a closed pipe) ends a command quietly; every failure is one sentence that says what, where and what to try;
//! exit codes are those of [`exit`].

mod args;
mod commands;
mod exit;
mod heap;
mod host;
mod lag;
mod loggers;
mod moment;
mod monitor;
mod output;
mod partitions;
mod pipeline_file;
mod progress;
mod reader;
mod record;
mod remote;
mod schemas;
mod stop;
mod store;
mod talk;

use std::{io, process::ExitCode, sync::Arc};

use clap::Parser;
use millstream_broker_server::Loggers;
use millstream_types::{Clock, SystemClock};

use crate::{args::Cli, exit::Exit, output::Output, talk::Talk};

/// What every command gets.
struct Context {
    output: Output,
    talk: Talk,
    clock: Arc<dyn Clock>,
    /// Of the log of this process.
    loggers: Arc<dyn Loggers>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let talk = Talk::new();
    let loggers = talk.start_log(cli.global.log_level.as_deref(), cli.command.default_log());
    let mut context = Context {
        output: Output::new(cli.global.output),
        talk: talk.clone(),
        clock: Arc::new(SystemClock),
        loggers: Arc::new(loggers),
    };
    let outcome = cli
        .command
        .execute(&mut context)
        .and_then(|exit| Ok(context.output.flush().map(|()| exit)?));
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) if is_broken_pipe(&error) => Exit::Ok.into(),
        Err(error) => {
            talk.fail(&error);
            Exit::Failed.into()
        }
    }
}

/// Whether the reader of our stdout went away, as `head` does: it has all it wanted.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
