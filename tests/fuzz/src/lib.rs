//! Fuzz targets for all bytes that come from outside: from sockets, from files, from people.
//!
//! A target is a plain function ([`Target::run`]) that must come back whatever the bytes are: no panic, no hang, no memory
//! without bound, and whatever it asserts by itself. Two things drive it: the test of this crate, which changes the seeds
//! of the target by a seeded mutator for a bounded number of times, and libFuzzer (`libfuzzer/`, `run.sh`), which goes on
//! for as long as one likes and sees what the bytes reach.
//!
//! What a target does depends on its bytes alone: no clock, no randomness, no files. So an input that did harm does it
//! again.

pub mod answer;
mod apis;
pub mod avro;
pub mod batch;
mod conversations;
pub mod disk;
#[allow(dead_code, reason = "the tests of the pipeline need more of it")]
#[path = "../../../pipeline/tests/pipeline/fakes.rs"]
mod fakes;
pub mod file;
pub mod monitor;
mod mutate;
pub mod pipeline;
pub mod port;
pub mod positions;
pub mod records;
pub mod registry;
pub mod request;
pub mod settings;
pub mod state;
pub mod values;
mod vectors;
#[path = "../../../pipeline/tests/pipeline/whole.rs"]
mod whole;
mod world;

use std::{fs, path::Path};

pub use mutate::Mutator;

/// One kind of bytes from outside.
#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Comes back, whatever the bytes are.
    pub run: fn(&[u8]),
    /// What to begin with: inputs that are in order.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What one run may hold in memory at once, beside its input.
    pub memory_bytes: usize,
    /// How many inputs the test tries, besides the seeds.
    pub tries: usize,
}

impl Target {
    /// The seeds, and the inputs that did harm once (`found/`).
    pub fn inputs(&self) -> Vec<Vec<u8>> {
        let mut inputs = (self.seeds)();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("found")
            .join(self.name);
        if let Ok(files) = fs::read_dir(folder) {
            let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
            paths.sort();
            inputs.extend(
                paths
                    .iter()
                    .map(|path| fs::read(path).expect("a file of this folder")),
            );
        }
        inputs
    }
}

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    Target {
        name: "answer",
        run: answer::run,
        seeds: answer::seeds,
        memory_bytes: 64 << 20,
        tries: 20_000,
    },
    Target {
        name: "avro",
        run: avro::run,
        seeds: avro::seeds,
        memory_bytes: 64 << 20,
        tries: 20_000,
    },
    Target {
        name: "batch",
        run: batch::run,
        seeds: batch::seeds,
        memory_bytes: 64 << 20,
        tries: 20_000,
    },
    Target {
        name: "disk",
        run: disk::run,
        seeds: disk::seeds,
        memory_bytes: 256 << 20,
        tries: 1_000,
    },
    Target {
        name: "file",
        run: file::run,
        seeds: file::seeds,
        memory_bytes: 64 << 20,
        tries: 1_000,
    },
    Target {
        name: "monitor",
        run: monitor::run,
        seeds: monitor::seeds,
        memory_bytes: 256 << 20,
        tries: 1_000,
    },
    Target {
        name: "pipeline",
        run: pipeline::run,
        seeds: pipeline::seeds,
        memory_bytes: 128 << 20,
        tries: 1_000,
    },
    Target {
        name: "port",
        run: port::run,
        seeds: port::seeds,
        memory_bytes: 256 << 20,
        tries: 1_000,
    },
    Target {
        name: "positions",
        run: positions::run,
        seeds: positions::seeds,
        memory_bytes: 64 << 20,
        tries: 20_000,
    },
    Target {
        name: "records",
        run: records::run,
        seeds: records::seeds,
        memory_bytes: 64 << 20,
        tries: 20_000,
    },
    Target {
        name: "registry",
        run: registry::run,
        seeds: registry::seeds,
        memory_bytes: 64 << 20,
        tries: 1_000,
    },
    Target {
        name: "request",
        run: request::run,
        seeds: request::seeds,
        memory_bytes: 64 << 20,
        tries: 20_000,
    },
    Target {
        name: "settings",
        run: settings::run,
        seeds: settings::seeds,
        memory_bytes: 64 << 20,
        tries: 20_000,
    },
    Target {
        name: "state",
        run: state::run,
        seeds: state::seeds,
        memory_bytes: 128 << 20,
        tries: 1_000,
    },
    Target {
        name: "values",
        run: values::run,
        seeds: values::seeds,
        memory_bytes: 64 << 20,
        tries: 20_000,
    },
];
