mod alter;
mod consume;
mod create;
mod delete;
mod delete_records;
mod describe;
mod list;
mod produce;

use clap::Subcommand;
pub(super) use create::key_value;

use crate::{Context, exit::Exit};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    List(list::Args),
    Describe(describe::Args),
    Create(create::Args),
    Alter(alter::Args),
    Delete(delete::Args),
    DeleteRecords(delete_records::Args),
    Produce(produce::Args),
    Consume(consume::Args),
}

impl Command {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self {
            Self::List(args) => args.execute(context).await,
            Self::Describe(args) => args.execute(context).await,
            Self::Create(args) => args.execute(context).await,
            Self::Alter(args) => args.execute(context).await,
            Self::DeleteRecords(args) => args.execute(context).await,
            Self::Delete(args) => args.execute(context).await,
            Self::Produce(args) => args.execute(context).await,
            Self::Consume(args) => args.execute(context).await,
        }
    }
}
