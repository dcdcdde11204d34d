use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    clients::{kcat, python, script, stdout_of},
    millstream::{flights_example, millstream},
};

const DEADLINE: Duration = Duration::from_secs(60);

/// A pipeline that runs until it is stopped; killed if a test fails before.
struct Running {
    child: Child,
    address: SocketAddr,
    _example: tempfile::TempDir,
}

impl Running {
    fn start() -> Self {
        let example = flights_example();
        let address = free_address();
        let child = millstream()
            .arg("run")
            .arg(example.path().join("pipeline.yaml"))
            .args(["--listen", &address.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let running = Self {
            child,
            address,
            _example: example,
        };
        until("the port answers", || TcpStream::connect(address).is_ok());
        running
    }

    /// SIGTERM, as a service manager stops it.
    fn stop(mut self) {
        let kill = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .expect("kill exists");
        assert!(kill.success());
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(
                started.elapsed() < DEADLINE,
                "did not stop within {DEADLINE:?} after SIGTERM"
            );
            std::thread::park_timeout(Duration::from_millis(10));
        };
        assert!(status.success(), "exit after SIGTERM: {status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("a listener has an address")
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// All values of a topic, one line each, read by kcat up to the end.
fn kcat_read(kcat: &std::path::Path, address: SocketAddr, topic: &str) -> Vec<String> {
    let bootstrap = address.to_string();
    let text = stdout_of(Command::new(kcat).args([
        "-b",
        &bootstrap,
        "-C",
        "-t",
        topic,
        "-e",
        "-q",
        "-o",
        "beginning",
    ]));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn kcat_reads_and_writes_while_a_pipeline_runs() {
    let Some(kcat) = kcat() else { return };
    let running = Running::start();
    let bootstrap = running.address.to_string();
    until("all late flights are in the topic", || {
        kcat_read(&kcat, running.address, "delays").len() == 4_918
    });

    for codec in ["none", "gzip", "snappy", "lz4"] {
        let mut writer = Command::new(&kcat)
            .args(["-b", &bootstrap, "-P", "-t", "from-kcat", "-z", codec])
            .stdin(Stdio::piped())
            .spawn()
            .expect("kcat starts");
        let lines: String = (0..100).map(|n| format!("{codec} {n}\n")).collect();
        writer
            .stdin
            .take()
            .expect("stdin is piped")
            .write_all(lines.as_bytes())
            .expect("kcat reads its input");
        assert!(writer.wait().expect("kcat ends").success());
    }
    let read = kcat_read(&kcat, running.address, "from-kcat");
    assert_eq!(read.len(), 400);
    assert!(read.contains(&"snappy 99".to_owned()), "{read:?}");
    running.stop();
}

#[test]
fn librdkafka_reads_and_writes_while_a_pipeline_runs() {
    let Some(python) = python() else { return };
    let running = Running::start();
    let checked =
        stdout_of(script(&python, "librdkafka_check.py").args([&running.address.to_string(), "delays"]));
    assert!(checked.contains("\"written\": 1500"), "{checked}");
    running.stop();
}
