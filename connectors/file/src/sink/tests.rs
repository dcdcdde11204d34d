//! The sink through its contract, on a real folder.

mod conformance;

use std::{collections::BTreeMap, fs, io::Read, path::PathBuf, time::Duration};

use arrow_schema::{DataType, Field, Schema};
use millstream_sdk::{ConfigPath, ValueFormat};
use millstream_types::{Clock, ManualClock, TopicName};
use serde_json::{Value, json};

use super::*;

fn schema() -> StreamSchema {
    let columns = vec![
        Field::new("n", DataType::Int64, true),
        Field::new("c", DataType::Utf8, true),
    ];
    StreamSchema {
        format: ValueFormat::Json,
        columns: Arc::new(Schema::new(columns)),
    }
}

fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), 0)
}

fn record(offset: i64, folder: i64) -> Record {
    Record {
        offset: Offset(offset),
        timestamp: Timestamp(offset * 1_000),
        value: Some(format!("{{\"n\":{offset},\"c\":\"d{folder}\"}}").into()),
        ..Record::default()
    }
}

struct Out {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Out {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::default(),
        }
    }

    fn config(&self, value: Value) -> Config {
        Config::new(
            value,
            ConfigPath::default().key("sinks").key("out"),
            self.dir.path(),
        )
    }

    async fn open(&self, config: Value) -> Box<dyn Sink> {
        let plan = FileSinkFactory
            .plan(&self.config(config), &schema())
            .map_err(|p| p[0].to_string())
            .unwrap();
        let context = TaskContext {
            pipeline: "p".into(),
            node: "out".into(),
            clock: self.clock.clone(),
            until_end: false,
        };
        plan.open(partition(), context).await.unwrap()
    }

    /// Relative paths and contents of the data files.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.dir.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path: PathBuf = entry.unwrap().path();
                if path.is_dir() {
                    if !path.ends_with("_millstream") {
                        folders.push(path);
                    }
                    continue;
                }
                let name = path
                    .strip_prefix(self.dir.path())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
        files
    }

    fn texts(&self) -> BTreeMap<String, String> {
        let text = |(name, content): (String, Vec<u8>)| {
            let mut text = String::new();
            if name.ends_with(".gz") {
                flate2::read::MultiGzDecoder::new(content.as_slice())
                    .read_to_string(&mut text)
                    .unwrap();
            } else if name.ends_with(".zst") {
                text = String::from_utf8(zstd::decode_all(content.as_slice()).unwrap()).unwrap();
            } else {
                text = String::from_utf8(content).unwrap();
            }
            (name, text)
        };
        self.files().into_iter().map(text).collect()
    }

    /// All numbers `n` in all NDJSON files.
    fn numbers(&self) -> Vec<i64> {
        let mut numbers = Vec::new();
        for text in self.texts().into_values() {
            numbers.extend(text.lines().map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["n"]
                    .as_i64()
                    .unwrap()
            }));
        }
        numbers.sort_unstable();
        numbers
    }
}

async fn roll(sink: &mut Box<dyn Sink>, next: i64) -> Range {
    let range = sink.prepare(Offset(next)).await.unwrap();
    sink.commit(range).await.unwrap();
    range
}

#[tokio::test]
async fn partitions_by_column_and_time_and_compresses() {
    for (compression, extension) in [("none", "ndjson"), ("gzip", "ndjson.gz"), ("zstd", "ndjson.zst")] {
        let out = Out::new();
        let path = "out/c={c}/{event_time:%Y-%m-%d}/";
        let mut sink = out
            .open(json!({ "path": path, "format": "ndjson", "compression": compression }))
            .await;
        sink.resume(Offset(5)).await.unwrap();
        let mut odd = record(7, 1);
        odd.value = Some("{\"n\": 7,\r\n \"c\": null}".into());
        let rejected = sink
            .write(vec![record(5, 1), record(6, 2), odd, record(9, 1)])
            .await
            .unwrap();
        assert_eq!(rejected, vec![]);
        assert_eq!(out.files(), BTreeMap::new());
        assert_eq!(
            roll(&mut sink, 10).await,
            Range {
                start: Offset(5),
                end: Offset(10)
            }
        );
        let day = "1970-01-01/t+0+5";
        let expected = [
            (
                format!("out/c=__HIVE_DEFAULT_PARTITION__/{day}.{extension}"),
                "{\"n\": 7,   \"c\": null}\n".to_owned(),
            ),
            (
                format!("out/c=d1/{day}.{extension}"),
                "{\"n\":5,\"c\":\"d1\"}\n{\"n\":9,\"c\":\"d1\"}\n".to_owned(),
            ),
            (
                format!("out/c=d2/{day}.{extension}"),
                "{\"n\":6,\"c\":\"d2\"}\n".to_owned(),
            ),
        ];
        assert_eq!(out.texts(), BTreeMap::from(expected));
        assert!(out.dir.path().join("out/_millstream/p.out/t/0/5.json").is_file());
    }
}

