use crate::{Context, commands::offsets::Reset, exit::Exit, store::Target};

/// Move the committed offsets of a consumer group
///
/// Shows what would change and changes nothing; with --execute it is done. A group whose consumers run is refused: stop
/// them first, else they would commit over it.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream group reset audit --to-earliest
  millstream group reset audit --by-duration 2h --execute
  millstream group reset audit --topic orders --partition 2 --to-offset 1200 --execute

Exit code 3 says that the preview shows changes.")]
#[command(group(clap::ArgGroup::new("to").required(true)))]
pub(crate) struct Args {
    /// The group; `millstream group list` lists them
    group: String,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    reset: Reset,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        self.reset.execute(&self.group, &self.target, context).await
    }
}
