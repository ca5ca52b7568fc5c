//! Which refusals get a line in the log: the first of its kind, then one each ten minutes with how many came in between.
//! A kind is an address, a reason and the words for it, which name the certificate: a whole district may come from one
//! address. A village with an expired certificate tries again for months, and its lines would bury the others'.
//! The counters ([`super::stats`]) count every one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use simpul_clock::Moment;

use super::stats::Refusal;

/// One line for an address and reason in so long: an operator who looks now still sees what goes on now.
const QUIET: Duration = Duration::from_secs(600);

/// Kinds remembered: more than a district's villages, 100 kB. Beyond it everything is forgotten and told
/// anew, which is the right moment to be loud.
const REMEMBERED_MAX: usize = 2_048;

/// What was told lately.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    told: HashMap<(IpAddr, Refusal, u64), Told>,
    words: RandomState,
}

#[derive(Debug)]
struct Told {
    at: Moment,
    since: u64,
}

impl Refusals {
    /// Note a refusal. `Some`: it gets a line, which says how many of its kind came since the last one.
    pub(crate) fn note(&mut self, now: Moment, address: IpAddr, reason: Refusal, text: &str) -> Option<u64> {
        let kind = (address, reason, self.words.hash_one(text));
        if let Some(told) = self.told.get_mut(&kind) {
            if now.since(told.at) < QUIET {
                told.since += 1;
                return None;
            }
            let since = told.since;
            *told = Told { at: now, since: 0 };
            return Some(since);
        }
        if self.told.len() >= REMEMBERED_MAX {
            self.told.clear();
        }
        self.told.insert(kind, Told { at: now, since: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const SECOND: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    #[test]
    fn one_line_in_ten_minutes_says_how_many_came_between() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.note(at(0), FIRST, Refusal::Expired, "node-1"), Some(0));
        for second in 1..600 {
            assert_eq!(refusals.note(at(second), FIRST, Refusal::Expired, "node-1"), None);
        }
        assert_eq!(refusals.note(at(600), FIRST, Refusal::Expired, "node-1"), Some(599));
        assert_eq!(refusals.note(at(601), FIRST, Refusal::Expired, "node-1"), None);
    }

    #[test]
    fn another_address_another_reason_or_another_certificate_is_told_at_once() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.note(at(0), FIRST, Refusal::Expired, "node-1"), Some(0));
        assert_eq!(refusals.note(at(1), SECOND, Refusal::Expired, "node-1"), Some(0));
        assert_eq!(refusals.note(at(1), FIRST, Refusal::Foreign, "node-1"), Some(0));
        assert_eq!(refusals.note(at(1), FIRST, Refusal::Expired, "node-2"), Some(0));
    }

    #[test]
    fn a_flood_of_addresses_does_not_grow_what_is_remembered() {
        let mut refusals = Refusals::default();
        for number in 0..10_000u32 {
            refusals.note(at(0), IpAddr::V4(number.into()), Refusal::Handshake, "node-1");
            assert!(refusals.told.len() <= REMEMBERED_MAX);
        }
    }
}
