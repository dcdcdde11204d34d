//! Wrong files, and what is said about them: place, reason, cure.

use crate::fakes::{plan, read, shown};

const HEAD: &str = "version: 1\npipeline: shop\n";

/// The whole file.
fn check(text: &str, expected: &[&str]) {
    let found = plan(text)
        .err()
        .map(|diagnostics| shown(&diagnostics))
        .unwrap_or_default();
    assert_eq!(found, expected, "\n{text}");
}

/// What follows the first two lines.
fn check_rest(text: &str, expected: &[&str]) {
    check(&format!("{HEAD}{text}"), expected);
}

#[test]
fn files_that_are_not_yaml() {
    check(
        "",
        &["1:1 the file is empty (a pipeline begins with 'version: 1' and 'pipeline: <name>')"],
    );
    check(
        "# nothing\n",
        &["1:1 the file is empty (a pipeline begins with 'version: 1' and 'pipeline: <name>')"],
    );
    check("- a\n- b\n", &["1:1 expected a mapping, found a list"]);
    check(
        "version: 1\npipeline: shop\n---\nversion: 1\n",
        &["3:1 a second document begins here (a file holds one pipeline: remove the '---')"],
    );
    let found = shown(&read("version: 1\npipeline: [shop\nsources: {}\n").err().unwrap());
    assert!(found[0].contains("not valid YAML"), "{found:?}");
    let found = shown(&read("version: 1\n\tpipeline: shop\n").err().unwrap());
    assert!(found[0].contains("found a tab"), "{found:?}");
}

#[test]
fn what_must_be_there() {
    check(
        "sources: {}\n",
        &[
            "1:1 missing key 'version' (The version of the file format: 1.)",
            "1:1 missing key 'pipeline' (The name of the pipeline: letters, digits, `_` and `-`. Positions and dead \
             letter topics are kept under it, so a renamed pipeline starts anew.)",
        ],
    );
    check_rest(
        "sources:\n  a:\n    type: shelf\n    into: t\n  b:\n    path: x\n    into: u\n",
        &[
            "4:3 missing key 'path' (What to read.)",
            "7:3 missing key 'type' (one of: shelf, tap)",
        ],
    );
    check(
        "version: 2\npipeline: shop\n",
        &["1:10 unknown value 2 for 'version' (one of: 1)"],
    );
}

#[test]
fn unknown_keys_name_the_nearest() {
    check_rest(
        "sorces: {}\n",
        &["3:1 unknown key 'sorces' (did you mean 'sources'?)"],
    );
    check_rest(
        "sources:\n  a: { type: shelf, pth: x, path: y, into: { topik: t, topic: u } }\n",
        &[
            "4:21 unknown key 'pth' (did you mean 'path'?)",
            "4:46 unknown key 'topik' (did you mean 'topic'?)",
        ],
    );
    check_rest(
        "sinks:\n  a:\n    type: bucket\n    from: t\n    path: x\n    roll: { banana: 1 }\n",
        &["8:13 unknown key 'banana' (known keys: records, every)"],
    );
    check_rest(
        "sources:\n  a: { type: shlf, path: x, into: t }\n",
        &["4:14 unknown value 'shlf' for 'type' (did you mean 'shelf'?)"],
    );
    check_rest(
        "sources:\n  a: { type: shelf, path: x, format: ndjsn, into: t }\n",
        &["4:38 unknown value 'ndjsn' for 'format' (did you mean 'ndjson'?)"],
    );
    check_rest(
        "sources:\n  a: { type: shelf, path: x, format: { cvs: { delimiter: ';' } }, into: t }\n",
        &["4:40 unknown key 'cvs' (did you mean 'csv'?)"],
    );
}

#[test]
fn what_is_not_built_yet_is_called_so() {
    check_rest(
        "registry: {}\nsecrets: {}\ntests: []\nlog: { kafka: {} }\n",
        &[
            "3:1 'registry' is not available in this version (remove it; the reference lists what is built)",
            "4:1 'secrets' is not available in this version (remove it; the reference lists what is built)",
            "5:1 'tests' is not available in this version (remove it; the reference lists what is built)",
            "6:8 'kafka' is not available in this version (remove it; the reference lists what is built)",
        ],
    );
    check_rest(
        "sources:\n  db: { type: postgres, url: x, into: t }\n",
        &["4:15 'postgres' is not available in this version (available: shelf, tap)"],
    );
    check_rest(
        "sinks:\n  db: { type: redshift, from: t, url: x }\n  b: { from: t, url: x }\n",
        &[
            "4:15 'redshift' is not available in this version (available: bucket)",
            "5:3 missing key 'type' (one of: bucket)",
        ],
    );
    check_rest(
        "processors:\n  a:\n    sql: SELECT * FROM t\n    emit: final\n    into: u\n",
        &["6:5 'emit' is not available in this version (remove it; the reference lists what is built)"],
    );
    check_rest(
        "processors:\n  a:\n    from: t\n    aggregate: {}\n    into: { topic: u, inline: true }\n",
        &[
            "6:5 'aggregate' is not available in this version (remove it; the reference lists what is built)",
            "7:23 'inline' is not available in this version (remove it; the reference lists what is built)",
        ],
    );
}

