use std::{cell::Cell, fs, io::Read, path::Path, process::Command, time::Duration};

use flate2::read::GzDecoder;
use millstream_tests_kit::{Plan, crash, difference, lines_under};

use crate::{
    clients::{python, script, stdout_of},
    millstream::{flights_example, millstream},
};

const KILLS: u32 = 50;
/// How often the month is repeated, so that every incarnation dies at work.
const COPIES: usize = 10;

/// The flights of the month, some times over, cut into files that arrive one by one.
struct Arriving {
    header: String,
    rows: Vec<String>,
    arrived: Cell<usize>,
}

impl Arriving {
    fn new(csv_gz: &Path) -> Self {
        let mut text = String::new();
        let file = fs::File::open(csv_gz).expect("the example has flights");
        GzDecoder::new(file)
            .read_to_string(&mut text)
            .expect("flights are text");
        let (header, rows) = text.split_once('\n').expect("a CSV has a header");
        let rows = std::iter::repeat_n(rows.lines().map(str::to_owned), COPIES).flatten();
        Self {
            header: header.to_owned(),
            rows: rows.collect(),
            arrived: Cell::new(0),
        }
    }

    /// Writes the next of `of` files, if there is one left.
    fn next(&self, folder: &Path, of: usize) {
        let number = self.arrived.get();
        let size = self.rows.len().div_ceil(of);
        let Some(rows) = self.rows.chunks(size).nth(number) else {
            return;
        };
        let text = format!("{}\n{}\n", self.header, rows.join("\n"));
        let name = format!("flights-2013-{number:03}.csv");
        fs::write(folder.join(format!(".{name}")), text).expect("the folder is writable");
        fs::rename(folder.join(format!(".{name}")), folder.join(&name)).expect("renaming in a folder works");
        self.arrived.set(number + 1);
    }
}

/// Goes on until it is killed.
fn run(pipeline: &Path) -> Command {
    let mut command = millstream();
    command.arg("run").arg(pipeline);
    command.args(["--listen", "none", "--commit-interval", "20ms"]);
    command
}

fn run_until_end(pipeline: &Path) -> Command {
    let mut command = run(pipeline);
    command.arg("--until-end");
    command
}

#[test]
fn fifty_kills_at_random_times_leave_each_row_exactly_once() {
    let example = flights_example();
    let folder = example.path();
    let arriving = Arriving::new(&folder.join("data/flights-2013-01.csv.gz"));
    fs::create_dir(folder.join("arrived")).expect("the folder is writable");
    let text = fs::read_to_string(folder.join("pipeline.yaml")).expect("the example has a pipeline");
    let text = text.replace("data/flights-2013-*.csv.gz", "arrived/flights-2013-*.csv");
    // rolls that end between any two records, so that ranges are cut by kills everywhere
    let text = text.replace(
        "roll: { size: 64MB, records: 1000000, every: 1m }",
        "roll: { records: 37, every: 50ms }",
    );
    let text = text.replace(
        "roll: { size: 64MB, every: 1m }",
        "roll: { records: 41, every: 30ms }",
    );
    let pipeline = folder.join("killed.yaml");
    fs::write(&pipeline, text).expect("the folder is writable");

    let files = KILLS as usize + 1;
    let plan = Plan {
        life: (Duration::from_millis(50), Duration::from_millis(400)),
        ..Plan::kills(KILLS)
    };
    let crashes = crash(&plan, || {
        arriving.next(&folder.join("arrived"), files);
        if arriving.arrived.get() < files {
            run(&pipeline)
        } else {
            run_until_end(&pipeline)
        }
    });
    let crashes = crashes.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(crashes.killed, KILLS);

    let calm = flights_example();
    stdout_of(&mut run_until_end(&calm.path().join("pipeline.yaml")));
    let lines =
        |folder: &Path| lines_under(&folder.join("out/ndjson"), ".ndjson").expect("the output is readable");
    let expected = std::iter::repeat_n(lines(calm.path()), COPIES).flatten();
    if let Some(difference) = difference(expected, lines(folder)) {
        panic!(
            "MILLSTREAM_SEED={}: not what an uninterrupted run writes: {difference}",
            plan.seed
        );
    }
    let Some(python) = python() else { return };
    let mut check = script(&python, "flights_check.py");
    check
        .arg(folder.join("data/flights-2013-01.csv.gz"))
        .arg(folder.join("out"))
        .arg(COPIES.to_string());
    stdout_of(&mut check);
}
