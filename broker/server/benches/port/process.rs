//! The broker as a process of its own, and what the kernel says of processes.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use millstream_broker_server::{Broker, BrokerConfig, ListenerConfig, serve};
use millstream_types::SystemClock;
use tokio_util::sync::CancellationToken;

const CHILD: &str = "BENCH_PORT_DIR";
/// The kernel's unit of CPU time.
const TICK: Duration = Duration::from_millis(10);

/// Serves until the process is killed, if this process is to be the broker.
pub(crate) fn serve_if_asked() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let broker = Broker::open(BrokerConfig::in_dir(dir), Arc::new(SystemClock))
            .await
            .expect("an empty directory");
        let config = ListenerConfig {
            listen: "127.0.0.1:0".into(),
            ..ListenerConfig::default()
        };
        let handle = serve(broker, config, CancellationToken::new())
            .await
            .expect("a free port");
        println!("{}", handle.local_addr());
        std::future::pending::<()>().await;
    });
}

pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(dir: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this file"))
            .env(CHILD, dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut address = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut address)
            .expect("its address");
        Self {
            process,
            address: address.trim().into(),
        }
    }

    /// Until it has nothing left to do.
    pub(crate) fn settle(&self) {
        let mut before = None;
        while before != Some(self.cpu()) {
            before = Some(self.cpu());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    pub(crate) fn cpu(&self) -> Duration {
        cpu(&self.process.id().to_string())
    }

    pub(crate) fn rss_bytes(&self) -> usize {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.process.id())).expect("alive");
        let pages: usize = statm
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .expect("a number");
        pages * 4096
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("a process of ours");
        self.process.wait().expect("a process of ours");
    }
}

pub(crate) fn own_cpu() -> Duration {
    cpu("self")
}

fn cpu(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("alive");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.map(|field| field.parse::<u32>().expect("a number")).sum();
    TICK * ticks
}
