use std::{fs, path::Path, process::Command, time::Duration};

use millstream_tests_kit::{Process, free_port};

use crate::{
    clients::kcat,
    millstream::{binary, root},
};

const DEADLINE: Duration = Duration::from_secs(120);

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

/// Runs the commands of a section in a folder; none may fail.
fn run(script: &str, folder: &Path) {
    let path = std::env::join_paths(binary().parent().map(Path::to_path_buf).into_iter().chain(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()),
    ));
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("set -euo pipefail\n{script}")])
        .current_dir(folder);
    bash.env("PATH", path.expect("folders have no colons"));
    let mut bash = Process::spawn(bash).expect("bash starts");
    bash.finish(DEADLINE)
        .unwrap_or_else(|error| panic!("{error:?}\n{}", bash.stdout()));
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
    let port = free_port().expect("loopback has free ports");
    let script = tour.replace("127.0.0.1:9092", &format!("127.0.0.1:{port}"));
    run(&script, folder.path());
}

#[test]
fn every_command_of_the_registry_s_tour_works() {
    let page = fs::read_to_string(root().join("docs/registry.md")).expect("there is a page");
    let tour = commands(&page, "## From one program to another");
    // What the comments and the last command promise.
    let promises = r#"
        millstream topic consume orders --avro --data-dir shop | grep -x '{"id":1,"cents":1250}'
        millstream topic consume dear --avro --data-dir shop | grep -x '{"id":1,"total":1250,"city":"Bonn"}'
        test "$(millstream topic consume dear --avro --data-dir shop | wc -l)" = 2
        ! millstream run text.yaml --until-end --registry-listen none"#;
    assert!(tour.matches("millstream ").count() >= 8, "{tour}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(&format!("{tour}\n{promises}"), folder.path());
}
