//! The sink against the suite of the sdk.

use arrow_array::{cast::AsArray, types::Int64Type};
use millstream_sdk::testing::{self, SinkRig};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

const DEADLINE: Duration = Duration::from_secs(60);
const FOLDERS: i64 = 3;

struct Rig {
    out: Out,
    format: &'static str,
}

#[async_trait]
impl SinkRig for Rig {
    async fn open(&self) -> Result<Box<dyn Sink>, TaskError> {
        let config = json!({ "path": "o/{c}", "format": self.format });
        Ok(self.out.open(config).await)
    }

    fn record(&self, offset: Offset) -> Record {
        record(offset.0, offset.0 % FOLDERS)
    }

    async fn visible(&self) -> Vec<Offset> {
        let numbers = match self.format {
            "parquet" => self.out.files().into_values().flat_map(column_n).collect(),
            _ => self.out.numbers(),
        };
        numbers.into_iter().map(Offset).collect()
    }
}

/// The column `n` of a Parquet file.
fn column_n(file: Vec<u8>) -> Vec<i64> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
    let batches = builder.build().unwrap();
    let numbers = batches.flat_map(|batch| {
        let batch = batch.unwrap();
        batch["n"].as_primitive::<Int64Type>().values().to_vec()
    });
    numbers.collect()
}

async fn conforms(format: &'static str) {
    let rig = async || Rig {
        out: Out::new(),
        format,
    };
    let suite = testing::sink(rig);
    tokio::time::timeout(DEADLINE, suite)
        .await
        .expect("the suite hangs");
}

#[tokio::test]
async fn ndjson_conforms() {
    conforms("ndjson").await;
}

#[tokio::test]
async fn parquet_conforms() {
    conforms("parquet").await;
}
