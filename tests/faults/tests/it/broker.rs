//! The broker process.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::OnceLock,
    time::{Duration, Instant},
};

use millstream_protocol::messages::ApiVersionsRequest;
use millstream_tests_kit::{Client, Process, free_port};

use crate::machine::until;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// `millstream broker serve` on a data directory and a port that stay the same when it is started again. Killed if a
/// test fails before.
pub(crate) struct Broker {
    process: Process,
    dir: PathBuf,
    address: SocketAddr,
    setup: Setup,
}

/// How a broker is started, each time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// As `--set` takes them.
    pub(crate) settings: Vec<&'static str>,
    pub(crate) environment: Vec<(&'static str, PathBuf)>,
}

impl Broker {
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_as(Setup::default(), dir)
    }

    pub(crate) fn start_as(setup: Setup, dir: &Path) -> Self {
        Self::started(&[], setup, dir)
    }

    /// Starts it by another program, such as a tracer.
    pub(crate) fn start_under(wrapper: &[&str], dir: &Path) -> Self {
        Self::started(wrapper, Setup::default(), dir)
    }

    fn started(wrapper: &[&str], setup: Setup, dir: &Path) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let mut broker = Self {
            process: spawn(wrapper, &setup, dir, address),
            dir: dir.to_owned(),
            address,
            setup,
        };
        broker.ready();
        broker
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address).unwrap_or_else(|error| panic!("{error}\n{}", self.process.stderr()))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// SIGSTOP; returns when none of its threads gets further than to the end of the system call that it is in.
    pub(crate) fn freeze(&self) {
        self.process.pause().unwrap();
        until("it stands still", READY_WITHIN, || {
            // One that has stopped proves that all are told to; whoever waits for the disk then stops behind that.
            self.threads().contains(&'T') && self.threads().iter().all(|state| ['T', 'D'].contains(state))
        });
    }

    /// The states of its threads.
    fn threads(&self) -> Vec<char> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let state = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
            let (_, behind_name) = stat.rsplit_once(") ").unwrap();
            behind_name.chars().next().unwrap()
        };
        threads.map(state).collect()
    }

    /// Starts it again; answers the time to its first answer.
    pub(crate) fn restart(&mut self) -> Duration {
        let started = Instant::now();
        self.process = spawn(&[], &self.setup, &self.dir, self.address);
        self.ready();
        started.elapsed()
    }

    /// Starts again on files that are not as they were left; answers whether it goes on with them.
    pub(crate) fn try_restart(&mut self) -> bool {
        self.process = spawn(&[], &self.setup, &self.dir, self.address);
        let mut ended = None;
        let (process, address) = (&mut self.process, self.address);
        until("the broker answers or ends", READY_WITHIN, || {
            ended = process.wait(Duration::ZERO).unwrap();
            ended.is_some() || answers(address)
        });
        assert!(ended.is_none_or(|status| !status.success()), "{}", self.said());
        ended.is_none()
    }

    /// SIGTERM; answers how it ended and how long that took.
    pub(crate) fn terminate(&mut self, within: Duration) -> (ExitStatus, Duration) {
        let started = Instant::now();
        self.process.terminate().unwrap();
        let status = self.process.wait(within).unwrap();
        let status = status.unwrap_or_else(|| panic!("still runs {within:?} after SIGTERM\n{}", self.said()));
        (status, started.elapsed())
    }

    /// The end of what it logged.
    pub(crate) fn said(&self) -> String {
        self.process.stderr()
    }

    pub(crate) fn assert_alive(&mut self) {
        let ended = self.process.wait(Duration::ZERO).unwrap();
        assert_eq!(ended, None, "the broker ended\n{}", self.said());
    }

    /// Resident memory.
    pub(crate) fn rss_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes << 10
    }

    /// What it has computed since it was started: whatever else the machine does, that stays the same.
    pub(crate) fn cpu(&self) -> Duration {
        /// `USER_HZ`
        const TICKS_PER_SECOND: u64 = 100;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let (_, behind_name) = stat.rsplit_once(") ").unwrap();
        // utime and stime, the 14th and 15th of all
        let ticks = behind_name.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
    }

    fn ready(&mut self) {
        until("the broker answers", READY_WITHIN, || {
            self.assert_alive();
            answers(self.address)
        });
    }
}

fn answers(address: SocketAddr) -> bool {
    let answer =
        Client::connect(address).and_then(|mut client| client.try_ask(&ApiVersionsRequest::default(), 0));
    answer.is_ok()
}

fn spawn(wrapper: &[&str], setup: &Setup, dir: &Path, address: SocketAddr) -> Process {
    let mut command = match wrapper {
        [] => Command::new(binary()),
        [program, args @ ..] => {
            let mut command = Command::new(program);
            command.args(args).arg(binary());
            command
        }
    };
    command
        .args(["--log-level", "warn", "broker", "serve", "--data-dir"])
        .arg(dir);
    command.args(["--listen", &address.to_string()]);
    for setting in &setup.settings {
        command.args(["--set", setting]);
    }
    command.envs(setup.environment.iter().map(|(name, value)| (name, value)));
    Process::spawn(command).unwrap()
}

/// The binary of this profile; built if it is out of date.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "millstream"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .status();
        assert!(status.unwrap().success(), "the binary builds");
        let test = std::env::current_exe().unwrap();
        // a test lies in <target>/<profile>/deps
        test.parent().and_then(Path::parent).unwrap().join("millstream")
    })
}
