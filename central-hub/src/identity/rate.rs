//! How often one address may ask: a window of a minute each, for a bounded number of addresses. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use simpul_clock::Moment;

/// Requests of one address in a minute: a box of boards behind one NAT asks once or twice each.
pub const NODES_REQUESTS_MAX: u32 = 60;

/// Of laptops that showed a certificate: one that watches a node asks once a second, and three may stand behind one NAT.
pub const LAPTOPS_REQUESTS_MAX: u32 = 300;

/// The window.
const WINDOW: Duration = Duration::from_secs(60);

/// Addresses remembered at once, about 200 kB: more than a district has. Beyond, newcomers wait for the window's end.
const ADDRESSES_MAX: usize = 4_096;

/// Counts of the window under way.
#[derive(Debug)]
pub struct Rate {
    requests_max: u32,
    began: Moment,
    counts: HashMap<IpAddr, u32>,
}

impl Rate {
    /// At most so many requests of one address in a minute.
    pub fn new(requests_max: u32) -> Rate {
        Rate { requests_max, began: Moment::ZERO, counts: HashMap::new() }
    }

    /// Whether this address may ask now; counts it.
    pub fn allows(&mut self, now: Moment, address: IpAddr) -> bool {
        if now.since(self.began) >= WINDOW {
            self.began = now;
            self.counts.clear();
        }
        if self.counts.len() >= ADDRESSES_MAX && !self.counts.contains_key(&address) {
            return false;
        }
        let count = self.counts.entry(address).or_default();
        *count = count.saturating_add(1);
        *count <= self.requests_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_held_up_and_others_are_not_and_a_flood_of_addresses_stays_bounded() {
        let mut rate = Rate::new(NODES_REQUESTS_MAX);
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        let now = Moment::from_millis(1_000);
        assert_eq!((0..100).filter(|_| rate.allows(now, address(1))).count(), 60);
        assert!(rate.allows(now, address(2)));
        assert!(rate.allows(now + WINDOW, address(1)), "a minute later");
        let now = now + WINDOW;
        for n in 0..10_000 {
            rate.allows(now, address(n));
        }
        assert_eq!(rate.counts.len(), ADDRESSES_MAX);
    }
}
