//! What the clients talk to: the binary with a data directory of its own, or an Apache Kafka that runs already.

use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::Context;
use millstream_tests_kit::{Process, TempDir, free_port};

const START_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) enum Broker {
    Ours {
        process: Process,
        port: u16,
        _data: TempDir,
    },
    Kafka {
        bootstrap: String,
    },
}

impl Broker {
    pub(crate) fn find_or_start() -> anyhow::Result<Self> {
        if let Ok(bootstrap) = std::env::var("MILLSTREAM_COMPAT_KAFKA") {
            return Ok(Self::Kafka { bootstrap });
        }
        let data = TempDir::new()?;
        let port = free_port()?;
        let mut command = Command::new(binary()?);
        command
            .args(["broker", "serve", "--listen", &format!("127.0.0.1:{port}")])
            .arg("--data-dir")
            .arg(data.path());
        let mut process = Process::spawn(command)?;
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = process.wait(Duration::from_millis(20))?;
            anyhow::ensure!(
                ended.is_none() && started.elapsed() < START_TIMEOUT,
                "the broker does not answer on port {port}: {ended:?}\n{}",
                process.stderr()
            );
        }
        Ok(Self::Ours {
            process,
            port,
            _data: data,
        })
    }

    pub(crate) fn bootstrap(&self) -> String {
        match self {
            Self::Ours { port, .. } => format!("127.0.0.1:{port}"),
            Self::Kafka { bootstrap } => bootstrap.clone(),
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Ours { .. })
    }

    /// The end of what it said.
    pub(crate) fn stderr(&self) -> String {
        match self {
            Self::Ours { process, .. } => process.stderr(),
            Self::Kafka { bootstrap } => format!("Apache Kafka at {bootstrap}"),
        }
    }
}

/// The binary of this profile; built if it is out of date.
fn binary() -> anyhow::Result<&'static Path> {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    if let Some(built) = BINARY.get() {
        return Ok(built);
    }
    // Tests that come here at the same time wait for each other in cargo.
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "millstream"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .status()
        .context("cargo")?;
    anyhow::ensure!(status.success(), "the binary does not build");
    let test = std::env::current_exe()?;
    let folder = test
        .parent()
        .and_then(Path::parent)
        .context("a test lies in <target>/<profile>/deps")?;
    Ok(BINARY.get_or_init(|| folder.join("millstream")))
}
