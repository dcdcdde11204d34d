use crate::{Context, exit::Exit, pipeline_file::catalog};

/// Print the JSON Schema of pipeline files, for editors
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Example:
  millstream schema > pipeline.schema.json

Then begin a pipeline file with
  # yaml-language-server: $schema=./pipeline.schema.json
and the editor completes keys, explains them and marks mistakes.")]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        context
            .output
            .json(&millstream_pipeline::json_schema(&catalog()))?;
        Ok(Exit::Ok)
    }
}
