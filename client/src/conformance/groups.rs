use std::collections::BTreeMap;

use millstream_types::{GroupId, Offset};

use crate::{Assignment, Consumed, LogError, Member};

use super::{Harness, committed, consumed, expect_error, name, partition, producer, topic, within_patience};

pub async fn commits_offsets_outside_of_transactions(harness: &mut impl Harness) {
    let log = harness.log();
    let topic = topic(&*log, "read", 3).await;
    let group = GroupId::new("readers");
    assert!(!log.groups().await.expect("groups can be listed").contains(&group));
    let both = Consumed {
        group: group.clone(),
        offsets: vec![
            (partition(&topic, 0), Offset(5)),
            (partition(&topic, 1), Offset(0)),
        ],
    };
    log.commit_offsets(both).await.expect("committing offsets works");
    log.commit_offsets(consumed(&group, &partition(&topic, 0), 3))
        .await
        .expect("offsets may go back");
    let all = log
        .all_committed(&group)
        .await
        .expect("committed offsets can be read");
    let expected: BTreeMap<_, _> = [
        (partition(&topic, 0), Offset(3)),
        (partition(&topic, 1), Offset(0)),
    ]
    .into();
    assert_eq!(all, expected);
    assert_eq!(committed(&*log, &group, &partition(&topic, 2)).await, None);
    assert!(log.groups().await.expect("groups can be listed").contains(&group));
    let other = GroupId::new("others");
    assert!(log.all_committed(&other).await.expect("none is fine").is_empty());
}

pub async fn refuses_offsets_of_unknown_topics(harness: &mut impl Harness) {
    let log = harness.log();
    let group = GroupId::new("lost");
    let nowhere = partition(&name("missing"), 0);
    expect_error(
        log.commit_offsets(consumed(&group, &nowhere, 1)).await,
        |e| matches!(e, LogError::UnknownTopic { topic } if *topic == nowhere.topic),
    );
    let mut producer = producer(&*log, "lost-task").await;
    expect_error(producer.commit(Some(consumed(&group, &nowhere, 1))).await, |e| {
        matches!(e, LogError::UnknownTopic { .. })
    });
    assert!(!log.groups().await.expect("groups can be listed").contains(&group));
}

pub async fn a_deleted_topic_takes_its_offsets_along(harness: &mut impl Harness) {
    let log = harness.log();
    let gone = partition(&topic(&*log, "gone", 1).await, 0);
    let kept = partition(&topic(&*log, "kept", 1).await, 0);
    let group = GroupId::new("collector");
    let both = Consumed {
        group: group.clone(),
        offsets: vec![(gone.clone(), Offset(7)), (kept.clone(), Offset(8))],
    };
    log.commit_offsets(both).await.expect("committing offsets works");
    log.delete_topic(&gone.topic)
        .await
        .expect("a topic can be deleted");
    topic(&*log, "gone", 1).await;
    assert_eq!(committed(&*log, &group, &gone).await, None);
    assert_eq!(committed(&*log, &group, &kept).await, Some(8));
}

pub async fn members_share_the_partitions(harness: &mut impl Harness) {
    let log = harness.log();
    let topic = topic(&*log, "shared", 5).await;
    let group = GroupId::new("workers");
    let mut first = log.join(&group, &topic).await.expect("joining works");
    let alone = next(&mut first).await;
    assert_eq!(alone.partitions, [0, 1, 2, 3, 4]);

    let mut second = log.join(&group, &topic).await.expect("joining works");
    let share = next(&mut second).await;
    let rest = next(&mut first).await;
    assert!(rest.generation > alone.generation);
    assert_eq!(share.generation, rest.generation);
    assert!(!share.partitions.is_empty() && !rest.partitions.is_empty());
    assert_eq!(union(&[&share, &rest]), [0, 1, 2, 3, 4]);

    within_patience(second.leave()).await.expect("leaving works");
    let again = next(&mut first).await;
    assert!(again.generation > rest.generation);
    assert_eq!(again.partitions, [0, 1, 2, 3, 4]);
}

pub async fn a_dropped_member_gives_its_partitions_back(harness: &mut impl Harness) {
    let log = harness.log();
    let topic = topic(&*log, "dropped", 2).await;
    let group = GroupId::new("leavers");
    let mut stays = log.join(&group, &topic).await.expect("joining works");
    let mut goes = log.join(&group, &topic).await.expect("joining works");
    let (mine, its) = (next(&mut stays).await, next(&mut goes).await);
    // The first may see itself alone before the second is there.
    let mine = if mine.generation == its.generation {
        mine
    } else {
        next(&mut stays).await
    };
    assert_eq!(union(&[&mine, &its]), [0, 1]);
    drop(goes);
    assert_eq!(next(&mut stays).await.partitions, [0, 1]);
}

pub async fn members_of_other_groups_do_not_share(harness: &mut impl Harness) {
    let log = harness.log();
    let topic = topic(&*log, "everyone", 2).await;
    let mut here = log
        .join(&GroupId::new("here"), &topic)
        .await
        .expect("joining works");
    let mut there = log
        .join(&GroupId::new("there"), &topic)
        .await
        .expect("joining works");
    assert_eq!(next(&mut here).await.partitions, [0, 1]);
    assert_eq!(next(&mut there).await.partitions, [0, 1]);
}

pub async fn refuses_to_join_on_an_unknown_topic(harness: &mut impl Harness) {
    let log = harness.log();
    let result = log.join(&GroupId::new("dreamers"), &name("imagined")).await;
    expect_error(result, |e| matches!(e, LogError::UnknownTopic { .. }));
}

async fn next(member: &mut Box<dyn Member>) -> Assignment {
    within_patience(member.assignment())
        .await
        .expect("an assignment comes")
}

fn union(assignments: &[&Assignment]) -> Vec<i32> {
    let mut all: Vec<_> = assignments.iter().flat_map(|a| a.partitions.clone()).collect();
    all.sort_unstable();
    all
}
