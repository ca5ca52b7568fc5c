//! The update of a running board: what it takes, what it refuses, and when it starts anew.

mod slots;

use std::cell::RefCell;

use heapless::Vec;
use simpul_firmware::update::{NoSlots, RESTART_AFTER_MS, Slots, TRIAL_MS, Update};
use simpul_wire::board::{
    Hardware, ImageState, ToBoard, UPDATE_DATA_BYTES_MAX, UpdateApply, UpdateBegin, UpdateData, UpdateRefusal,
    UpdateState,
};
use slots::{Flash, LAYOUT, RESTARTS, image, load, slots};

const BYTES: usize = 5_001;

fn begin(image: &simpul_firmware::update::install::Image) -> UpdateBegin {
    UpdateBegin { hardware: Hardware::Pico, version: image.version, image_bytes: image.bytes, crc32: image.crc32 }
}

/// A board and its agent.
struct Bench<'a> {
    update: Update,
    slots: slots::BenchSlots<'a>,
    now_ms: u64,
}

impl<'a> Bench<'a> {
    fn start(flash: &'a RefCell<Flash>) -> Self {
        let slots = slots(flash);
        Bench { update: Update::new(Hardware::Pico, slots.image()), slots, now_ms: 0 }
    }

    /// Say it and wait for the answer.
    fn ask(&mut self, message: &ToBoard) -> UpdateState {
        self.update.receive(&self.slots, message);
        // The longest is the check of an image.
        for _ in 0..1_000 {
            if let Some(answer) = self.update.take_answer() {
                return answer;
            }
            self.now_ms += 1;
            self.update.poll(self.now_ms, true, &mut self.slots);
        }
        panic!("no answer to {message:?}");
    }

    fn begin(&mut self, begun: UpdateBegin) -> UpdateState {
        self.ask(&ToBoard::UpdateBegin(begun))
    }

    fn piece(&mut self, offset: usize, bytes: &[u8]) -> UpdateState {
        let bytes = bytes.iter().copied().collect();
        self.ask(&ToBoard::UpdateData(UpdateData { offset: offset as u32, bytes }))
    }

    fn apply(&mut self, crc32: u32) -> UpdateState {
        self.ask(&ToBoard::UpdateApply(UpdateApply { crc32 }))
    }

    /// All of an image, in order; the last answer.
    fn transfer(&mut self, bytes: &[u8]) -> UpdateState {
        let mut answer = UpdateState::Receiving { next: 0 };
        for (index, piece) in bytes.chunks(UPDATE_DATA_BYTES_MAX).enumerate() {
            answer = self.piece(index * UPDATE_DATA_BYTES_MAX, piece);
            if let UpdateState::Refused(_) = answer {
                break;
            }
        }
        answer
    }
}

fn receiving(next: usize) -> UpdateState {
    UpdateState::Receiving { next: next as u32 }
}

fn flash() -> RefCell<Flash> {
    RefCell::new(Flash::new(1, &image(1, 7_000).0))
}

#[test]
fn an_image_is_written_verified_and_started_once_the_answer_is_out() {
    let flash = flash();
    let (bytes, described) = image(2, BYTES);
    let mut board = Bench::start(&flash);
    assert_eq!(board.begin(begin(&described)), receiving(0));
    assert_eq!(board.transfer(&bytes), receiving(BYTES));
    assert_eq!(board.apply(described.crc32), UpdateState::Verified);
    assert!(flash.borrow().slot(LAYOUT.second, BYTES) == bytes);
    RESTARTS.set(0);
    // The answer's bytes are still with the line.
    board.update.poll(board.now_ms + 10_000, true, &mut board.slots);
    assert_eq!(RESTARTS.get(), 0);
    board.update.line_idle(20_000);
    board.update.poll(20_000 + RESTART_AFTER_MS - 1, true, &mut board.slots);
    assert_eq!(RESTARTS.get(), 0);
    // An agent that did not get the answer asks again.
    assert_eq!(board.apply(described.crc32), UpdateState::Verified);
    board.update.poll(20_000 + RESTART_AFTER_MS, true, &mut board.slots);
    assert_eq!(RESTARTS.get(), 1);
    load(&flash).unwrap();
    assert!(flash.borrow().slot(LAYOUT.active, BYTES) == bytes);
    assert_eq!(slots(&flash).image(), ImageState::Trial);
}

