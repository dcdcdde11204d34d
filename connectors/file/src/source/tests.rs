//! The source through its contract, on real files.

mod conformance;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use flate2::write::GzEncoder;
use millstream_sdk::{ConfigPath, Rejected};
use millstream_types::{ManualClock, Record, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

struct Files {
    dir: tempfile::TempDir,
}

struct Read {
    records: Vec<Record>,
    rejected: Vec<Rejected>,
    boundaries: Vec<(usize, Position)>,
    done: Position,
}

impl Files {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let content = content.as_ref();
        let content = if name.ends_with(".gz") {
            // Two members: the decoder must go on after the first.
            let (first, second) = content.split_at(content.len() / 2);
            [gzip(first), gzip(second)].concat()
        } else if name.ends_with(".zst") {
            let (first, second) = content.split_at(content.len() / 2);
            [
                zstd::encode_all(first, 1).unwrap(),
                zstd::encode_all(second, 1).unwrap(),
            ]
            .concat()
        } else {
            content.to_vec()
        };
        fs::write(self.path(name), content).unwrap();
    }

    fn append(&self, name: &str, content: &str) {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    fn config(&self, value: Value) -> Config {
        let path = ConfigPath::default().key("sources").key("in");
        Config::new(value, path, self.dir.path())
    }

    async fn open(
        &self,
        config: &Value,
        key: Option<&str>,
        resume: Option<Position>,
        until_end: bool,
    ) -> Result<Box<dyn Source>, TaskError> {
        let config = self.config(config.clone());
        let task = FileSourceFactory
            .plan(&config, 1)
            .await
            .map_err(first_problem)?
            .remove(0);
        let output = Output {
            key: key.map(Into::into),
            format: None,
        };
        let context = TaskContext {
            pipeline: "p".into(),
            node: "in".into(),
            clock: Arc::new(ManualClock::at(Timestamp(77))),
            until_end,
        };
        FileSourceFactory
            .open(&config, task, output, resume, context)
            .await
    }

    async fn read(&self, config: &Value, resume: Option<Position>) -> Result<Read, TaskError> {
        drain(self.open(config, None, resume, true).await?).await
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

async fn drain(mut source: Box<dyn Source>) -> Result<Read, TaskError> {
    let (mut records, mut rejected, mut boundaries) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match tokio::time::timeout(DEADLINE, source.next())
            .await
            .expect("the source hangs")?
        {
            SourceEvent::Records {
                records: more,
                rejected: bad,
                ..
            } => {
                assert!(more.len() + bad.len() <= batch::MAX_RECORDS);
                records.extend(more);
                rejected.extend(bad);
            }
            SourceEvent::Boundary(position) => boundaries.push((records.len() + rejected.len(), position)),
            SourceEvent::Done(done) => {
                return Ok(Read {
                    records,
                    rejected,
                    boundaries,
                    done,
                });
            }
        }
    }
}

fn values(records: &[Record]) -> Vec<String> {
    records
        .iter()
        .map(|r| String::from_utf8(r.value.clone().unwrap().to_vec()).unwrap())
        .collect()
}

fn reasons(rejected: &[Rejected]) -> Vec<(String, String, String)> {
    let origin = |rejected: &Rejected, at: usize| rejected.origin[at].1.clone();
    rejected
        .iter()
        .map(|r| (origin(r, 0), origin(r, 1), r.reason.clone()))
        .collect()
}

async fn next_values(source: &mut Box<dyn Source>, count: usize) -> (Vec<String>, Option<Position>) {
    let (mut seen, mut last) = (Vec::new(), None);
    while seen.len() < count {
        match tokio::time::timeout(DEADLINE, source.next())
            .await
            .expect("the source hangs")
            .unwrap()
        {
            SourceEvent::Records {
                records, rejected, ..
            } => {
                assert_eq!(rejected, vec![]);
                seen.extend(values(&records));
            }
            SourceEvent::Boundary(position) => last = Some(position),
            SourceEvent::Done(_) => panic!("a followed file has no end"),
        }
    }
    if let SourceEvent::Boundary(position) = source.next().await.unwrap() {
        last = Some(position);
    }
    (seen, last)
}

#[tokio::test]
async fn every_format_and_compression_gives_the_rows_of_the_file() {
    let rows: Vec<String> = (0..6_000).map(|n| format!("{n},n{n}")).collect();
    let lines: Vec<String> = (0..6_000).map(|n| format!("{{\"id\":{n}}}")).collect();
    for extension in ["", ".gz", ".zst"] {
        for (format, header, rows) in [
            ("csv", "id,name\n", &rows),
            ("ndjson", "", &lines),
            ("lines", "", &rows),
        ] {
            let files = Files::new();
            let name = format!("a.{format}{extension}");
            files.put(&name, format!("{header}{}\n", rows.join("\n")));
            let config = json!({ "path": name, "format": format });
            let read = files.read(&config, None).await.unwrap();
            assert_eq!(&values(&read.records), rows, "{name}");
            assert_eq!(read.rejected, vec![]);
            assert!(read.boundaries.len() > 1, "{name} came in one batch");
            for (count, position) in read.boundaries {
                let rest = files.read(&config, Some(position)).await.unwrap();
                assert_eq!(values(&rest.records), rows[count..], "{name} from {count}");
            }
            let again = files.read(&config, Some(read.done)).await.unwrap();
            assert_eq!(again.records, vec![]);
        }
    }
}

#[tokio::test]
async fn keys_types_and_event_times_come_from_columns() {
    let files = Files::new();
    files.put(
        "a.csv",
        "k,n,at\nx,1,2013-01-31 10:00:00\n,NA,2013-01-31T10:00:01Z\nz,3,NA\n",
    );
    let config = json!({
        "path": "a.csv", "format": { "csv": { "columns": { "at": "timestamp" }, "null": "NA" } }, "event_time": { "column": "at" }
    });
    let read = drain(files.open(&config, Some("k"), None, true).await.unwrap())
        .await
        .unwrap();
    let seen: Vec<_> = read
        .records
        .iter()
        .map(|r| (r.key.clone(), r.timestamp.0))
        .collect();
    assert_eq!(
        seen,
        vec![(Some("x".into()), 1_359_626_400_000), (None, 1_359_626_401_000)]
    );
    assert_eq!(
        reasons(&read.rejected),
        vec![("a.csv".into(), "4".into(), "column 'at' is not a time".into())]
    );
    let streams = FileSourceFactory.discover(&files.config(config)).await.unwrap();
    let types: Vec<_> = streams[0]
        .schema
        .columns
        .fields()
        .iter()
        .map(|f| f.data_type().to_string())
        .collect();
    assert_eq!(types[..2], ["Utf8".to_owned(), "Int64".to_owned()]);
    assert_eq!(streams[0].name, "in");
}

#[tokio::test]
async fn bad_rows_are_rejected_with_file_line_and_reason() {
    let files = Files::new();
    files.put(
        "a.csv",
        b"a,b\r\n1,x\r\noops,y\r\n2\r\n3,\"two\r\nlines\"\r\n4,\xff\r\n5,\"z\"q\r\n\r\n6,ok\r\n".as_slice(),
    );
    let config =
        json!({ "path": "a.csv", "format": { "csv": { "columns": { "a": "int", "b": "varchar" } } } });
    let read = files.read(&config, None).await.unwrap();
    assert_eq!(values(&read.records), ["1,x", "3,\"two\r\nlines\"", "6,ok"]);
    let lines: Vec<_> = reasons(&read.rejected)
        .into_iter()
        .map(|(file, line, _)| (file, line))
        .collect();
    let at = |line: &str| ("a.csv".to_owned(), line.to_owned());
    assert_eq!(lines, [at("3"), at("4"), at("7"), at("8")]);
    assert!(
        read.rejected[0].reason.contains("column 'a'"),
        "{}",
        read.rejected[0].reason
    );
    assert_eq!(read.rejected[1].reason, "1 fields, expected 2");
    files.put("b.ndjson", "{\"a\":1}\n[1]\n{\"a\":\n\n{}\n");
    let read = files
        .read(&json!({ "path": "b.ndjson", "format": "ndjson" }), None)
        .await
        .unwrap();
    assert_eq!(values(&read.records), ["{\"a\":1}", "{}"]);
    assert_eq!(
        reasons(&read.rejected)
            .iter()
            .map(|r| r.1.as_str())
            .collect::<Vec<_>>(),
        ["2", "3"]
    );
}

#[tokio::test]
async fn several_files_are_read_by_name_and_must_have_the_same_header() {
    let files = Files::new();
    files.put("b.csv", "\u{feff}n\n2\n");
    files.put("a.csv", "n\n1");
    files.put("empty.csv", "");
    files.put("only-header.csv", "n\n");
    let config = json!({ "path": "*.csv", "format": "csv" });
    let read = files.read(&config, None).await.unwrap();
    assert_eq!(values(&read.records), ["1", "2"]);
    files.put("c.csv", "m\n3\n");
    match files.read(&config, Some(read.done)).await {
        Err(TaskError::Config { problem }) => assert!(problem.message.contains("'c.csv'"), "{problem}"),
        other => panic!("{:?}", other.map(|read| values(&read.records))),
    }
}

#[tokio::test]
async fn a_file_that_shrank_or_was_replaced_is_lost_and_a_grown_one_is_read_on() {
    let files = Files::new();
    let config = json!({ "path": "a.txt", "format": "lines" });
    files.put("a.txt", "one\ntwo\n");
    let done = files.read(&config, None).await.unwrap().done;
    files.append("a.txt", "three\n");
    let read = files.read(&config, Some(done.clone())).await.unwrap();
    assert_eq!(values(&read.records), ["three"]);
    for content in ["one\n", "ONE\ntwo\nthree\n", ""] {
        files.put("a.txt", content);
        let result = files.read(&config, Some(done.clone())).await;
        assert!(matches!(result, Err(TaskError::Lost { .. })), "{content:?}");
    }
    fs::remove_file(files.path("a.txt")).unwrap();
    assert_eq!(files.read(&config, Some(done)).await.unwrap().records, vec![]);
}

#[tokio::test]
async fn a_damaged_archive_stops_the_task() {
    let files = Files::new();
    for name in ["a.gz", "a.zst"] {
        files.put(name, "line\n".repeat(10_000));
        let whole = fs::read(files.path(name)).unwrap();
        fs::write(files.path(name), &whole[..whole.len() - 9]).unwrap();
        let result = files
            .read(&json!({ "path": name, "format": "lines" }), None)
            .await;
        assert!(matches!(result, Err(TaskError::Fatal { .. })), "{name}");
    }
}

fn followed(path: &str) -> Value {
    json!({ "path": path, "format": "lines", "follow": true, "poll": "5ms" })
}

#[tokio::test]
async fn follows_growth_rotation_truncation_and_new_files() {
    let files = Files::new();
    files.put("app.log", "one\ntw");
    let mut source = files.open(&followed("*.log"), None, None, false).await.unwrap();
    assert_eq!(next_values(&mut source, 1).await.0, ["one"]);
    files.append("app.log", "o\n");
    assert_eq!(next_values(&mut source, 1).await.0, ["two"]);
    // Rotated: the rest of the old file comes before the new one.
    files.append("app.log", "three\n");
    fs::rename(files.path("app.log"), files.path("app.old")).unwrap();
    files.append("app.old", "four");
    files.put("app.log", "five\n");
    assert_eq!(next_values(&mut source, 3).await.0, ["three", "four", "five"]);
    // Emptied in place.
    fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(files.path("app.log"))
        .unwrap();
    files.append("app.log", "6\n");
    assert_eq!(next_values(&mut source, 1).await.0, ["6"]);
    files.put("new.log", "seven\n");
    let (seen, position) = next_values(&mut source, 1).await;
    assert_eq!(seen, ["seven"]);
    drop(source);
    // Rotated while nobody looked.
    files.append("app.log", "eight\n");
    fs::rename(files.path("app.log"), files.path("app.old")).unwrap();
    files.put("app.log", "nine\n");
    let mut source = files
        .open(&followed("*.log"), None, position, false)
        .await
        .unwrap();
    assert_eq!(next_values(&mut source, 2).await.0, ["eight", "nine"]);
}

#[tokio::test]
async fn a_followed_file_ends_at_its_end_when_told_and_can_begin_there() {
    let files = Files::new();
    files.put("a.log", "one\ntwo\nthr");
    let read = files.read(&followed("a.log"), None).await.unwrap();
    assert_eq!(values(&read.records), ["one", "two", "thr"]);
    let mut config = followed("a.log");
    config["start"] = "end".into();
    let mut source = files.open(&config, None, None, false).await.unwrap();
    files.append("a.log", "ee\n");
    assert_eq!(next_values(&mut source, 1).await.0, ["three"]);
}

#[tokio::test]
async fn a_dropped_call_of_next_loses_nothing() {
    let files = Files::new();
    let rows: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    files.put("a.txt", rows.join("\n"));
    let mut source = files
        .open(&json!({ "path": "a.txt", "format": "lines" }), None, None, true)
        .await
        .unwrap();
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            event = source.next() => match event.unwrap() {
                SourceEvent::Records { records, .. } => seen.extend(values(&records)),
                SourceEvent::Boundary(_) => {}
                SourceEvent::Done(_) => break,
            }
        }
    }
    assert_eq!(seen, rows);
}

