use std::rc::Rc;

use super::{RETRY_MS, fetch};
use crate::{ledger::Ledger, network::Wire};

const MAX_WAIT_MS: i32 = 500;

/// Follows a partition with long polls: nothing that was seen may go away or change, and nothing may be left out.
pub(crate) async fn read(wire: Wire, ledger: Rc<Ledger>, topic: &str, partition: i32) {
    let mut next = 0;
    while !wire.finishing() {
        match fetch(&wire, (topic, partition), next, MAX_WAIT_MS).await {
            Ok(fetched) => {
                for (offset, value) in fetched.records {
                    assert_eq!(offset, next, "{topic}-{partition} has no gaps");
                    ledger.saw(topic, partition, offset, &value);
                    next += 1;
                }
                ledger.saw_high_watermark(topic, partition, fetched.high_watermark);
                assert!(fetched.last_stable_offset <= fetched.high_watermark);
                if wire.chance(2) {
                    next = 0;
                }
            }
            Err(refused) => {
                refused.must_be_passing(&wire.name);
                wire.pause(RETRY_MS).await;
            }
        }
    }
}
