use crate::{Context, exit::Exit, remote::admin, store::Target};

/// Delete consumer groups with their committed offsets
///
/// A group that still has members is refused.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream group delete audit
  millstream group delete old.1 old.2 --bootstrap kafka:9092")]
pub(crate) struct Args {
    /// The groups
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    target: Target,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let mut store = self.target.open(context).await?;
        let client = store.client().await?;
        for group in &self.groups {
            admin::delete_group(&client, group).await?;
            context.talk.say(format_args!("deleted group {group}"));
        }
        store.close().await;
        Ok(Exit::Ok)
    }
}
