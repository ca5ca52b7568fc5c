//! What a journal says of media that are new, damaged, worn out or out of reach, and known flaws of others.

mod media;

use media::{Bench, LargeEeprom, Op, Shared, SmallEeprom, ThreeSectors, TwoSectors, chip};
use simpul_firmware::journal::{Found, Journal, JournalError, Medium, SLOT_BYTES};
use simpul_wire::board::JournalState;

const N: usize = 93;

fn open<B: Bench>(chip: &Shared) -> (Journal<B::Medium, N>, Found<N>) {
    Journal::open(B::medium(chip))
}

fn fresh<B: Bench>() -> Shared {
    chip(vec![0xFF; B::BYTES])
}

/// Restart, write `payload`, and have power go when `done` bytes of the slot are written.
fn write_cut<B: Bench>(chip: &Shared, payload: [u8; N], done: usize) {
    let mut bytes = chip.borrow().bytes.clone();
    chip.borrow_mut().log.clear();
    let _ = open::<B>(chip).0.write(&payload);
    let mut left = done;
    for op in std::mem::take(&mut chip.borrow_mut().log) {
        match op {
            Op::Erase { from, to } => bytes[from..to].fill(0xFF),
            Op::Program { at, bytes: new } | Op::Page { at, bytes: new } => {
                let now = left.min(new.len());
                bytes[at..at + now].copy_from_slice(&new[..now]);
                left -= now;
            }
        }
    }
    chip.borrow_mut().bytes = bytes;
}

/// Two first writes after a start are cut, at any two bytes; then one is acknowledged.
fn after_two_cuts_an_acknowledged_write_is_found<B: Bench>() {
    for first in 0..SLOT_BYTES {
        for second in 0..SLOT_BYTES {
            let chip = fresh::<B>();
            write_cut::<B>(&chip, [1; N], first);
            write_cut::<B>(&chip, [2; N], second);
            assert_eq!(open::<B>(&chip).0.write(&[3; N]), Ok(()));
            assert_eq!(open::<B>(&chip).1, Found::Good([3; N]), "cut at {first}, then at {second}");
        }
    }
}

// sequential-storage 8.0.2, <https://github.com/tweedegolf/sequential-storage/issues/136>: two stores cut after seven
// bytes left a torn header that the next, acknowledged, item completed to a phantom; the scan followed that and passed
// the item by.
#[test]
fn two_torn_headers_do_not_hide_the_acknowledged_write_behind_them_in_flash() {
    after_two_cuts_an_acknowledged_write_is_found::<TwoSectors>();
}

#[test]
fn two_torn_headers_do_not_hide_the_acknowledged_write_behind_them_in_an_eeprom() {
    after_two_cuts_an_acknowledged_write_is_found::<SmallEeprom>();
}

/// The same flaw in our own shape: a scan that stops at the first slot that it cannot read.
fn a_torn_slot_between_does_not_hide<B: Bench>() {
    for before in 0..9_u8 {
        for done in 1..SLOT_BYTES {
            let chip = fresh::<B>();
            let mut journal = open::<B>(&chip).0;
            (0..=before).for_each(|count| assert_eq!(journal.write(&[count; N]), Ok(())));
            write_cut::<B>(&chip, [100; N], done);
            let (mut journal, found) = open::<B>(&chip);
            assert_eq!(found, Found::Good([before; N]), "after {before}, cut at {done}");
            for count in 101..104 {
                assert_eq!(journal.write(&[count; N]), Ok(()));
                assert_eq!(open::<B>(&chip).1, Found::Good([count; N]), "after {before}, cut at {done}");
            }
        }
    }
}

#[test]
fn one_cut_does_not_hide_what_is_acknowledged_after_it_in_flash() {
    a_torn_slot_between_does_not_hide::<TwoSectors>();
}

#[test]
fn one_cut_does_not_hide_what_is_acknowledged_after_it_in_an_eeprom() {
    a_torn_slot_between_does_not_hide::<LargeEeprom>();
}

#[test]
fn a_new_memory_is_empty_and_one_of_noise_is_damaged() {
    fn check<B: Bench>() {
        let found = open::<B>(&fresh::<B>()).1;
        assert_eq!((found, found.state()), (Found::Empty, JournalState::Empty));
        let noise = chip((0..B::BYTES).map(|index| (index * 7 + 3) as u8).collect());
        let (mut journal, found) = open::<B>(&noise);
        assert_eq!((found, found.state()), (Found::Damaged, JournalState::Damaged));
        journal.write(&[1; N]).unwrap();
        assert_eq!(open::<B>(&noise).1, Found::Good([1; N]));
    }
    check::<TwoSectors>();
    check::<SmallEeprom>();
}

