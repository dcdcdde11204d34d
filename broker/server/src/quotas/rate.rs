use std::{collections::VecDeque, time::Duration};

use crate::BrokerSettings;

/// Over how long rates are averaged (`quota.window.num`, `quota.window.size.seconds`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    pub(crate) count: u32,
    pub(crate) size_ms: i64,
}

impl Windows {
    pub(crate) fn of(settings: &BrokerSettings) -> Self {
        Self {
            count: settings.quota_windows,
            size_ms: i64::from(settings.quota_window_seconds) * 1000,
        }
    }

    /// What may come in all full windows together.
    pub(crate) fn most(self, per_second: f64) -> f64 {
        per_second * f64::from(self.count.saturating_sub(1).max(1)) * self.size_ms as f64 / 1000.0
    }
}

/// How much came lately, in windows that begin with what comes. Averages as Kafka does: a rate that has just begun is
/// taken as if all windows but one had passed, so that a first burst is no violation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rate {
    /// Begin and sum, oldest first.
    windows: VecDeque<(i64, f64)>,
}

impl Rate {
    pub(crate) fn record(&mut self, value: f64, now_ms: i64, windows: Windows) {
        self.forget(now_ms, windows);
        match self.windows.back_mut() {
            Some((begin, sum)) if now_ms - *begin < windows.size_ms => *sum += value,
            _ => self.windows.push_back((now_ms, value)),
        }
    }

    /// How long whoever caused it must pause for the rate to be as it should.
    pub(crate) fn throttle(&mut self, per_second: f64, now_ms: i64, windows: Windows) -> Duration {
        self.forget(now_ms, windows);
        let Some((oldest, _)) = self.windows.front() else {
            return Duration::ZERO;
        };
        let elapsed = now_ms - oldest;
        let full = i64::from(windows.count.saturating_sub(1)).max(1);
        let missing = (full - elapsed / windows.size_ms).max(0);
        let elapsed_ms = (elapsed + missing * windows.size_ms) as f64;
        let sum: f64 = self.windows.iter().map(|(_, sum)| sum).sum();
        let rate = sum / elapsed_ms * 1000.0;
        if rate <= per_second {
            return Duration::ZERO;
        }
        let pause_ms = (rate - per_second) / per_second * elapsed_ms;
        throttle_time(pause_ms)
    }

    pub(crate) fn is_forgotten(&mut self, now_ms: i64, windows: Windows) -> bool {
        self.forget(now_ms, windows);
        self.windows.is_empty()
    }

    fn forget(&mut self, now_ms: i64, windows: Windows) {
        let age = i64::from(windows.count) * windows.size_ms;
        while self
            .windows
            .front()
            .is_some_and(|(begin, _)| now_ms - begin >= age)
        {
            self.windows.pop_front();
        }
    }
}

/// As it is on the wire, a 32-bit number of milliseconds. Nobody waits for more than an hour: where nothing at all is allowed,
/// the division ends at infinity.
pub(super) fn throttle_time(pause_ms: f64) -> Duration {
    const LONGEST_MS: f64 = 3_600_000.0;
    Duration::from_millis(pause_ms.min(LONGEST_MS) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows {
        count: 11,
        size_ms: 1000,
    };

    #[test]
    fn a_burst_is_paid_for_by_a_pause() {
        let mut rate = Rate::default();
        rate.record(10_000.0, 0, WINDOWS);
        assert_eq!(
            rate.throttle(1000.0, 0, WINDOWS),
            Duration::ZERO,
            "what 10 s allow"
        );
        rate.record(5_000.0, 0, WINDOWS);
        // 1,500 per second over 10 s
        assert_eq!(rate.throttle(1000.0, 0, WINDOWS), Duration::from_secs(5));
        assert_eq!(rate.throttle(1500.0, 0, WINDOWS), Duration::ZERO);
    }

    #[test]
    fn who_keeps_the_pauses_gets_the_rate() {
        let mut rate = Rate::default();
        let (mut now_ms, mut sent) = (0_i64, 0.0);
        while now_ms < 120_000 {
            rate.record(3_000.0, now_ms, WINDOWS);
            sent += 3_000.0;
            let pause = rate.throttle(1000.0, now_ms, WINDOWS);
            now_ms += 10 + i64::try_from(pause.as_millis()).unwrap();
        }
        let per_second = sent / (now_ms as f64 / 1000.0);
        assert!((900.0..1200.0).contains(&per_second), "{per_second}");
    }

    #[test]
    fn what_is_old_does_not_count() {
        let mut rate = Rate::default();
        rate.record(1e9, 0, WINDOWS);
        assert!(rate.throttle(1.0, 10_999, WINDOWS) > Duration::ZERO);
        assert_eq!(rate.throttle(1.0, 11_000, WINDOWS), Duration::ZERO);
        assert!(rate.is_forgotten(11_000, WINDOWS));
    }

    #[test]
    fn a_limit_of_nothing_pauses_for_long_but_not_for_ever() {
        let mut rate = Rate::default();
        rate.record(1.0, 0, WINDOWS);
        assert_eq!(rate.throttle(0.0, 0, WINDOWS), Duration::from_secs(3600));
    }
}
