//! A process that serves: its ports are where it notes them.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use millstream_tests_kit::Process;

use crate::millstream::millstream;

const DEADLINE: Duration = Duration::from_secs(60);

/// A broker with its registry.
pub(crate) struct Serving {
    pub(crate) process: Process,
    /// Where Kafka's clients go.
    pub(crate) kafka: String,
    /// Where serializers go, without `http://`.
    pub(crate) registry: String,
}

impl Serving {
    /// `broker serve` on free ports.
    pub(crate) fn broker(dir: &Path) -> Self {
        let mut command = millstream();
        command.args(["broker", "serve", "--data-dir"]).arg(dir);
        Self::start(command, dir)
    }

    /// A command that opens this data directory, on free ports.
    pub(crate) fn start(mut command: Command, dir: &Path) -> Self {
        let notes = ["kafka.address", "registry.address"].map(|name| dir.join(name));
        for note in &notes {
            // Of an earlier life, which may have been killed.
            fs::remove_file(note).ok();
        }
        command.args(["--listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0"]);
        let mut process = Process::spawn(command).expect("the binary starts");
        let started = Instant::now();
        let [kafka, registry] = notes.map(|note| {
            loop {
                match fs::read_to_string(&note) {
                    Ok(address) if !address.is_empty() => return address.trim().to_owned(),
                    _ => {}
                }
                let ended = process
                    .wait(Duration::from_millis(5))
                    .expect("it can be waited for");
                assert!(
                    ended.is_none() && started.elapsed() < DEADLINE,
                    "{}",
                    process.stderr()
                );
            }
        });
        Self {
            process,
            kafka,
            registry,
        }
    }

    /// Where serializers go.
    pub(crate) fn registry_url(&self) -> String {
        format!("http://{}", self.registry)
    }

    /// As Ctrl-C does.
    pub(crate) fn stop(mut self) {
        self.process.terminate().expect("it is there");
        let ended = self.process.finish(DEADLINE);
        ended.unwrap_or_else(|error| panic!("{error:?}\n{}", self.process.stderr()));
    }
}
