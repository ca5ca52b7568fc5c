//! Whether a key file may hold a key, answered from memory: a Bloom filter (Bloom 1970), so that a key that was never
//! seen, which is nearly every key, costs no read of the card.
//!
//! It never says no to a key that is there. It says yes to about one in 2,000 that is not: then the file is read.

/// Bits for each key; with [`PROBES`] of them set, one answer in about 2,000 is a needless yes: with a dozen files that is
/// a read of the card for one append in 200. A file of 6,500 keys takes 13 KiB, the most files that a spool of default
/// limits has take about 1 MiB.
const BITS_PER_KEY: usize = 16;
const PROBES: u64 = 8;

/// The smallest filter: in a few words the probes of few keys already cover each other.
const WORDS_MIN: usize = 16;

/// The filter of one file.
#[derive(Debug)]
pub(super) struct KeyFilter(Box<[u64]>);

impl KeyFilter {
    /// Of these keys; they are the first 64 bits of SHA-256 already.
    pub(super) fn of(keys: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut filter = KeyFilter(vec![0; (keys.len() * BITS_PER_KEY).div_ceil(64).max(WORDS_MIN)].into_boxed_slice());
        for key in keys {
            for bit in filter.bits(key) {
                filter.0[bit / 64] |= 1 << (bit % 64);
            }
        }
        filter
    }

    /// False: the key is not there.
    pub(super) fn may_hold(&self, key: u64) -> bool {
        self.bits(key).all(|bit| self.0[bit / 64] & (1 << (bit % 64)) != 0)
    }

    /// Two halves of a good hash make as many as are needed (Kirsch and Mitzenmacher 2006).
    fn bits(&self, key: u64) -> impl Iterator<Item = usize> + use<> {
        let bits = self.0.len() as u64 * 64;
        let step = key.rotate_left(32) | 1;
        // Below the length of a slice, so it is a `usize`.
        (0..PROBES).map(move |probe| (key.wrapping_add(probe.wrapping_mul(step)) % bits) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn every_key_that_is_there_is_found_and_few_that_are_not_are_asked_for() {
        let mut random = StdRng::seed_from_u64(7);
        for count in [0, 1, 3, 6_500] {
            let keys: Vec<u64> = (0..count).map(|_| random.random()).collect();
            let filter = KeyFilter::of(keys.iter().copied());
            assert!(keys.iter().all(|key| filter.may_hold(*key)), "{count} keys");
            let needless = (0..10_000).filter(|_| filter.may_hold(random.random())).count();
            assert!(needless < 30, "{needless} of 10,000 at {count} keys");
        }
    }
}
