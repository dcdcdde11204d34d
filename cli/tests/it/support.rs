//! A folder of its own with the binary in it, so to speak.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::timeout,
};

/// A command that takes longer hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Workplace {
    dir: TempDir,
}

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workplace {
    /// The sorted lines of all NDJSON files in a folder.
    pub(crate) fn lines_in(&self, dir: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(self.path(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "ndjson") {
                lines.extend(fs::read_to_string(path).unwrap().lines().map(str::to_owned));
            }
        }
        lines.sort();
        lines
    }

    pub(crate) fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs `millstream` in the folder, with the words of `line` as arguments.
    pub(crate) async fn run(&self, line: &str) -> Finished {
        self.run_with(line, "").await
    }

    pub(crate) async fn run_with(&self, line: &str, stdin: &str) -> Finished {
        let mut child = self.start(line);
        let mut pipe = child.stdin.take().unwrap();
        // A command that does not read its stdin may be gone by now.
        let _ = pipe.write_all(stdin.as_bytes()).await;
        drop(pipe);
        finish(child).await
    }

    /// Runs a command that must succeed and answers its stdout.
    pub(crate) async fn ok(&self, line: &str) -> String {
        self.ok_with(line, "").await
    }

    pub(crate) async fn ok_with(&self, line: &str, stdin: &str) -> String {
        let finished = self.run_with(line, stdin).await;
        assert_eq!(finished.code, Some(0), "millstream {line}: {finished:?}");
        finished.stdout
    }

    /// Runs a command that must succeed and answers the JSON value that it prints.
    pub(crate) async fn json(&self, line: &str) -> Value {
        let stdout = self.ok(&format!("{line} -o json")).await;
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("millstream {line}: {error}: {stdout}"))
    }

    /// Runs a command that must succeed and answers the JSON values that it prints, one on each line.
    pub(crate) async fn json_lines(&self, line: &str) -> Vec<Value> {
        let stdout = self.ok(&format!("{line} -o json")).await;
        stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The Kafka address that the process notes which serves that data directory.
    pub(crate) async fn listening(&self, dir: &str) -> String {
        self.noted(dir, "kafka.address").await
    }

    /// The address of the registry in a data directory.
    pub(crate) async fn registry(&self, dir: &str) -> String {
        self.noted(dir, "registry.address").await
    }

    async fn noted(&self, dir: &str, note: &str) -> String {
        let note = self.path(dir).join(note);
        comes(&note.display().to_string(), async || {
            fs::read_to_string(&note)
                .ok()
                .filter(|address| !address.is_empty())
        })
        .await
    }

    /// Starts a registry of its own on a Kafka cluster; answers it and its address, once it answers there.
    pub(crate) async fn registry_beside(&self, kafka: &str) -> (Child, String) {
        let address = format!("127.0.0.1:{}", millstream_tests_kit::free_port().unwrap());
        let child = self.start(&format!("registry serve --bootstrap {kafka} --listen {address}"));
        comes(&address, async || {
            tokio::net::TcpStream::connect(&address).await.ok()
        })
        .await;
        (child, address)
    }

    pub(crate) async fn signal(&self, child: &mut Child, signal: &str) {
        let pid = child.id().unwrap().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    pub(crate) fn start(&self, line: &str) -> Child {
        command(self.dir.path())
            .args(line.split_whitespace())
            .spawn()
            .unwrap()
    }
}

impl Finished {
    pub(crate) fn assert_fails(&self, code: i32, wanted: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for text in wanted {
            assert!(
                self.stderr.contains(text),
                "'{text}' is missing in: {}",
                self.stderr
            );
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

pub(crate) async fn finish(child: Child) -> Finished {
    let Output {
        status,
        stdout,
        stderr,
    } = timeout(DEADLINE, child.wait_with_output())
        .await
        .expect("the command ends before the deadline")
        .unwrap();
    Finished {
        code: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command
        .current_dir(dir)
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Looks again and again until there is something, at most until the deadline: for what another process makes.
pub(crate) async fn comes<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let look_often = async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        loop {
            pace.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    let found = timeout(DEADLINE, look_often).await;
    found.unwrap_or_else(|_| panic!("{what} is not there before the deadline"))
}
