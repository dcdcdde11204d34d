//! A disk that refuses: fsync fails, no space is left.

use std::{path::Path, process::Command, time::Duration};

use millstream_protocol::{ErrorCode, batch::split};
use millstream_tests_kit::{Client, TempDir, batch_of};

use crate::{
    broker::Broker,
    machine::{can, is_root, skip, stdout_of, until},
};

#[test]
fn after_a_failed_fsync_nothing_is_acknowledged_and_nothing_acknowledged_is_lost() {
    // the calls that recovery and topics make come before; which one fails is what varies
    for healthy_syncs in [12, 25, 40] {
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={healthy_syncs}+");
        let tracer = [
            "strace",
            "-f",
            "--seccomp-bpf",
            "-qqq",
            "-o",
            "/dev/null",
            "-e",
            &inject,
        ];
        if !can(
            "strace",
            &["-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null", "true"],
        ) {
            skip("fsync EIO: needs strace with --seccomp-bpf, and the right to trace");
            return;
        }
        let dir = TempDir::with_prefix("millstream-faults-").unwrap();
        let mut broker = Broker::start_under(&tracer, dir.path());
        let mut client = broker.client();
        client.create_topics(&["t".into()], 1);
        let mut acked = 0;
        let refused = loop {
            match client.produce("t", 0, batch_of(1_000, b'a')) {
                (0, offset) => {
                    assert_eq!(offset, acked);
                    acked += 1;
                }
                (error, _) => break error,
            }
            assert!(acked < 1_000, "no fsync failed");
        };
        assert_eq!(refused, ErrorCode::KafkaStorageError as i16);
        for _ in 0..20 {
            let (error, _) = client.produce("t", 0, batch_of(1_000, b'b'));
            assert_ne!(error, 0, "acknowledged after a failed fsync");
        }
        assert_eq!(
            client.high_watermarks("t", 1),
            [acked],
            "only the acknowledged is visible"
        );
        assert_eq!(
            read(&mut client, acked),
            acked,
            "what is durable can still be read"
        );
        broker.kill();
        broker.restart();
        let mut client = broker.client();
        let found = client.high_watermarks("t", 1)[0];
        println!("fsync {healthy_syncs} failed: {acked} acknowledged, {found} found");
        assert!(found >= acked, "{found} {acked}");
        assert_eq!(client.produce("t", 0, batch_of(1_000, b'c')), (0, found));
    }
}

/// Reads records one after the other up to that many; answers how many there are.
fn read(client: &mut Client, end: i64) -> i64 {
    let mut next = 0;
    while next < end {
        let (error, batches) = client.fetch("t", 0, next);
        assert_eq!(error, 0);
        for batch in split(batches) {
            let batch = batch.unwrap();
            assert_eq!(batch.base_offset().0, next);
            batch.validate_records().unwrap();
            next = batch.next_offset().0;
        }
    }
    next
}

/// A small file system in memory; unmounted at the end.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Option<Self> {
        let dir = TempDir::with_prefix("millstream-faults-").unwrap();
        let mounted = dir.path().to_str().unwrap();
        if !is_root()
            || !can(
                "mount",
                &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", mounted],
            )
        {
            skip("disk full: needs root, to mount a small tmpfs");
            return None;
        }
        Some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_writes_and_takes_them_again_when_there_is_space() {
    const RECORD_BYTES: usize = 500_000;
    let Some(disk) = Tmpfs::mount("600M") else { return };
    let ballast = disk.path().join("ballast");
    stdout_of(Command::new("fallocate").args(["-l", "200M"]).arg(&ballast));
    let mut broker = Broker::start(&disk.path().join("data"));
    let mut client = broker.client();
    client.create_topics(&["t".into()], 1);
    let mut acked = 0;
    let refused = loop {
        match client.produce("t", 0, batch_of(RECORD_BYTES, b'a')) {
            (0, offset) => {
                assert_eq!(offset, acked);
                acked += 1;
            }
            (error, _) => break error,
        }
        assert!(acked < 1_200, "600 MB hold more than that");
    };
    println!("full after {acked} records: error {refused}");
    assert_eq!(refused, ErrorCode::KafkaStorageError as i16);
    assert_eq!(
        read(&mut client, acked),
        acked,
        "all is readable while the disk is full"
    );
    broker.assert_alive();

    std::fs::remove_file(&ballast).unwrap();
    let mut offset = 0;
    let took = until("writes are taken again", Duration::from_secs(30), || {
        let (error, base) = client.produce("t", 0, batch_of(RECORD_BYTES, b'b'));
        offset = base;
        error == 0
    });
    println!("writes again after {took:?}");
    assert_eq!(offset, acked);
    broker.kill();
    broker.restart();
    assert_eq!(read(&mut broker.client(), acked + 1), acked + 1);
    broker.kill();
}
