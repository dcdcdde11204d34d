//! Real clients, as `setup.sh` installs them, run the same scenarios against the broker; one test per client.
//!
//! A client prints `ok SCENARIO` or `fail SCENARIO REASON`. What a client does not have stands in `findings.md`, and so
//! does what the broker cannot do yet. Anything else that is not `ok` fails, and so does a listed scenario that holds:
//! the lists only shrink. With `MILLSTREAM_COMPAT_KAFKA=HOST:PORT` the clients talk to that Apache Kafka instead
//! (`just compat-kafka`), which checks the scenarios themselves.
//!
//! A client that this machine cannot have is skipped loudly and counted.

mod broker;
mod client;
mod findings;

use std::collections::BTreeSet;

use broker::Broker;
use client::Outcome;

/// Every scenario; each client has each of them, or a row in `findings.md`.
const SCENARIOS: &[&str] = &[
    "acls",
    "cluster",
    "codecs",
    "commits",
    "configs",
    "create-partitions",
    "delete-records",
    "elect-leaders",
    "exactly-once",
    "fencing",
    "group-consumer-protocol",
    "group-cooperative",
    "group-migration",
    "group-offsets-admin",
    "group-range",
    "group-sticky",
    "groups-admin",
    "idempotence",
    "large-records",
    "log-dirs",
    "many-partitions",
    "offsets-for-times",
    "producers-admin",
    "quotas",
    "records",
    "static-member",
    "topic-ids",
    "topics",
    "transactions",
];

fn check(client: &str) -> anyhow::Result<()> {
    let Some(command) = client::command(client) else {
        return Ok(());
    };
    let broker = Broker::find_or_start()?;
    let report = client::run(command, &broker.bootstrap())?;
    let expected = findings::read()?.expected_failures(client, broker.is_ours());
    let mut surprises = Vec::new();
    for scenario in SCENARIOS {
        match report.outcomes.get(*scenario) {
            Some(Outcome::Ok) if expected.contains(*scenario) => {
                surprises.push(format!("{scenario} holds now: take it off findings.md"));
            }
            Some(Outcome::Fail { reason }) if !expected.contains(*scenario) => {
                surprises.push(format!("{scenario}: {reason}"));
            }
            None if !expected.contains(*scenario) => surprises.push(format!("{scenario} was not run")),
            _ => {}
        }
    }
    let known: BTreeSet<&str> = SCENARIOS.iter().copied().collect();
    let unknown = report
        .outcomes
        .keys()
        .filter(|name| !known.contains(name.as_str()));
    surprises.extend(unknown.map(|name| format!("{name} is no scenario")));
    anyhow::ensure!(
        surprises.is_empty(),
        // What is to be read first comes last: a log that is cut is cut at its beginning.
        "\n-- the broker\n{}\n-- stderr of the client\n{}\n-- stdout\n{}\n{client}:\n  {}",
        broker.stderr(),
        report.stderr,
        report.stdout,
        surprises.join("\n  "),
    );
    Ok(())
}

#[test]
fn findings_name_clients_and_scenarios_that_exist() -> anyhow::Result<()> {
    findings::read()?.check(CLIENTS, SCENARIOS)
}

/// One test per client, and the list of them.
macro_rules! clients {
    ($($test:ident = $client:literal,)*) => {
        const CLIENTS: &[&str] = &[$($client),*];
        $(
            #[test]
            fn $test() -> anyhow::Result<()> {
                check($client)
            }
        )*
    };
}

clients! {
    aiokafka = "aiokafka",
    confluent_kafka = "confluent-kafka",
    franz_go = "franz-go",
    java = "java",
    kafka_python = "kafka-python",
    kafkajs = "kafkajs",
    kcat = "kcat",
    rdkafka = "rdkafka",
}
