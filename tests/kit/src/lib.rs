//! The crash harness, helpers for tests that run processes, and a plain client of the Kafka port.
//!
//! [`crash`] runs a program again and again, kills it at random times (SIGKILL to its process group), stops some
//! incarnations (SIGSTOP) and wakes them as zombies beside their successors, and lets the last one finish. Then the
//! test compares what is there with what should be: [`difference`].
//!
//! Every run prints its seed; `MILLSTREAM_SEED` repeats the choices of a run (not the scheduling of the machine).
//! Deliberately absent: anything that knows how the program does what it does.

mod client;
mod compare;
mod crash;
mod frame;
mod process;

use std::{
    fs::OpenOptions,
    io::{self, Write},
    net::{Ipv4Addr, TcpListener},
};

pub use client::{Client, batch_of};
pub use compare::{Difference, difference, lines_under};
pub use crash::{Crashes, Plan, crash, seed};
pub use frame::{fetch_request, produce_request, request_frame, request_frame_of, topic_name};
pub use process::Process;
pub use tempfile::TempDir;

/// Says loudly that something is not tested for want of something, and counts it: in the file that `MILLSTREAM_SKIPPED`
/// names, which the test command shows at its end.
#[expect(clippy::print_stdout, reason = "what is skipped is said loudly")]
pub fn skip(reason: &str) {
    println!("SKIPPED: {reason}");
    if let Some(list) = std::env::var_os("MILLSTREAM_SKIPPED") {
        let file = OpenOptions::new().create(true).append(true).open(list);
        file.and_then(|mut file| writeln!(file, "{reason}"))
            .expect("the list of skipped tests can be written");
    }
}

/// A port on the loopback interface that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
