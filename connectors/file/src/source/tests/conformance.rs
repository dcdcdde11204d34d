//! The source against the suite of the sdk.

use ::parquet::arrow::ArrowWriter;
use arrow_array::{Int64Array, RecordBatch, StringArray};
use millstream_sdk::testing;

use super::*;

/// Enough for a batch that is full of records, one that is full of bytes, and one that is neither.
const ROWS: [(i64, usize); 3] = [(5_000, 3), (500, 4_000), (100, 1)];

async fn conforms(files: &Files, config: Value, key: Option<&str>) {
    let open = async |resume| files.open(&config, key, resume, true).await;
    let suite = testing::source(open);
    tokio::time::timeout(DEADLINE, suite)
        .await
        .expect("the suite hangs");
}

/// Writes each of [`ROWS`] into a file; `row` gets a number and a text. The last line has no end.
fn put(files: &Files, extension: &str, header: &str, row: impl Fn(i64, &str) -> String) {
    for (file, (count, width)) in ROWS.into_iter().enumerate() {
        let rows: Vec<String> = (0..count).map(|n| row(n, &"x".repeat(width))).collect();
        files.put(
            &format!("{file}.{extension}"),
            format!("{header}{}", rows.join("\n")),
        );
    }
}

#[tokio::test]
async fn csv_conforms_with_bad_rows_among_the_good_ones() {
    let row = |n: i64, text: &str| match n % 100 {
        10 => format!("not a number,{text}"),
        20 => format!("{n}"),
        30 => format!("{n},\"{text},\r\n\"\"{text}\""),
        40 => format!("{n},\"{text}\"z"),
        50 => String::new(),
        _ => format!("{n},{text}"),
    };
    let format = json!({ "csv": { "columns": { "n": "int", "text": "varchar" } } });
    for extension in ["csv.gz", "csv.zst", "csv"] {
        let files = Files::new();
        put(&files, extension, "n,text\n", row);
        let config = json!({ "path": format!("*.{extension}"), "format": format });
        conforms(&files, config, Some("n")).await;
    }
}

#[tokio::test]
async fn ndjson_conforms_whole_and_followed_to_its_end() {
    let row = |n: i64, text: &str| match n % 100 {
        10 => format!("[{n}]"),
        20 => format!("{{\"n\":{n},"),
        50 => String::new(),
        _ => format!("{{\"n\":{n},\"text\":\"{text}\"}}"),
    };
    let files = Files::new();
    put(&files, "ndjson", "", row);
    let format = json!({ "ndjson": { "columns": { "n": "int", "text": "varchar" } } });
    for follow in [false, true] {
        let config = json!({ "path": "*.ndjson", "format": format, "follow": follow });
        conforms(&files, config, Some("n")).await;
    }
}

#[tokio::test]
async fn parquet_conforms_with_row_groups_that_no_batch_ends_at() {
    let files = Files::new();
    for (file, (count, width)) in ROWS.into_iter().enumerate() {
        let numbers: Int64Array = (0..count).collect();
        let texts: StringArray = (0..count).map(|_| Some("x".repeat(width))).collect();
        let columns = [("n", Arc::new(numbers) as _), ("text", Arc::new(texts) as _)];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let out = File::create(files.path(&format!("{file}.parquet"))).unwrap();
        let mut writer = ArrowWriter::try_new(out, rows.schema(), None).unwrap();
        for first in (0..rows.num_rows()).step_by(700) {
            let group = rows.slice(first, 700.min(rows.num_rows() - first));
            writer.write(&group).unwrap();
            writer.flush().unwrap();
        }
        writer.close().unwrap();
    }
    let config = json!({ "path": "*.parquet", "format": "parquet" });
    conforms(&files, config, Some("n")).await;
}
