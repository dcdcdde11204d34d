use std::path::PathBuf;

use anyhow::Context as _;
use millstream_schema_registry_avro::{
    Strictness,
    compat::{Level, Policy},
};
use serde_json::json;

use super::{Reference, reference};
use crate::{
    Context,
    exit::Exit,
    schemas::{
        at::RegistryAt,
        client::{Client, part},
        local::{self, Earlier, Violation},
    },
};

/// Check whether a schema may follow the versions of a subject
///
/// Compares by the rules of the registry and registers nothing: against the versions of a subject, or without a registry
/// against those in a folder, in the order of the numbers in their names. Prints all that speaks against it, with a JSON
/// pointer into the schema of the reader. Exit code 1 means that it may not follow.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream registry check orders.avsc --subject orders-value
  millstream registry check orders.avsc --versions schemas/orders/ --level FULL_TRANSITIVE
  millstream registry check orders.avsc --subject orders-value -o json | jq -r '.violations[].path'")]
pub(crate) struct Args {
    /// The schema
    #[arg(value_name = "SCHEMA.avsc")]
    file: PathBuf,
    /// The subject
    #[arg(long, required_unless_present = "versions")]
    subject: Option<String>,
    /// A folder with earlier versions (.avsc): no registry is asked
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["subject", "reference"])]
    versions: Option<PathBuf>,
    /// The compatibility level [default: that of the subject, or BACKWARD with --versions]
    #[arg(long)]
    level: Option<Level>,
    /// A logical type must keep its meaning too: its unit, its scale
    #[arg(long)]
    strict: bool,
    /// A schema that it refers to; may be given several times
    #[arg(long, value_name = "NAME=SUBJECT:VERSION", value_parser = reference)]
    reference: Vec<Reference>,
    #[command(flatten)]
    at: RegistryAt,
}

/// What a schema is compared with, and how.
struct Case {
    earlier: Vec<Earlier>,
    level: Level,
    policy: Policy,
    references: Vec<String>,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let text = local::read(&self.file)?;
        let case = match &self.versions {
            Some(folder) => Case {
                earlier: local::versions_in(folder)?,
                level: self.level.unwrap_or(Level::Backward),
                policy: self.policy(),
                references: Vec::new(),
            },
            None => {
                let asked = self.at.open(context).await?;
                let case = self.registered(asked.client());
                asked.close().await;
                case?
            }
        };
        let references: Vec<_> = case.references.iter().map(String::as_str).collect();
        let name = self.file.display().to_string();
        let new = local::parse(&name, &text, &references, Strictness::New)?;
        let violations = local::compare(&new, &case.earlier, case.level, case.policy);
        self.show(context, &case, violations)
    }

    fn policy(&self) -> Policy {
        if self.strict {
            Policy::LogicalStrict
        } else {
            Policy::Java
        }
    }

    /// The versions of the subject, with all that they refer to spelled out.
    fn registered(&self, client: &Client) -> anyhow::Result<Case> {
        let subject = part(self.subject.as_deref().unwrap_or_default()).to_string();
        let config = client.get(&format!("/config/{subject}?defaultToGlobal=true"))?;
        let level = match (self.level, config["compatibilityLevel"].as_str()) {
            (Some(level), _) => level,
            (None, Some(name)) => name.parse()?,
            (None, None) => Level::Backward,
        };
        let strict = config["compatibilityPolicy"]
            .as_str()
            .is_some_and(|policy| policy.starts_with("LOGICAL"));
        let numbers = client.find(&format!("/subjects/{subject}/versions"))?;
        let numbers: Vec<i32> = serde_json::from_value(numbers.unwrap_or_else(|| json!([])))?;
        let looked_at = if level.is_transitive() { numbers.len() } else { 1 };
        let numbers = &numbers[numbers.len().saturating_sub(looked_at)..];
        let text = |subject: &str, version: &str| -> anyhow::Result<String> {
            let path = format!("/subjects/{subject}/versions/{version}?format=resolved");
            let answer = client.get(&path)?;
            let text = answer["schema"]
                .as_str()
                .context("the registry answers without a schema")?;
            Ok(text.to_owned())
        };
        let earlier = numbers.iter().map(|number| {
            let name = number.to_string();
            let schema = local::parse(&name, &text(&subject, &name)?, &[], Strictness::Stored)?;
            Ok(Earlier { name, schema })
        });
        let references = self.reference.iter().map(|reference| {
            let subject = part(&reference.subject).to_string();
            text(&subject, &reference.version.to_string())
        });
        Ok(Case {
            earlier: earlier.collect::<anyhow::Result<_>>()?,
            level,
            policy: if strict {
                Policy::LogicalStrict
            } else {
                self.policy()
            },
            references: references.collect::<anyhow::Result<_>>()?,
        })
    }

    fn show(&self, context: &mut Context, case: &Case, violations: Vec<Violation>) -> anyhow::Result<Exit> {
        let compatible = violations.is_empty();
        let output = &mut context.output;
        if output.is_json() {
            output.json(&json!({
                "compatible": compatible,
                "level": case.level.as_str(),
                "compared": case.earlier.iter().map(|earlier| &earlier.name).collect::<Vec<_>>(),
                "violations": violations,
            }))?;
        } else if compatible {
            let versions = case.earlier.len();
            output.line(format_args!(
                "compatible: {} with {versions} versions",
                case.level
            ))?;
        } else {
            output.table(&violations)?;
        }
        if compatible {
            return Ok(Exit::Ok);
        }
        context.talk.say(format_args!(
            "'{}' may not follow: {} findings at level {}",
            self.file.display(),
            violations.len(),
            case.level
        ));
        Ok(Exit::Failed)
    }
}
