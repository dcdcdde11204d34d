//! Apache Kafka itself, for commands that talk to one; where its jars are, which `tests/compat/setup.sh` fetches.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use millstream_tests_kit::{Process, TempDir, free_port, skip};

use crate::support::{DEADLINE, comes};

/// One node, with its data in a folder of its own.
pub(crate) struct ApacheKafka {
    dir: TempDir,
    port: u16,
    controller_port: u16,
    process: Option<Process>,
}

impl ApacheKafka {
    /// `None`, said loudly: this machine has none.
    pub(crate) fn prepare() -> Option<Self> {
        // what the Java client is run with has the server in it
        let java = env::var_os("MILLSTREAM_COMPAT").map(|folder| PathBuf::from(folder).join("java"));
        if !java.is_some_and(|java| java.is_file()) {
            skip("the schema registry on Apache Kafka: run ./test.sh where java is, which fetches it");
            return None;
        }
        Some(Self {
            dir: TempDir::new().unwrap(),
            port: free_port().unwrap(),
            controller_port: free_port().unwrap(),
            process: None,
        })
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// With the data that is there.
    pub(crate) async fn start(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/compat/kafka.sh");
        let mut command = Command::new(script);
        command
            .arg("serve")
            .arg(self.dir.path())
            .arg(self.port.to_string())
            .env("KAFKA_CONTROLLER_PORT", self.controller_port.to_string())
            .env("KAFKA_HEAP", "512m");
        let process = Process::spawn(command).unwrap();
        comes("Apache Kafka", async || {
            process.stdout().contains("ready").then_some(())
        })
        .await;
        self.process = Some(process);
    }

    pub(crate) async fn stop(&mut self) {
        let mut process = self.process.take().expect("it was started");
        process.terminate().unwrap();
        let ended = tokio::task::spawn_blocking(move || process.finish(DEADLINE));
        ended.await.unwrap().unwrap();
    }
}