#[test]
fn a_piece_that_is_not_the_next_one_is_answered_with_what_is_wanted() {
    let flash = flash();
    let (bytes, described) = image(2, BYTES);
    let mut board = Bench::start(&flash);
    board.begin(begin(&described));
    assert_eq!(board.piece(0, &bytes[..128]), receiving(128));
    assert_eq!(board.piece(0, &bytes[..128]), receiving(128), "repeated");
    assert_eq!(board.piece(256, &bytes[256..384]), receiving(128), "too far");
    assert_eq!(board.piece(128, &bytes[128..200]), receiving(128), "a short piece in the middle");
    assert_eq!(board.piece(128, &[]), receiving(128), "nothing");
    assert_eq!(board.apply(described.crc32), receiving(128), "not whole");
    assert_eq!(board.piece(128, &bytes[128..256]), receiving(256));
    // From the beginning, over what was written.
    assert_eq!(board.begin(begin(&described)), receiving(0));
    assert_eq!(board.transfer(&bytes), receiving(BYTES));
    assert_eq!(board.piece(BYTES, &[1]), receiving(BYTES), "behind the end");
    assert_eq!(board.apply(described.crc32), UpdateState::Verified);
}

#[test]
fn a_poll_erases_one_sector_or_writes_one_piece_and_answers_behind_it() {
    let flash = flash();
    let (bytes, described) = image(2, BYTES);
    let mut board = Bench::start(&flash);
    board.begin(begin(&described));
    let operations = flash.borrow().operations;
    let piece = UpdateData { offset: 0, bytes: Vec::from_slice(&bytes[..128]).unwrap() };
    board.update.receive(&board.slots, &ToBoard::UpdateData(piece));
    assert_eq!((board.update.take_answer(), flash.borrow().operations), (None, operations));
    board.update.poll(1, true, &mut board.slots);
    assert_eq!((board.update.take_answer(), flash.borrow().operations), (None, operations + 1));
    board.update.poll(2, true, &mut board.slots);
    assert_eq!((board.update.take_answer(), flash.borrow().operations), (Some(receiving(128)), operations + 2));
}

#[test]
fn what_must_not_run_is_refused_with_its_reason() {
    let flash = flash();
    let (mut bytes, described) = image(2, BYTES);
    let mut board = Bench::start(&flash);
    let refused = |why| UpdateState::Refused(why);
    assert_eq!(board.piece(0, &bytes[..128]), refused(UpdateRefusal::NotBegun));
    assert_eq!(board.apply(described.crc32), refused(UpdateRefusal::NotBegun));
    let other = UpdateBegin { hardware: Hardware::Lm3s6965, ..begin(&described) };
    assert_eq!(board.begin(other), refused(UpdateRefusal::OtherHardware));
    let large = UpdateBegin { image_bytes: LAYOUT.slot_bytes + 1, ..begin(&described) };
    assert_eq!(board.begin(large), refused(UpdateRefusal::TooLarge));
    assert_eq!(board.begin(UpdateBegin { image_bytes: 0, ..begin(&described) }), refused(UpdateRefusal::TooLarge));
    board.begin(begin(&described));
    bytes[4_999] ^= 0x10;
    assert_eq!(board.transfer(&bytes), receiving(BYTES));
    assert_eq!(board.apply(described.crc32 ^ 1), refused(UpdateRefusal::NotBegun), "another update's end");
    assert_eq!(board.apply(described.crc32), refused(UpdateRefusal::BadChecksum));
    assert_eq!(board.apply(described.crc32), refused(UpdateRefusal::NotBegun), "forgotten");
    assert_eq!(slots(&flash).image(), ImageState::Confirmed);
}

#[test]
fn flash_that_does_not_take_a_piece_is_told_at_once() {
    let flash = flash();
    let (bytes, described) = image(2, BYTES);
    let worn = LAYOUT.second as usize + 200;
    flash.borrow_mut().bytes[worn] = 0;
    flash.borrow_mut().worn = worn..worn + 1;
    let mut board = Bench::start(&flash);
    board.begin(begin(&described));
    assert_eq!(board.piece(0, &bytes[..128]), receiving(128));
    assert_eq!(board.piece(128, &bytes[128..256]), UpdateState::Refused(UpdateRefusal::FlashFailed));
    assert_eq!(board.piece(256, &bytes[256..384]), UpdateState::Refused(UpdateRefusal::NotBegun));
}

