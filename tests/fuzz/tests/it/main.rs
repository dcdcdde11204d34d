//! Every target, under a seeded mutator and for a bounded number of inputs: what libFuzzer does for longer (`run.sh`).
//!
//! A panic, a run that does not end and one that takes too much memory fail the test; the input is saved, and its name
//! shown. `MILLSTREAM_FUZZ_SEED` begins elsewhere, `MILLSTREAM_FUZZ_TRIES` multiplies the inputs,
//! `MILLSTREAM_FUZZ_INPUT=FILE` runs that one alone.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
#![expect(clippy::print_stdout, reason = "tests tell what they tried")]

mod memory;

use std::{
    cell::Cell,
    fs,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Once,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

use millstream_tests_fuzz::{Mutator, TARGETS, Target};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// One input; nothing needs a hundredth of it.
const DEADLINE: Duration = Duration::from_secs(60);

thread_local! {
    /// Also those panics that somebody catches, as the runtime does for its tasks.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            PANICKED.set(true);
            before(panic);
        }));
    });
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// What is wrong with an input.
fn harm(target: &Target, input: &[u8]) -> Option<String> {
    PANICKED.set(false);
    memory::begin();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let peak = memory::peak();
    if outcome.is_err() || PANICKED.get() {
        return Some("it panics".into());
    }
    (peak > target.memory_bytes).then(|| format!("it holds {peak} bytes of memory"))
}

fn save(target: &Target, input: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-found", target.name));
    fs::write(&path, input).unwrap();
    path
}

/// Tries inputs on a thread, so that one that never ends is noticed.
fn check(name: &'static str) {
    note_panics();
    let target = *TARGETS.iter().find(|target| target.name == name).unwrap();
    let current: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (tell, told) = sync_channel(1);
    let trying = current.clone();
    let thread = thread::spawn(move || {
        for input in inputs(&target) {
            trying.lock().unwrap().clone_from(&input);
            if let Some(harm) = harm(&target, &input) {
                panic!("{name}: {harm}: {}", save(&target, &input).display());
            }
            tell.send(()).unwrap();
        }
    });
    let mut tried = 0;
    loop {
        match told.recv_timeout(DEADLINE) {
            Ok(()) => tried += 1,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let path = save(&target, &current.lock().unwrap());
                panic!("{name}: no end within {DEADLINE:?}: {}", path.display());
            }
        }
    }
    println!("{name}: {tried} inputs");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn inputs(target: &Target) -> Box<dyn Iterator<Item = Vec<u8>>> {
    if let Some(path) = std::env::var_os("MILLSTREAM_FUZZ_INPUT") {
        return Box::new(std::iter::once(fs::read(path).unwrap()));
    }
    let seeds = target.inputs();
    let mut mutator = Mutator::new(number("MILLSTREAM_FUZZ_SEED", 1));
    let tries = target.tries * usize::try_from(number("MILLSTREAM_FUZZ_TRIES", 1)).unwrap();
    let first = seeds.clone().into_iter();
    Box::new(first.chain((0..tries).map(move |_| mutator.mutate(&seeds))))
}

#[test]
fn answers_of_a_peer_do_no_harm() {
    check("answer");
}

#[test]
fn avro_data_and_schemas_do_no_harm() {
    check("avro");
}

#[test]
fn batches_do_no_harm() {
    check("batch");
}

#[test]
fn files_of_a_data_directory_do_no_harm() {
    check("disk");
}

#[test]
fn files_of_rows_do_no_harm() {
    check("file");
}

#[test]
fn pipeline_files_do_no_harm() {
    check("pipeline");
}

#[test]
fn requests_on_the_port_do_no_harm() {
    check("port");
}

#[test]
fn records_do_no_harm() {
    check("records");
}

#[test]
fn requests_do_no_harm() {
    check("request");
}

#[test]
fn stored_state_does_no_harm() {
    check("state");
}

#[test]
fn requests_of_scrapers_do_no_harm() {
    check("monitor");
}

#[test]
fn stored_positions_do_no_harm() {
    check("positions");
}

#[test]
fn the_schema_registry_takes_no_harm() {
    check("registry");
}

#[test]
fn settings_of_a_broker_do_no_harm() {
    check("settings");
}

#[test]
fn values_of_text_formats_do_no_harm() {
    check("values");
}

#[test]
fn every_target_has_a_test_and_seeds() {
    let tests = include_str!("main.rs");
    for target in TARGETS {
        let name = target.name;
        assert!(
            tests.contains(&format!("check(\"{name}\")")),
            "{name} has no test"
        );
        assert!(!(target.seeds)().is_empty(), "{name} has no seeds");
    }
}

/// A driver that finds nothing proves something only if it can find.
#[test]
fn harm_is_noticed() {
    note_panics();
    let target = |run| Target { run, ..TARGETS[0] };
    assert_eq!(harm(&target(|_| {}), b""), None);
    let panics = harm(&target(|_| panic!("on purpose")), b"");
    assert_eq!(panics.as_deref(), Some("it panics"));
    let caught = harm(&target(|_| drop(catch_unwind(|| panic!("on purpose")))), b"");
    assert_eq!(caught.as_deref(), Some("it panics"));
    let greedy = harm(&target(|_| drop(std::hint::black_box(vec![1_u8; 65 << 20]))), b"");
    assert!(greedy.is_some_and(|harm| harm.contains("bytes of memory")));
}
