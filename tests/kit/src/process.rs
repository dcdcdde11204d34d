//! A child in its own process group, with deadlines on every wait. Dropping it kills the group: no test leaves a
//! process behind.

use std::{
    fs::File,
    io,
    os::unix::{fs::FileExt, process::CommandExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// What is shown of a child's output at most.
const TAIL_BYTES: u64 = 16 * 1024;
/// SIGKILL is not a question; this is for a machine under load.
const REAP_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Process {
    child: Child,
    group: Pid,
    /// It has ended. It is a zombie until its status is taken, so that nobody else gets its id.
    ended: Receiver<()>,
    status: Option<ExitStatus>,
    stdout: File,
    stderr: File,
}

impl Process {
    /// Starts the command; its output goes to unnamed files.
    pub fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let stdout = tempfile::tempfile().context("no file for stdout")?;
        let stderr = tempfile::tempfile().context("no file for stderr")?;
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = group.ok_or_else(|| anyhow!("a process without an id"))?;
        let (tell, ended) = sync_channel(1);
        thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            if rustix::io::retry_on_intr(|| waitid(WaitId::Pid(group), options)).is_ok() {
                // Nobody listens any more when the process was dropped.
                let _ = tell.send(());
            }
        });
        Ok(Self {
            child,
            group,
            ended,
            status: None,
            stdout,
            stderr,
        })
    }

    /// Its process id, which is that of its group.
    pub fn id(&self) -> i32 {
        self.group.as_raw_nonzero().get()
    }

    /// The exit status, if it ends in time.
    pub fn wait(&mut self, timeout: Duration) -> anyhow::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            match self.ended.recv_timeout(timeout) {
                Ok(()) => self.status = Some(self.child.wait()?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the process cannot be waited for"),
            }
        }
        Ok(self.status)
    }

    /// Waits for a good end; anything else is an error that shows what the process said.
    pub fn finish(&mut self, timeout: Duration) -> anyhow::Result<()> {
        match self.wait(timeout)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("the process ended with {status}\n{}", self.stderr()),
            None => bail!("the process still runs after {timeout:?}\n{}", self.stderr()),
        }
    }

    /// SIGKILL to the whole group; returns when the process is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        match self.wait(REAP_TIMEOUT)? {
            Some(_) => Ok(()),
            None => bail!("process {:?} survives SIGKILL", self.group),
        }
    }

    /// SIGTERM: the polite request to stop.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGSTOP: from now on it is dead to everybody else, but does not know.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT: the zombie goes on where it was.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// The end of what it wrote to stdout.
    pub fn stdout(&self) -> String {
        tail(&self.stdout)
    }

    /// The end of what it wrote to stderr.
    pub fn stderr(&self) -> String {
        tail(&self.stderr)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        if self.status.is_some() {
            // The id may belong to somebody else.
            return Ok(());
        }
        match kill_process_group(self.group, signal) {
            // It has ended just now: as good as done.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).context("cannot signal the process"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.wait(Duration::ZERO).is_ok_and(|status| status.is_none()) {
            drop(self.kill());
        }
    }
}

fn tail(file: &File) -> String {
    let read = || -> io::Result<Vec<u8>> {
        // Positioned reads: the child, which may still write, shares the file position.
        let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
        let mut bytes = vec![0; TAIL_BYTES as usize];
        let mut filled = 0;
        loop {
            match file.read_at(&mut bytes[filled..], start + filled as u64)? {
                0 => break,
                n => filled += n,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(its output cannot be read: {error})"),
    }
}
