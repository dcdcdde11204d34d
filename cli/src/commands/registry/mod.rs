mod check;
mod config;
mod delete;
mod diff;
mod get;
mod list;
mod register;
mod serve;
mod usage;

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::{Context, exit::Exit};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Serve(serve::Args),
    List(list::Args),
    Get(get::Args),
    Register(register::Args),
    Check(check::Args),
    Diff(diff::Args),
    Delete(delete::Args),
    Config(config::Args),
    Usage(usage::Args),
}

impl Command {
    /// Whether it runs until it is stopped.
    pub(crate) fn serves(&self) -> bool {
        matches!(self, Self::Serve(_))
    }

    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self {
            Self::Serve(args) => args.execute(context).await,
            Self::List(args) => args.execute(context).await,
            Self::Get(args) => args.execute(context).await,
            Self::Register(args) => args.execute(context).await,
            Self::Check(args) => args.execute(context).await,
            Self::Diff(args) => args.execute(context).await,
            Self::Delete(args) => args.execute(context).await,
            Self::Config(args) => args.execute(context).await,
            Self::Usage(args) => args.execute(context).await,
        }
    }
}

/// A schema that another one refers to, as `NAME=SUBJECT:VERSION`.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    name: String,
    subject: String,
    version: i32,
}

impl Reference {
    fn to_json(&self) -> Value {
        json!({ "name": self.name, "subject": self.subject, "version": self.version })
    }
}

fn reference(text: &str) -> anyhow::Result<Reference> {
    let parts = text
        .split_once('=')
        .and_then(|(name, target)| Some((name, target.rsplit_once(':')?)));
    let Some((name, (subject, version))) = parts else {
        bail!("write it as NAME=SUBJECT:VERSION");
    };
    Ok(Reference {
        name: name.to_owned(),
        subject: subject.to_owned(),
        version: version.parse()?,
    })
}
