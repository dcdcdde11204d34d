use std::path::PathBuf;

use anyhow::{Context as _, bail};
use millstream_schema_registry_avro::{Schema, Strictness, compat::check};
use serde_json::json;

use crate::{
    Context,
    exit::Exit,
    schemas::{
        at::RegistryAt,
        client::{Client, part},
        diff::changes,
        local,
    },
};

/// Show what has changed between two versions of a schema
///
/// The last two versions of a subject, two that are named, or the last one and a file. Says also which of the two reads the
/// data of the other.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream registry diff orders-value
  millstream registry diff orders-value 1 3
  millstream registry diff orders-value --file orders.avsc")]
pub(crate) struct Args {
    /// The subject
    subject: String,
    /// The old version [default: the one before the new]
    old: Option<i32>,
    /// The new version [default: the latest]
    #[arg(conflicts_with = "file")]
    new: Option<i32>,
    /// A schema instead of the new version
    #[arg(long, value_name = "SCHEMA.avsc")]
    file: Option<PathBuf>,
    #[command(flatten)]
    at: RegistryAt,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let asked = self.at.open(context).await?;
        let pair = self.pair(asked.client());
        asked.close().await;
        let (old, new) = pair?;
        let changes = changes(&old, &new);
        let (backward, forward) = (check(&new, &old).is_empty(), check(&old, &new).is_empty());
        let output = &mut context.output;
        if output.is_json() {
            output.json(&json!({ "changes": changes, "backward": backward, "forward": forward }))?;
            return Ok(Exit::Ok);
        }
        if changes.is_empty() {
            output.line("no changes")?;
        } else {
            output.table(&changes)?;
        }
        let can = |yes: bool| if yes { "can" } else { "cannot" };
        context.talk.say(format_args!(
            "the new schema {} read data of the old one, the old one {} read data of the new",
            can(backward),
            can(forward)
        ));
        Ok(Exit::Ok)
    }

    fn pair(&self, client: &Client) -> anyhow::Result<(Schema, Schema)> {
        let subject = part(&self.subject).to_string();
        let numbers = client.get(&format!("/subjects/{subject}/versions"))?;
        let numbers: Vec<i32> = serde_json::from_value(numbers)?;
        let newest = *numbers.last().context("the subject has no versions")?;
        let version = |number: i32| {
            let path = format!("/subjects/{subject}/versions/{number}?format=resolved");
            let answer = client.get(&path)?;
            let text = answer["schema"].as_str().unwrap_or_default();
            local::parse(
                &format!("{} version {number}", self.subject),
                text,
                &[],
                Strictness::Stored,
            )
        };
        if let Some(file) = &self.file {
            let new = local::parse(
                &file.display().to_string(),
                &local::read(file)?,
                &[],
                Strictness::New,
            )?;
            return Ok((version(self.old.unwrap_or(newest))?, new));
        }
        let new = self.new.unwrap_or(newest);
        let before = numbers.iter().rev().find(|number| **number < new);
        let Some(old) = self.old.or(before.copied()) else {
            bail!("{} has no version before {new}", self.subject);
        };
        Ok((version(old)?, version(new)?))
    }
}
