use std::{sync::Arc, time::Duration};

use millstream_pipeline::Plan;
use millstream_runtime::{DeadLetter, NodeState, Outcome, RunError};

use crate::{
    connectors::{Fault, Faults, Numbers, Shelf, Thin},
    faulty_log::{CommitFault, FaultyLog},
    world::{Build, World, node, plan},
};

fn expected(count: u64) -> Vec<u64> {
    (0..count).filter(|n| Thin::keeps(*n)).collect()
}

struct Parts {
    source: Numbers,
    thin: Faults,
    shelf: Shelf,
}

fn parts(count: u64) -> Parts {
    Parts {
        source: Numbers::new(count),
        thin: Faults::default(),
        shelf: Shelf::rolling_at(25),
    }
}

fn plan_of(parts: &Parts) -> Plan {
    plan(&[("all", 1), ("thin", 1)])
        .source("numbers", parts.source.clone(), "all")
        .processor("thinner", "all", Thin::with(parts.thin.clone()), "thin")
        .sink("shelf", "thin", parts.shelf.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retriable_errors_of_every_stage_leave_no_trace() {
    let world = World::new();
    let mut parts = parts(600);
    let retries = |at: [u64; 3]| Faults::at(at.map(|n| (n, Fault::Retry)));
    parts.source.faults = retries([0, 100, 333]);
    parts.thin = retries([1, 250, 599]);
    parts.shelf.faults = retries([1, 202, 401]);
    let report = world.run(plan_of(&parts)).await.unwrap();
    assert_eq!(
        parts.source.faults.left() + parts.thin.left() + parts.shelf.faults.left(),
        0
    );
    assert_eq!(parts.shelf.numbers(), expected(600));
    assert_eq!(world.numbers("all").await, (0..600).collect::<Vec<_>>());
    assert_eq!(world.numbers("thin").await, expected(600));
    assert_eq!(node(&report, "thinner").records_in, 600);
    assert_eq!(
        node(&report, "thinner").dead_letters as usize,
        world.records("dead").await.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_of_unknown_fate_are_neither_repeated_nor_miscounted() {
    use CommitFault::{DoneButLost, NotDone};
    let faults = [
        None,
        Some(DoneButLost),
        Some(NotDone),
        None,
        Some(NotDone),
        Some(DoneButLost),
    ];
    let mut world = World::new();
    // A good many commits, so that every stage meets every fault.
    let script: Vec<_> = faults.iter().cycle().take(60).copied().collect();
    world.log = Arc::new(FaultyLog::new(Arc::clone(&world.log), script));
    world.options.commit_max_bytes = 100;
    let parts = parts(500);
    let report = world.run(plan_of(&parts)).await.unwrap();
    assert_eq!(parts.shelf.numbers(), expected(500));
    assert_eq!(world.numbers("all").await, (0..500).collect::<Vec<_>>());
    assert_eq!(world.numbers("thin").await, expected(500));
    assert_eq!(node(&report, "numbers").records_in, 500);
    assert_eq!(node(&report, "thinner").records_in, 500);
    assert_eq!(node(&report, "shelf").records_out as usize, expected(500).len());
    assert_eq!(
        node(&report, "thinner").dead_letters as usize,
        world.records("dead").await.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retrying_node_shows_why_and_a_stop_does_not_wait_for_it() {
    let mut world = World::new();
    world.options.until_end = false;
    let mut parts = parts(100);
    parts.shelf.faults = Faults::at((0..1000).map(|_| (1, Fault::Retry)));
    let mut plan = plan_of(&parts);
    plan.sinks[0].on_error.backoff = (Duration::from_secs(600), Duration::from_secs(600));
    let going = world.start(plan);
    let shelf = going
        .until("shelf", |n| matches!(n.state, NodeState::Retrying { .. }))
        .await;
    let NodeState::Retrying { error, .. } = shelf.state else {
        unreachable!("just seen");
    };
    assert_eq!(error, "not now, at 1");
    going.until("thinner", |n| n.records_in == 100).await;
    going.stop.cancel();
    assert_eq!(going.ended().await.unwrap().outcome, Outcome::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_used_up_its_retries_fails_the_run() {
    let world = World::new();
    let mut parts = parts(100);
    parts.shelf.faults = Faults::at((0..100).map(|_| (1, Fault::Retry)));
    let mut plan = plan_of(&parts);
    plan.sinks[0].on_error.max_retries = Some(3);
    let error = world.run(plan).await.unwrap_err().to_string();
    assert_eq!(error, "shelf/thin-0: gave up after 3 retries: not now, at 1");
    assert_eq!(parts.shelf.faults.left(), 96);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_or_a_miscount_ends_the_task_and_the_next_run_goes_on() {
    for fault in [Fault::Fatal, Fault::Panic] {
        let world = World::new();
        let mut parts = parts(300);
        parts.thin = Faults::at([(151, fault.clone())]);
        let Err(RunError::Tasks { failures }) = world.run(plan_of(&parts)).await else {
            panic!("{fault:?} must fail the run");
        };
        assert_eq!((failures.len(), &*failures[0].node), (1, "thinner"));
        assert!(failures[0].error.contains("at 151"), "{failures:?}");
        world.run(plan_of(&parts)).await.unwrap();
        assert_eq!(parts.shelf.numbers(), expected(300));
    }
    let miscounting = plan(&[("all", 1), ("thin", 1)])
        .source("numbers", Numbers::new(50), "all")
        .processor("thinner", "all", Thin::that_miscounts(), "thin");
    let error = World::new().run(miscounting).await.unwrap_err().to_string();
    assert!(error.contains("processor 'thinner' accounts for"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_node_does_not_disturb_the_others_of_an_endless_run() {
    let mut world = World::new();
    world.options.until_end = false;
    let mut broken = Numbers::new(100);
    broken.faults = Faults::at([(0, Fault::Fatal)]);
    let mut sound = Numbers::new(100);
    sound.endless = true;
    let plan = plan(&[("a", 1), ("b", 1)])
        .source("broken", broken, "a")
        .source("sound", sound, "b");
    let going = world.start(plan);
    going
        .until("broken", |n| matches!(n.state, NodeState::Failed { .. }))
        .await;
    going.until("sound", |n| n.records_out == 100).await;
    going.stop.cancel();
    let error = going.ended().await.unwrap_err().to_string();
    assert_eq!(error, "broken/task-0: broken at 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_fences_the_first() {
    let mut world = World::new();
    world.options.until_end = false;
    let shelf = Shelf::rolling_at(10);
    let mut source = Numbers::new(200);
    source.endless = true;
    let both = |source: &Numbers| {
        plan(&[("all", 1)])
            .source("numbers", source.clone(), "all")
            .sink("shelf", "all", shelf.clone())
    };
    let first = world.start(both(&source));
    first.until("numbers", |n| n.records_out == 200).await;
    let mut longer = source.clone();
    longer.count = 400;
    let second = world.start(both(&longer));
    second.until("numbers", |n| n.records_out == 200).await;
    second.until("shelf", |n| n.records_out + 200 >= 400 - 10).await;

    // What the first may still do is nothing that anybody sees.
    first.stop.cancel();
    let first = first.ended().await.unwrap();
    assert!(
        matches!(first.outcome, Outcome::Stopped | Outcome::Fenced),
        "{first:?}"
    );
    second.stop.cancel();
    second.ended().await.unwrap();
    assert_eq!(world.numbers("all").await, (0..400).collect::<Vec<_>>());
    assert_eq!(shelf.numbers(), (0..400).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_its_topic_does_not_take_is_a_dead_letter() {
    let world = World::new();
    let mut source = Numbers::new(60);
    source.zeros = |n| match n {
        30 => 2_000,
        31 => 10_000,
        _ => 0,
    };
    let mut plan = plan(&[("all", 1)]).source("numbers", source, "all");
    let limit = |bytes: &str| ("max.message.bytes".to_owned(), bytes.to_owned());
    plan.topics[0].config.extend([limit("1000")]);
    // It takes the first of the two as it is, and of the second what is not its value.
    plan.topics[1].config.extend([limit("5000")]);
    let report = world.run(plan).await.unwrap();
    let numbers = node(&report, "numbers");
    assert_eq!(
        (numbers.records_in, numbers.records_out, numbers.dead_letters),
        (60, 58, 2)
    );
    let sound: Vec<_> = (0..60).filter(|n| ![30, 31].contains(n)).collect();
    assert_eq!(world.numbers("all").await, sound);

    let letters = world.records("dead").await;
    assert_eq!(letters.len(), 2);
    for letter in &letters {
        let told = DeadLetter::of(letter);
        let reason = told.reason.unwrap();
        assert!(
            reason.contains("larger than the 1000 bytes that 'all' accepts"),
            "{reason}"
        );
        assert_eq!((told.topic, told.stage.as_deref()), (None, Some("TASK_POLL")));
        assert_eq!(told.origin, [("meant_for".to_owned(), "all".to_owned())]);
    }
    assert_eq!(letters[0].value.as_ref().map(|value| value.len()), Some(2_009));
    assert_eq!(
        (&letters[1].value, letters[1].key.as_deref()),
        (&None, Some(&b"key-9"[..]))
    );
    assert_eq!(letters[1].header("millstream.value.bytes").unwrap(), "10009");
}
