use std::fs;

use serde_json::json;

use crate::support::{Workplace, finish};

pub(crate) const PEOPLE: &str = "\
version: 1
pipeline: people
log: { embedded: { dir: ./state } }
sources:
  people:
    type: file
    path: people.csv
    format: { csv: { columns: { name: varchar, age: int } } }
    into: { topic: people, key: name }
processors:
  adults:
    sql: SELECT name, age FROM people WHERE age >= 18
    into: adults
sinks:
  out:
    type: file
    from: adults
    path: out/
    format: ndjson
";

/// A folder with the pipeline and its input; one row cannot be read.
pub(crate) fn people() -> Workplace {
    let place = Workplace::new();
    place.write("pipeline.yaml", PEOPLE);
    place.write("people.csv", "name,age\nAda,36\nBob,7\nCyd,old\nDan,18\n");
    place
}

#[tokio::test]
async fn a_pipeline_runs_to_its_end_and_shows_what_it_did() {
    let place = people();
    let run = place
        .run("run pipeline.yaml --until-end --listen none -o json")
        .await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let summary: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&summary["pipeline"], &summary["outcome"]),
        (&json!("people"), &json!("done"))
    );
    let counts: Vec<_> = summary["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            (
                node["node"].as_str().unwrap(),
                [
                    &node["records_in"],
                    &node["records_out"],
                    &node["filtered"],
                    &node["dead_letters"],
                ],
            )
        })
        .collect();
    for (node, [records_in, out, filtered, dead]) in &counts {
        let sum: u64 = [out, filtered, dead]
            .iter()
            .map(|count| count.as_u64().unwrap())
            .sum();
        assert_eq!(
            records_in.as_u64(),
            Some(sum),
            "{node}: in = out + filtered + dead letters: {counts:?}"
        );
    }
    assert_eq!(counts.len(), 3, "{counts:?}");
    assert_eq!(counts[0].1[0], &json!(4), "{counts:?}");
    let lines = place.lines_in("out");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("Ada") && lines[1].contains("Dan"), "{lines:?}");

    // The second run finds nothing new, and the topics still hold what the first one wrote.
    let table = place.ok("run pipeline.yaml --until-end --listen none").await;
    let first = table.lines().nth(1).unwrap();
    assert_eq!(
        first.split_whitespace().collect::<Vec<_>>(),
        ["people", "source", "0", "0", "0", "0", "done"]
    );
    assert_eq!(place.lines_in("out"), lines);
    assert_eq!(
        place
            .json_lines("topic consume adults --pipeline pipeline.yaml")
            .await
            .len(),
        2
    );
    let offsets = place.json("offsets show --pipeline pipeline.yaml").await;
    assert_eq!(offsets["sources"][0]["source"], "people");
    assert!(
        offsets["groups"].to_string().contains("ms.people.adults"),
        "{offsets}"
    );
}

#[tokio::test]
async fn validate_shows_what_would_run_and_starts_nothing() {
    let place = people();
    let summary = place.json("validate pipeline.yaml").await;
    assert_eq!(summary["valid"], true);
    assert_eq!(summary["nodes"][1]["reads"], json!(["people"]));
    assert!(
        summary["nodes"][1]["explain"].as_str().unwrap().contains("age"),
        "{summary}"
    );
    assert!(place.ok("validate pipeline.yaml").await.contains("adults"));
    assert!(!place.path("state").exists());
}

