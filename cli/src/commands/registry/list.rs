use serde::{Deserialize, Serialize};

use crate::{
    Context,
    exit::Exit,
    output::{Row, grouped},
    schemas::{
        at::RegistryAt,
        client::{Client, part},
    },
};

/// What a registry answers at once.
const PAGE: usize = 1000;

/// List subjects with their latest versions
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream registry list
  millstream registry list orders --deleted
  millstream registry list -o json | jq -r '.[].subject'")]
pub(crate) struct Args {
    /// Only subjects that begin with this
    #[arg(value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// Also what is deleted, but not for good
    #[arg(long)]
    deleted: bool,
    #[command(flatten)]
    at: RegistryAt,
}

#[derive(Deserialize, Serialize)]
struct Subject {
    subject: String,
    version: i32,
    id: i32,
    #[serde(rename = "schemaType", default = "avro")]
    schema_type: String,
    #[serde(default)]
    deleted: bool,
}

fn avro() -> String {
    "AVRO".to_owned()
}

impl Row for Subject {
    const TITLES: &'static [&'static str] = &["SUBJECT", "#VERSION", "#ID", "TYPE", "STATE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.subject.clone(),
            grouped(self.version),
            self.id.to_string(),
            self.schema_type.clone(),
            if self.deleted { "deleted" } else { "" }.to_owned(),
        ]
    }
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let asked = self.at.open(context).await?;
        let subjects = self.subjects(asked.client());
        asked.close().await;
        context.output.list(&subjects?)?;
        Ok(Exit::Ok)
    }

    fn subjects(&self, client: &Client) -> anyhow::Result<Vec<Subject>> {
        let mut subjects = Vec::new();
        loop {
            let path = format!(
                "/schemas?subjectPrefix={}&latestOnly=true&deleted={}&offset={}&limit={PAGE}",
                part(&self.prefix),
                self.deleted,
                subjects.len()
            );
            let page: Vec<Subject> = serde_json::from_value(client.get(&path)?)?;
            let is_last = page.len() < PAGE;
            subjects.extend(page);
            if is_last {
                return Ok(subjects);
            }
        }
    }
}
