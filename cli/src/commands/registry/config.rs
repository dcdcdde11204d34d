use anyhow::bail;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    Context,
    commands::topic::key_value,
    exit::Exit,
    output::Row,
    schemas::{
        at::RegistryAt,
        client::{Client, part},
    },
};

/// Show or change how a subject or the whole registry is configured
///
/// Without a subject, the whole registry. Keys: compatibility, compatibilityGroup, compatibilityPolicy, normalize,
/// validateFields, validateNewSchemas, alias, and mode.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream registry config
  millstream registry config orders-value --set compatibility=FULL_TRANSITIVE
  millstream registry config orders-value --unset compatibility
  millstream registry config --set mode=READONLY")]
pub(crate) struct Args {
    /// The subject
    subject: Option<String>,
    /// Set a key; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Set a key back to what holds for all; may be given several times
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    #[command(flatten)]
    at: RegistryAt,
}

const MODE: &str = "mode";
const KEYS: &[&str] = &[
    "compatibility",
    "compatibilityGroup",
    "compatibilityPolicy",
    "normalize",
    "validateFields",
    "validateNewSchemas",
    "alias",
];

#[derive(Serialize)]
struct Setting {
    key: String,
    value: Value,
}

impl Row for Setting {
    const TITLES: &'static [&'static str] = &["KEY", "VALUE"];

    fn cells(&self) -> Vec<String> {
        let value = match &self.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        vec![self.key.clone(), value]
    }
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let changes = self.changes()?;
        let asked = self.at.open(context).await?;
        let settings = self
            .change(asked.client(), &changes)
            .and_then(|()| self.settings(asked.client()));
        asked.close().await;
        context.output.list(&settings?)?;
        Ok(Exit::Ok)
    }

    fn path(&self, what: &str) -> String {
        match &self.subject {
            Some(subject) => format!("/{what}/{}", part(subject)),
            None => format!("/{what}"),
        }
    }

    /// The new values; `null` takes one away.
    fn changes(&self) -> anyhow::Result<Map<String, Value>> {
        let mut changes = Map::new();
        for (key, value) in &self.set {
            let value = match value.as_str() {
                "true" => json!(true),
                "false" => json!(false),
                text => json!(text),
            };
            changes.insert(key.clone(), value);
        }
        for key in &self.unset {
            changes.insert(key.clone(), Value::Null);
        }
        if let Some(unknown) = changes
            .keys()
            .find(|key| *key != MODE && !KEYS.contains(&key.as_str()))
        {
            bail!(
                "a registry has no setting '{unknown}': there are mode, {}",
                KEYS.join(", ")
            );
        }
        Ok(changes)
    }

    fn change(&self, client: &Client, changes: &Map<String, Value>) -> anyhow::Result<()> {
        let mut config = changes.clone();
        let mode = config.remove(MODE);
        let closes = mode
            .as_ref()
            .and_then(Value::as_str)
            .is_some_and(|mode| mode.starts_with("READONLY"));
        if !closes {
            self.set_mode(client, mode.as_ref())?;
        }
        if !config.is_empty() {
            client.call("PUT", &self.path("config"), Some(&config.into()))?;
        }
        if closes {
            self.set_mode(client, mode.as_ref())?;
        }
        Ok(())
    }

    fn set_mode(&self, client: &Client, mode: Option<&Value>) -> anyhow::Result<()> {
        match mode {
            None => return Ok(()),
            Some(Value::Null) => client.call("DELETE", &self.path(MODE), None)?,
            Some(mode) => client.call("PUT", &self.path(MODE), Some(&json!({ "mode": mode })))?,
        };
        Ok(())
    }

    /// What holds, whoever has said it.
    fn settings(&self, client: &Client) -> anyhow::Result<Vec<Setting>> {
        let config = client.get(&format!("{}?defaultToGlobal=true", self.path("config")))?;
        let mode = client.get(&format!("{}?defaultToGlobal=true", self.path(MODE)))?;
        let mut settings = Vec::new();
        for (key, value) in config.as_object().into_iter().chain(mode.as_object()).flatten() {
            let key = if key == "compatibilityLevel" {
                "compatibility"
            } else {
                key
            };
            settings.push(Setting {
                key: key.to_owned(),
                value: value.clone(),
            });
        }
        Ok(settings)
    }
}
