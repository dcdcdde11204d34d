use super::Whose;
use crate::{
    Context,
    commands::topic::key_value,
    exit::Exit,
    remote::admin::{self, Change},
    store::Target,
};

/// Set keys of the configuration of a topic or of the broker
///
/// All of them or, if the broker refuses one, none.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream config set --topic orders retention.ms=86400000
  millstream config set --broker message.max.bytes=2097152")]
pub(crate) struct Set {
    #[command(flatten)]
    whose: Whose,
    /// The keys and their values
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,
    #[command(flatten)]
    target: Target,
}

/// Set keys of a configuration back to what they are by default
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream config unset --topic orders retention.ms retention.bytes")]
pub(crate) struct Unset {
    #[command(flatten)]
    whose: Whose,
    /// The keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    #[command(flatten)]
    target: Target,
}

impl Set {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let changes = self.settings.into_iter();
        let changes = changes.map(|(key, value)| Change::Set(key, value)).collect();
        change(&self.whose, changes, &self.target, context).await
    }
}

impl Unset {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let changes = self.keys.into_iter().map(Change::Unset).collect();
        change(&self.whose, changes, &self.target, context).await
    }
}

async fn change(
    whose: &Whose,
    changes: Vec<Change>,
    target: &Target,
    context: &mut Context,
) -> anyhow::Result<Exit> {
    let mut store = target.open(context).await?;
    let client = store.client().await?;
    let entity = whose.entity(&client).await?;
    admin::alter_configs(&client, &entity, &changes).await?;
    store.close().await;
    context
        .talk
        .say(format_args!("changed {} keys of {entity}", changes.len()));
    Ok(Exit::Ok)
}
