//! A power cut: a file system of its own whose un-fsynced bytes vanish. `kill -9` never tests an fsync.
//!
//! The broker is frozen before the cut, since power that is gone stops everybody at once: ext4 lets an `fdatasync` that is
//! under way while it shuts down succeed, although its bytes are on no disk. A broker that goes on after the cut would
//! acknowledge them. What it does when an fsync fails is tested in `disk.rs`.

use std::{path::PathBuf, process::Command, time::Duration};

use millstream_tests_kit::TempDir;
use rand::Rng;

use crate::{
    broker::Broker,
    load::Load,
    machine::{can, is_root, python, rounds, script, seeded, skip, stdout_of},
};

/// ext4 in a file, mounted through a loop device; unmounted at the end.
struct Ext4 {
    image: PathBuf,
    mounted: PathBuf,
    _dir: TempDir,
}

impl Ext4 {
    /// `None` where the machine cannot.
    fn mount() -> Option<Self> {
        if !is_root() || !can("mkfs.ext4", &["-V"]) || !can("losetup", &["-f"]) {
            skip("power cut: needs root, mkfs.ext4 and a loop device");
            return None;
        }
        let dir = TempDir::with_prefix("millstream-faults-").unwrap();
        let disk = Self {
            image: dir.path().join("image"),
            mounted: dir.path().join("mounted"),
            _dir: dir,
        };
        let image = disk.image.to_str().unwrap();
        stdout_of(Command::new("truncate").args(["-s", "2G", image]));
        stdout_of(Command::new("mkfs.ext4").args(["-q", "-F", image]));
        std::fs::create_dir(&disk.mounted).unwrap();
        if !can("mount", &["-o", "loop", image, disk.mounted.to_str().unwrap()]) {
            skip("power cut: a loop device cannot be mounted here");
            return None;
        }
        Some(disk)
    }

    /// Nothing reaches the file system any more.
    fn cut(&self, python: &std::path::Path) {
        stdout_of(script(python, "cut.py").arg(&self.mounted));
    }

    /// As after the reboot. All processes on it must be gone.
    fn mount_again(&self) {
        let (image, mounted) = (self.image.to_str().unwrap(), self.mounted.to_str().unwrap());
        stdout_of(Command::new("umount").arg(mounted));
        stdout_of(Command::new("mount").args(["-o", "loop", image, mounted]));
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        // not mounted, if the machine could not
        let _ = Command::new("umount").arg("-l").arg(&self.mounted).status();
    }
}

#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let Some(python) = python() else { return };
    let Some(disk) = Ext4::mount() else { return };
    let mut random = seeded("power");
    let data = disk.mounted.join("data");
    let mut broker = Broker::start(&data);
    let mut load = Load::start(&python, &broker, 4, 4_000);
    for _ in rounds(4) {
        load.run_for(Duration::from_millis(random.random_range(100..1_000)));
        let before = load.high_watermarks(&broker);
        broker.freeze();
        disk.cut(&python);
        broker.kill();
        disk.mount_again();
        println!("restart {:?}", broker.restart());
        let after = load.high_watermarks(&broker);
        let back = before.iter().zip(&after).any(|(before, after)| after < before);
        assert!(!back, "high watermarks went back: {before:?} {after:?}");
        load.wait_for_more(&broker);
    }
    load.stop_and_check(&broker);
    broker.kill();
}
