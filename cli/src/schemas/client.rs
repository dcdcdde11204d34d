use std::{fmt, time::Duration};

use anyhow::{Context as _, anyhow};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use ureq::{Agent, http};

/// Longer than a registry takes to write, with all repetitions.
const TIMEOUT: Duration = Duration::from_secs(60);
const MEDIA: &str = "application/vnd.schemaregistry.v1+json";

/// A registry over HTTP: ours, Confluent's or one that speaks as it.
pub(crate) struct Client {
    base: String,
    agent: Agent,
}

/// What a registry says when it does not do what it was asked.
#[derive(Debug, Deserialize)]
pub(crate) struct Refused {
    pub(crate) error_code: u32,
    pub(crate) message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.error_code)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Whether what was asked for is not there.
    pub(crate) fn is_missing(&self) -> bool {
        self.error_code / 100 == 404
    }
}

/// A part of a path, whatever is in it.
pub(crate) fn part(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let base = if base.contains("://") {
            base.to_owned()
        } else {
            format!("http://{base}")
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build()
            .new_agent();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            agent,
        }
    }

    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call("GET", path, None)
    }

    /// What is there, or nothing.
    pub(crate) fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.get(path) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.downcast_ref().is_some_and(Refused::is_missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The answer; a [`Refused`] is an error that can be found again.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("accept", MEDIA)
            .header("content-type", MEDIA)
            .body(body.map(Value::to_string).unwrap_or_default())
            .with_context(|| format!("'{}' is no address of a registry", self.base))?;
        let request = self
            .agent
            .configure_request(request)
            .allow_non_standard_methods(true)
            .build();
        let answer = tokio::task::block_in_place(|| {
            let mut response = ureq::run(request)?;
            let text = response.body_mut().read_to_string()?;
            Ok::<_, ureq::Error>((response.status(), text))
        });
        let (status, text) = answer.with_context(|| {
            format!(
                "no schema registry answers at {}: is one running there? `millstream broker serve` has one, --registry names another",
                self.base
            )
        })?;
        if status.is_success() {
            let text = if text.is_empty() { "null" } else { &text };
            return serde_json::from_str(text)
                .with_context(|| format!("what answers at {} is no schema registry", self.base));
        }
        match serde_json::from_str::<Refused>(&text) {
            Ok(refused) => Err(refused.into()),
            Err(_) => Err(anyhow!("{} answers with status {status}", self.base)),
        }
    }
}
