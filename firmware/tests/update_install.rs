//! The loader: a cut at every operation of the flash leaves a board that runs, with one of its two images whole.

mod slots;

use std::cell::RefCell;

use rand::RngExt;
use simpul_firmware::update::Slots;
use simpul_firmware::update::install::{Image, Phase};
use simpul_wire::board::ImageState;
use slots::{Flash, LAYOUT, image, load, slots, store};

const OLD_BYTES: usize = 7_000;
const NEW_BYTES: usize = 5_001;

/// A board that runs an old image and was told to install a new one.
struct Bench {
    old: Vec<u8>,
    new: Vec<u8>,
    described: Image,
}

fn told(seed: u64) -> (Bench, RefCell<Flash>) {
    let (old, _) = image(seed, OLD_BYTES);
    let (new, described) = image(seed + 1, NEW_BYTES);
    let flash = RefCell::new(Flash::new(seed, &old));
    flash.borrow_mut().bytes[LAYOUT.second as usize..][..NEW_BYTES].copy_from_slice(&new);
    assert_eq!(slots(&flash).mark_for_trial(&described), Ok(()));
    (Bench { old, new, described }, flash)
}

/// What may run: the old image, wholly as it was, unless the new one is on trial or stays.
fn check(bench: &Bench, flash: &Flash, phase: Phase, context: &str) {
    match phase {
        Phase::Trial | Phase::Settled => {
            assert!(flash.slot(LAYOUT.active, NEW_BYTES) == bench.new, "{context}: the new image is not whole");
        }
        Phase::Reverted => {
            assert!(flash.slot(LAYOUT.active, OLD_BYTES) == bench.old, "{context}: the old image is not whole");
        }
        Phase::Install | Phase::Saved => panic!("{context}: left at {phase:?}"),
    }
}

#[test]
fn an_image_is_installed_tried_and_stays_when_confirmed() {
    let (bench, flash) = told(1);
    load(&flash).unwrap();
    assert_eq!(slots(&flash).image(), ImageState::Trial);
    check(&bench, &flash.borrow(), Phase::Trial, "after the installation");
    slots(&flash).confirm().unwrap();
    for _ in 0..3 {
        load(&flash).unwrap();
        assert_eq!(store(&flash).record().phase, Phase::Settled);
        assert_eq!(store(&flash).record().image, bench.described);
        check(&bench, &flash.borrow(), Phase::Settled, "a later start");
    }
}

#[test]
fn an_image_that_does_not_confirm_itself_is_replaced_by_the_one_before_it() {
    let (bench, flash) = told(2);
    load(&flash).unwrap();
    load(&flash).unwrap();
    assert_eq!(slots(&flash).image(), ImageState::Reverted);
    check(&bench, &flash.borrow(), Phase::Reverted, "after the trial");
}

#[test]
fn a_cut_at_every_operation_and_another_one_later_leave_one_image_whole() {
    let (_, uncut) = told(3);
    load(&uncut).unwrap();
    load(&uncut).unwrap();
    let operations = uncut.borrow().operations;
    assert!(operations > 80, "{operations}");
    let (mut trials, mut reverts) = (0, 0);
    for cut in 0..operations {
        for seed in 0..4 {
            let context = format!("cut {cut}, seed {seed}");
            let (bench, flash) = told(seed);
            flash.borrow_mut().power(Some(cut));
            // The trial ends at once: from installation to return, whichever the cut is in.
            if load(&flash).is_ok() {
                let _ = load(&flash);
            }
            let again = flash.borrow_mut().rng.random_range(0..operations);
            flash.borrow_mut().power(Some(again));
            let _ = load(&flash);
            flash.borrow_mut().power(None);
            assert_eq!(load(&flash), Ok(()), "{context}");
            let phase = store(&flash).record().phase;
            check(&bench, &flash.borrow(), phase, &context);
            if phase == Phase::Trial {
                trials += 1
            } else {
                reverts += 1
            }
            // Whatever it is now, one more start without a confirmation is the old image.
            load(&flash).unwrap();
            let phase = store(&flash).record().phase;
            assert_ne!(phase, Phase::Trial, "{context}");
            check(&bench, &flash.borrow(), phase, &context);
            assert!(flash.borrow().slot(LAYOUT.active, OLD_BYTES) == bench.old, "{context}");
        }
    }
    println!("{operations} operations: {trials} trials, {reverts} returns");
    assert!(trials > 0 && reverts > 0);
}

#[test]
fn a_cut_while_the_image_confirms_itself_is_a_confirmation_or_a_return() {
    let mut seen = Vec::new();
    for cut in 0..3 {
        for seed in 10..30 {
            let (bench, flash) = told(seed);
            load(&flash).unwrap();
            flash.borrow_mut().power(Some(cut));
            let confirmed = slots(&flash).confirm().is_ok();
            flash.borrow_mut().power(None);
            load(&flash).unwrap();
            let phase = store(&flash).record().phase;
            assert!(!confirmed || phase == Phase::Settled, "cut {cut}, seed {seed}: {phase:?}");
            check(&bench, &flash.borrow(), phase, &format!("cut {cut}, seed {seed}"));
            seen.push(phase);
        }
    }
    assert!(seen.contains(&Phase::Settled) && seen.contains(&Phase::Reverted), "{seen:?}");
}

#[test]
fn an_image_that_went_bad_in_its_slot_is_not_installed() {
    let (bench, flash) = told(4);
    flash.borrow_mut().bytes[LAYOUT.second as usize + NEW_BYTES - 1] ^= 1;
    load(&flash).unwrap();
    assert_eq!(slots(&flash).image(), ImageState::Reverted);
    check(&bench, &flash.borrow(), Phase::Reverted, "refused");
    assert!(flash.borrow().slot(LAYOUT.former, OLD_BYTES).iter().all(|byte| *byte == 0xFF), "no copy was begun");
}

#[test]
fn flash_that_cannot_hold_the_copy_leaves_the_running_image_alone() {
    let (bench, flash) = told(5);
    // A dead cell that reads as zero.
    let dead = LAYOUT.former as usize + 100;
    flash.borrow_mut().bytes[dead] = 0;
    flash.borrow_mut().worn = dead..dead + 1;
    load(&flash).unwrap();
    assert_eq!(slots(&flash).image(), ImageState::Reverted);
    check(&bench, &flash.borrow(), Phase::Reverted, "refused");
}

#[test]
fn a_board_that_was_flashed_by_hand_runs_what_it_was_flashed_with() {
    let (old, _) = image(6, OLD_BYTES);
    let flash = RefCell::new(Flash::new(6, &old));
    load(&flash).unwrap();
    assert_eq!(slots(&flash).image(), ImageState::Confirmed);
    assert_eq!(flash.borrow().operations, 0, "a start of a board that is not updated writes nothing");
}
