//! What the machine has, how long a test may go on, and waiting with a deadline.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

pub(crate) use millstream_tests_kit::skip;
use rand::{SeedableRng, rngs::SmallRng};

/// A Python with the packages of `tests/e2e/requirements.txt`, made by `clients.sh`.
pub(crate) fn python() -> Option<PathBuf> {
    let python = std::env::var_os("MILLSTREAM_PYTHON").filter(|path| !path.is_empty());
    if python.is_none() {
        skip("python clients: run ./test.sh, which installs them");
    }
    python.map(PathBuf::from)
}

/// A script of this crate, to be given arguments.
pub(crate) fn script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name));
    command
}

/// Runs to a good end and answers stdout; a failure shows both streams.
pub(crate) fn stdout_of(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}{stderr}",
        output.status
    );
    stdout
}

/// Whether a program runs and ends well.
pub(crate) fn can(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).output();
    output.is_ok_and(|output| output.status.success())
}

pub(crate) fn is_root() -> bool {
    stdout_of(Command::new("id").arg("-u")).trim() == "0"
}

/// The choices of a test; printed, so that they can be repeated.
pub(crate) fn seeded(test: &str) -> SmallRng {
    let seed = millstream_tests_kit::seed();
    println!("{test}: MILLSTREAM_SEED={seed}");
    SmallRng::seed_from_u64(seed)
}

/// Counts rounds: so many, or as many as fit into the minutes of the long form.
pub(crate) fn rounds(short: usize) -> impl Iterator<Item = usize> {
    let minutes: Option<f64> = std::env::var("MILLSTREAM_FAULTS_MINUTES")
        .ok()
        .map(|text| text.parse().expect("MILLSTREAM_FAULTS_MINUTES is a number"));
    let until = minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    (0..).take_while(move |round| *round < short || until.is_some_and(|until| Instant::now() < until))
}

/// Waits for a condition that some other process brings about.
pub(crate) fn until(what: &str, deadline: Duration, condition: impl FnMut() -> bool) -> Duration {
    until_or(what, deadline, condition, String::new)
}

/// The same; in vain, it says in addition how things are.
pub(crate) fn until_or(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> bool,
    explain: impl FnOnce() -> String,
) -> Duration {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() >= deadline {
            panic!("not within {deadline:?}: {what}\n{}", explain());
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    started.elapsed()
}
