//! The Java library as a child process: `tests/java/oracle.sh`.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// The answers to these requests, in order; an error is why Java cannot be asked here.
pub(crate) fn ask(requests: &[Value]) -> Result<Vec<Value>, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/java/oracle.sh");
    let mut child = Command::new("bash")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("apache avro: bash does not run: {error}"))?;
    let mut input = child.stdin.take().expect("piped");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let answers: Vec<Value> = std::thread::scope(|scope| {
        // Whoever writes everything before reading waits for a full pipe for ever. An error is seen at the other end.
        scope.spawn(move || {
            requests
                .iter()
                .try_for_each(|request| writeln!(input, "{request}"))
        });
        output
            .lines()
            .map(|line| line.expect("the oracle writes UTF-8"))
            .map(|line| serde_json::from_str(&line).expect("the oracle writes JSON"))
            .collect()
    });
    let end = child.wait_with_output().expect("the child ends");
    let stderr = String::from_utf8_lossy(&end.stderr).trim().to_owned();
    match end.status.code() {
        Some(0) => {
            assert_eq!(
                answers.len(),
                requests.len(),
                "the oracle has left requests out: {stderr}"
            );
            Ok(answers)
        }
        Some(69) => Err(stderr),
        code => panic!("the oracle ended with {code:?}: {stderr}"),
    }
}