#[tokio::test]
async fn all_problems_are_shown_at_once_with_line_and_column() {
    let place = people();
    let wrong = PEOPLE
        .replace(
            "type: file\n    path: people.csv",
            "type: fil\n    path: people.csv",
        )
        .replace("into: adults", "inot: adults")
        .replace("format: ndjson", "format: xml");
    place.write("pipeline.yaml", &wrong);
    for command in ["validate pipeline.yaml", "run pipeline.yaml --listen none"] {
        let finished = place.run(command).await;
        finished.assert_fails(
            1,
            &["pipeline.yaml:6:", "inot", "xml", "error: pipeline.yaml has"],
        );
        assert_eq!(finished.stdout, "");
    }
    let finished = place.run("validate pipeline.yaml -o json").await;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(report["valid"], false);
    let problems = report["problems"].as_array().unwrap();
    assert!(problems.len() >= 3, "{report}");
    assert!(
        problems
            .iter()
            .all(|p| p["line"].as_u64() > Some(0) && p["column"].as_u64() > Some(0)),
        "{report}"
    );
    assert!(!place.path("state").exists());
}

#[tokio::test]
async fn problems_of_the_outside_world_and_of_the_sql_come_together() {
    let place = people();
    place.write("pipeline.yaml", &PEOPLE.replace("age >= 18", "agee >= 18"));
    place
        .run("validate pipeline.yaml")
        .await
        .assert_fails(1, &["agee", "has 1 problem"]);
    fs::remove_file(place.path("people.csv")).unwrap();
    let finished = place.run("validate pipeline.yaml").await;
    finished.assert_fails(1, &["agee", "people.csv", "has 2 problems"]);
    place
        .run("run missing.yaml")
        .await
        .assert_fails(1, &["cannot read pipeline 'missing.yaml'"]);
}

#[tokio::test]
async fn follows_what_is_written_from_now_on() {
    let place = Workplace::new();
    let _owner = place.start("broker serve --data-dir data --listen 127.0.0.1:0");
    place.listening("data").await;
    place.ok("topic create t").await;
    place.ok_with("topic produce t", "before\n").await;
    let reader = place.start("topic consume t --follow --max-records 2 --from-beginning");
    place.ok_with("topic produce t", "after\n").await;
    let finished = finish(reader).await;
    assert_eq!(
        (finished.code, finished.stdout.as_str()),
        (Some(0), "before\nafter\n"),
        "{finished:?}"
    );
}

#[tokio::test]
async fn a_running_pipeline_serves_its_topics_and_stops_gracefully() {
    let place = people();
    let mut child = place.start("run pipeline.yaml --listen 127.0.0.1:0");
    let address = place.listening("state").await;
    // By its address, and by the directory that it holds.
    let target = format!("--bootstrap {address}");
    for target in [target.as_str(), "--pipeline pipeline.yaml"] {
        assert_eq!(
            place.json(&format!("topic describe people {target}")).await["topic"],
            "people"
        );
        let name = format!("made{}", target.len());
        place
            .ok(&format!("topic create {name} --partitions 2 {target}"))
            .await;
        place
            .ok_with(
                &format!("topic produce {name} --key-separator : {target}"),
                "a:1\nb:2\n",
            )
            .await;
        let mut lines: Vec<_> = place
            .ok(&format!("topic consume {name} {target}"))
            .await
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        assert_eq!(lines, ["1", "2"]);
        place
            .run(&format!("topic create {name} {target}"))
            .await
            .assert_fails(1, &["already exists"]);
        place
            .run(&format!("topic consume nope {target}"))
            .await
            .assert_fails(1, &["'nope' does not exist"]);
        assert!(place.ok(&format!("topic list {target}")).await.contains(&name));
        place.ok(&format!("topic delete {name} {target}")).await;
    }
    // What needs the directory itself says who holds it and how to reach that one.
    let pid = child.id().unwrap().to_string();
    let refused = place.run("dlq show --pipeline pipeline.yaml").await;
    refused.assert_fails(1, &["is in use", &pid, &format!("kcat -b {address}")]);

    // As `timeout` and some shells do: the process, then its group. That is one wish.
    place.signal(&mut child, "TERM").await;
    place.signal(&mut child, "TERM").await;
    let finished = finish(child).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("people stopped after"), "{finished:?}");
    assert!(finished.stdout.contains("people"), "{finished:?}");
}
