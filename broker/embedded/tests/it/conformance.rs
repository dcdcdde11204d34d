//! The whole suite of `millstream_client::conformance`, on a real directory and on the simulated disk.

use std::sync::Arc;

use async_trait::async_trait;
use millstream_broker_embedded::EmbeddedLog;
use millstream_broker_storage::{RealDisk, sim::SimDisk};
use millstream_client::{Log, conformance::Harness};

use crate::open;

mod on_a_real_disk {
    use super::*;

    struct Durable {
        log: EmbeddedLog,
        dir: tempfile::TempDir,
    }

    #[async_trait]
    impl Harness for Durable {
        fn log(&self) -> Arc<dyn Log> {
            Arc::new(self.log.clone())
        }

        /// A graceful restart.
        async fn restart(&mut self) -> bool {
            self.log.broker().close().await;
            self.log = open(Arc::new(RealDisk::new(self.dir.path()))).await;
            true
        }
    }

    async fn durable() -> Durable {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = open(Arc::new(RealDisk::new(dir.path()))).await;
        Durable { log, dir }
    }

    millstream_client::conformance_suite!(durable);
}

mod on_a_disk_that_crashes {
    use super::*;

    struct Crashing {
        log: EmbeddedLog,
        disk: Arc<SimDisk>,
    }

    #[async_trait]
    impl Harness for Crashing {
        fn log(&self) -> Arc<dyn Log> {
            Arc::new(self.log.clone())
        }

        /// A power cut: what was not fsynced may be gone.
        async fn restart(&mut self) -> bool {
            self.disk.crash();
            self.log = open(Arc::new(SimDisk::clone(&self.disk))).await;
            true
        }
    }

    async fn crashing() -> Crashing {
        let disk = Arc::new(SimDisk::new(11));
        let log = open(Arc::new(SimDisk::clone(&disk))).await;
        Crashing { log, disk }
    }

    millstream_client::conformance_suite!(crashing);
}
