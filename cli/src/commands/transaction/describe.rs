use millstream_types::Timestamp;

use crate::{Context, exit::Exit, record, remote::admin, store::Target};

/// Show what a transactional id is at
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream transaction describe orders-copier")]
pub(crate) struct Args {
    /// The transactional id; `millstream transaction list` lists them
    transactional_id: String,
    #[command(flatten)]
    target: Target,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let mut store = self.target.open(context).await?;
        let client = store.client().await?;
        let found = admin::describe_transaction(&client, &self.transactional_id).await?;
        store.close().await;
        let output = &mut context.output;
        if output.is_json() {
            output.json(&found)?;
            return Ok(Exit::Ok);
        }
        let id = &found.transactional_id;
        output.line(format_args!("{id}: {}", found.state))?;
        output.line(format_args!(
            "producer {} at epoch {}, timeout {} ms",
            found.producer_id, found.producer_epoch, found.timeout_ms
        ))?;
        if let Some(started) = found.started_at_ms {
            output.line(format_args!("open since {}", record::instant(Timestamp(started))))?;
        }
        for (topic, partitions) in &found.partitions {
            output.line(format_args!("in {topic} {partitions:?}"))?;
        }
        Ok(Exit::Ok)
    }
}
