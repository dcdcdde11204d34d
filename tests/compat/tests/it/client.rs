//! A real client as a process: what it is asked, and what it answers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context;
use millstream_tests_kit::{Process, skip};

/// For all scenarios of a client. A client that hangs is killed, and what it did not say counts as not run.
const TIMEOUT: Duration = Duration::from_secs(420);

pub(crate) enum Outcome {
    Ok,
    Fail { reason: String },
}

pub(crate) struct Report {
    pub(crate) outcomes: BTreeMap<String, Outcome>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command that `setup.sh` has made of a client.
pub(crate) fn command(client: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("MILLSTREAM_COMPAT") else {
        skip("compat: run ./test.sh or `just compat`, which install the clients");
        return None;
    };
    let command = Path::new(&folder).join(client);
    if command.is_file() {
        return Some(command);
    }
    skip(&format!("compat {client}: not installed"));
    None
}

pub(crate) fn run(command: PathBuf, bootstrap: &str) -> anyhow::Result<Report> {
    let mut command = Command::new(command);
    command.arg(bootstrap);
    let mut process = Process::spawn(command)?;
    if process.wait(TIMEOUT)?.is_none() {
        process.kill()?;
    }
    let stdout = process.stdout();
    Ok(Report {
        outcomes: stdout
            .lines()
            .map(outcome)
            .collect::<anyhow::Result<BTreeMap<_, _>>>()?,
        stderr: process.stderr(),
        stdout,
    })
}

fn outcome(line: &str) -> anyhow::Result<(String, Outcome)> {
    let mut words = line.splitn(3, ' ');
    let (verdict, scenario, rest) = (words.next(), words.next(), words.next());
    let scenario = scenario.with_context(|| format!("a client said: {line}"))?;
    let outcome = match verdict {
        Some("ok") => Outcome::Ok,
        Some("fail") => Outcome::Fail {
            reason: rest.unwrap_or("no reason given").to_owned(),
        },
        _ => anyhow::bail!("a client said: {line}"),
    };
    Ok((scenario.to_owned(), outcome))
}
