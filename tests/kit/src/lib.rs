//! The crash harness and helpers for tests that run processes.
//!
//! [`crash`] runs a program again and again, kills it at random times (SIGKILL to its process group), stops some
//! incarnations (SIGSTOP) and wakes them as zombies beside their successors, and lets the last one finish. Then the
//! test compares what is there with what should be: [`difference`].
//!
//! Every run prints its seed; `MILLSTREAM_SEED` repeats the choices of a run (not the scheduling of the machine).
//! Deliberately absent: anything that knows what the program does.

mod compare;
mod crash;
mod process;

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

pub use compare::{Difference, difference, lines_under};
pub use crash::{Crashes, Plan, crash, seed};
pub use process::Process;
pub use tempfile::TempDir;

/// A port on the loopback interface that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
