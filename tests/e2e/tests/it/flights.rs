use crate::{
    clients::{python, script, stdout_of},
    millstream::{flights_example, millstream},
};

const ROWS: u64 = 27_004;
const LATE: u64 = 4_918;

#[test]
fn a_month_of_flights_gives_the_rows_of_an_independent_computation() {
    let example = flights_example();
    let pipeline = example.path().join("pipeline.yaml");
    let report = stdout_of(millstream().arg("run").arg(&pipeline).args([
        "--until-end",
        "--listen",
        "none",
        "-o",
        "json",
    ]));
    let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");

    let node = |name: &str| {
        let nodes = report["nodes"].as_array().expect("the report lists nodes");
        nodes
            .iter()
            .find(|node| node["node"] == name)
            .unwrap_or_else(|| panic!("no node {name} in {report}"))
    };
    assert_eq!(node("flights")["records_out"], ROWS, "{report}");
    assert_eq!(node("delays")["records_out"], LATE, "{report}");
    assert_eq!(node("delays")["filtered"], ROWS - LATE, "{report}");
    assert_eq!(node("lake")["records_in"], LATE, "{report}");
    assert_eq!(node("lines")["records_in"], LATE, "{report}");

    let Some(python) = python() else { return };
    let csv = example.path().join("data/flights-2013-01.csv.gz");
    let checked = stdout_of(
        script(&python, "flights_check.py")
            .arg(csv)
            .arg(example.path().join("out")),
    );
    assert_eq!(checked.trim(), format!("{{\"rows\": {LATE}}}"));
}

#[test]
fn a_second_run_finds_nothing_new_and_repeats_nothing() {
    let example = flights_example();
    let run = || {
        let mut command = millstream();
        command
            .arg("run")
            .arg(example.path().join("pipeline.yaml"))
            .args(["--until-end", "--listen", "none", "-o", "json"]);
        let report = stdout_of(&mut command);
        serde_json::from_str::<serde_json::Value>(&report).expect("the report is JSON")
    };
    run();
    let again = run();
    for node in again["nodes"].as_array().expect("the report lists nodes") {
        assert_eq!(node["records_out"], 0, "{again}");
    }
    let shown = stdout_of(
        millstream()
            .args(["offsets", "show", "-o", "json", "--pipeline"])
            .arg(example.path().join("pipeline.yaml")),
    );
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("the offsets are JSON");
    for group in shown["groups"].as_array().expect("the groups are a list") {
        assert_eq!(group["lag"], 0, "{group}");
    }
    let Some(python) = python() else { return };
    let csv = example.path().join("data/flights-2013-01.csv.gz");
    stdout_of(
        script(&python, "flights_check.py")
            .arg(csv)
            .arg(example.path().join("out")),
    );
}
