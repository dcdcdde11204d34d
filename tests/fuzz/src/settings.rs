//! What operators write: `server.properties`, and settings that were altered, as they are stored.

use millstream_broker_server::{BrokerSettings, DynamicSettings, read_properties};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(read) = read_properties(text) else { return };
    let written: String = read.iter().map(|(key, value)| property(key, value)).collect();
    assert_eq!(read_properties(&written).as_ref(), Ok(&read), "{written}");
    let altered = DynamicSettings {
        broker: read.clone(),
        ..DynamicSettings::default()
    };
    drop(BrokerSettings::default().with_dynamic(altered));
    if let Ok(settings) = BrokerSettings::parse(read) {
        drop(settings.topic_defaults());
        let same = settings.with_dynamic(DynamicSettings::default());
        same.expect("what was valid alone is valid with nothing");
    }
}

/// Every character that means something is escaped.
fn property(key: &str, value: &str) -> String {
    let escaped = |text: &str| -> String {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        units.collect()
    };
    format!("{}={}\n", escaped(key), escaped(value))
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        PROPERTIES,
        "a\\\n  b : c\\\\\n! no\n#\\\nkey\\u0020x y",
        "log.retention.hours=-1",
    ]
    .map(Into::into)
    .to_vec()
}

const PROPERTIES: &str = r"# as people have it
listeners=PLAINTEXT://127.0.0.1:9092,INTERNAL://[::1]:9093
advertised.listeners = PLAINTEXT://localhost:9092,INTERNAL://:9093
listener.security.protocol.map:PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT
log.retention.hours 168
log.segment.bytes=1073741824
log.cleanup.policy=compact,delete
num.partitions=3
compression.type=zstd
compression.gzip.level=9
auto.create.topics.enable=false
max.connections=10
max.connection.creation.rate=2147483647
connections.max.idle.ms=600000
message.max.bytes=1048588
group.initial.rebalance.delay.ms=3000
group.consumer.assignors=uniform,range
group.consumer.migration.policy=bidirectional
transactional.id.expiration.ms=604800000
offsets.retention.minutes=10080
queued.max.requests=500
";
