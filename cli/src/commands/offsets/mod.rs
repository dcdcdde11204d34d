mod reset;
mod show;

use clap::Subcommand;
pub(super) use reset::Reset;

use crate::{Context, exit::Exit};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Show(show::Args),
    Reset(reset::Args),
}

impl Command {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self {
            Self::Show(args) => args.execute(context).await,
            Self::Reset(args) => args.execute(context).await,
        }
    }
}
