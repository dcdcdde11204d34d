//! A disk without room, as people meet it: one sentence, exit code 1, and nothing that was acknowledged is lost.
//!
//! The disk is a tmpfs of a few hundred megabytes, which needs root; elsewhere the test says loudly that it was skipped.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use millstream_tests_kit::skip;

use crate::support::Workplace;

/// One file of the write-ahead log is 128 MiB: two fit and the third does not.
const SMALL: &str = "300m";
const LARGE: &str = "700m";
const LINE_BYTES: usize = 60_000;

/// Gone when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(dir: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&dir).unwrap();
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &options, "millstream-test"])
            .arg(&dir);
        let done = mount.output().is_ok_and(|output| output.status.success());
        done.then_some(Self(dir))
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        let grown = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn lines(count: usize) -> String {
    let mut text = String::with_capacity(count * (LINE_BYTES + 1));
    for n in 0..count {
        text.push_str(&format!("{n:0>LINE_BYTES$}\n"));
    }
    text
}

/// The numbers of the lines in the topic.
async fn numbers(place: &Workplace) -> Vec<usize> {
    let text = place.ok("topic consume t --data-dir disk/data").await;
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none())
}

#[tokio::test]
async fn a_full_disk_is_one_sentence_and_damages_nothing() {
    let place = Workplace::new();
    let Some(disk) = SmallDisk::mount(place.path("disk"), SMALL) else {
        skip("the command line on a full disk: mounting a tmpfs needs root");
        return;
    };
    assert!(is_empty(&place.path("disk")));
    place.ok("topic create t --data-dir disk/data").await;
    let full = place
        .run_with("topic produce t --data-dir disk/data", &lines(6_000))
        .await;
    full.assert_fails(
        1,
        &[
            "error: stopped after",
            "records were appended",
            "no space left for the log",
        ],
    );
    let mut errors = full
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("error: "));
    let error = errors.next().unwrap();
    assert_eq!(errors.next(), None, "{}", full.stderr);

    // What was acknowledged is there while the disk is full, in order, with nothing in between missing.
    let mut words = error.split_whitespace().map(|word| word.replace(',', ""));
    let acknowledged: usize = words.find_map(|word| word.parse().ok()).unwrap();
    assert!(acknowledged > 0, "{}", full.stderr);
    let kept = numbers(&place).await;
    assert!(kept.len() >= acknowledged, "{} of {acknowledged}", kept.len());
    assert_eq!(kept, (0..kept.len()).collect::<Vec<_>>());

    disk.grow(LARGE);
    place
        .ok_with("topic produce t --data-dir disk/data", &lines(3))
        .await;
    let after = numbers(&place).await;
    assert_eq!(after[..kept.len()], kept);
    assert_eq!(after[kept.len()..], [0, 1, 2]);
}

#[tokio::test]
async fn a_disk_without_room_for_the_log_is_named() {
    let place = Workplace::new();
    let Some(disk) = SmallDisk::mount(place.path("disk"), "20m") else {
        skip("the command line on a disk that is too small: mounting a tmpfs needs root");
        return;
    };
    let finished = place.run("topic create t --data-dir disk/data").await;
    finished.assert_fails(1, &["error: ", "space"]);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    disk.grow(LARGE);
    place.ok("topic create t --data-dir disk/data").await;
}
