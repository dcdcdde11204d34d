//! `findings.md`, the list that only shrinks.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, ensure};

/// One row: this client does not do this, for that reason.
struct Finding {
    client: String,
    scenario: String,
}

#[derive(Default)]
pub(crate) struct Findings {
    /// What a client does not have, whatever it talks to.
    clients: Vec<Finding>,
    /// What the broker does not do yet.
    broker: Vec<Finding>,
}

pub(crate) fn read() -> anyhow::Result<Findings> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("findings.md");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mut findings = Findings::default();
    let mut of_the_broker = false;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            of_the_broker = heading.starts_with("The broker");
        }
        let Some(row) = line.strip_prefix("| ").filter(|row| !row.starts_with("client |")) else {
            continue;
        };
        let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").map(str::trim).collect();
        let [client, scenarios, reason] = cells[..] else {
            anyhow::bail!("findings.md: a row has a client, scenarios and a reason: {line}");
        };
        if client.starts_with("---") {
            continue;
        }
        ensure!(!reason.is_empty(), "findings.md: without a reason: {line}");
        let rows = scenarios.split(", ").map(|scenario| Finding {
            client: client.to_owned(),
            scenario: scenario.to_owned(),
        });
        if of_the_broker {
            findings.broker.extend(rows);
        } else {
            findings.clients.extend(rows);
        }
    }
    Ok(findings)
}

impl Findings {
    pub(crate) fn expected_failures(&self, client: &str, with_ours: bool) -> BTreeSet<String> {
        let of_the_broker = self.broker.iter().filter(|_| with_ours);
        self.clients
            .iter()
            .chain(of_the_broker)
            .filter(|finding| finding.client == client)
            .map(|finding| finding.scenario.clone())
            .collect()
    }

    pub(crate) fn check(&self, clients: &[&str], scenarios: &[&str]) -> anyhow::Result<()> {
        let mut seen = BTreeSet::new();
        for Finding { client, scenario } in self.clients.iter().chain(&self.broker) {
            ensure!(clients.contains(&client.as_str()), "no such client: {client}");
            ensure!(
                scenarios.contains(&scenario.as_str()),
                "{client}: no such scenario: {scenario}"
            );
            ensure!(seen.insert((client, scenario)), "{client} {scenario}: twice");
        }
        Ok(())
    }
}
