//! How fast the link is, from acknowledgements alone, and how many bytes may be on their way (the window).
//!
//! Duty: keep about 0.3 s worth in flight beyond the round trip, so that the kernel's send buffer and the modem's
//! queue never become a line that an alarm has to stand in. Leaves to others: what the bytes are.
//!
//! Terms: a *mark* is the state of deliveries when a publish left; the rate of a publish is what was delivered between
//! its mark and its acknowledgement, over that time.

use std::time::Duration;

use simpul_clock::Moment;

/// Worth of the link that may wait in queues before it: what an alarm waits for at most.
const QUEUE_WORTH: Duration = Duration::from_millis(300);

/// Worth of the link in one publish (image parts of about 0.25 s).
const PUBLISH_WORTH: Duration = Duration::from_millis(250);

/// Window before anything was measured: two 4 KiB publishes, 0.25 s at 256 kbit/s.
const WINDOW_START_BYTES: u32 = 8 * 1024;

/// Smallest window: one small batch still goes over a link that is slower than any that is planned for.
const WINDOW_BYTES_MIN: u32 = 4 * 1024;

/// Largest window: 50 Mbit/s at 20 ms. More would not drain a village's backlog noticeably sooner and would be a long
/// line if the link slowed down suddenly.
const WINDOW_BYTES_MAX: u32 = 128 * 1024;

/// Smallest publish: below it headers outweigh content.
const PUBLISH_BYTES_MIN: u32 = 1024;

/// Largest publish: half the wire's limit for batches, the wire's limit for image parts.
const PUBLISH_BYTES_MAX: u32 = 32 * 1024;

/// Share of a new sample in the rate: about ten samples of memory.
const SAMPLE_SHARE: f64 = 0.25;

/// The window grows by half at most once in so long: a shaper's burst allowance then runs out before the window has
/// grown to a multiple of what the link sustains.
const GROW_INTERVAL: Duration = Duration::from_millis(250);

/// A round trip of this much more than the shortest one means that a line has formed: shrink at once.
const LINE_FORMED: Duration = Duration::from_millis(600);

/// A shortest round trip counts up to this much towards the window; beyond (satellite) throughput suffers, not alarms.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

/// State of deliveries when a publish left.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    delivered_bytes: u64,
    delivered_at: Moment,
    sent_at: Moment,
    saturated: bool,
}

/// Rate and window of one connection.
#[derive(Debug)]
pub struct Pace {
    window_bytes: u32,
    in_flight_bytes: u32,
    delivered_bytes: u64,
    delivered_at: Moment,
    rate: Option<f64>,
    round_trip_min: Option<Duration>,
    resized_at: Moment,
}

impl Pace {
    /// For a new connection.
    pub fn new(now: Moment) -> Self {
        Pace {
            window_bytes: WINDOW_START_BYTES,
            in_flight_bytes: 0,
            delivered_bytes: 0,
            delivered_at: now,
            rate: None,
            round_trip_min: None,
            resized_at: now,
        }
    }

    /// Bytes that may be in flight.
    pub fn window_bytes(&self) -> u32 {
        self.window_bytes
    }

    /// Bytes that are.
    pub fn in_flight_bytes(&self) -> u32 {
        self.in_flight_bytes
    }

    /// Measured rate in bytes per second.
    pub fn bytes_per_second(&self) -> Option<f64> {
        self.rate
    }

    /// Bytes to aim at for one publish: about 0.25 s worth, and half the window so that two overlap.
    pub fn publish_bytes(&self) -> u32 {
        let half = (self.window_bytes / 2).clamp(PUBLISH_BYTES_MIN, PUBLISH_BYTES_MAX);
        match self.rate {
            Some(rate) => half.min((rate * PUBLISH_WORTH.as_secs_f64()) as u32).max(PUBLISH_BYTES_MIN),
            None => half,
        }
    }

    /// Whether a publish of `bytes` fits: half of it may stand out, so that the link never runs dry between two.
    pub fn fits(&self, bytes: u32) -> bool {
        self.in_flight_bytes == 0 || self.in_flight_bytes + bytes / 2 <= self.window_bytes
    }

    /// Whether a fresh record may go: it may exceed the window by as much again as a window holds at the start.
    pub fn fits_fresh(&self) -> bool {
        self.in_flight_bytes < self.window_bytes + WINDOW_START_BYTES
    }

