use std::{fmt::Debug, sync::Arc, time::Duration};

use millstream_client::MemoryLog;
use millstream_schema_registry_server::{Registry, RegistryPort, RegistrySettings, serve};
use millstream_types::{ManualClock, Timestamp};
use serde_json::{Value, json};
use ureq::{Agent, http::Request};

pub(crate) const V1: &str = "application/vnd.schemaregistry.v1+json";
/// Whatever takes longer hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A registry with an open port.
pub(crate) struct Served {
    pub(crate) log: MemoryLog,
    pub(crate) registry: Registry,
    port: RegistryPort,
    agent: Agent,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) media: String,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(crate) fn memory() -> MemoryLog {
    MemoryLog::new(Arc::new(ManualClock::at(Timestamp(1_000))))
}

pub(crate) fn settings() -> RegistrySettings {
    RegistrySettings::new(Arc::new(ManualClock::at(Timestamp(1_000))))
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::on(memory()).await
    }

    pub(crate) async fn on(log: MemoryLog) -> Self {
        let registry = Registry::open(Arc::new(log.clone()), settings()).await.unwrap();
        let port = serve(registry.clone(), "127.0.0.1:0").await.unwrap();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(DEADLINE))
            .build()
            .new_agent();
        Self {
            log,
            registry,
            port,
            agent,
        }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.port.local_addr()
    }

    /// The same log with a new registry on it.
    pub(crate) async fn restart(self) -> Self {
        let log = self.log.clone();
        self.stop().await;
        Self::on(log).await
    }

    pub(crate) async fn stop(self) {
        drop(self.agent);
        self.port.close().await;
        self.registry.close().await;
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.port.local_addr()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let agent = self.agent.clone();
        let reply = tokio::task::spawn_blocking(move || {
            let agent = agent
                .configure_request(request)
                .allow_non_standard_methods(true)
                .build();
            let mut response = ureq::run(agent).unwrap();
            Reply {
                status: response.status().as_u16(),
                media: response
                    .headers()
                    .get("content-type")
                    .map_or(String::new(), |media| media.to_str().unwrap().to_owned()),
                text: response.body_mut().read_to_string().unwrap(),
            }
        });
        reply.await.unwrap()
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let body = body.map_or(Vec::new(), |body| body.to_string().into_bytes());
        let headers = [("Content-Type", V1), ("Accept", V1)];
        self.send(method, path, &headers, body).await
    }

    /// A call that must succeed; its JSON.
    pub(crate) async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let reply = self.call(method, path, body).await;
        assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
        assert_eq!(reply.media, V1, "{method} {path}");
        reply.json()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, None).await
    }

    /// A call that must be refused with that code; the message.
    pub(crate) async fn refused(&self, method: &str, path: &str, body: Option<Value>, code: u32) -> String {
        let reply = self.call(method, path, body).await;
        let json = reply.json();
        assert_eq!(json["error_code"], code, "{method} {path}: {reply:?}");
        let status = if code >= 1000 { code / 100 } else { code };
        assert_eq!(u32::from(reply.status), status, "{method} {path}: {reply:?}");
        json["message"].as_str().unwrap().to_owned()
    }

    /// Registers a schema; its id.
    pub(crate) async fn register(&self, subject: &str, schema: &str) -> i64 {
        let path = format!("/subjects/{subject}/versions");
        let answer = self.ok("POST", &path, Some(json!({ "schema": schema }))).await;
        answer["id"].as_i64().unwrap()
    }
}

/// A record with string fields of these names.
pub(crate) fn record(name: &str, fields: &[&str]) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|f| json!({"name": f, "type": "string"}))
        .collect();
    json!({"type": "record", "name": name, "fields": fields}).to_string()
}

/// Waits for what must come true.
pub(crate) async fn until<T: PartialEq + Debug>(expected: T, mut look: impl AsyncFnMut() -> T) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let seen = look().await;
        if seen == expected {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "still {seen:?}, not {expected:?}"
        );
        tokio::task::yield_now().await;
    }
}
