use std::{collections::BTreeSet, time::Duration};

use millstream_client::{Consumed, OffsetAt};
use millstream_pipeline::{BadRecords, Plan};
use millstream_runtime::{DeadLetter, NodeState, Outcome, group};
use millstream_types::TopicPartition;

use crate::{
    connectors::{Faults, Numbers, Shelf, Thin},
    world::{Build, World, node, plan, policy, topic},
};

fn expected(count: u64) -> Vec<u64> {
    (0..count).filter(|n| Thin::keeps(*n)).collect()
}

/// numbers → thin → shelf, over three and two partitions.
fn three_hops(source: &Numbers, shelf: &Shelf) -> Plan {
    plan(&[("all", 3), ("thin", 2)])
        .source("numbers", source.clone(), "all")
        .processor("thinner", "all", Thin::with(Faults::default()), "thin")
        .sink("shelf", "thin", shelf.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_until_the_end_moves_each_record_once_and_counts_all() {
    let world = World::new();
    let (source, shelf) = (Numbers::new(1000), Shelf::rolling_at(50));
    let report = world.run(three_hops(&source, &shelf)).await.unwrap();

    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(shelf.numbers(), expected(1000));
    assert_eq!(world.numbers("all").await, (0..1000).collect::<Vec<_>>());
    let source_status = node(&report, "numbers");
    assert_eq!(
        (source_status.records_in, source_status.records_out),
        (1000, 1000)
    );
    let thinner = node(&report, "thinner");
    assert_eq!(thinner.records_in, 1000);
    assert_eq!(thinner.records_out, expected(1000).len() as u64);
    assert_eq!((thinner.filtered, thinner.dead_letters), (334, 66));
    assert_eq!((thinner.tasks, thinner.lag), (3, Some(0)));
    let sink = node(&report, "shelf");
    assert_eq!(sink.records_out, expected(1000).len() as u64);
    assert!(
        report.nodes.iter().all(|n| n.state == NodeState::Done),
        "{report:#?}"
    );
    assert_eq!(source.durable.lock().unwrap().last(), Some(&1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_goes_on_where_the_first_ended() {
    let world = World::new();
    let shelf = Shelf::rolling_at(50);
    world.run(three_hops(&Numbers::new(300), &shelf)).await.unwrap();
    let again = world.run(three_hops(&Numbers::new(300), &shelf)).await.unwrap();
    assert!(again.nodes.iter().all(|n| n.records_in == 0), "{again:#?}");
    // The foreign system has grown.
    let report = world.run(three_hops(&Numbers::new(500), &shelf)).await.unwrap();
    assert_eq!(node(&report, "numbers").records_in, 200);
    assert_eq!(shelf.numbers(), expected(500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_source_tasks_keep_their_own_positions() {
    let world = World::new();
    let mut source = Numbers::new(200);
    source.tasks = 3;
    for _ in 0..2 {
        let plan = plan(&[("all", 2)]).source("numbers", source.clone(), "all");
        world.run(plan).await.unwrap();
    }
    assert_eq!(world.records("all").await.len(), 600);
    let positions = world.records("__millstream_positions").await;
    let keys: BTreeSet<_> = positions.into_iter().map(|r| r.key).collect();
    assert_eq!(keys.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_commits_what_is_there_and_the_next_run_goes_on() {
    let mut world = World::new();
    world.options.until_end = false;
    let shelf = Shelf::rolling_at(1_000_000);
    let mut source = Numbers::new(500);
    source.endless = true;
    let going = world.start(three_hops(&source, &shelf));
    going.until("thinner", |n| n.records_in >= 500).await;
    going.stop.cancel();
    let report = going.ended().await.unwrap();
    assert_eq!(report.outcome, Outcome::Stopped);
    assert!(
        report.nodes.iter().all(|n| n.state == NodeState::Stopped),
        "{report:#?}"
    );
    // The sink has committed what it had read, however little.
    let on_shelf = shelf.numbers().len() as u64;
    assert_eq!(node(&report, "shelf").records_out, on_shelf);

    world.options.until_end = true;
    source.endless = false;
    world.run(three_hops(&source, &shelf)).await.unwrap();
    assert_eq!(shelf.numbers(), expected(500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_source_goes_on_to_its_boundary() {
    let mut world = World::new();
    world.options.until_end = false;
    world.options.commit_interval = Duration::from_secs(60);
    let mut source = Numbers::new(100);
    source.endless = true;
    source.boundary_every = 4;
    let going = world.start(plan(&[("all", 1)]).source("numbers", source.clone(), "all"));
    let read = async {
        while *source.read_to.lock().unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::world::DEADLINE, read).await.unwrap();
    going.stop.cancel();
    going.ended().await.unwrap();
    let committed = world.records("all").await.len() as u64;
    assert_eq!(source.durable.lock().unwrap().as_slice(), [committed]);
    assert!(
        committed.is_multiple_of(28) || committed == 100,
        "{committed} is no boundary"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_without_upstream_ends_where_it_ended_at_the_start() {
    let world = World::new();
    let fill = plan(&[("all", 2)]).source("numbers", Numbers::new(100), "all");
    world.run(fill).await.unwrap();
    let shelf = Shelf::rolling_at(1);
    let drain = plan(&[("all", 2)]).sink("shelf", "all", shelf.clone());
    let report = world.run(drain).await.unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(shelf.numbers(), (0..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_records_of_every_stage_tell_where_they_come_from() {
    let world = World::new();
    let mut source = Numbers::new(60);
    source.bad = |n| n == 8;
    let mut shelf = Shelf::rolling_at(5);
    shelf.refuses = Some(|n| n == 7);
    let report = world.run(three_hops(&source, &shelf)).await.unwrap();

    let dead = world.records("dead").await;
    let of = |name: &str| -> Vec<DeadLetter> {
        let letters = dead.iter().map(DeadLetter::of);
        letters.filter(|l| l.node.as_deref() == Some(name)).collect()
    };
    let from_source = &of("numbers")[0];
    assert_eq!(from_source.stage.as_deref(), Some("TASK_POLL"));
    assert_eq!(from_source.reason.as_deref(), Some("a bad number"));
    assert_eq!(from_source.origin, [("line".to_owned(), "8".to_owned())]);
    assert_eq!(from_source.topic, None);
    // 10, 20, 40, 50
    let from_processor = of("thinner");
    assert_eq!(from_processor.len(), 4);
    assert_eq!(from_processor[0].topic.as_deref(), Some("all"));
    assert_eq!(from_processor[0].stage.as_deref(), Some("TRANSFORMATION"));
    let from_sink = &of("shelf")[0];
    assert_eq!(from_sink.stage.as_deref(), Some("TASK_PUT"));
    assert!(from_sink.offset.is_some() && from_sink.partition.is_some());
    assert_eq!(node(&report, "shelf").dead_letters, 1);
    let restored = DeadLetter::restore(dead[0].clone());
    assert!(restored.headers.is_empty(), "{restored:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_records_are_skipped_or_stop_the_run_if_the_policy_says_so() {
    let world = World::new();
    let shelf = Shelf::rolling_at(5);
    let mut skipping = three_hops(&Numbers::new(60), &shelf);
    skipping.processors[0].on_error = policy(BadRecords::Skip);
    let report = world.run(skipping).await.unwrap();
    assert_eq!(node(&report, "thinner").dead_letters, 0);
    assert_eq!(node(&report, "thinner").filtered, 24);
    assert!(world.records("dead").await.is_empty());

    let world = World::new();
    let mut failing = three_hops(&Numbers::new(60), &Shelf::rolling_at(5));
    failing.processors[0].on_error = policy(BadRecords::Fail);
    let error = world.run(failing).await.unwrap_err().to_string();
    assert!(error.contains("bad record at all-"), "{error}");
    assert!(error.contains("a multiple of ten"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_alone_do_not_wait_for_a_good_record() {
    let mut world = World::new();
    world.options.until_end = false;
    let mut shelf = Shelf::rolling_at(1000);
    shelf.refuses = Some(|_| true);
    let mut source = Numbers::new(20);
    source.endless = true;
    let plan = plan(&[("all", 1)])
        .source("numbers", source, "all")
        .sink("shelf", "all", shelf);
    let going = world.start(plan);
    going.until("shelf", |n| n.dead_letters == 20).await;
    going.stop.cancel();
    going.ended().await.unwrap();
    assert_eq!(world.numbers("dead").await.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_fixed_by_another_incarnation_is_adopted() {
    for fixed_end in [3, 40] {
        let world = World::new();
        let shelf = Shelf::rolling_at(10);
        shelf.fix(TopicPartition::new(topic("all"), 0), 0, fixed_end);
        let plan = plan(&[("all", 1)])
            .source("numbers", Numbers::new(100), "all")
            .sink("shelf", "all", shelf.clone());
        let report = world.run(plan).await.unwrap();
        assert_eq!(
            shelf.numbers(),
            (0..100).collect::<Vec<_>>(),
            "fixed to {fixed_end}"
        );
        assert_eq!(node(&report, "shelf").records_out, 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_beyond_the_log_is_a_loss_that_is_told() {
    let world = World::new();
    let shelf = Shelf::rolling_at(10);
    shelf.fix(TopicPartition::new(topic("all"), 0), 0, 5000);
    let plan = plan(&[("all", 1)])
        .source("numbers", Numbers::new(50), "all")
        .sink("shelf", "all", shelf.clone());
    let error = world.run(plan).await.unwrap_err().to_string();
    assert!(error.contains("is lost") && error.contains("5000"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_that_the_log_does_not_hold_is_a_loss_that_is_told() {
    let world = World::new();
    let shelf = Shelf::rolling_at(10);
    world.run(three_hops(&Numbers::new(50), &shelf)).await.unwrap();
    let partition = TopicPartition::new(topic("thin"), 0);
    let end = world.log.offset(&partition, OffsetAt::Latest).await.unwrap();
    let beyond = Consumed {
        group: group("test", "shelf"),
        offsets: vec![(partition, end + 100)],
    };
    world.log.commit_offsets(beyond).await.unwrap();
    let error = world
        .run(three_hops(&Numbers::new(60), &shelf))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("shelf/thin-0") && error.contains("is lost"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_sink_holds_no_more_than_a_roll_and_a_fetch() {
    let mut world = World::new();
    world.options.fetch_max_bytes = 200;
    let shelf = Shelf::rolling_at(20);
    let plan = plan(&[("all", 1)])
        .source("numbers", Numbers::new(3000), "all")
        .sink("shelf", "all", shelf.clone());
    world.run(plan).await.unwrap();
    assert_eq!(shelf.numbers().len(), 3000);
    // A fetch answers whole batches: here at most two of seven records each way.
    let most = *shelf.most_held.lock().unwrap();
    assert!(most <= 20 + 40, "{most} records were held at once");
}
