mod abort;
mod describe;
mod list;

use clap::Subcommand;

use crate::{Context, exit::Exit};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    List(list::Args),
    Describe(describe::Args),
    Abort(abort::Args),
}

impl Command {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self {
            Self::List(args) => args.execute(context).await,
            Self::Describe(args) => args.execute(context).await,
            Self::Abort(args) => args.execute(context).await,
        }
    }
}
