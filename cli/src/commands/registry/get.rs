use serde_json::Value;

use crate::{
    Context,
    exit::Exit,
    schemas::{at::RegistryAt, client::part},
};

/// Print a schema
///
/// The text of the schema; with `-o json`, all that the registry says of it.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream registry get orders-value
  millstream registry get orders-value --version 3 > orders.avsc
  millstream registry get --id 17 -o json")]
pub(crate) struct Args {
    /// The subject
    #[arg(required_unless_present = "id", conflicts_with = "id")]
    subject: Option<String>,
    /// A version of the subject
    #[arg(long, value_name = "VERSION", default_value = "latest")]
    version: String,
    /// The schema of an id, as records on the wire have it
    #[arg(long, value_name = "ID")]
    id: Option<i32>,
    /// With everything that it refers to spelled out
    #[arg(long)]
    resolved: bool,
    #[command(flatten)]
    at: RegistryAt,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let asked = self.at.open(context).await?;
        let format = if self.resolved { "?format=resolved" } else { "" };
        let path = match (&self.subject, self.id) {
            (_, Some(id)) => format!("/schemas/ids/{id}{format}"),
            (subject, None) => format!(
                "/subjects/{}/versions/{}{format}",
                part(subject.as_deref().unwrap_or_default()),
                part(&self.version)
            ),
        };
        let answer = asked.client().get(&path);
        asked.close().await;
        let answer = answer?;
        let output = &mut context.output;
        if output.is_json() {
            output.json(&answer)?;
        } else {
            let text = answer["schema"].as_str().unwrap_or_default();
            // Other types than Avro are no JSON.
            match serde_json::from_str::<Value>(text) {
                Ok(schema) => output.json(&schema)?,
                Err(_) => output.line(text)?,
            }
        }
        Ok(Exit::Ok)
    }
}
