use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    BrokerSettings,
    quotas::{Rate, Windows},
};

/// The new connections of all listeners, against `max.connection.creation.rate` (KIP-612).
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    windows: Windows,
    rate: Arc<Mutex<Rate>>,
}

/// What the setting is when there is no limit.
const UNLIMITED: u32 = i32::MAX as u32;

impl Arrivals {
    pub(super) fn new(settings: &BrokerSettings) -> Self {
        Self {
            windows: Windows::of(settings),
            rate: Arc::default(),
        }
    }

    /// Counts one, and answers how long the next has to wait.
    pub(super) fn count(&self, per_second: u32, now_ms: i64) -> Duration {
        if per_second >= UNLIMITED {
            return Duration::ZERO;
        }
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.record(1.0, now_ms, self.windows);
        rate.throttle(per_second.into(), now_ms, self.windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_the_rate_waits() {
        let arrivals = Arrivals::new(&BrokerSettings::default());
        for _ in 0..20 {
            assert_eq!(arrivals.count(2, 0), Duration::ZERO, "what 10 s allow");
        }
        assert!(arrivals.count(2, 0) > Duration::ZERO);
        assert_eq!(arrivals.count(UNLIMITED, 0), Duration::ZERO);
    }
}
