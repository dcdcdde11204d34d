//! Right files become plans; files whose parts do not fit together are refused.

use std::{collections::BTreeMap, path::Path, time::Duration};

use arrow_schema::DataType;
use millstream_pipeline::{BadRecords, LogChoice, Plan};
use millstream_sdk::{Problem, ValueFormat};

use crate::fakes::{plan, read, shown};

const WHOLE: &str = r#"
version: 1
pipeline: shop
log: { embedded: { dir: data, listen: null } }
defaults:
  partitions: 3
  on_error: { retry: { max: 5, backoff: 2s..1m }, then: skip }
streams:
  clicks:
    topic: web.clicks
    columns: { url: VARCHAR NOT NULL, n: BIGINT }
sources:
  db:
    type: shelf
    path: [a, b]
    streams: [orders, customers]
    tasks: 4
    into: { topic: "cdc.{table}", key: id, partitions: 6, config: { retention.ms: 1000, cleanup.policy: compact } }
processors:
  late:
    from: early
    filter: id > 5
    into: late
    on_error: { then: { dlq: all.dead } }
  first:
    sql: SELECT id FROM cdc.orders
    into: { topic: early, format: { csv: { delimiter: ";" } } }
    on_error: { retry: { max: 1 }, then: dlq }
sinks:
  lake: { type: bucket, from: [late, clicks], path: lake }
  copy: { type: bucket, from: cdc.customers, path: copy, column: name, on_error: { then: fail } }
"#;

fn refused(text: &str, expected: &[&str]) {
    let text = format!("version: 1\npipeline: shop\n{text}");
    let found = plan(&text).err().map(|d| shown(&d)).unwrap_or_default();
    assert_eq!(found, expected, "\n{text}");
}

fn whole() -> Plan {
    plan(WHOLE).map_err(|d| shown(&d)).expect("the file is right")
}

#[test]
fn edges_become_topics_with_their_settings() {
    let topics: Vec<_> = whole()
        .topics
        .into_iter()
        .map(|t| (t.name.to_string(), t.partitions, t.config))
        .collect();
    let compact = BTreeMap::from([
        ("cleanup.policy".to_owned(), "compact".to_owned()),
        ("retention.ms".to_owned(), "1000".to_owned()),
    ]);
    let none = BTreeMap::new();
    let expected = [
        ("all.dead", 1, &none),
        ("cdc.customers", 6, &compact),
        ("cdc.orders", 6, &compact),
        ("early", 3, &none),
        ("late", 3, &none),
        ("shop.first.dlq", 1, &none),
        ("web.clicks", 3, &none),
    ]
    .map(|(name, partitions, config)| (name.to_owned(), partitions, config.clone()));
    assert_eq!(topics, expected);
}

#[test]
fn nodes_are_typed_from_the_sources_downwards() {
    let plan = whole();
    assert_eq!(plan.name, "shop");
    let data = Path::new("/etc/shop/data").to_owned();
    assert_eq!(
        plan.log,
        LogChoice::Embedded {
            dir: data,
            listen: None
        }
    );
    let source = &plan.sources[0];
    assert_eq!((source.name.as_str(), source.max_tasks), ("db", 4));
    assert_eq!(source.output.key.as_deref(), Some("id"));
    let topics: Vec<_> = source.topics.iter().map(ToString::to_string).collect();
    assert_eq!(topics, ["cdc.orders", "cdc.customers"]);
    assert!(source.config.value().get("into").is_none() && source.config.value().get("path").is_some());

    let names: Vec<_> = plan
        .processors
        .iter()
        .map(|p| (p.name.as_str(), p.from.as_str(), p.into.as_str()))
        .collect();
    assert_eq!(
        names,
        [("first", "cdc.orders", "early"), ("late", "early", "late")]
    );
    let output = plan.processors[0].plan.output();
    assert!(matches!(&output.format, ValueFormat::Csv(dialect) if dialect.delimiter == b';'));
    assert_eq!(
        plan.processors[1].plan.output().columns.field(0).data_type(),
        &DataType::Int64
    );

    let inputs: Vec<_> = plan.sinks[0]
        .inputs
        .iter()
        .map(|(topic, _)| topic.to_string())
        .collect();
    assert_eq!(inputs, ["late", "web.clicks"]);
}