#[tokio::test]
async fn writes_csv_with_a_header_and_parquet_that_the_source_can_read() {
    let out = Out::new();
    let csv = json!({ "csv": { "null": "NA", "delimiter": ";" } });
    let mut sink = out.open(json!({ "path": "csv", "format": csv })).await;
    sink.resume(Offset(0)).await.unwrap();
    let mut null = record(1, 1);
    null.value = Some("{\"c\":\"a;b\"}".into());
    sink.write(vec![record(0, 1), null]).await.unwrap();
    roll(&mut sink, 2).await;
    assert_eq!(out.texts()["csv/t+0+0.csv"], "n;c\n0;d1\n;\"a;b\"\n");

    for compression in ["none", "snappy", "lz4", "zstd"] {
        let out = Out::new();
        let format = json!({ "parquet": { "compression": compression, "row_group": "1KB" } });
        let mut sink = out.open(json!({ "path": "out", "format": format })).await;
        sink.resume(Offset(0)).await.unwrap();
        for start in (0..20_000).step_by(1_000) {
            sink.write((start..start + 1_000).map(|n| record(n, n % 3)).collect())
                .await
                .unwrap();
        }
        roll(&mut sink, 20_000).await;
        let file = fs::File::open(out.dir.path().join("out/t+0+0.parquet")).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        assert!(reader.metadata().num_row_groups() > 1, "{compression}");
        assert_eq!(reader.metadata().file_metadata().num_rows(), 20_000);
        read_back(&out).await;
    }
}

/// The file source gives the rows in order, from the beginning and from the middle.
async fn read_back(out: &Out) {
    use millstream_sdk::{Output, SourceEvent, SourceFactory};
    let source = crate::FileSourceFactory;
    let config = out.config(json!({ "path": "out/*.parquet", "format": "parquet" }));
    let mut resume = None;
    let mut seen = 0_i64;
    // Killed after the first batch each time.
    'tasks: loop {
        let task = source.plan(&config, 1).await.unwrap().remove(0);
        let context = TaskContext {
            pipeline: "p".into(),
            node: "in".into(),
            clock: out.clock.clone(),
            until_end: true,
        };
        let mut source = source
            .open(&config, task, Output::default(), resume.take(), context)
            .await
            .unwrap();
        loop {
            match source.next().await.unwrap() {
                SourceEvent::Records { records, .. } => {
                    for record in records {
                        let value = format!("{{\"n\":{seen},\"c\":\"d{}\"}}", seen % 3);
                        assert_eq!(record.value.unwrap(), value);
                        seen += 1;
                    }
                }
                SourceEvent::Boundary(position) => {
                    resume = Some(position);
                    continue 'tasks;
                }
                SourceEvent::Done(_) => break 'tasks,
            }
        }
    }
    assert_eq!(seen, 20_000);
}

#[tokio::test]
async fn rolls_by_bytes_records_and_time_even_without_data() {
    let out = Out::new();
    let format =
        json!({ "path": "o", "format": "ndjson", "roll": { "size": "1KB", "records": 5, "every": "10s" } });
    let mut sink = out.open(format).await;
    sink.resume(Offset(0)).await.unwrap();
    assert_eq!(sink.should_roll(Timestamp(i64::MAX)), None);
    sink.write(vec![record(0, 1)]).await.unwrap();
    assert_eq!(sink.should_roll(out.clock.now()), None);
    out.clock.advance_ms(10_000);
    assert_eq!(sink.should_roll(out.clock.now()), Some(RollReason::Time));
    sink.write((1..5).map(|n| record(n, 1)).collect()).await.unwrap();
    assert_eq!(sink.should_roll(Timestamp(0)), Some(RollReason::Records));
    let mut big = record(5, 1);
    big.value = Some(format!("{{\"c\":\"{}\"}}", "x".repeat(1_024)).into());
    sink.write(vec![big]).await.unwrap();
    assert_eq!(sink.should_roll(Timestamp(0)), Some(RollReason::Bytes));
    roll(&mut sink, 6).await;
    assert_eq!(sink.should_roll(Timestamp(i64::MAX)), None);
}

