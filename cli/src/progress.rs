//! What people see on stderr while a pipeline runs: a bar for each node on a terminal, a line now and then elsewhere.

use std::{collections::HashMap, fmt::Write as _, sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use millstream_runtime::{NodeState, NodeStatus, Status};
use tokio::time::{Instant, interval};

use crate::{output::grouped, talk::Talk};

const BAR_INTERVAL: Duration = Duration::from_millis(150);
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Over how long the rate is measured: shorter ones flicker.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// Shows the status until it is dropped.
pub(crate) async fn show(status: Arc<Status>, talk: Talk) {
    if talk.is_tty() {
        bars(&status, &talk).await;
    } else {
        lines(&status, &talk).await;
    }
}

async fn bars(status: &Status, talk: &Talk) {
    let mut bars = Bars::default();
    let mut ticks = interval(BAR_INTERVAL);
    loop {
        ticks.tick().await;
        bars.update(&status.snapshot(), talk);
    }
}

async fn lines(status: &Status, talk: &Talk) {
    let mut rates = Rates::default();
    let mut ticks = interval(LINE_INTERVAL);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let nodes = status.snapshot();
        rates.measure(&nodes);
        let nodes = nodes
            .iter()
            .map(|node| format!("{}: {}", node.node, describe(node, &rates)));
        talk.say(nodes.collect::<Vec<_>>().join(" | "));
    }
}

/// Bars that vanish with their owner, so that they never stand between the lines that come after.
#[derive(Default)]
struct Bars {
    by_node: HashMap<String, ProgressBar>,
    rates: Rates,
}

impl Bars {
    fn update(&mut self, nodes: &[NodeStatus], talk: &Talk) {
        self.rates.measure(nodes);
        let width = nodes.iter().map(|node| node.node.len()).max().unwrap_or(0);
        for node in nodes {
            let bar = self.by_node.entry(node.node.clone()).or_insert_with(|| {
                let bar = talk.bars().add(ProgressBar::new_spinner().with_style(style()));
                bar.set_prefix(format!("{:width$}", node.node));
                bar
            });
            bar.set_message(describe(node, &self.rates));
            bar.tick();
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        for bar in self.by_node.values() {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner:.cyan} {prefix:.bold} {wide_msg}")
        .expect("the template is a constant")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

/// Records per second that each node takes in.
#[derive(Default)]
struct Rates {
    since: Option<(Instant, HashMap<String, u64>)>,
    per_second: HashMap<String, u64>,
}

impl Rates {
    fn measure(&mut self, nodes: &[NodeStatus]) {
        let now = Instant::now();
        let counts = || {
            nodes
                .iter()
                .map(|node| (node.node.clone(), node.records_in))
                .collect()
        };
        let Some((start, before)) = &self.since else {
            self.since = Some((now, counts()));
            return;
        };
        let elapsed = now - *start;
        if elapsed < RATE_WINDOW {
            return;
        }
        for node in nodes {
            let records = node.records_in - before.get(&node.node).copied().unwrap_or(0).min(node.records_in);
            let rate = u128::from(records) * 1000 / elapsed.as_millis().max(1);
            self.per_second
                .insert(node.node.clone(), u64::try_from(rate).unwrap_or(u64::MAX));
        }
        self.since = Some((now, counts()));
    }
}

/// `12,345 in, 4,321 out, 8,024 filtered, 1,000/s`: only what there is.
fn describe(node: &NodeStatus, rates: &Rates) -> String {
    let mut text = format!(
        "{} in, {} out",
        grouped(node.records_in),
        grouped(node.records_out)
    );
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            let _ = write!(text, ", {}{what}", grouped(count));
        }
    };
    add(node.filtered, " filtered");
    add(node.dead_letters, " dead letters");
    add(
        node.lag.and_then(|lag| u64::try_from(lag).ok()).unwrap_or(0),
        " behind",
    );
    add(rates.per_second.get(&node.node).copied().unwrap_or(0), "/s");
    match &node.state {
        NodeState::Running => {}
        NodeState::Done => text.push_str(", done"),
        NodeState::Stopped => text.push_str(", stopped"),
        NodeState::Fenced => text.push_str(", another run took over"),
        NodeState::Retrying { error, .. } => {
            let _ = write!(text, ", trying again after: {error}");
        }
        NodeState::Failed { error } => {
            let _ = write!(text, ", failed: {error}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use millstream_runtime::NodeKind;

    use super::*;

    #[test]
    fn a_node_is_described_by_what_there_is() {
        let mut node = NodeStatus {
            node: "late".into(),
            kind: NodeKind::Processor,
            state: NodeState::Running,
            records_in: 1200,
            records_out: 200,
            filtered: 1000,
            dead_letters: 0,
            bytes: 9,
            lag: Some(7),
            tasks: 1,
        };
        let rates = Rates::default();
        assert_eq!(
            describe(&node, &rates),
            "1,200 in, 200 out, 1,000 filtered, 7 behind"
        );
        node.state = NodeState::Failed {
            error: "disk full".into(),
        };
        assert!(describe(&node, &rates).ends_with(", failed: disk full"));
    }
}