#[test]
fn error_policies_are_inherited_word_by_word() {
    let plan = whole();
    let source = &plan.sources[0].on_error;
    assert_eq!(source.max_retries, Some(5));
    assert_eq!(source.backoff, (Duration::from_secs(2), Duration::from_secs(60)));
    assert_eq!(source.bad_records, BadRecords::Skip);
    let first = &plan.processors[0].on_error;
    assert_eq!(first.max_retries, Some(1));
    assert_eq!(first.backoff.1, Duration::from_secs(60));
    assert_eq!(
        first.bad_records,
        BadRecords::DeadLetter("shop.first.dlq".parse().unwrap())
    );
    assert_eq!(
        plan.processors[1].on_error.bad_records,
        BadRecords::DeadLetter("all.dead".parse().unwrap())
    );
    assert_eq!(plan.sinks[1].on_error.bad_records, BadRecords::Fail);
}

#[test]
fn without_words_the_defaults_are_safe() {
    let plan = plan("version: 1\npipeline: p\nsources:\n  a: { type: tap, into: t }\n")
        .map_err(|d| shown(&d))
        .unwrap();
    let listen = Some("127.0.0.1:9092".to_owned());
    assert_eq!(
        plan.log,
        LogChoice::Embedded {
            dir: "/etc/shop/./data".into(),
            listen
        }
    );
    let policy = &plan.sources[0].on_error;
    assert_eq!(policy.max_retries, None);
    assert_eq!(policy.backoff, (Duration::from_secs(1), Duration::from_secs(300)));
    assert_eq!(
        policy.bad_records,
        BadRecords::DeadLetter("p.a.dlq".parse().unwrap())
    );
    assert_eq!(plan.sources[0].max_tasks, 1);
    let topics: Vec<_> = plan
        .topics
        .iter()
        .map(|t| (t.name.as_str(), t.partitions))
        .collect();
    assert_eq!(topics, [("p.a.dlq", 1), ("t", 1)]);
}

#[test]
fn a_common_key_that_a_connector_names_is_for_both() {
    let plan = plan("version: 1\npipeline: p\nsources:\n  a: { type: tap, into: t, tasks: 3 }\n")
        .map_err(|d| shown(&d))
        .unwrap();
    assert_eq!(plan.sources[0].max_tasks, 3);
    assert_eq!(plan.sources[0].config.value()["tasks"], 3);
}

#[test]
fn a_cycle_is_told_with_its_way() {
    refused(
        "sources:\n  s: { type: tap, into: t }\nprocessors:\n  z: { sql: SELECT * FROM c, into: d }\n  \
         a: { sql: SELECT * FROM c, into: b }\n  b: { sql: SELECT * FROM b, into: c }\n  \
         ok: { sql: SELECT nope FROM t, into: e }\n",
        &[
            "7:3 the processors form a cycle: a -> b -> b -> c -> a (let one of them read or write another topic)",
            "9:21 column 'nope' is not known",
        ],
    );
    refused(
        "processors:\n  a: { sql: SELECT * FROM t, into: t }\n",
        &["4:3 the processors form a cycle: a -> t -> a (let one of them read or write another topic)"],
    );
}

#[test]
fn unknown_topics_name_the_nearest() {
    refused(
        "sources:\n  s: { type: tap, into: orders }\nprocessors:\n  p: { from: order, filter: id, into: paid }\n\
         sinks:\n  k: { type: bucket, path: x, from: [orders, piad] }\n",
        &[
            "6:14 the topic 'order' is not known (did you mean 'orders'?)",
            "8:46 the topic 'piad' is not known (did you mean 'paid'?)",
        ],
    );
}

#[test]
fn two_writers_must_agree() {
    let text =
        "sources:\n  a: { type: tap, into: t }\n  b: { type: shelf, path: x, streams: [u, v], into: t }\n";
    refused(text, &[]);
    let text = format!(
        "{text}processors:\n  p:\n    sql: SELECT name FROM t\n    into: w\n  q: {{ sql: SELECT id FROM t, into: w }}\n"
    );
    refused(
        &text,
        &[
            "10:37 the topic 'w' is given another type by 'p': column 'name' there, 'id' here (all that is written to one \
           topic must have the same columns and format)",
        ],
    );
    refused(
        "sources:\n  a: { type: tap, into: { topic: t, partitions: 2 } }\n  b: { type: tap, into: { topic: t, partitions: 3 } }\n",
        &["5:49 another node gives the topic 't' 2 partitions"],
    );
    refused(
        "streams:\n  t: { columns: { id: INT } }\nsources:\n  a: { type: tap, into: t }\n",
        &[
            "4:3 the topic 't' is given another type by 'a': column 'id' is Int64 there, Int32 here (all that is written to \
           one topic must have the same columns and format)",
        ],
    );
}

