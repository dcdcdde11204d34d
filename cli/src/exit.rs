use std::process::ExitCode;

/// How a command ended, for scripts. Written for people in `docs/cli.md` and `millstream --help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok,
    /// It did not do what was asked; stderr says why. Also: a pipeline file with problems.
    Failed,
    /// A preview shows changes that were not made.
    Changes,
    /// A second Ctrl-C cut the graceful stop short.
    Interrupted,
}

impl Exit {
    /// 2 is a wrong command line: clap ends the process with it before any command runs.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Changes => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