#[test]
fn values_of_the_wrong_kind() {
    check_rest(
        "sources:\n  a: { type: shelf, path: x, follow: no, poll: 30, into: t }\n",
        &[
            "4:38 expected true or false, found the text 'no' (write false)",
            "4:48 expected a text, found the number 30 (quote it, or add its unit (30s, 64MB))",
        ],
    );
    check_rest(
        "sources:\n  a: { type: shelf, path: x, poll: 30 apples, into: t }\n",
        &["4:36 '30 apples' is not a duration such as 500ms, 30s or 5m"],
    );
    check_rest(
        "sinks:\n  a: { type: bucket, path: [x], from: t, roll: { records: many } }\n",
        &[
            "4:22 expected a text, found a list",
            "4:59 expected a whole number, found the text 'many'",
        ],
    );
    check_rest(
        "defaults: { partitions: 0 }\nsinks: [a]\n",
        &[
            "3:25 0 is too small: at least 1",
            "4:1 expected a mapping, found a list",
        ],
    );
    check_rest(
        "sources:\n  a:\n    type: shelf\n    path:\n    into: t\n",
        &["6:5 expected a text or a list, found nothing (give a value, or remove the key)"],
    );
    check_rest(
        "log: { embedded: { listen: 9092x } }\n",
        &["3:28 '9092x' is not an address such as 127.0.0.1:9092"],
    );
    check_rest(
        "defaults: { on_error: { retry: { backoff: 5m..1s }, then: ignore } }\n",
        &["3:59 unknown value 'ignore' (one of: dlq, skip, fail)"]
            .map(|_| "3:59 unknown value 'ignore' for 'then' (one of: dlq, skip, fail)"),
    );
    check_rest(
        "defaults: { on_error: { retry: { backoff: 5m..1s } } }\n",
        &["3:43 '5m..1s' is not a range of waits such as 1s..5m"],
    );
    check_rest(
        "sources:\n  a: { type: tap, into: { topic: t, format: { csv: { delimiter: '||' } } } }\n",
        &["4:65 '||' is not one ASCII character"],
    );
}

#[test]
fn several_at_once_in_the_order_of_the_text() {
    check_rest(
        "log: { embedded: { dri: x } }\nsources:\n  a: { type: shelf, into: t, path: 1 }\nprocessors:\n  b: { into: u }\n\
         sinks:\n  a: { type: bucket, from: t, path: x, path: y }\n",
        &[
            "3:20 unknown key 'dri' (did you mean 'dir'?)",
            "5:36 expected a text or a list, found the number 1 (quote it, or add its unit (30s, 64MB))",
            "7:3 it is not said what the processor does (one of the keys: sql, filter, select)",
            "9:3 'a' is also the name of a node in 'sources' (positions and dead letter topics go by the name: choose \
             another)",
            "9:40 the key 'path' is given twice (the first stands in line 9)",
        ],
    );
}

#[test]
fn keys_given_twice() {
    check(
        "version: 1\npipeline: a\npipeline: b\n",
        &["3:1 the key 'pipeline' is given twice (the first stands in line 2)"],
    );
    check_rest(
        "sources:\n  a: { type: tap, into: t }\n  a: { type: tap, into: u }\n",
        &["5:3 the key 'a' is given twice (the first stands in line 4)"],
    );
}

#[test]
fn names_that_cannot_be() {
    check(
        "version: 1\npipeline: my shop\n",
        &["2:11 'my shop' is not a name (1 to 80 letters, digits, '_' and '-')"],
    );
    check_rest(
        "sources:\n  a.b: { type: tap, into: \"t!\" }\n  c: { type: tap, into: { topic: __t } }\n",
        &["4:3 'a.b' is not a name (1 to 80 letters, digits, '_' and '-')"],
    );
    check_rest(
        "sources:\n  a: { type: tap, into: \"t!\" }\n  c: { type: tap, into: { topic: __t } }\n",
        &[
            "4:25 topic name 't!' holds '!', allowed are letters, digits, '.', '_' and '-'",
            "5:34 the topic '__t' belongs to Millstream itself (choose a name that does not begin with '__')",
        ],
    );
}

#[test]
fn sql_is_shown_where_it_is_wrong() {
    let source = "sources:\n  a: { type: tap, into: people }\n";
    check_rest(
        &format!(
            "{source}processors:\n  p:\n    sql: |\n      SELECT id,\n        nam FROM people\n    into: u\n"
        ),
        &["9:9 column 'nam' is not known"],
    );
    check_rest(
        &format!("{source}processors:\n  p: {{ sql: \"SELECT ñ, ide FROM people\", into: u }}\n"),
        &["6:21 column 'ñ' is not known", "6:24 column 'ide' is not known"],
    );
    check_rest(
        &format!("{source}processors:\n  p: {{ sql: INSERT, into: u }}\n"),
        &["6:13 SELECT is expected"],
    );
    check_rest(
        &format!("{source}processors:\n  p:\n    sql: |\n      SELECT id\n      FROM peopel\n    into: u\n"),
        &["9:12 the topic 'peopel' is not known (did you mean 'people'?)"],
    );
    check_rest(
        &format!("{source}processors:\n  p:\n    sql: >\n      SELECT idd\n      FROM people\n    into: u\n"),
        &["7:5 column 'idd' is not known"],
    );
    check_rest(
        &format!(
            "{source}processors:\n  p:\n    from: people\n    select:\n      a: id\n      b: idd\n    into: u\n"
        ),
        &["10:10 column 'idd' is not known"],
    );
}

