use std::path::PathBuf;

use serde_json::json;

use super::{Reference, reference};
use crate::{
    Context,
    exit::Exit,
    schemas::{at::RegistryAt, client::part, local},
};

/// Register a schema under a subject
///
/// One that is registered there already stays as it is. One that may not follow the versions before it is refused, with all
/// that speaks against it.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream registry register orders.avsc --subject orders-value
  millstream registry register order.avsc --subject order --reference com.acme.Address=address:1")]
pub(crate) struct Args {
    /// The schema
    #[arg(value_name = "SCHEMA.avsc")]
    file: PathBuf,
    /// The subject
    #[arg(long)]
    subject: String,
    /// A schema that it refers to; may be given several times
    #[arg(long, value_name = "NAME=SUBJECT:VERSION", value_parser = reference)]
    reference: Vec<Reference>,
    /// Sort what has no order before it is registered
    #[arg(long)]
    normalize: bool,
    #[command(flatten)]
    at: RegistryAt,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let text = local::read(&self.file)?;
        let asked = self.at.open(context).await?;
        let references: Vec<_> = self.reference.iter().map(Reference::to_json).collect();
        let body = json!({ "schema": text, "references": references });
        let path = format!(
            "/subjects/{}/versions?normalize={}",
            part(&self.subject),
            self.normalize
        );
        let answer = asked.client().call("POST", &path, Some(&body));
        // Registries that only say the id are asked for the version.
        let answer = answer.and_then(|answer| match answer.get("version") {
            Some(_) => Ok(answer),
            None => {
                let path = format!("/subjects/{}", part(&self.subject));
                asked.client().call("POST", &path, Some(&body))
            }
        });
        asked.close().await;
        let answer = answer?;
        let (version, id) = (&answer["version"], &answer["id"]);
        let output = &mut context.output;
        if output.is_json() {
            output.json(&json!({ "subject": self.subject, "version": version, "id": id }))?;
        } else {
            output.line(format_args!("{} version {version} has id {id}", self.subject))?;
        }
        Ok(Exit::Ok)
    }
}
