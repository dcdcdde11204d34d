//! The binary, built once, and folders to run it in.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The binary of this profile; built if it is out of date.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "millstream"])
            .current_dir(root())
            .status();
        assert!(status.expect("cargo runs").success(), "the binary builds");
        let test = std::env::current_exe().expect("a test has a file");
        let folder = test
            .parent()
            .and_then(Path::parent)
            .expect("a test lies in <target>/<profile>/deps");
        folder.join("millstream")
    })
}

pub(crate) fn millstream() -> Command {
    Command::new(binary())
}

/// A copy of the flights example, without the README and with its data linked.
pub(crate) fn flights_example() -> TempDir {
    let example = root().join("examples/flights");
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::copy(example.join("pipeline.yaml"), folder.path().join("pipeline.yaml"))
        .expect("the example has a pipeline");
    let data = example.join("data").canonicalize().expect("the example has data");
    std::os::unix::fs::symlink(data, folder.path().join("data")).expect("links work");
    folder
}
