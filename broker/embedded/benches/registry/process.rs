//! The registry as a process of its own: this very program, started with a directory.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use millstream_broker_embedded::EmbeddedLog;
use millstream_broker_server::{Broker, BrokerConfig};
use millstream_schema_registry_server::{Creation, Registry, RegistrySettings, serve};
use millstream_types::SystemClock;

const SERVE: &str = "REGISTRY_BENCH_DIR";
/// Of `/proc/<pid>/stat`.
const TICK: Duration = Duration::from_millis(10);

/// A registry on the log in a directory.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
    /// From opening the log that is replayed to serving.
    pub(crate) replay: Duration,
}

/// Serves until the other end of stdin is gone.
pub(crate) fn serve_if_asked() {
    let Some(dir) = std::env::var_os(SERVE) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads");
    runtime.block_on(async {
        let log = open(Path::new(&dir)).await;
        let began = Instant::now();
        let settings = RegistrySettings {
            creation: Creation::WhenNeeded,
            ..RegistrySettings::new(Arc::new(SystemClock))
        };
        let registry = Registry::open(Arc::new(log), settings)
            .await
            .expect("the registry opens");
        let took = began.elapsed();
        let port = serve(registry, "127.0.0.1:0").await.expect("a free port");
        println!("{} {}", port.local_addr(), took.as_micros());
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
            .await
            .ok();
        std::process::exit(0);
    });
}

pub(crate) async fn open(dir: &Path) -> EmbeddedLog {
    let broker = Broker::open(BrokerConfig::in_dir(dir), Arc::new(SystemClock)).await;
    EmbeddedLog::new(broker.expect("the broker opens"))
}

impl Server {
    pub(crate) fn start(dir: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .env(SERVE, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says where it is");
        let (address, took) = line.trim().split_once(' ').expect("two words");
        Self {
            process,
            address: address.to_owned(),
            replay: Duration::from_micros(took.parse().expect("a number")),
        }
    }

    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.process.id())
    }

    /// What it holds now, and the most that it ever held.
    pub(crate) fn rss_mb(&self) -> (usize, usize) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("alive");
        let kb = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .expect("it is there");
            line.trim()
                .trim_end_matches(" kB")
                .parse::<usize>()
                .expect("a number")
        };
        (kb("VmRSS:") >> 10, kb("VmHWM:") >> 10)
    }
}

/// The time that all threads of a process have had.
pub(crate) fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("alive");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
    let ticks = fields.split_whitespace().skip(11).take(2);
    TICK * ticks.map(|field| field.parse::<u32>().expect("a number")).sum()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("a process of ours");
        self.process.wait().expect("a process of ours");
    }
}
