//! How fast updates may go out: a rate for all downloads together and one for each node, so that records and images
//! never wait for a program. Pure.

use std::time::Duration;

use simpul_clock::Moment;

/// A bucket that fills with bytes at a rate and holds a second's worth.
#[derive(Debug)]
pub struct Pace {
    bytes_per_s: u64,
    /// When everything that was taken so far has been paid for.
    free_at: Moment,
}

/// What may be taken ahead of time, so that small pauses of the program do not cost rate.
const AHEAD: Duration = Duration::from_millis(250);

impl Pace {
    /// At this rate; 0: as fast as the line is.
    pub fn new(kib_per_s: u32) -> Pace {
        Pace { bytes_per_s: u64::from(kib_per_s) * 1_024, free_at: Moment::ZERO }
    }

    /// Take `bytes`; how long to wait before they may go out.
    pub fn take(&mut self, now: Moment, bytes: usize) -> Duration {
        if self.bytes_per_s == 0 {
            return Duration::ZERO;
        }
        // A rest does not save up more than a moment's worth.
        let from = self.free_at.max(now);
        let wait = from.since(now);
        let cost = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / self.bytes_per_s);
        self.free_at = from + cost;
        wait.saturating_sub(AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_over_a_long_download_and_a_rest_saves_nothing_up() {
        let mut pace = Pace::new(100);
        let (mut now, mut sent) = (Moment::from_millis(5_000), 0);
        let began = now;
        while now.since(began) < Duration::from_secs(60) {
            now = now + pace.take(now, 16 * 1_024);
            sent += 16;
        }
        let rate = f64::from(sent) / now.since(began).as_secs_f64();
        assert!((99.0..102.0).contains(&rate), "{rate} KiB/s");
        let later = now + Duration::from_secs(3_600);
        let waits = (0..100).map(|_| pace.take(later, 16 * 1_024)).filter(Duration::is_zero).count();
        assert!(waits <= 3, "{waits} pieces at once after a rest");
        let mut free = Pace::new(0);
        assert!((0..1_000).all(|_| free.take(now, 1 << 20).is_zero()));
    }
}
