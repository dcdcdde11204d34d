//! What it costs the broker to hold records against their schemas: the same batches into topics that ask for nothing, for a
//! registered id, and for a body that is what its schema says.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use millstream_broker_server::SchemaSource;
use millstream_client::{Log, NewTopic};
use millstream_schema_registry_avro::{
    Schema, Strictness,
    testing::{Random, datum},
    wire,
};
use millstream_types::{Record, SchemaId, TopicName, TopicPartition};

use super::process::{cpu_of, open};

const ID: SchemaId = SchemaId(7);
const RECORDS: usize = 1_000;
const BATCHES: usize = 300;
const ROUNDS: usize = 5;

/// A registry with one schema.
#[derive(Debug)]
struct One(Schema);

impl SchemaSource for One {
    fn is_current(&self) -> Result<(), String> {
        Ok(())
    }

    fn generation(&self) -> u64 {
        1
    }

    fn schema(&self, id: SchemaId) -> Result<Option<Schema>, String> {
        Ok((id == ID).then(|| self.0.clone()))
    }

    fn id_of(&self, _: [u8; 16]) -> Option<SchemaId> {
        None
    }

    fn is_registered(&self, _: &str, id: SchemaId) -> bool {
        id == ID
    }
}

pub(crate) fn validate(dir: &Path, schema: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads");
    runtime.block_on(appends(dir, schema));
}

async fn appends(dir: &Path, schema: &str) {
    let schema = Schema::parse(schema, &[], Strictness::New).expect("a schema");
    let mut random = Random::new(1);
    let mut record = || {
        let mut value = Vec::new();
        wire::frame(ID, &mut value);
        value.extend(datum(&schema, &mut random));
        Record {
            value: Some(value.into()),
            ..Record::default()
        }
    };
    let records: Vec<_> = (0..RECORDS).map(|_| record()).collect();
    let bytes: usize = records
        .iter()
        .filter_map(|record| record.value.as_ref())
        .map(|value| value.len())
        .sum();
    let log = open(dir).await;
    log.broker().check_schemas_with(Arc::new(One(schema)));
    let depths = ["none", "id", "body"];
    for depth in depths {
        let config = [("millstream.value.schema.validation".to_owned(), depth.to_owned())];
        let topic = NewTopic {
            name: TopicName::new(depth).expect("a name"),
            partitions: 1,
            config: BTreeMap::from(config),
        };
        log.create_topic(topic).await.expect("a new topic");
    }
    let mut times = BTreeMap::<&str, Vec<f64>>::new();
    for _ in 0..ROUNDS {
        for depth in depths {
            let partition = TopicPartition::new(TopicName::new(depth).expect("a name"), 0);
            let before = cpu_of(std::process::id());
            for _ in 0..BATCHES {
                log.append(&partition, records.clone())
                    .await
                    .expect("it is appended");
            }
            let used: Duration = cpu_of(std::process::id()) - before;
            let each = used.as_secs_f64() * 1e9 / (BATCHES * RECORDS) as f64;
            times.entry(depth).or_default().push(each);
        }
    }
    log.broker().close().await;
    let median = |depth: &str| {
        let mut times = times[depth].clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let none = median("none");
    println!(
        "append {RECORDS} records of {} bytes, CPU of all threads: {none:.0} ns per record; with their ids checked {:.0} ns more, with \
         their bodies {:.0} ns more",
        bytes / RECORDS,
        median("id") - none,
        median("body") - none,
    );
}
