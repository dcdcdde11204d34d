use std::time::Duration;

use super::{Windows, rate::throttle_time};

/// What may be done at once, and grows again with the time: bursts up to all windows, then the rate (KIP-599).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    filled_ms: i64,
}

impl Bucket {
    pub(crate) fn full(per_second: f64, now_ms: i64, windows: Windows) -> Self {
        Self {
            tokens: burst(per_second, windows),
            filled_ms: now_ms,
        }
    }

    /// Takes tokens, if there are any: the last ones may be fewer than what is taken, and are owed then. `Err` and what an
    /// earlier taker owes say how long it takes until there are some again.
    pub(crate) fn take(
        &mut self,
        tokens: f64,
        per_second: f64,
        now_ms: i64,
        windows: Windows,
    ) -> Result<Duration, Duration> {
        let elapsed_ms = (now_ms - self.filled_ms).max(0);
        self.filled_ms = self.filled_ms.max(now_ms);
        let grown = self.tokens + elapsed_ms as f64 / 1000.0 * per_second;
        self.tokens = grown.min(burst(per_second, windows));
        if self.tokens < 0.0 {
            return Err(self.pause(per_second));
        }
        self.tokens -= tokens;
        Ok(self.pause(per_second))
    }

    /// Takes them whether there are any or not.
    pub(crate) fn take_anyway(
        &mut self,
        tokens: f64,
        per_second: f64,
        now_ms: i64,
        windows: Windows,
    ) -> Duration {
        match self.take(tokens, per_second, now_ms, windows) {
            Ok(pause) => pause,
            Err(_) => {
                self.tokens -= tokens;
                self.pause(per_second)
            }
        }
    }

    pub(crate) fn is_forgotten(&self, now_ms: i64, windows: Windows) -> bool {
        now_ms - self.filled_ms > i64::from(windows.count) * windows.size_ms && self.tokens >= 0.0
    }

    fn pause(&self, per_second: f64) -> Duration {
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        throttle_time((-self.tokens / per_second * 1000.0).ceil())
    }
}

fn burst(per_second: f64, windows: Windows) -> f64 {
    per_second * f64::from(windows.count) * windows.size_ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows {
        count: 11,
        size_ms: 1000,
    };

    #[test]
    fn a_burst_goes_through_and_the_next_waits_for_the_rate() {
        let mut bucket = Bucket::full(2.0, 0, WINDOWS);
        assert_eq!(bucket.take(20.0, 2.0, 0, WINDOWS), Ok(Duration::ZERO));
        // 2 are left of 22, and the rest is owed.
        assert_eq!(bucket.take(6.0, 2.0, 0, WINDOWS), Ok(Duration::from_secs(2)));
        assert_eq!(
            bucket.take(1.0, 2.0, 500, WINDOWS),
            Err(Duration::from_millis(1500))
        );
        assert_eq!(
            bucket.take(1.0, 2.0, 2_000, WINDOWS),
            Ok(Duration::from_millis(500))
        );
        assert_eq!(
            bucket.take_anyway(9.0, 2.0, 2_000, WINDOWS),
            Duration::from_secs(5)
        );
        assert!(
            !bucket.is_forgotten(60_000, WINDOWS),
            "it owes still, as far as it was looked at"
        );
        assert!(Bucket::full(2.0, 0, WINDOWS).is_forgotten(60_000, WINDOWS));
    }
}
