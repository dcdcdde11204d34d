use crate::{
    Context,
    exit::Exit,
    output::Row,
    remote::admin::{self, Listed},
    store::Target,
};

/// List the consumer groups
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream group list
  millstream group list --bootstrap kafka:9092 -o json | jq -r '.[] | select(.state == \"Empty\") | .group'")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Only groups in this state: Stable, Empty, PreparingRebalance, CompletingRebalance, Assigning, Reconciling
    #[arg(long)]
    state: Option<String>,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let mut store = self.target.open(context).await?;
        let client = store.client().await?;
        let mut groups = admin::list_groups(&client).await?;
        let wanted = |listed: &Listed| {
            let state = self.state.as_deref();
            state.is_none_or(|state| listed.state.eq_ignore_ascii_case(state))
        };
        groups.retain(wanted);
        context.output.list(&groups)?;
        store.close().await;
        Ok(Exit::Ok)
    }
}

impl Row for Listed {
    const TITLES: &'static [&'static str] = &["GROUP", "TYPE", "PROTOCOL", "STATE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.group.clone(),
            self.kind.clone(),
            self.protocol.clone(),
            self.state.clone(),
        ]
    }
}
