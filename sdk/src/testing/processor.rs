use millstream_types::Record;

use super::random::Random;
use crate::{Processed, Processor};

const CUTS: u64 = 16;

/// Checks a processor on `input` (records of one partition with rising offsets, some of them bad, if it can tell):
/// every record of every batch is accounted for, rejected records come back as they came, and how the input is cut
/// into batches does not show in what comes out.
///
/// # Panics
/// If a promise is broken.
pub fn processor(open: impl Fn() -> Box<dyn Processor>, input: &[Record]) {
    assert!(input.len() > 1, "a suite needs input");
    let whole = run(&open, input, &[input.len()]);
    let singles = run(&open, input, &vec![1; input.len()]);
    assert_eq!(
        whole, singles,
        "record by record gives something else than one batch"
    );
    for seed in 0..CUTS {
        let cuts = random_cuts(input.len(), seed);
        let cut = run(&open, input, &cuts);
        assert_eq!(
            whole, cut,
            "batches of {cuts:?} give something else than one batch"
        );
    }
    let nothing = process(&mut *open(), &[]);
    assert_eq!(nothing, Processed::default(), "an empty batch gives something");
}

fn run(open: &impl Fn() -> Box<dyn Processor>, input: &[Record], cuts: &[usize]) -> Processed {
    let mut processor = open();
    let mut total = Processed::default();
    let mut rest = input;
    for cut in cuts {
        let (batch, after) = rest.split_at(*cut);
        rest = after;
        let mut processed = process(&mut *processor, batch);
        total.records.append(&mut processed.records);
        total.rejected.append(&mut processed.rejected);
        total.passed += processed.passed;
        total.filtered += processed.filtered;
    }
    total
}

fn process(processor: &mut dyn Processor, batch: &[Record]) -> Processed {
    let processed = match processor.process(batch) {
        Ok(processed) => processed,
        Err(error) => panic!("the processor fails on a batch of {}: {error}", batch.len()),
    };
    let accounted = processed.passed + processed.filtered + processed.rejected.len() as u64;
    assert_eq!(accounted, batch.len() as u64, "records are not accounted for");
    assert!(
        processed.records.len() as u64 >= processed.passed,
        "{} records passed, but only {} came out",
        processed.passed,
        processed.records.len()
    );
    for rejected in &processed.rejected {
        assert!(
            batch.contains(&rejected.record),
            "a rejected record is not one of the input: {rejected:?}"
        );
        assert!(
            !rejected.reason.is_empty(),
            "a record is rejected without a reason"
        );
    }
    processed
}

fn random_cuts(records: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::seeded(seed);
    let mut left = records;
    let mut cuts = Vec::new();
    while left > 0 {
        let cut = 1 + random.below(left.min(50));
        cuts.push(cut);
        left -= cut;
    }
    cuts
}
