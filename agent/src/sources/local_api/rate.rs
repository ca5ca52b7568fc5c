//! Requests per second and client address: token buckets in a bounded table. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use simpul_clock::Moment;

/// Most addresses with a bucket of their own; a village LAN has dozens. Others share one bucket, so a flood of invented
/// addresses costs neither memory nor the known ones their turn.
const ADDRESSES_MAX: usize = 1_024;

/// A burst of so many seconds' worth is let through at once: a queue system that was cut off catches up.
const BURST_S: u64 = 10;

/// Thousandths of a request, so that slow rates refill smoothly.
const UNIT: u64 = 1_000;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: u64,
    at: Moment,
}

/// The buckets.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: u32,
    buckets: HashMap<IpAddr, Bucket>,
    others: Option<Bucket>,
}

impl Rates {
    pub(super) fn new(per_second: u32) -> Self {
        Rates { per_second: per_second.max(1), buckets: HashMap::new(), others: None }
    }

    /// The sustained rate.
    pub(super) fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Take one request's worth; on a refusal the seconds to wait.
    pub(super) fn take(&mut self, now: Moment, address: IpAddr) -> Result<(), u64> {
        let rate = u64::from(self.per_second);
        let full = rate * BURST_S * UNIT;
        if self.buckets.len() >= ADDRESSES_MAX && !self.buckets.contains_key(&address) {
            // A bucket that has filled up again says nothing more than a new one.
            self.buckets.retain(|_, bucket| refilled(*bucket, now, rate, full).tokens < full);
        }
        let known = self.buckets.len() < ADDRESSES_MAX || self.buckets.contains_key(&address);
        let fresh = Bucket { tokens: full, at: now };
        let bucket = match known {
            true => self.buckets.entry(address).or_insert(fresh),
            false => self.others.get_or_insert(fresh),
        };
        *bucket = refilled(*bucket, now, rate, full);
        match bucket.tokens.checked_sub(UNIT) {
            Some(left) => {
                bucket.tokens = left;
                Ok(())
            }
            None => Err((UNIT - bucket.tokens).div_ceil(rate * UNIT).max(1)),
        }
    }
}

fn refilled(bucket: Bucket, now: Moment, rate: u64, full: u64) -> Bucket {
    let passed_ms = u64::try_from(now.since(bucket.at).as_millis()).unwrap_or(u64::MAX);
    // `rate` requests a second are `rate` thousandths of a request a millisecond.
    Bucket { tokens: bucket.tokens.saturating_add(passed_ms.saturating_mul(rate)).min(full), at: now.max(bucket.at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn a_burst_is_let_through_then_the_rate_holds() {
        let mut rates = Rates::new(20);
        let allowed = |rates: &mut Rates, at| (0..500).filter(|_| rates.take(at, ip(1)).is_ok()).count();
        assert_eq!(allowed(&mut rates, Moment::ZERO), 200);
        assert_eq!(rates.take(Moment::ZERO, ip(1)), Err(1));
        assert_eq!(rates.take(Moment::ZERO, ip(2)), Ok(()), "another client has its own");
        assert_eq!(allowed(&mut rates, Moment::from_millis(1_000)), 20);
        assert_eq!(allowed(&mut rates, Moment::from_millis(100_000)), 200, "never more than the burst");
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_leaves_known_clients_alone() {
        let mut rates = Rates::new(1);
        for _ in 0..3 {
            assert_eq!(rates.take(Moment::ZERO, ip(7)), Ok(()));
        }
        let allowed = (100..10_000).filter(|number| rates.take(Moment::ZERO, ip(*number)).is_ok()).count();
        assert_eq!(rates.buckets.len(), ADDRESSES_MAX);
        assert_eq!(allowed, ADDRESSES_MAX - 1 + 10, "one burst is shared by all that have no bucket");
        assert_eq!(rates.take(Moment::ZERO, ip(7)), Ok(()));
        // Later the idle buckets make room.
        assert_eq!(rates.take(Moment::from_millis(60_000), ip(20_000)), Ok(()));
        assert_eq!(rates.buckets.len(), 1);
    }
}
