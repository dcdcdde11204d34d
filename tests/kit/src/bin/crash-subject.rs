//! The program that the crash harness tests itself with: copies the numbers below COUNT to a folder, in ranges of random
//! length, in a right way or in one of the wrong ways that connectors are known for.
//!
//! `crash-subject <right|duplicates|loses|overwrites> <folder> <count>`

use std::{
    env, fs,
    fs::{File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, bail};
use rand::Rng;

fn main() -> anyhow::Result<()> {
    let mut args = env::args().skip(1);
    let mut next = |what| args.next().with_context(|| format!("no {what}"));
    let (way, folder, count) = (next("way")?, next("folder")?, next("count")?);
    let folder = Path::new(&folder);
    let count = count.parse()?;
    match way.as_str() {
        "right" => ranges(folder, count, fix_first),
        "overwrites" => ranges(folder, count, overwrite),
        "duplicates" => lines(folder, count, Order::DataFirst),
        "loses" => lines(folder, count, Order::PositionFirst),
        _ => bail!("no way '{way}'"),
    }
}

/// Writes file after file, each a range named by its start.
fn ranges(
    folder: &Path,
    count: u64,
    publish: fn(&Path, u64, u64) -> anyhow::Result<u64>,
) -> anyhow::Result<()> {
    let mut start = 0;
    // Only at the start: a zombie goes on where it believes to be.
    while let Some(end) = end_of(folder, start)? {
        start = end;
    }
    while start < count {
        let end = count.min(start + rand::rng().random_range(1..20));
        start = publish(folder, start, end)?;
    }
    Ok(())
}

/// Whoever publishes a start first has decided its end for everybody.
fn fix_first(folder: &Path, start: u64, end: u64) -> anyhow::Result<u64> {
    let draft = draft(folder, start, end)?;
    let published = fs::hard_link(&draft, range_file(folder, start));
    fs::remove_file(&draft)?;
    match published {
        Ok(()) => Ok(end),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            end_of(folder, start)?.context("what exists can be read")
        }
        Err(error) => Err(error.into()),
    }
}

/// Wrong: the last one wins, although a range may have another end by now.
fn overwrite(folder: &Path, start: u64, end: u64) -> anyhow::Result<u64> {
    fs::rename(draft(folder, start, end)?, range_file(folder, start))?;
    Ok(end)
}

fn draft(folder: &Path, start: u64, end: u64) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!(".{start}-{}", process::id()));
    let mut file = File::create(&path)?;
    for number in start..end {
        writeln!(file, "{number}")?;
    }
    file.sync_all()?;
    Ok(path)
}

fn range_file(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start}.txt"))
}

fn end_of(folder: &Path, start: u64) -> anyhow::Result<Option<u64>> {
    match fs::read_to_string(range_file(folder, start)) {
        Ok(text) => Ok(Some(start + text.lines().count() as u64)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[derive(Clone, Copy)]
enum Order {
    DataFirst,
    PositionFirst,
}

/// Wrong: data and position are two writes, and a crash may come between them.
fn lines(folder: &Path, count: u64, order: Order) -> anyhow::Result<()> {
    const BATCH: u64 = 20;
    let position = folder.join(".position");
    let mut start: u64 = match fs::read_to_string(&position) {
        Ok(text) => text.parse().unwrap_or(0),
        Err(_) => 0,
    };
    let mut out = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("out.txt"))?;
    let save = |end: u64| -> anyhow::Result<()> {
        let draft = folder.join(".position.new");
        fs::write(&draft, end.to_string())?;
        fs::rename(&draft, &position)?;
        Ok(())
    };
    while start < count {
        let end = count.min(start + BATCH);
        if matches!(order, Order::PositionFirst) {
            save(end)?;
        }
        for number in start..end {
            writeln!(out, "{number}")?;
            out.sync_data()?;
        }
        if matches!(order, Order::DataFirst) {
            save(end)?;
        }
        start = end;
    }
    Ok(())
}