    /// A publish leaves.
    pub fn sent(&mut self, now: Moment, bytes: u32) -> Mark {
        if self.in_flight_bytes == 0 {
            // The link was idle: the time before now says nothing about its rate.
            self.delivered_at = now;
        }
        self.in_flight_bytes += bytes;
        Mark {
            delivered_bytes: self.delivered_bytes,
            delivered_at: self.delivered_at,
            sent_at: now,
            saturated: self.in_flight_bytes + self.publish_bytes() > self.window_bytes,
        }
    }

    /// A publish of `bytes` that left at `mark` was acknowledged.
    pub fn delivered(&mut self, now: Moment, bytes: u32, mark: Mark) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
        self.delivered_bytes += u64::from(bytes);
        self.delivered_at = now;
        // A millisecond at least: a loopback's zero would be an infinite rate.
        let took = now.since(mark.delivered_at).max(Duration::from_millis(1));
        let sample = (self.delivered_bytes - mark.delivered_bytes) as f64 / took.as_secs_f64();
        let round_trip = now.since(mark.sent_at);
        let shortest = self.round_trip_min.map_or(round_trip, |shortest| shortest.min(round_trip));
        self.round_trip_min = Some(shortest);
        self.rate = Some(match self.rate {
            None => sample,
            // Without a full window a low sample measures us, not the link.
            Some(rate) if !mark.saturated && sample < rate => rate,
            Some(rate) => rate + SAMPLE_SHARE * (sample - rate),
        });
        self.resize(now, round_trip, shortest);
    }

    fn resize(&mut self, now: Moment, round_trip: Duration, shortest: Duration) {
        let since = now.since(self.resized_at);
        if round_trip > shortest + LINE_FORMED && since >= round_trip.min(ROUND_TRIP_MAX) {
            self.window_bytes = (self.window_bytes / 10 * 7).max(WINDOW_BYTES_MIN);
            self.resized_at = now;
            return;
        }
        let worth = shortest.min(ROUND_TRIP_MAX) + QUEUE_WORTH;
        let wanted = (self.rate.unwrap_or_default() * worth.as_secs_f64()) as u32;
        let wanted = wanted.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        if wanted <= self.window_bytes {
            self.window_bytes = wanted;
        } else if since >= GROW_INTERVAL {
            self.window_bytes = wanted.min(self.window_bytes + self.window_bytes / 2);
            self.resized_at = now;
        }
    }

    /// A publish that was counted did not leave after all.
    pub fn withdrawn(&mut self, bytes: u32) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link of `rate` bytes per second and `delay_ms` there and back, kept full for `seconds`.
    fn saturate(rate: u64, delay_ms: u64, seconds: u64) -> Pace {
        let mut pace = Pace::new(Moment::ZERO);
        let mut free_at = 0u64;
        let mut flying: std::collections::VecDeque<(u64, u32, Mark)> = Default::default();
        for now_ms in 0..seconds * 1000 {
            let now = Moment::from_millis(now_ms);
            while let Some(&(at, bytes, mark)) = flying.front().filter(|(at, ..)| *at <= now_ms) {
                let _ = at;
                flying.pop_front();
                pace.delivered(now, bytes, mark);
            }
            while pace.fits(pace.publish_bytes()) {
                let bytes = pace.publish_bytes();
                let mark = pace.sent(now, bytes);
                free_at = free_at.max(now_ms) + u64::from(bytes) * 1000 / rate;
                flying.push_back((free_at + delay_ms, bytes, mark));
            }
        }
        pace
    }

    #[test]
    fn the_window_settles_below_half_a_second_of_a_slow_link() {
        let pace = saturate(32_000, 40, 20);
        let worth = f64::from(pace.window_bytes()) / 32_000.0;
        // 0.3 s, and the round trip, in which the first publish alone is 0.13 s.
        assert!((0.3..=0.5).contains(&worth), "{worth} s in the window");
        assert!((24_000.0..=40_000.0).contains(&pace.bytes_per_second().unwrap()), "{pace:?}");
    }

    #[test]
    fn the_window_grows_to_use_a_fast_link() {
        let pace = saturate(2_000_000, 20, 10);
        assert_eq!(pace.window_bytes(), WINDOW_BYTES_MAX, "{pace:?}");
        assert_eq!(pace.publish_bytes(), PUBLISH_BYTES_MAX);
    }

    #[test]
    fn a_long_round_trip_does_not_starve_the_window() {
        let pace = saturate(125_000, 600, 30);
        assert!(pace.bytes_per_second().unwrap() > 70_000.0, "{pace:?}");
    }
}
