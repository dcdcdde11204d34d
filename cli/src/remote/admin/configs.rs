use std::collections::BTreeMap;

use millstream_client::LogError;
use millstream_protocol::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    describe_configs_request::DescribeConfigsResource,
    describe_configs_response::DescribeConfigsResourceResult,
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
};
use millstream_types::TopicName;
use serde::Serialize;

use super::{super::text, Client, missing, refused};

mod version {
    pub(super) const DESCRIBE_CONFIGS: i16 = 4;
    pub(super) const INCREMENTAL_ALTER_CONFIGS: i16 = 1;
}

/// What has a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entity {
    Topic(TopicName),
    Broker(i32),
}

/// One key of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Setting {
    pub(crate) key: String,
    /// `None`: it is not set, or it is a secret.
    pub(crate) value: Option<String>,
    pub(crate) source: Source,
    pub(crate) read_only: bool,
    pub(crate) sensitive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) documentation: Option<String>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    Topic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
    /// A kind that came after this program.
    Other,
}

/// What becomes of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Set(String, String),
    /// Back to what it would be by default.
    Unset(String),
}

impl Entity {
    fn wire(&self) -> (i8, String) {
        match self {
            Self::Topic(topic) => (2, topic.to_string()),
            Self::Broker(id) => (4, id.to_string()),
        }
    }
}

impl std::fmt::Display for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topic(topic) => write!(f, "topic '{topic}'"),
            Self::Broker(id) => write!(f, "broker {id}"),
        }
    }
}

impl Source {
    /// The numbers of `DescribeConfigs` since version 1.
    fn from_wire(source: i8) -> Self {
        match source {
            1 => Self::Topic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            _ => Self::Other,
        }
    }

    /// Whether somebody has set it on that entity.
    pub(crate) fn is_set(self) -> bool {
        self != Self::Default
    }
}

impl From<DescribeConfigsResourceResult> for Setting {
    fn from(config: DescribeConfigsResourceResult) -> Self {
        Self {
            key: config.name.to_string(),
            value: config.value.map(|value| value.to_string()),
            source: Source::from_wire(config.config_source),
            read_only: config.read_only,
            sensitive: config.is_sensitive,
            documentation: config.documentation.map(|words| words.to_string()),
        }
    }
}

/// All keys, or those that are named; in their order by name.
pub(crate) async fn describe_configs(
    client: &Client,
    entity: &Entity,
    keys: Option<&[String]>,
) -> Result<Vec<Setting>, LogError> {
    let (kind, name) = entity.wire();
    let keys = keys.map(|keys| keys.iter().map(|key| text(key)).collect());
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(&name))
        .with_configuration_keys(keys);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let address = address_of(client, entity).await?;
    let answer = client.call(&address, &request, version::DESCRIBE_CONFIGS).await?;
    let result = answer.results.into_iter().next().ok_or_else(missing)?;
    refused(result.error_code, result.error_message.as_ref(), || {
        format!("the configuration of {entity} is not told")
    })?;
    let mut settings: Vec<Setting> = result.configs.into_iter().map(Setting::from).collect();
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(settings)
}

/// What was set on a topic itself; nothing where the broker does not tell.
pub(crate) async fn set_configs_of(
    client: &Client,
    topic: &TopicName,
) -> Result<BTreeMap<String, String>, LogError> {
    let settings = match describe_configs(client, &Entity::Topic(topic.clone()), None).await {
        Ok(settings) => settings,
        Err(LogError::Refused { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    let own = settings
        .into_iter()
        .filter(|setting| setting.source == Source::Topic);
    Ok(own
        .filter_map(|setting| Some((setting.key, setting.value?)))
        .collect())
}

pub(crate) async fn alter_configs(
    client: &Client,
    entity: &Entity,
    changes: &[Change],
) -> Result<(), LogError> {
    let configs = changes.iter().map(|change| match change {
        Change::Set(key, value) => AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(0)
            .with_value(Some(text(value))),
        Change::Unset(key) => AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(1)
            .with_value(None),
    });
    let (kind, name) = entity.wire();
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(&name))
        .with_configs(configs.collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let address = address_of(client, entity).await?;
    let answer = client
        .call(&address, &request, version::INCREMENTAL_ALTER_CONFIGS)
        .await?;
    let result = answer.responses.first().ok_or_else(missing)?;
    refused(result.error_code, result.error_message.as_ref(), || {
        format!("the configuration of {entity} stays as it is")
    })
}

/// A broker is asked about itself; about topics, any is.
async fn address_of(client: &Client, entity: &Entity) -> Result<String, LogError> {
    let brokers = client.brokers().await?;
    let wanted = |id: i32| match entity {
        Entity::Topic(_) => true,
        Entity::Broker(broker) => id == *broker,
    };
    let found = brokers.into_iter().find(|(id, _)| wanted(*id));
    found
        .map(|(_, address)| address)
        .ok_or_else(|| LogError::Refused {
            message: format!("there is no {entity} in this cluster"),
        })
}
