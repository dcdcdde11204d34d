//! `just bench-pipeline`: the flights of 2013 (336,776 rows) through a pipeline, CSV -> topic -> SQL -> topic -> Parquet,
//! against a straight-line program that does the same with arrow-csv, Arrow's kernels and the Parquet writer.
//!
//! Both run as processes of their own, by turns; CPU time (user + system) and peak memory are the kernel's account of
//! them. Bar: at most three times the CPU time, at most 300 MB.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal"
)]

mod straight;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

const ROUNDS: usize = 3;
/// How often the peak memory of a running process is read; what it grows after the last reading is missed.
const POLL: Duration = Duration::from_millis(5);
const PIPELINE: &str = include_str!("pipeline.yaml");

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, csv, out] = arguments.as_slice()
        && mode == "straight"
    {
        return straight::run(Path::new(csv), Path::new(out));
    }
    compare()
}

/// What a finished process cost.
struct Cost {
    cpu: Duration,
    wall: Duration,
    peak_rss_mb: f64,
}

fn compare() -> Result<()> {
    let csv = year_of_flights()?;
    let millstream = release_binary()?;
    let dir = tempfile::tempdir()?;
    let pipeline = dir.path().join("pipeline.yaml");
    fs::write(
        &pipeline,
        PIPELINE.replace("FLIGHTS.csv", &csv.display().to_string()),
    )?;

    let (mut straight, mut streamed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let out = dir.path().join("straight.parquet");
        let own = std::env::current_exe()?;
        straight.push(measure(Command::new(own).args([
            "straight".as_ref(),
            csv.as_os_str(),
            out.as_os_str(),
        ]))?);
        for folder in ["out", "state"] {
            fs::remove_dir_all(dir.path().join(folder)).or_else(ignore_missing)?;
        }
        let mut run = Command::new(&millstream);
        run.arg("run")
            .arg(&pipeline)
            .args(["--until-end", "--listen", "none"]);
        streamed.push(measure(&mut run)?);
    }
    report(&straight, &streamed);
    Ok(())
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

fn report(straight: &[Cost], streamed: &[Cost]) {
    let best = |costs: &[Cost]| {
        costs
            .iter()
            .map(|cost| cost.cpu)
            .min()
            .unwrap_or_default()
            .as_secs_f64()
    };
    let wall = |costs: &[Cost]| {
        costs
            .iter()
            .map(|cost| cost.wall)
            .min()
            .unwrap_or_default()
            .as_secs_f64()
    };
    let peak = streamed.iter().map(|cost| cost.peak_rss_mb).fold(0.0, f64::max);
    println!(
        "straight line: {:.2} s CPU, {:.2} s wall (best of {ROUNDS})",
        best(straight),
        wall(straight)
    );
    println!(
        "pipeline:      {:.2} s CPU, {:.2} s wall, peak RSS {peak:.0} MB",
        best(streamed),
        wall(streamed)
    );
    println!(
        "CPU ratio {:.2} (bar: <= 3), peak RSS {peak:.0} MB (bar: <= 300)",
        best(streamed) / best(straight)
    );
}

fn measure(command: &mut Command) -> Result<Cost> {
    let before = children_cpu()?;
    let started = Instant::now();
    let mut child = command
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    let mut peak_rss_mb = 0.0;
    let status = loop {
        peak_rss_mb = peak_rss(child.id()).unwrap_or(peak_rss_mb);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::park_timeout(POLL);
    };
    ensure!(status.success(), "{command:?}: {status}");
    let wall = started.elapsed();
    Ok(Cost {
        cpu: children_cpu()?.saturating_sub(before),
        wall,
        peak_rss_mb,
    })
}

/// User and system time of all children that have ended: fields 16 and 17 of proc_pid_stat(5), in ticks of 10 ms.
fn children_cpu() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("a process has a name")?;
    let ticks = fields
        .split(' ')
        .skip(13)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// The kernel's high-water mark of a running process's resident memory.
fn peak_rss(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Fetched once, kept beside the build.
fn year_of_flights() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flights");
    let csv = folder.join("flights-2013.csv");
    if !csv.is_file() {
        eprintln!("fetching the flights of 2013 ...");
        let fetch = root().join("examples/flights/fetch.py");
        let status = Command::new("python3")
            .arg(fetch)
            .arg("year")
            .arg(&folder)
            .status()?;
        ensure!(status.success(), "fetch.py: {status}");
    }
    Ok(csv)
}

fn release_binary() -> Result<PathBuf> {
    eprintln!("building millstream in the release profile ...");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "millstream"])
        .current_dir(root())
        .status()?;
    ensure!(status.success(), "cargo build --release: {status}");
    let bench = std::env::current_exe()?;
    let folder = bench
        .parent()
        .and_then(Path::parent)
        .context("a bench lies in <target>/release/deps")?;
    Ok(folder.join("millstream"))
}
