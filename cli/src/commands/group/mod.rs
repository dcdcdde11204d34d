mod delete;
mod describe;
mod list;
mod reset;
mod status;

use clap::Subcommand;

use crate::{Context, exit::Exit};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    List(list::Args),
    Describe(describe::Args),
    Status(status::Args),
    Reset(reset::Args),
    Delete(delete::Args),
}

impl Command {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self {
            Self::List(args) => args.execute(context).await,
            Self::Describe(args) => args.execute(context).await,
            Self::Status(args) => args.execute(context).await,
            Self::Reset(args) => args.execute(context).await,
            Self::Delete(args) => args.execute(context).await,
        }
    }
}