#[tokio::test]
async fn tasks_share_the_files_by_name() {
    let files = Files::new();
    for n in 0..20 {
        files.put(&format!("{n}.txt"), format!("{n}\n"));
    }
    let config = files.config(json!({ "path": "*.txt", "format": "lines", "tasks": 3 }));
    let tasks = FileSourceFactory.plan(&config, 8).await.unwrap();
    let names: Vec<_> = tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["files-1-of-3", "files-2-of-3", "files-3-of-3"]);
    let mut seen = Vec::new();
    for task in tasks {
        let context = TaskContext {
            pipeline: "p".into(),
            node: "in".into(),
            clock: Arc::new(ManualClock::default()),
            until_end: true,
        };
        let source = FileSourceFactory
            .open(&config, task, Output::default(), None, context)
            .await
            .unwrap();
        seen.extend(values(&drain(source).await.unwrap().records));
    }
    seen.sort_by_key(|n| n.parse::<u32>().unwrap());
    assert_eq!(seen, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn wrong_configurations_are_named_by_their_keys() {
    let files = Files::new();
    let check = |value: Value, path: &str| {
        let problems = FileSourceFactory.validate(&files.config(value.clone()));
        assert_eq!(
            problems.first().map(|problem| problem.path.to_string()),
            Some(path.into()),
            "{value}"
        );
    };
    check(json!({ "path": "a", "format": "cvs" }), "sources.in.format");
    check(
        json!({ "path": "a", "format": { "csv": { "headr": true } } }),
        "sources.in.format.csv.headr",
    );
    check(
        json!({ "path": "a", "format": { "csv": { "columns": { "a": "itn" } } } }),
        "sources.in.format.csv.columns.a",
    );
    check(
        json!({ "path": ["a", "["], "format": "csv" }),
        "sources.in.path[1]",
    );
    check(
        json!({ "path": "a", "format": "parquet", "follow": true }),
        "sources.in.follow",
    );
    check(
        json!({ "path": "a", "format": "lines", "tasks": 0 }),
        "sources.in.tasks",
    );
    let config = files.config(json!({ "path": "absent.csv", "format": "csv" }));
    assert!(FileSourceFactory.check(&config).await[0].fatal);
    assert_eq!(
        FileSourceFactory.discover(&config).await.unwrap_err()[0]
            .path
            .to_string(),
        "sources.in.path"
    );
}

#[tokio::test]
async fn reads_the_flights_of_january() {
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/flights/data/flights-2013-01.csv.gz");
    let files = Files::new();
    let config = json!({ "path": example, "format": { "csv": { "null": "NA" } } });
    let read = files.read(&config, None).await.unwrap();
    assert_eq!((read.records.len(), read.rejected.len()), (27_004, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_read_without_panic_and_every_row_is_accounted_for(
        content in proptest::collection::vec(any::<u8>(), 0..400),
        name in proptest::sample::select(&["a.csv", "a.ndjson", "a.txt", "a.parquet", "a.gz"][..]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let files = Files::new();
            fs::write(files.path(name), &content).unwrap();
            let format = match name {
                "a.csv" => json!({ "csv": { "header": false, "columns": { "a": "int", "b": "varchar" } } }),
                "a.ndjson" => json!({ "ndjson": { "columns": { "a": "int" } } }),
                "a.parquet" => json!("parquet"),
                _ => json!("lines"),
            };
            if let Ok(read) = files.read(&json!({ "path": name, "format": format }), None).await
                && name == "a.txt"
            {
                let text = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
                let feeds = text.iter().filter(|byte| **byte == b'\n').count();
                let rows = feeds + usize::from(!text.is_empty() && text.last() != Some(&b'\n'));
                assert_eq!(read.records.len(), rows);
            }
        });
    }
}
