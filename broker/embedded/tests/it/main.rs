#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without, it may unwrap"
)]

mod conformance;
mod faults;

use std::sync::Arc;

use millstream_broker_embedded::EmbeddedLog;
use millstream_broker_server::{Broker, BrokerConfig};
use millstream_broker_storage::Disk;
use millstream_types::SystemClock;

async fn open(disk: Arc<dyn Disk>) -> EmbeddedLog {
    let mut config = BrokerConfig::on(disk);
    // Small, so that tests cost little disk and still cross from one file to the next.
    config.storage.wal_file_bytes = 1 << 20;
    let broker = Broker::open(config, Arc::new(SystemClock)).await;
    EmbeddedLog::new(broker.expect("the broker opens"))
}
