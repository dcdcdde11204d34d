use super::Whose;
use crate::{
    Context,
    exit::Exit,
    output::Row,
    remote::admin::{self, Setting, Source},
    store::Target,
};

/// Show the configuration of a topic or of the broker
///
/// Without keys, what was set; --all shows the defaults too.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream config get --topic orders
  millstream config get --topic orders retention.ms cleanup.policy
  millstream config get --broker --all -o json | jq -r '.[] | \"\\(.key)=\\(.value)\"'")]
pub(crate) struct Args {
    #[command(flatten)]
    whose: Whose,
    /// Only these keys
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// Also what is as it is by default
    #[arg(long, conflicts_with = "keys")]
    all: bool,
    #[command(flatten)]
    target: Target,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let mut store = self.target.open(context).await?;
        let client = store.client().await?;
        let entity = self.whose.entity(&client).await?;
        let keys = Some(self.keys.as_slice()).filter(|keys| !keys.is_empty());
        let mut settings = admin::describe_configs(&client, &entity, keys).await?;
        store.close().await;
        if let Some(unknown) = self
            .keys
            .iter()
            .find(|key| !settings.iter().any(|s| s.key == **key))
        {
            anyhow::bail!("{entity} has no configuration key '{unknown}'");
        }
        if keys.is_none() && !self.all {
            settings.retain(|setting| setting.source.is_set());
        }
        context.output.list(&settings)?;
        Ok(Exit::Ok)
    }
}

impl Row for Setting {
    const TITLES: &'static [&'static str] = &["KEY", "VALUE", "FROM"];

    fn cells(&self) -> Vec<String> {
        let from = match self.source {
            Source::Topic => "topic",
            Source::DynamicBroker | Source::DynamicDefaultBroker => "broker, set while running",
            Source::StaticBroker => "broker, set at its start",
            Source::Default => "default",
            Source::Other => "",
        };
        let value = match &self.value {
            Some(value) => value.clone(),
            None if self.sensitive => "(secret)".to_owned(),
            None => "-".to_owned(),
        };
        vec![self.key.clone(), value, from.to_owned()]
    }
}
