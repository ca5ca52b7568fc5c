//! The daily byte budget of a metered link: a bucket that fills over the day.
//!
//! Events and service records are charged and never held back; readings and images wait while the bucket is empty.
//! There may be no wall clock, so a "day" is any 24 hours.

use std::time::Duration;

use simpul_clock::Moment;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Share of the day's bytes that can be saved up (three hours' worth): the rest flows in evenly, so that no 24 hours
/// exceed the budget.
const SAVED_SHARE: u64 = 8;

/// What may be spent.
#[derive(Debug)]
pub struct Budget(Option<Bucket>);

#[derive(Debug)]
struct Bucket {
    daily_bytes: u64,
    bytes: f64,
    filled_at: Moment,
}

impl Bucket {
    fn bytes_max(&self) -> f64 {
        (self.daily_bytes / SAVED_SHARE) as f64
    }

    fn bytes_per_second(&self) -> f64 {
        (self.daily_bytes - self.daily_bytes / SAVED_SHARE) as f64 / DAY.as_secs_f64()
    }
}

impl Budget {
    /// `None`: unmetered. A restart begins with an hour's worth, not with a full bucket.
    pub fn new(now: Moment, daily_bytes_max: Option<u64>) -> Self {
        Budget(daily_bytes_max.map(|daily_bytes| Bucket {
            daily_bytes,
            bytes: (daily_bytes / 24) as f64,
            filled_at: now,
        }))
    }

    fn fill(&mut self, now: Moment) {
        if let Some(bucket) = &mut self.0 {
            let more = now.since(bucket.filled_at).as_secs_f64() * bucket.bytes_per_second();
            bucket.bytes = (bucket.bytes + more).min(bucket.bytes_max());
            bucket.filled_at = now;
        }
    }

    /// Bytes went out. Urgent ones may drive the bucket below zero, by a day at most: then others wait a day.
    pub fn spend(&mut self, now: Moment, bytes: u32) {
        self.fill(now);
        if let Some(bucket) = &mut self.0 {
            bucket.bytes = (bucket.bytes - f64::from(bytes)).max(-(bucket.daily_bytes as f64));
        }
    }

    /// When readings and images may go: `None` is now.
    pub fn wait_until(&mut self, now: Moment) -> Option<Moment> {
        self.fill(now);
        let bucket = self.0.as_ref().filter(|bucket| bucket.bytes <= 0.0)?;
        // One publish's worth more than nothing, or it would wake for every byte.
        let seconds = (1024.0 - bucket.bytes) / bucket.bytes_per_second().max(0.001);
        Some(now + Duration::from_secs_f64(seconds.clamp(1.0, DAY.as_secs_f64())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_day_exceeds_the_budget() {
        let daily = 10_000_000;
        let mut budget = Budget::new(Moment::ZERO, Some(daily));
        let mut spent = vec![0u64; 72];
        for second in 0..72 * 3600 {
            let now = Moment::from_millis(second * 1000);
            // Silence on the first day lets the bucket fill to its brim.
            if second > 24 * 3600 && budget.wait_until(now).is_none() {
                budget.spend(now, 1_000);
                spent[(second / 3600) as usize] += 1_000;
            }
        }
        for hours in spent.windows(24) {
            let day: u64 = hours.iter().sum();
            assert!(day <= daily + 1_000, "{day} bytes in 24 hours");
        }
        assert!(spent.iter().sum::<u64>() > daily * 17 / 10, "the budget is used");
    }

    #[test]
    fn an_unmetered_link_never_waits() {
        let mut budget = Budget::new(Moment::ZERO, None);
        budget.spend(Moment::ZERO, u32::MAX);
        assert_eq!(budget.wait_until(Moment::ZERO), None);
    }
}
