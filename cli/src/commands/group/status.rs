//! A verdict without thresholds: two looks at the committed offsets, some seconds apart, tell a group that keeps up from
//! one that falls behind and from one that has stopped.

use std::collections::BTreeMap;

use millstream_client::{Log, LogError};
use millstream_types::{GroupId, HumanDuration, Offset, Timestamp, TopicPartition};
use serde::Serialize;

use crate::{
    Context,
    exit::Exit,
    lag,
    output::{Row, grouped},
    remote::admin,
    store::Target,
};

/// Say of each consumer group whether it keeps up
///
/// Looks at what is committed twice. A partition is `ok` if nothing waits in it, or if its group commits and its lag does
/// not grow; `lagging` if the group commits and the lag grows all the same; `stopped` if records wait and nothing was
/// committed in between. A group is what the worst of its partitions is.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream group status
  millstream group status audit --over 30s
  millstream group status -o json | jq -r '.[] | select(.verdict != \"ok\") | .group'")]
pub(crate) struct Args {
    /// Only this group
    group: Option<String>,
    #[command(flatten)]
    target: Target,
    /// The time between the two looks: longer than the group's commits are apart
    #[arg(long, value_name = "DURATION", default_value = "6s")]
    over: HumanDuration,
}

/// Ordered: the worst is the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Lagging,
    Stopped,
}

/// One partition at one look.
#[derive(Clone, Copy, Debug)]
struct Look {
    committed: Offset,
    records: i64,
    seconds: f64,
}

type Looks = BTreeMap<TopicPartition, Look>;

#[derive(Serialize)]
struct StatusRow {
    group: String,
    state: String,
    verdict: Verdict,
    lag: i64,
    /// Of the partition that is furthest behind.
    lag_seconds: f64,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let mut store = self.target.open(context).await?;
        let client = store.client().await?;
        let mut groups = admin::list_groups(&client).await?;
        groups.retain(|listed| self.group.as_ref().is_none_or(|group| *group == listed.group));
        let mut before = Vec::new();
        for group in &groups {
            before.push(look(store.log(), &group.group, context.clock.now()).await?);
        }
        tokio::time::sleep(self.over.0).await;
        let mut rows = Vec::new();
        for (group, before) in groups.into_iter().zip(before) {
            let after = look(store.log(), &group.group, context.clock.now()).await?;
            rows.push(StatusRow {
                verdict: verdict_of_group(&before, &after),
                lag: after.values().map(|look| look.records).sum(),
                lag_seconds: after.values().map(|look| look.seconds).fold(0.0, f64::max),
                group: group.group,
                state: group.state,
            });
        }
        store.close().await;
        if let Some(group) = self.group.filter(|_| rows.is_empty()) {
            anyhow::bail!("there is no group '{group}': see `millstream group list`");
        }
        context.output.list(&rows)?;
        Ok(Exit::Ok)
    }
}

async fn look(log: &dyn Log, group: &str, now: Timestamp) -> Result<Looks, LogError> {
    let mut looks = Looks::new();
    for (partition, committed) in log.all_committed(&GroupId::new(group)).await? {
        if let Some(lag) = lag::of(log, &partition, committed, now).await? {
            let look = Look {
                committed,
                records: lag.records,
                seconds: lag.seconds,
            };
            looks.insert(partition, look);
        }
    }
    Ok(looks)
}

fn verdict_of_group(before: &Looks, after: &Looks) -> Verdict {
    let verdicts = after.iter().map(|(partition, now)| match before.get(partition) {
        Some(then) => verdict(*then, *now),
        // Committed for the first time just now.
        None => Verdict::Ok,
    });
    verdicts.max().unwrap_or(Verdict::Ok)
}

fn verdict(then: Look, now: Look) -> Verdict {
    // What came meanwhile may simply not be committed yet.
    if now.records == 0 || then.records == 0 {
        return Verdict::Ok;
    }
    if now.committed == then.committed {
        return Verdict::Stopped;
    }
    if now.records > then.records {
        return Verdict::Lagging;
    }
    Verdict::Ok
}

impl Row for StatusRow {
    const TITLES: &'static [&'static str] = &["GROUP", "STATE", "VERDICT", "#LAG", "#BEHIND"];

    fn cells(&self) -> Vec<String> {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Lagging => "lagging",
            Verdict::Stopped => "stopped",
        };
        vec![
            self.group.clone(),
            self.state.clone(),
            verdict.to_owned(),
            grouped(self.lag),
            lag::readable(self.lag_seconds),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_no_threshold() {
        let look = |committed, records| Look {
            committed: Offset(committed),
            records,
            seconds: 0.0,
        };
        let check = |then: (i64, i64), now: (i64, i64), expected| {
            let found = verdict(look(then.0, then.1), look(now.0, now.1));
            assert_eq!(found, expected, "{then:?} {now:?}");
        };
        check((5, 0), (5, 0), Verdict::Ok);
        check((5, 0), (5, 3), Verdict::Ok);
        check((5, 9), (14, 0), Verdict::Ok);
        check((5, 9), (8, 9), Verdict::Ok);
        check((5, 9), (8, 12), Verdict::Lagging);
        check((5, 9), (5, 9), Verdict::Stopped);
        // Somebody reset it to an earlier offset.
        check((5, 9), (0, 14), Verdict::Lagging);
        assert_eq!(
            [Verdict::Lagging, Verdict::Stopped, Verdict::Ok].iter().max(),
            Some(&Verdict::Stopped)
        );
    }
}
