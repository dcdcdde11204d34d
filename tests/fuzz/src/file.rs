//! A file of rows, plain or compressed, as the `file` source reads it: types are inferred, rows found, checked and rejected.
//! Against the rule of this crate it lies in a real file, because the source reads no others.
//!
//! ```text
//! form: 1 byte | content
//! ```
//!
//! Whoever goes on from the first position finds the rest.

use std::{io::Write, sync::Arc};

use flate2::{Compression, write::GzEncoder};
use millstream_connectors_file::FileSourceFactory;
use millstream_sdk::{
    Config, ConfigPath, Output, Position, Source, SourceEvent, SourceFactory, TaskContext, TaskError,
};
use millstream_types::{ManualClock, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::in_virtual_time;

pub fn run(data: &[u8]) {
    let Some((form, content)) = data.split_first() else {
        return;
    };
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("a"), content).expect("the disk has room");
    let (format, compression) = form_of(*form);
    let value = json!({ "path": "a", "format": format, "compression": compression });
    let path = ConfigPath::default().key("sources").key("in");
    let config = Config::new(value, path, folder.path());
    in_virtual_time(async {
        let Ok(whole) = read(&config, None).await else {
            return;
        };
        if let Some((before, position)) = whole.first {
            let rest = read(&config, Some(position)).await;
            let rest = rest.expect("the file is as it was");
            assert_eq!(before + rest.rows, whole.rows, "rows are lost or read twice");
        }
    });
}

struct Read {
    /// Read or rejected.
    rows: usize,
    /// The first position, and how many rows stand before it.
    first: Option<(usize, Position)>,
}

async fn read(config: &Config, resume: Option<Position>) -> Result<Read, ()> {
    let mut source = open(config, resume).await?;
    let (mut rows, mut first) = (0, None);
    loop {
        match source.next().await.map_err(|error| fault(&error))? {
            SourceEvent::Records {
                records, rejected, ..
            } => rows += records.len() + rejected.len(),
            SourceEvent::Boundary(position) => first = first.or(Some((rows, position))),
            SourceEvent::Done(_) => return Ok(Read { rows, first }),
        }
    }
}

async fn open(config: &Config, resume: Option<Position>) -> Result<Box<dyn Source>, ()> {
    let planned = FileSourceFactory.plan(config, 1).await;
    let task = planned.map_err(|problems| {
        let text = format!("{problems:?}");
        assert!(!text.contains("panicked"), "{text}");
    })?;
    let context = TaskContext {
        pipeline: "p".into(),
        node: "in".into(),
        clock: Arc::new(ManualClock::at(Timestamp(77))),
        until_end: true,
    };
    let task = task.into_iter().next().expect("one task was asked for");
    let opened = FileSourceFactory.open(config, task, Output::default(), resume, context);
    opened.await.map_err(|error| fault(&error))
}

/// A file may be wrong; it may not make a thread panic.
fn fault(error: &TaskError) {
    let text = format!("{error:?}");
    assert!(!text.contains("panicked"), "{text}");
}

fn form_of(form: u8) -> (Value, &'static str) {
    let semicolons = json!({ "csv": {
        "header": false, "delimiter": ";", "null": "NA",
        "columns": { "a": "int", "b": "timestamp", "c": "decimal(9,2)", "d": "varchar" },
    }});
    match form % 6 {
        0 => (json!("csv"), "none"),
        1 => (json!("ndjson"), "none"),
        2 => (json!("lines"), "none"),
        3 => (json!("csv"), "gzip"),
        4 => (json!("ndjson"), "zstd"),
        _ => (semicolons, "none"),
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let form = |form: u8, content: &[u8]| {
        let mut input = vec![form];
        input.extend_from_slice(content);
        input
    };
    let csv = b"\xef\xbb\xbfid,when,amount,note\r\n1,2013-01-01,1.5,\"a, \"\"b\"\"\r\nc\"\r\n2,2013-01-02T03:04:05Z,,NA\n\n3,x";
    let ndjson = b"{\"a\":1,\"b\":[1,{\"c\":null}],\"t\":\"2024-01-01T00:00:00Z\"}\n\n{\"a\":\"x\"}\n[1]\n{\"a\":1e999}";
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(csv).expect("memory does not fail");
    let gzip = gzip.finish().expect("memory does not fail");
    let zstd = zstd::encode_all(&ndjson[..], 1).expect("memory does not fail");
    vec![
        form(0, csv),
        form(0, b"a,a\n1,2\n\"open\n3,4"),
        form(1, ndjson),
        form(2, b"one\r\ntwo\n\nlast"),
        form(3, &[&gzip[..], &gzip[..]].concat()),
        form(4, &[&zstd[..], &zstd[..]].concat()),
        form(
            5,
            b"1;2013-01-01 00:00:00;1.25;x\nNA;NA;NA;NA\n-1;;99999999999.9;\";\"",
        ),
    ]
}
