//! The load and its checker.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use millstream_tests_kit::{Process, TempDir, batch_of};
use serde_json::Value;

use crate::{
    broker::Broker,
    machine::{python, script, stdout_of, until},
};

const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// Longer than any broker of these tests is away.
const FLUSH_SECONDS: u64 = 60;
/// `cut` is a loss only where no tail was destroyed.
const NEVER: [&str; 6] = ["lost", "moved", "dup", "phantom", "reorder", "corrupt"];

/// Idempotent producers that go on whatever happens to the broker.
pub(crate) struct Load {
    process: Process,
    python: PathBuf,
    journal: PathBuf,
    run: String,
    topic: &'static str,
    partitions: i32,
    _dir: TempDir,
}

/// What the producers were told, as they tell it at their end.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) errors: String,
}

impl Load {
    /// Creates the topic and begins.
    pub(crate) fn start(python: &Path, broker: &Broker, partitions: i32, per_second: u32) -> Self {
        let topic = "load";
        broker.client().create_topics(&[topic.into()], partitions);
        let dir = TempDir::with_prefix("millstream-faults-").unwrap();
        let journal = dir.path().join("journal");
        let run = format!("{:08x}", rand::random::<u32>());
        let mut command = script(python, "load.py");
        command
            .arg(broker.address().to_string())
            .args([topic, &partitions.to_string()]);
        command.arg(&journal).arg(&run);
        command.args([per_second.to_string(), FLUSH_SECONDS.to_string()]);
        let load = Self {
            process: Process::spawn(command).unwrap(),
            python: python.to_owned(),
            journal,
            run,
            topic,
            partitions,
            _dir: dir,
        };
        until("the load begins", STARTS_WITHIN, || {
            load.process.stdout().contains("sending")
        });
        load.wait_for_more(broker);
        load
    }

    /// Lets it go on for that long.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let ended = self.process.wait(time).unwrap();
        assert_eq!(
            ended,
            None,
            "the load gave up: {}\n{}",
            self.process.stdout(),
            self.process.stderr()
        );
    }

    /// Waits until the broker has taken something more; answers how long.
    pub(crate) fn wait_for_more(&self, broker: &Broker) -> Duration {
        let total = || -> i64 { self.high_watermarks(broker).iter().sum() };
        let before = total();
        until("records arrive", STARTS_WITHIN, || total() > before)
    }

    pub(crate) fn high_watermarks(&self, broker: &Broker) -> Vec<i64> {
        broker.client().high_watermarks(self.topic, self.partitions)
    }

    /// Ends the sending; answers when all is delivered or given up.
    pub(crate) fn stop(&mut self) -> Sent {
        self.process.terminate().unwrap();
        self.process
            .finish(Duration::from_secs(FLUSH_SECONDS + 30))
            .unwrap();
        let said = self.process.stdout();
        let summary: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        let number = |name: &str| summary[name].as_u64().unwrap();
        Sent {
            sent: number("sent"),
            acked: number("acked"),
            errors: summary["errors"].to_string(),
        }
    }

    /// Ends the sending, and everything that was sent must be acknowledged, readable, once, in order.
    pub(crate) fn stop_and_check(&mut self, broker: &Broker) {
        let sent = self.stop();
        let counts = self.check(broker);
        println!("{counts}");
        let is_whole = sent.sent == sent.acked && sent.errors == "{}";
        assert!(is_whole, "{sent:?} {counts}\n{}", self.states(broker));
        assert_eq!(counts["read"], sent.sent, "{counts}");
        assert_eq!(counts["cut"], 0, "{counts}");
    }

    /// Where both sides stand, for whoever has to find out why a producer did not finish.
    fn states(&self, broker: &Broker) -> String {
        let known = broker.client().producers(self.topic, self.partitions);
        let known: Vec<_> = known.iter().map(|partition| format!("{partition:?}\n")).collect();
        format!("{}\nthe broker knows:\n{}", self.process.stderr(), known.concat())
    }

    /// Holds the topic against the journal, where something may not have been acknowledged or may be cut off.
    pub(crate) fn check(&self, broker: &Broker) -> Value {
        let counts = self.count(broker);
        for name in NEVER {
            assert_eq!(counts[name], 0, "{name}: {counts}");
        }
        counts
    }

    fn count(&self, broker: &Broker) -> Value {
        let mut command: Command = script(&self.python, "check.py");
        command
            .arg(broker.address().to_string())
            .args([self.topic, &self.partitions.to_string()]);
        let said = stdout_of(command.arg(&self.journal).arg(&self.run));
        serde_json::from_str(said.trim()).unwrap()
    }
}

/// A checker that finds nothing proves something only if it can find: here it is lied to.
#[test]
fn the_checker_counts_what_is_wrong() {
    let Some(python) = python() else { return };
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let mut broker = Broker::start(dir.path());
    let mut load = Load::start(&python, &broker, 1, 1_000);
    load.run_for(Duration::from_millis(300));
    let sent = load.stop();
    let journal = fs::read_to_string(&load.journal).unwrap();
    let lines: Vec<&str> = journal.lines().collect();
    let mut lies: Vec<String> = lines.iter().skip(1).map(ToString::to_string).collect();
    lies.push("9 0 0 0".into());
    lies.push(format!("9 1 0 {}", sent.sent + 1));
    let last = lies[0].rsplit_once(' ').unwrap().0.to_owned();
    lies[0] = format!("{last} 999999");
    fs::write(&load.journal, lies.join("\n")).unwrap();
    let first: Vec<&str> = lines[0].split(' ').collect();
    assert_eq!(first[..2], ["0", "0"]);
    broker.client().produce("load", 0, batch_of(100, b'x'));
    let counts = load.count(&broker);
    for (name, expected) in [
        ("phantom", 1),
        ("lost", 1),
        ("cut", 1),
        ("moved", 1),
        ("corrupt", 1),
        ("dup", 0),
    ] {
        assert_eq!(counts[name], expected, "{name}: {counts}");
    }
    broker.kill();
}
