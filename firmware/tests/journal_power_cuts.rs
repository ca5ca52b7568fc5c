//! Power goes at every byte of every write and erase of random histories: what was acknowledged never goes back, and
//! nothing is found that was not written.

mod media;

use media::{Bench, LargeEeprom, Shared, SmallEeprom, ThreeSectors, TwoSectors, chip};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_firmware::journal::{Found, Journal};

/// Histories per medium.
const HISTORIES: u64 = 1_000;

/// Writes of one history that are cut at every byte, at most. Twelve uncut ones before them reach every place of a ring.
const WRITES_MAX: usize = 2;

/// Bytes of these tests' payloads.
const N: usize = 24;
type Payload = [u8; N];

fn open<B: Bench>(chip: &Shared) -> (Journal<B::Medium, N>, Found<N>) {
    Journal::open(B::medium(chip))
}

/// What may be found after a cut: the last acknowledged payload, or the one under way.
#[derive(Clone, Copy)]
struct Allowed {
    acknowledged: Option<Payload>,
    under_way: Payload,
}

impl Allowed {
    /// Panic unless `found` may be found; say what the board then works from.
    fn check(&self, found: Found<N>, context: &dyn std::fmt::Debug) -> Option<Payload> {
        match found {
            Found::Good(payload) => {
                assert!(
                    Some(payload) == self.acknowledged || payload == self.under_way,
                    "{context:?}: found {payload:?}, acknowledged {:?}, under way {:?}",
                    self.acknowledged,
                    self.under_way,
                );
                Some(payload)
            }
            Found::Empty | Found::Damaged if self.acknowledged.is_none() => None,
            other => panic!("{context:?}: {other:?}, though acknowledged {:?}", self.acknowledged),
        }
    }
}

/// Restart on `bytes`; what is found must be allowed; then a write must be acknowledged and found by a restart.
fn check_restart<B: Bench>(scratch: &Shared, bytes: &[u8], allowed: Allowed, context: &dyn std::fmt::Debug) {
    scratch.borrow_mut().bytes.copy_from_slice(bytes);
    scratch.borrow_mut().log.clear();
    let (mut journal, found) = open::<B>(scratch);
    allowed.check(found, context);
    let after = [0xA5; N];
    assert_eq!(journal.write(&after), Ok(()), "{context:?}");
    assert_eq!(open::<B>(scratch).1, Found::Good(after), "{context:?}: lost after a cut");
}

/// One history: random earlier writes, then up to [`WRITES_MAX`] with a cut at every byte. Between writes the board runs
/// on, restarts, or restarts from one of the cuts, so that the next write is a first write after a cut. Returns how
/// many cuts were made.
fn history<B: Bench>(seed: u64) -> usize {
    let rng = &mut StdRng::seed_from_u64(seed);
    let shared = chip(vec![0xFF; B::BYTES]);
    let scratch = chip(vec![0xFF; B::BYTES]);
    let mut journal = open::<B>(&shared).0;
    let mut acknowledged = None;
    for _ in 0..rng.random_range(0..12) {
        let payload = rng.random();
        assert_eq!(journal.write(&payload), Ok(()));
        acknowledged = Some(payload);
    }
    let mut cuts = 0;
    for write in 0..rng.random_range(1..=WRITES_MAX) {
        let allowed = Allowed { acknowledged, under_way: rng.random() };
        let mut bytes = shared.borrow().bytes.clone();
        shared.borrow_mut().log.clear();
        assert_eq!(journal.write(&allowed.under_way), Ok(()));
        let log = std::mem::take(&mut shared.borrow_mut().log);
        // A cut to go on from: each is equally likely, without keeping them all.
        let mut picked = Vec::new();
        for op in &log {
            op.cut(&mut bytes, rng, &mut |bytes, rng| {
                cuts += 1;
                check_restart::<B>(&scratch, bytes, allowed, &(seed, write, cuts));
                if rng.random_range(0..cuts) == 0 || picked.is_empty() {
                    picked.clone_from(bytes);
                }
            });
        }
        assert_eq!(bytes, shared.borrow().bytes, "seed {seed}: the cuts ended elsewhere than the write");
        acknowledged = Some(allowed.under_way);
        match rng.random_range(0..3) {
            0 => {}
            1 => {
                let found;
                (journal, found) = open::<B>(&shared);
                assert_eq!(found, Found::Good(allowed.under_way), "seed {seed}");
            }
            _ => {
                shared.borrow_mut().bytes = picked;
                let found;
                (journal, found) = open::<B>(&shared);
                acknowledged = allowed.check(found, &(seed, write));
            }
        }
    }
    cuts
}

fn histories<B: Bench>() {
    let base: u64 = rand::random::<u64>() >> 16;
    println!("seeds {base}..{}", base + HISTORIES);
    let cuts: usize = (base..base + HISTORIES).map(history::<B>).sum();
    println!("{cuts} cuts");
    assert!(cuts > 100 * HISTORIES as usize, "only {cuts} cuts");
}

#[test]
fn on_two_sectors_what_was_acknowledged_outlives_a_cut_at_any_byte() {
    histories::<TwoSectors>();
}

#[test]
fn on_three_sectors_what_was_acknowledged_outlives_a_cut_at_any_byte() {
    histories::<ThreeSectors>();
}

#[test]
fn on_a_small_eeprom_what_was_acknowledged_outlives_a_cut_at_any_byte() {
    histories::<SmallEeprom>();
}

#[test]
fn on_a_larger_eeprom_what_was_acknowledged_outlives_a_cut_at_any_byte() {
    histories::<LargeEeprom>();
}