#[test]
fn processors_that_are_unclear() {
    check_rest(
        "processors:\n  a: { sql: SELECT, filter: x, into: u }\n  b: { filter: x, into: u }\n  c: { sql: SELECT, into: u }\n",
        &[
            "4:3 a processor does one thing, this one has: sql, filter/select (write two processors with a topic \
             between)",
            "5:3 missing key 'from' (the topic or stream that is filtered)",
            "6:3 missing key 'from' (the topic or stream that it reads)",
        ],
    );
    check_rest(
        "processors:\n  a: { from: t, sql: SELECT * FROM u, into: v }\n  b: { sql: SELECT * FROM t JOIN u, into: w }\n",
        &[
            "4:14 'from' says 't', but 'u' is read (remove 'from')",
            "5:13 reads t, u: joins are not available in this version (read one topic or stream)",
        ],
    );
}

#[test]
fn nesting_and_repetition_have_a_bound() {
    let deep = format!("version: {}\n", "[".repeat(5_000));
    let found = shown(&read(&deep).err().unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    let blocks: String = (0..200).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    assert!(read(&blocks).is_err());

    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let before = n - 1;
        bomb.push_str(&format!(
            "a{n}: &a{n} [{}]\n",
            vec![format!("*a{before}"); 10].join(", ")
        ));
    }
    let found = shown(&read(&bomb).err().unwrap());
    assert!(
        found
            .iter()
            .any(|f| f.contains("counted with what its aliases repeat")),
        "{found:?}"
    );

    let mut tower = String::from("a0: &a0 [x]\n");
    for n in 1..100 {
        tower.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
    }
    let found = shown(&read(&tower).err().unwrap());
    assert!(found.iter().any(|f| f.contains("nested more than")), "{found:?}");

    let own = "version: 1\npipeline: &p [*p]\n";
    check(own, &["2:15 the alias stands inside of what it repeats"]);
    let large = format!("version: 1 #{}", "x".repeat(1 << 20));
    assert!(shown(&read(&large).err().unwrap())[0].contains("at most 1048576 are read"));
}

#[test]
fn parts_of_yaml_that_are_left_out() {
    check(
        "version: !!int 1\npipeline: shop\n",
        &["1:16 tags are not allowed (remove the '!...'; quote a value that must stay text)"],
    );
    check_rest(
        "defaults: &d { partitions: 2 }\nlog: { <<: *d }\n",
        &[
            "4:8 merge keys are not part of YAML 1.2 (write the keys out, or repeat a whole value by an alias)",
            "4:8 unknown key '<<' (known keys: embedded)",
        ],
    );
    check_rest("? [a, b]\n: c\n", &["3:3 a key must be a plain word"]);
}

#[test]
fn more_than_fifty_are_counted() {
    let text: String = (0..80).map(|n| format!("unknown{n}: 1\n")).collect();
    let found = read(&format!("{HEAD}{text}")).err().unwrap();
    assert_eq!((found.list().len(), found.total()), (50, 80));
    assert_eq!(found.to_string(), "/etc/shop/pipeline.yaml: 80 problems");
}

#[test]
fn machines_and_people_are_served() {
    let found = read("version: 1\npipeline: shop\nsinks:\n  lake: { type: bucket, from: t, path: 7 }\n")
        .err()
        .unwrap();
    let machine = serde_json::to_value(found.list()).unwrap();
    assert_eq!(machine[0]["file"], "/etc/shop/pipeline.yaml");
    assert_eq!(
        (&machine[0]["line"], &machine[0]["column"]),
        (&4.into(), &40.into())
    );
    assert_eq!(machine[0]["path"], "sinks.lake.path");
    assert_eq!(machine[0]["message"], "expected a text, found the number 7");

    let mut people = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
    handler.render_report(&mut people, &found).unwrap();
    for part in [
        "/etc/shop/pipeline.yaml:4:40",
        "lake: { type: bucket, from: t, path: 7 }",
        "sinks.lake.path",
        "help: ",
    ] {
        assert!(people.contains(part), "{part} is missing in\n{people}");
    }
}

#[test]
fn line_ends_and_marks_of_other_systems() {
    check(
        "\u{feff}version: 1\r\npipeline: shop\r\nsorces: {}\r\n",
        &["3:1 unknown key 'sorces' (did you mean 'sources'?)"],
    );
    check(
        "version: 1\r\npipeline: p\r\nsources:\r\n  a: { type: tap, into: t }\r\nprocessors:\r\n  p:\r\n    sql: |\r\n      \
         SELECT id,\r\n       nam\r\n      FROM t\r\n    into: u\r\n",
        &["9:8 column 'nam' is not known"],
    );
}
