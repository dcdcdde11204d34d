use serde_json::{Value, json};

use crate::{
    Context,
    exit::Exit,
    schemas::{
        at::RegistryAt,
        client::{Client, Refused, part},
    },
};

/// Delete a subject or one of its versions
///
/// What is deleted cannot be registered against any more, but its id can still be read; --permanent takes that too, and with it
/// the data that was written with it becomes unreadable.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream registry delete orders-value --version 3
  millstream registry delete orders-value --permanent")]
pub(crate) struct Args {
    /// The subject
    subject: String,
    /// Only this version
    #[arg(long, value_name = "VERSION")]
    version: Option<i32>,
    /// For good
    #[arg(long)]
    permanent: bool,
    #[command(flatten)]
    at: RegistryAt,
}

/// Deleted already.
const SOFT_DELETED: [u32; 2] = [40404, 40406];

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let asked = self.at.open(context).await?;
        let deleted = self.delete(asked.client());
        asked.close().await;
        let versions = match deleted? {
            Value::Array(versions) => versions,
            version => vec![version],
        };
        if context.output.is_json() {
            context
                .output
                .json(&json!({ "subject": self.subject, "versions": versions }))?;
        } else {
            let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
            let how = if self.permanent {
                "deleted for good"
            } else {
                "deleted"
            };
            context.talk.say(format_args!(
                "{how}: {} versions {}",
                self.subject,
                versions.join(", ")
            ));
        }
        Ok(Exit::Ok)
    }

    fn delete(&self, client: &Client) -> anyhow::Result<Value> {
        let subject = part(&self.subject);
        let path = match self.version {
            Some(version) => format!("/subjects/{subject}/versions/{version}"),
            None => format!("/subjects/{subject}"),
        };
        let softly = client.call("DELETE", &path, None);
        if !self.permanent {
            return softly;
        }
        match softly {
            Ok(_) => {}
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(refused) if SOFT_DELETED.contains(&refused.error_code) => {}
                _ => return Err(error),
            },
        }
        client.call("DELETE", &format!("{path}?permanent=true"), None)
    }
}
