//! One file for each verb: its arguments, and what it does with them.

mod broker;
mod completion;
mod config;
mod dlq;
mod group;
mod offsets;
mod registry;
mod run;
mod schema;
mod topic;
mod transaction;
mod validate;
mod verify;
mod version;

use std::future::Future;

use anyhow::Context as _;
use clap::Subcommand;

use crate::{Context, exit::Exit};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Run(run::Args),
    Validate(validate::Args),
    /// Look at topics, and write to and read from them
    #[command(subcommand)]
    Topic(topic::Command),
    /// Look at consumer groups, move and delete them
    #[command(subcommand)]
    Group(group::Command),
    /// Show and change the configuration of topics and of the broker
    #[command(subcommand)]
    Config(config::Command),
    /// Look at transactions and abort them
    #[command(subcommand)]
    Transaction(transaction::Command),
    /// Show and reset how far consumer groups and sources have come
    #[command(subcommand)]
    Offsets(offsets::Command),
    /// Look at dead letters and replay them
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Run the log by itself
    #[command(subcommand)]
    Broker(broker::Command),
    /// Serve and ask a schema registry, and check schemas
    #[command(subcommand)]
    Registry(registry::Command),
    Verify(verify::Args),
    Schema(schema::Args),
    Version(version::Args),
    Completion(completion::Args),
}

impl Command {
    /// What is logged if nobody says: a server tells what happens to it, a command speaks only of trouble.
    pub(crate) fn default_log(&self) -> &'static str {
        match self {
            Self::Broker(_) => "info",
            Self::Registry(command) if command.serves() => "info",
            _ => "warn",
        }
    }

    pub(crate) fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self {
            Self::Run(args) => block_on(args.execute(context)),
            Self::Validate(args) => block_on(args.execute(context)),
            Self::Topic(command) => block_on(command.execute(context)),
            Self::Group(command) => block_on(command.execute(context)),
            Self::Config(command) => block_on(command.execute(context)),
            Self::Transaction(command) => block_on(command.execute(context)),
            Self::Offsets(command) => block_on(command.execute(context)),
            Self::Dlq(command) => block_on(command.execute(context)),
            Self::Broker(command) => block_on(command.execute(context)),
            Self::Registry(command) => block_on(command.execute(context)),
            Self::Verify(args) => block_on(args.execute(context)),
            Self::Schema(args) => args.execute(context),
            Self::Version(args) => args.execute(context),
            Self::Completion(args) => args.execute(context),
        }
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads that do the work")?
        .block_on(command)
}
