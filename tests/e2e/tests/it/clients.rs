//! Foreign programs that the tests compare with. What a machine cannot have is skipped loudly and counted.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use millstream_tests_kit::skip;

/// A Python with the packages of `requirements.txt`, made by `clients.sh`.
pub(crate) fn python() -> Option<PathBuf> {
    let python = std::env::var_os("MILLSTREAM_PYTHON")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    if python.is_none() {
        skip("python clients: run ./test.sh, which installs them");
    }
    python
}

/// The folder with the packages of `node/package.json`, installed by `clients.sh`.
pub(crate) fn node() -> Option<PathBuf> {
    let modules = std::env::var_os("MILLSTREAM_NODE")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    if modules.is_none() {
        skip("node clients: run ./test.sh, which installs them");
    }
    modules
}

pub(crate) fn kcat() -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("kcat"))
        .find(|file| file.is_file());
    if found.is_none() {
        skip("kcat: not installed");
    }
    found
}

/// A script of this crate, to be given arguments.
pub(crate) fn script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name));
    command
}

/// Runs to the end and answers stdout; a failure shows both streams.
pub(crate) fn stdout_of(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}
