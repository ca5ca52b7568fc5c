//! When to connect: exponential windows with full jitter, so that ten thousand agents do not storm a hub that comes
//! back. Leaves to others: which address, and what counts as a failure.

use std::time::Duration;

use simpul_clock::Moment;

/// First window after a live session ended. 10,000 agents that lose their hub at once come back at 670 a second in
/// the worst second: a hub on two cores does 600 to 1,800 TLS handshakes a second.
const WINDOW_AFTER_LOSS: Duration = Duration::from_secs(15);

/// First window after the program started: machines that get their power back together boot within seconds anyway.
const WINDOW_AT_START: Duration = Duration::from_secs(3);

/// A session that lasted less counts as another failure: a hub that accepts and drops is not back.
const SESSION_MIN: Duration = Duration::from_secs(30);

/// Deterministic random numbers (SplitMix64, Steele et al. 2014): the driver seeds it from the system once, a test by
/// hand.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform below `limit`, in whole milliseconds; zero for a zero limit.
    pub fn below(&mut self, limit: Duration) -> Duration {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(if limit_ms == 0 { 0 } else { self.next_u64() % limit_ms })
    }
}

/// The state of reconnecting.
#[derive(Debug)]
pub struct Backoff {
    window_max: Duration,
    window: Duration,
    up_since: Option<Moment>,
    random: Random,
}

impl Backoff {
    /// Windows never exceed `window_max`.
    pub fn new(window_max: Duration, random: Random) -> Self {
        Backoff { window_max, window: WINDOW_AT_START.min(window_max), up_since: None, random }
    }

    /// The session is up.
    pub fn connected(&mut self, now: Moment) {
        self.up_since = Some(now);
    }

    /// When to try (again).
    pub fn next_attempt(&mut self, now: Moment) -> Moment {
        let lasted = self.up_since.take().map(|since| now.since(since));
        if lasted.is_some_and(|lasted| lasted >= SESSION_MIN) {
            self.window = WINDOW_AFTER_LOSS.min(self.window_max);
        }
        let at = now + self.random.below(self.window);
        self.window = (self.window * 2).max(WINDOW_AFTER_LOSS).min(self.window_max);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_has_full_jitter() {
        let cap = Duration::from_secs(60);
        let mut delays: Vec<Vec<u64>> = vec![Vec::new(); 8];
        for seed in 0..2_000 {
            let mut backoff = Backoff::new(cap, Random::new(seed));
            for delays in &mut delays {
                delays.push(backoff.next_attempt(Moment::ZERO).as_millis());
            }
        }
        for (attempt, window_ms) in [3_000, 15_000, 30_000, 60_000, 60_000, 60_000, 60_000, 60_000].iter().enumerate() {
            let (low, high) = (delays[attempt].iter().min().unwrap(), delays[attempt].iter().max().unwrap());
            assert!(*high < *window_ms, "attempt {attempt}: {high} of {window_ms}");
            assert!(*high > window_ms * 9 / 10 && *low < window_ms / 10, "attempt {attempt}: {low}..{high}");
        }
    }

    #[test]
    fn a_session_that_breaks_at_once_does_not_reset_the_window() {
        let mut backoff = Backoff::new(Duration::from_secs(60), Random::new(1));
        for _ in 0..5 {
            backoff.next_attempt(Moment::ZERO);
        }
        backoff.connected(Moment::ZERO);
        backoff.next_attempt(Moment::from_millis(1_000));
        assert_eq!(backoff.window, Duration::from_secs(60));
        backoff.connected(Moment::from_millis(1_000));
        backoff.next_attempt(Moment::from_millis(40_000));
        assert_eq!(backoff.window, Duration::from_secs(30), "the window after the first one of 15 s");
    }
}