#[tokio::test]
async fn bad_records_come_back_and_their_range_still_ends() {
    let out = Out::new();
    let mut sink = out.open(json!({ "path": "o/{c}", "format": "parquet" })).await;
    sink.resume(Offset(0)).await.unwrap();
    let bad = |offset, value: Option<&str>| Record {
        offset: Offset(offset),
        value: value.map(|value| value.to_owned().into()),
        ..Record::default()
    };
    let long = format!("{{\"c\":\"{}\"}}", "x".repeat(300));
    let records = vec![
        bad(0, None),
        bad(1, Some("{\"n\":\"x\"}")),
        bad(2, Some("{")),
        bad(3, Some(&long)),
    ];
    let rejected = sink.write(records.clone()).await.unwrap();
    assert_eq!(
        rejected
            .into_iter()
            .map(|rejected| rejected.record)
            .collect::<Vec<_>>(),
        records
    );
    out.clock.advance_ms(60_000);
    assert_eq!(sink.should_roll(out.clock.now()), Some(RollReason::Time));
    assert_eq!(roll(&mut sink, 4).await.end, Offset(4));
    assert_eq!(out.files(), BTreeMap::new());
}

#[tokio::test]
async fn adopts_an_end_before_or_after_its_own() {
    let config = json!({ "path": "o/{c}", "format": "ndjson" });
    for (theirs, ours) in [(3, 8), (8, 3)] {
        let out = Out::new();
        let mut zombie = out.open(config.clone()).await;
        zombie.resume(Offset(0)).await.unwrap();
        zombie
            .write((0..theirs).map(|n| record(n, n % 2)).collect())
            .await
            .unwrap();
        let range = zombie.prepare(Offset(theirs)).await.unwrap();

        let mut sink = out.open(config.clone()).await;
        sink.resume(Offset(0)).await.unwrap();
        sink.write((0..ours).map(|n| record(n, n % 2)).collect())
            .await
            .unwrap();
        assert_eq!(sink.prepare(Offset(ours)).await.unwrap(), range);
        sink.write((ours..theirs).map(|n| record(n, n % 2)).collect())
            .await
            .unwrap();
        sink.commit(range).await.unwrap();
        sink.commit(range).await.unwrap();
        let next = ours.max(theirs);
        sink.write(vec![record(next, 0)]).await.unwrap();
        roll(&mut sink, next + 1).await;
        // The zombie wakes up and changes nothing.
        zombie.commit(range).await.unwrap();
        assert_eq!(out.numbers(), (0..=next).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn refuses_the_folder_of_another_log_or_configuration() {
    let out = Out::new();
    let config = json!({ "path": "o/{c}", "format": "ndjson" });
    let mut sink = out.open(config.clone()).await;
    sink.resume(Offset(0)).await.unwrap();
    sink.write(vec![record(0, 0)]).await.unwrap();
    sink.prepare(Offset(1)).await.unwrap();
    let mut other = record(0, 0);
    other.timestamp = Timestamp(99);
    for (config, record) in [
        (config, other),
        (json!({ "path": "o/x{c}", "format": "ndjson" }), record(0, 0)),
    ] {
        let mut sink = out.open(config).await;
        sink.resume(Offset(0)).await.unwrap();
        sink.write(vec![record]).await.unwrap();
        assert!(matches!(
            sink.prepare(Offset(1)).await,
            Err(TaskError::Fatal { .. })
        ));
    }
}

#[tokio::test]
async fn wrong_configurations_are_named_by_their_keys() {
    let out = Out::new();
    let check = |value: Value, path: &str| {
        let problems = FileSinkFactory
            .plan(&out.config(value.clone()), &schema())
            .err()
            .unwrap_or_default();
        assert_eq!(
            problems.first().map(|problem| problem.path.to_string()),
            Some(path.into()),
            "{value}"
        );
    };
    check(json!({ "path": "o/{x}", "format": "ndjson" }), "sinks.out.path");
    check(
        json!({ "path": "o/{event_time}", "format": "ndjson" }),
        "sinks.out.path",
    );
    check(json!({ "path": "o", "format": "avro" }), "sinks.out.format");
    check(
        json!({ "path": "o", "format": { "parquet": { "codec": "zstd" } } }),
        "sinks.out.format.parquet.codec",
    );
    check(
        json!({ "path": "o", "format": "parquet", "compression": "gzip" }),
        "sinks.out.compression",
    );
    check(
        json!({ "path": "o", "format": "csv", "roll": { "size": "2GB" } }),
        "sinks.out.roll.size",
    );
    fs::write(out.dir.path().join("file"), "").unwrap();
    let findings = FileSinkFactory
        .check(&out.config(json!({ "path": "file/sub", "format": "csv" })))
        .await;
    assert!(
        findings[0].fatal && findings[0].problem.message.contains("not a folder"),
        "{findings:?}"
    );
    assert_eq!(
        FileSinkFactory
            .check(&out.config(json!({ "path": "new/sub", "format": "csv" })))
            .await,
        vec![]
    );
}

/// One incarnation of the sink's task, as the runtime drives it, one call at a time.
struct Incarnation {
    sink: Box<dyn Sink>,
    next: i64,
    step: Call,
}

enum Call {
    Write,
    Prepare,
    Fill(Range),
    Commit(Range),
    GroupCommit(Range),
}

/// The model of `connectors.md` §5.3 over the real sink: incarnations run interleaved, die, wake up late, and commit
/// group offsets unfenced, which are sometimes lost and sometimes go backward.
async fn interleave(seed: u64, mut random: impl FnMut(u64) -> u64) {
    const RECORDS: i64 = 30;
    let out = Out::new();
    let config = json!({ "path": "o/{c}", "format": "ndjson" });
    let folders: Vec<i64> = (0..RECORDS).map(|_| random(3) as i64).collect();
    let mut group = 0;
    let mut alive: Vec<Incarnation> = Vec::new();
    for step in 0..150 {
        let over = step > 100;
        if alive.is_empty() || (!over && random(12) == 0) {
            let mut sink = out.open(config.clone()).await;
            let next = sink.resume(Offset(group)).await.unwrap().0;
            let step = Call::Write;
            alive.push(Incarnation { sink, next, step });
        }
        let index = random(alive.len() as u64) as usize;
        if !over && random(20) == 0 {
            alive.swap_remove(index);
            continue;
        }
        advance(&mut alive[index], &folders, &mut group, &mut random).await;
    }
    // One survivor goes to the end, then the zombies finish what they had begun.
    let mut sink = out.open(config).await;
    let next = sink.resume(Offset(group)).await.unwrap().0;
    let survivor = Incarnation {
        sink,
        next,
        step: Call::Write,
    };
    for mut task in std::iter::once(survivor).chain(alive) {
        while task.next < RECORDS || !matches!(task.step, Call::Write) {
            advance(&mut task, &folders, &mut group, &mut random).await;
        }
        // More than once where an earlier end is adopted.
        while roll(&mut task.sink, RECORDS).await.end < Offset(RECORDS) {}
    }
    assert_eq!(out.numbers(), (0..RECORDS).collect::<Vec<_>>(), "seed {seed}");
}

async fn advance(
    task: &mut Incarnation,
    folders: &[i64],
    group: &mut i64,
    random: &mut impl FnMut(u64) -> u64,
) {
    let end = folders.len() as i64;
    let records = |from: i64, to: i64| {
        (from..to)
            .map(|n| record(n, folders[n as usize]))
            .collect::<Vec<_>>()
    };
    task.step = match task.step {
        Call::Write => {
            let to = end.min(task.next + 1 + random(6) as i64);
            task.sink.write(records(task.next, to)).await.unwrap();
            task.next = to;
            if random(2) == 0 {
                Call::Write
            } else {
                Call::Prepare
            }
        }
        Call::Prepare => {
            let range = task.sink.prepare(Offset(task.next)).await.unwrap();
            Call::Fill(range)
        }
        Call::Fill(range) => {
            if range.end.0 > task.next {
                task.sink.write(records(task.next, range.end.0)).await.unwrap();
                task.next = range.end.0;
            }
            Call::Commit(range)
        }
        Call::Commit(range) => {
            task.sink.commit(range).await.unwrap();
            Call::GroupCommit(range)
        }
        Call::GroupCommit(range) => {
            if random(10) > 0 {
                *group = range.end.0;
            }
            Call::Write
        }
    };
}

#[tokio::test]
async fn every_record_is_in_exactly_one_file_whatever_interleaves() {
    let seeds: u64 = std::env::var("MILLSTREAM_SINK_MODEL_SEEDS").map_or(20, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let mut state: u64 = seed;
        // splitmix64
        let model = interleave(seed, move |below| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % below
        });
        let ended = tokio::time::timeout(Duration::from_secs(60), model).await;
        assert!(ended.is_ok(), "seed {seed} hangs");
    }
}
