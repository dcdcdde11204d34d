use clap::CommandFactory;
use clap_complete::Shell;

use crate::{Context, args::Cli, exit::Exit};

/// Print the completion script of a shell
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream completion bash > ~/.local/share/bash-completion/completions/millstream
  millstream completion zsh  > ~/.zfunc/_millstream
  millstream completion fish > ~/.config/fish/completions/millstream.fish")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    pub(crate) fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "millstream", &mut script);
        context.output.raw(&script)?;
        Ok(Exit::Ok)
    }
}