#[test]
fn a_memory_that_does_not_answer_is_not_written_until_it_was_read() {
    fn check<B: Bench>() {
        let chip = fresh::<B>();
        open::<B>(&chip).0.write(&[1; N]).unwrap();
        chip.borrow_mut().failing_reads = usize::MAX;
        let (mut journal, found) = open::<B>(&chip);
        assert_eq!((found, found.state()), (Found::Unreachable, JournalState::Unreachable));
        chip.borrow_mut().failing_reads = 0;
        assert_eq!(journal.write(&[0; N]), Err(JournalError::Unreachable));
        assert_eq!(journal.prepare(), Err(JournalError::Unreachable));
        assert_eq!(journal.reopen(), Found::Good([1; N]));
        assert_eq!(journal.write(&[2; N]), Ok(()));
        // One disturbed read is read again.
        chip.borrow_mut().failing_reads = 1;
        assert_eq!(open::<B>(&chip).1, Found::Good([2; N]));
    }
    check::<TwoSectors>();
    check::<SmallEeprom>();
}

#[test]
fn a_worn_slot_is_left_out_and_a_worn_memory_is_said() {
    fn check<B: Bench>(slot_at: usize) {
        let chip = fresh::<B>();
        let mut journal = open::<B>(&chip).0;
        chip.borrow_mut().worn = slot_at + 60..slot_at + 61;
        for count in 0..20 {
            assert_eq!(journal.write(&[count; N]), Ok(()));
            assert_eq!(open::<B>(&chip).1, Found::Good([count; N]));
        }
        chip.borrow_mut().worn = 0..B::BYTES;
        assert_eq!(journal.write(&[99; N]), Err(JournalError::Failed));
        assert_eq!(open::<B>(&chip).1, Found::Good([19; N]), "the newest was not spared");
    }
    check::<TwoSectors>(512 + SLOT_BYTES);
    check::<SmallEeprom>(SLOT_BYTES);
}

#[test]
fn the_newest_is_spared_when_all_the_other_slots_are_worn() {
    fn check<B: Bench>(kept: std::ops::Range<usize>) {
        let chip = fresh::<B>();
        let mut journal = open::<B>(&chip).0;
        for count in 0..kept.len() / SLOT_BYTES {
            journal.write(&[count as u8 + 1; N]).unwrap();
        }
        let newest = (kept.len() / SLOT_BYTES) as u8;
        chip.borrow_mut().worn = kept.end..B::BYTES;
        for _ in 0..5 {
            assert_eq!(journal.write(&[99; N]), Err(JournalError::Failed));
            assert_eq!(open::<B>(&chip).1, Found::Good([newest; N]));
        }
    }
    // The journal's first sector is full, its second one is worn; one slot is written, the three others are worn.
    check::<TwoSectors>(512..1_024);
    check::<SmallEeprom>(0..128);
}

#[test]
fn a_ring_wears_all_its_units_alike_and_a_prepared_write_clears_nothing() {
    fn check<B: Bench>(erases: usize) {
        let chip = fresh::<B>();
        let mut journal = open::<B>(&chip).0;
        let mut written = vec![0; B::BYTES / SLOT_BYTES];
        for _ in 0..8 * <B::Medium as Medium>::UNITS * <B::Medium as Medium>::SLOTS_PER_UNIT {
            journal.prepare().unwrap();
            let prepared = chip.borrow().log.len();
            journal.write(&[1; N]).unwrap();
            for op in &chip.borrow().log[prepared..] {
                match op {
                    Op::Erase { .. } => panic!("cleared although prepared"),
                    Op::Program { at, .. } | Op::Page { at, .. } => written[at / SLOT_BYTES] += 1,
                }
            }
        }
        let pages = written.iter().max().unwrap();
        assert!(written.iter().all(|count| count == pages || *count == 0), "{written:?}");
        let cleared = chip.borrow().log.iter().filter(|op| matches!(op, Op::Erase { .. })).count();
        assert_eq!(cleared, erases);
    }
    check::<TwoSectors>(8 * 2);
    check::<ThreeSectors>(8 * 3);
    check::<SmallEeprom>(0);
}
