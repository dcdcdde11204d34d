//! Kills and zombies at random times, then a last incarnation that must finish.

use std::{env, process::Command, time::Duration};

use anyhow::{Context, bail, ensure};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::Process;

/// The seed of all choices: `MILLSTREAM_SEED`, else a new one.
pub fn seed() -> u64 {
    env::var("MILLSTREAM_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random)
}

/// How a program is mistreated.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Incarnations that are killed.
    pub kills: u32,
    /// Incarnations that are stopped, spread among the killed ones, and woken beside a successor. Only for programs
    /// that may run beside each other.
    pub zombies: u32,
    /// Shortest and longest life of an incarnation before it is killed or stopped.
    pub life: (Duration, Duration),
    /// How long the last incarnation, and then each zombie, may take to end.
    pub finish_within: Duration,
}

impl Plan {
    /// That many kills, each after 50 ms to 2 s.
    pub fn kills(kills: u32) -> Self {
        Self {
            seed: seed(),
            kills,
            zombies: 0,
            life: (Duration::from_millis(50), Duration::from_secs(2)),
            finish_within: Duration::from_secs(120),
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crashes {
    pub killed: u32,
    pub woken: u32,
    /// Incarnations that had finished before their time was up. If there are many, lives are too long for the work.
    pub finished_early: u32,
}

/// Runs `command` under the plan until its work is done. An incarnation that ends by itself must end well, except a
/// zombie, which may find out that it is fenced.
#[expect(
    clippy::print_stderr,
    reason = "whoever reads the test's output needs the seed"
)]
pub fn crash(plan: &Plan, command: impl Fn() -> Command) -> anyhow::Result<Crashes> {
    eprintln!("crash harness: MILLSTREAM_SEED={}", plan.seed);
    harass(plan, command).with_context(|| format!("with MILLSTREAM_SEED={}", plan.seed))
}

fn harass(plan: &Plan, command: impl Fn() -> Command) -> anyhow::Result<Crashes> {
    ensure!(
        plan.life.0 <= plan.life.1,
        "the shortest life is longer than the longest"
    );
    let mut random = SmallRng::seed_from_u64(plan.seed);
    let mut crashes = Crashes::default();
    let mut asleep: Vec<Process> = Vec::new();
    let mut awake: Vec<Process> = Vec::new();
    for blow in blows(plan, &mut random) {
        let mut process = Process::spawn(command())?;
        let life = random.random_range(plan.life.0..=plan.life.1);
        // A zombie of an earlier life wakes somewhere in this one.
        let before = life.mul_f64(random.random_range(0.0..1.0));
        let mut ended = process.wait(before)?;
        if let Some(zombie) = asleep.pop() {
            zombie.resume()?;
            crashes.woken += 1;
            awake.push(zombie);
        }
        if ended.is_none() {
            ended = process.wait(life - before)?;
        }
        if ended.is_some() {
            process.finish(Duration::ZERO)?;
            crashes.finished_early += 1;
            continue;
        }
        match blow {
            Blow::Kill => {
                process.kill()?;
                crashes.killed += 1;
            }
            Blow::Stop => {
                process.pause()?;
                asleep.push(process);
            }
        }
    }
    let mut last = Process::spawn(command())?;
    for zombie in asleep {
        zombie.resume()?;
        crashes.woken += 1;
        awake.push(zombie);
    }
    last.finish(plan.finish_within).context("the last incarnation")?;
    for mut zombie in awake {
        if zombie.wait(plan.finish_within)?.is_none() {
            bail!(
                "a zombie still runs after {:?}\n{}",
                plan.finish_within,
                zombie.stderr()
            );
        }
    }
    Ok(crashes)
}

#[derive(Clone, Copy)]
enum Blow {
    Kill,
    Stop,
}

/// Kills, with the stops spread among them.
fn blows(plan: &Plan, random: &mut SmallRng) -> Vec<Blow> {
    let mut blows = vec![Blow::Kill; plan.kills as usize];
    for _ in 0..plan.zombies {
        let at = random.random_range(0..=blows.len());
        blows.insert(at, Blow::Stop);
    }
    blows
}