#[test]
fn a_cut_at_every_operation_of_a_transfer_leaves_the_running_image_as_it_was() {
    let (old, _) = image(1, 7_000);
    let (bytes, described) = image(2, BYTES);
    let mut installed = 0;
    for cut in 0..200 {
        let flash = RefCell::new(Flash::new(cut, &old));
        flash.borrow_mut().power(Some(cut as usize));
        let mut board = Bench::start(&flash);
        board.begin(begin(&described));
        let done = board.transfer(&bytes) == receiving(BYTES) && board.apply(described.crc32) == UpdateState::Verified;
        flash.borrow_mut().power(None);
        load(&flash).unwrap();
        match slots(&flash).image() {
            // The note to the loader was whole though its answer never came.
            ImageState::Trial => {
                installed += 1;
                assert!(flash.borrow().slot(LAYOUT.active, BYTES) == bytes, "cut {cut}");
            }
            state => {
                assert!(!done, "cut {cut}: verified and then {state:?}");
                assert!(flash.borrow().slot(LAYOUT.active, old.len()) == old, "cut {cut}: {state:?}");
            }
        }
    }
    assert!((1..200).contains(&installed), "{installed}");
}

#[test]
fn a_trial_is_confirmed_once_proven_and_refuses_updates_until_then() {
    let flash = flash();
    let (bytes, described) = image(2, BYTES);
    let mut board = Bench::start(&flash);
    board.begin(begin(&described));
    board.transfer(&bytes);
    board.apply(described.crc32);
    load(&flash).unwrap();
    let mut board = Bench::start(&flash);
    assert_eq!(board.update.image(), ImageState::Trial);
    assert!(!board.update.poll(100, false, &mut board.slots));
    board.update.receive(&board.slots, &ToBoard::UpdateBegin(begin(&described)));
    assert_eq!(board.update.take_answer(), Some(UpdateState::Refused(UpdateRefusal::OnTrial)));
    assert!(board.update.poll(200, true, &mut board.slots));
    assert_eq!(board.update.image(), ImageState::Confirmed);
    assert_eq!(slots(&flash).image(), ImageState::Confirmed);
    RESTARTS.set(0);
    board.update.poll(TRIAL_MS + 1, false, &mut board.slots);
    assert_eq!(RESTARTS.get(), 0);
    assert_eq!(board.begin(begin(&described)), receiving(0));
}

#[test]
fn a_trial_that_nobody_greets_starts_anew_after_a_minute() {
    let flash = flash();
    let (bytes, described) = image(2, BYTES);
    let mut board = Bench::start(&flash);
    board.begin(begin(&described));
    board.transfer(&bytes);
    board.apply(described.crc32);
    load(&flash).unwrap();
    let mut board = Bench::start(&flash);
    RESTARTS.set(0);
    assert_eq!(board.update.next_ms(0), TRIAL_MS);
    board.update.poll(TRIAL_MS - 1, false, &mut board.slots);
    assert_eq!(RESTARTS.get(), 0);
    board.update.poll(TRIAL_MS, false, &mut board.slots);
    assert_eq!(RESTARTS.get(), 1);
    load(&flash).unwrap();
    assert_eq!(slots(&flash).image(), ImageState::Reverted);
}

#[test]
fn a_board_without_loader_says_so() {
    let mut update = Update::new(Hardware::Lm3s6965, NoSlots.image());
    let (_, described) = image(2, BYTES);
    for message in [
        ToBoard::UpdateBegin(begin(&described)),
        ToBoard::UpdateData(UpdateData { offset: 0, bytes: Vec::new() }),
        ToBoard::UpdateApply(UpdateApply { crc32: 0 }),
    ] {
        update.receive(&NoSlots, &message);
        assert_eq!(update.take_answer(), Some(UpdateState::Refused(UpdateRefusal::NoLoader)));
    }
    assert!(!update.poll(TRIAL_MS, true, &mut NoSlots));
}
