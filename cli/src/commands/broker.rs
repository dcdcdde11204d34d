use std::path::PathBuf;

use clap::Subcommand;

use crate::{Context, exit::Exit, host::Host, stop};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Serve(Serve),
}

/// Serve a data directory on a Kafka port until Ctrl-C
///
/// The same broker that `millstream run` embeds, without a pipeline.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream broker serve --data-dir ./data
  millstream broker serve --data-dir ./data --listen 127.0.0.1:0 --log-level info
  kcat -b 127.0.0.1:9092 -L")]
pub(crate) struct Serve {
    /// The data directory; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
    /// The address for Kafka clients; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    listen: String,
}

impl Command {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self {
            Self::Serve(args) => args.execute(context).await,
        }
    }
}

impl Serve {
    async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let stop = stop::on_signal(&context.talk)?;
        let host = Host::open(&self.data_dir, context.clock.clone()).await?;
        let port = host.listen(&self.listen).await?;
        let address = port.address();
        context.talk.say(format_args!(
            "serving '{}' on {address}; Ctrl-C stops",
            self.data_dir.display()
        ));
        stop.cancelled().await;
        port.close().await;
        host.close().await;
        Ok(Exit::Ok)
    }
}
