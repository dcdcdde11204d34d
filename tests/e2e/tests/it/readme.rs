use std::{fs, process::Command};

use crate::{
    clients::{kcat, stdout_of},
    millstream::{binary, root},
};

/// The blocks of commands in the section that begins with this heading.
fn commands(readme: &str, heading: &str) -> String {
    let section = readme
        .split(heading)
        .nth(1)
        .expect("the section is there")
        .split("\n## ")
        .next()
        .unwrap_or_default();
    let blocks = section
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_command_of_the_tour_works() {
    if kcat().is_none() {
        return;
    }
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let tour = commands(&readme, "## A five-minute tour");
    assert!(
        tour.matches("millstream ").count() >= 8,
        "the tour shows the commands:\n{tour}"
    );

    let folder = tempfile::tempdir().expect("a temporary folder");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(root().join("examples"))
        .arg(folder.path())
        .status();
    assert!(copied.expect("cp exists").success());
    for leftover in ["examples/flights/out", "examples/flights/state"] {
        fs::remove_dir_all(folder.path().join(leftover)).ok();
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|it| it.local_addr())
        .expect("a free port");
    let script = tour.replace("127.0.0.1:9092", &free.to_string());
    let script = format!(
        "set -euo pipefail\nmillstream() {{ '{}' \"$@\"; }}\n{script}",
        binary().display()
    );
    stdout_of(
        Command::new("bash")
            .args(["-c", &script])
            .current_dir(folder.path()),
    );
}