#[test]
fn keys_and_columns_must_exist() {
    refused(
        "sources:\n  a: { type: tap, into: { topic: t, key: nmae } }\nprocessors:\n  \
         p: { sql: SELECT id FROM t, into: { topic: u, key: name } }\nsinks:\n  \
         k: { type: bucket, path: x, from: [t, u], column: name }\n  l: { type: bucket, path: x, from: [t, u], column: no }\n",
        &[
            "4:42 the column 'nmae' is not known (did you mean 'name'?)",
            "6:54 the column 'name' is not known (known: id)",
            "8:53 column 'name' is not known (reading u)",
            "9:53 column 'no' is not known",
        ],
    );
}

#[test]
fn a_format_is_not_promised_for_a_node_that_writes_another() {
    refused(
        "sources:\n  a: { type: tap, into: { topic: t, format: csv } }\n  b: { type: tap, into: { topic: u, format: json } }\n",
        &[
            "4:45 this node writes JSON and has no choice (remove 'format', or let a processor write another topic in it)",
        ],
    );
}

#[test]
fn streams_say_what_other_programs_write() {
    refused(
        "streams:\n  a: { topic: t }\n  b: { columns: { x: POINT, y: INT } }\n  c: { topic: 'no!', format: raw }\n",
        &[
            "5:22 'POINT' is not a column type (known types: boolean, tinyint, smallint, integer, bigint (each also \
             unsigned), real, double, decimal(p,s), varchar, binary, date, timestamp(0|3|6|9), \
             timestamptz(0|3|6|9))",
            "6:15 topic name 'no!' holds '!', allowed are letters, digits, '.', '_' and '-'",
        ],
    );
    refused(
        "streams:\n  a: { topic: t }\n  s: { topic: other, format: raw }\nsources:\n  x: { type: tap, into: s }\n",
        &[
            "4:3 no node writes 't': its columns must be given (columns: { id: BIGINT, name: VARCHAR })",
            "5:3 's' is also the name of a topic of this pipeline (choose another name)",
        ],
    );
    let text = "version: 1\npipeline: p\nstreams:\n  lines: { format: raw }\n  unused: { format: raw }\nsinks:\n  k: { type: bucket, from: lines, path: x, column: value }\n";
    let topics: Vec<_> = plan(text)
        .map_err(|d| shown(&d))
        .unwrap()
        .topics
        .into_iter()
        .map(|t| t.name.to_string())
        .collect();
    assert_eq!(topics, ["lines", "p.k.dlq"]);
}

#[test]
fn dead_letters_have_topics_of_their_own() {
    refused(
        "sources:\n  a: { type: tap, into: t, on_error: { then: { dlq: t } } }\n  b: { type: tap, into: u, on_error: { then: { dlq: 'x y' } } }\n",
        &[
            "4:3 the topic 't' holds records and dead letters (give the dead letters a topic of their own: on_error: { \
             then: { dlq: <topic> } })",
            "5:53 topic name 'x y' holds ' ', allowed are letters, digits, '.', '_' and '-'",
        ],
    );
}

#[test]
fn a_source_without_an_answer_breaks_nothing_else() {
    let text = "version: 1\npipeline: p\nsources:\n  a: { type: tap, into: 'x.{stream}' }\n  b: { type: tap, into: y }\n\
                sinks:\n  k: { type: bucket, path: p, from: [x.one, y] }\n";
    let pipeline = read(text).map_err(|d| shown(&d)).unwrap();
    let found = shown(&pipeline.plan(&BTreeMap::new()).err().unwrap());
    assert_eq!(
        found,
        [
            "4:3 the streams of source 'a' are not known",
            "5:3 the streams of source 'b' are not known"
        ]
    );
    let empty = BTreeMap::from([("a".to_owned(), Vec::new()), ("b".to_owned(), Vec::new())]);
    let found = shown(&pipeline.plan(&empty).err().unwrap());
    assert!(
        found.iter().any(|f| f == "4:3 the source has nothing to read"),
        "{found:?}"
    );
}

#[test]
fn problems_of_connectors_are_shown_at_their_place() {
    let pipeline = read(
        "version: 1\npipeline: p\nsources:\n  a:\n    type: shelf\n    path:\n      - one\n      - two\n    into: t\n",
    );
    let pipeline = pipeline.map_err(|d| shown(&d)).unwrap();
    let source = pipeline.sources().next().unwrap();
    let path = source.config.path().clone();
    let problems = vec![
        Problem::new(path.clone().key("path").index(1), "no such file"),
        Problem::new(path.clone().key("format").key("csv"), "is not there"),
        Problem::new(path, "everything is wrong"),
    ];
    assert_eq!(
        shown(&pipeline.diagnostics(problems)),
        ["4:3 is not there", "4:3 everything is wrong", "8:9 no such file"]
    );
}
