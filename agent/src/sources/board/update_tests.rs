//! The update's core, event by event, against a table of what a board may answer.

use simpul_firmware::update::{SlotFault, Slots, Update, install};
use simpul_wire::board::host::{Effect, Image, Remember, Tried, Updater};
use simpul_wire::board::*;

use super::image::tests::file;

const HOUR_MS: u64 = 3_600_000;

fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        hardware: Hardware::Pico,
        firmware: [0, 1, 0],
        serial: [7; 8],
        boot: 7,
        reset: ResetReason::PowerOn,
        uptime_ms: 20_000,
        greeted: true,
        events_dropped: 0,
        frames_refused: 0,
        journal: JournalState::Good,
        settings: Settings::default(),
        image: ImageState::Confirmed,
    }
}

fn image(fill: u8) -> Image {
    Image::parse(&file([0, 2, 0], &[fill; 300])).unwrap()
}

/// The update, the board that it talks to, and what is remembered of it.
struct Bench {
    updater: Updater,
    hello: Hello,
    tried: Option<Tried>,
    now_ms: u64,
    told: Vec<String>,
}

impl Bench {
    fn new(hello: Hello) -> Bench {
        let mut updater = Updater::default();
        updater.image(Ok(image(1)));
        let mut bench = Bench { updater, hello, tried: None, now_ms: 5_000, told: Vec::new() };
        bench.say_hello();
        bench
    }

    fn note(&mut self, effect: Effect) -> Option<ToBoard> {
        match effect {
            Effect::Send(message) => return Some(message),
            Effect::Tell(text, remember) => {
                self.told.push(text);
                if let Remember::Tried(tried) = remember {
                    self.tried = tried;
                }
            }
        }
        None
    }

    fn say_hello(&mut self) {
        for effect in self.updater.hello(self.now_ms, &self.hello, self.tried) {
            assert_eq!(self.note(effect), None);
        }
    }

    /// The board starts anew.
    fn restart(&mut self, change: impl FnOnce(&mut Hello)) {
        self.hello.boot += 1;
        self.hello.reset = ResetReason::Software;
        change(&mut self.hello);
        self.say_hello();
    }

    fn poll(&mut self) -> Option<ToBoard> {
        let effect = self.updater.poll(self.now_ms, Some((&self.hello, self.tried)), true)?;
        self.note(effect)
    }

    fn answer(&mut self, answer: UpdateState) -> Option<ToBoard> {
        if let Some(effect) = self.updater.answer(self.now_ms, answer, self.tried) {
            assert_eq!(self.note(effect), None);
        }
        self.poll()
    }

    fn receiving(&mut self, next: u32) -> Option<ToBoard> {
        self.answer(UpdateState::Receiving { next })
    }

    /// Until the image is verified.
    fn transfer(&mut self) {
        assert_eq!(self.poll(), Some(begin()));
        assert_eq!(self.receiving(0), Some(piece(0, 128)));
        assert_eq!(self.receiving(128), Some(piece(128, 128)));
        assert_eq!(self.receiving(256), Some(piece(256, 44)));
        assert!(matches!(self.receiving(300), Some(ToBoard::UpdateApply(_))));
        assert_eq!(self.answer(UpdateState::Verified), None);
    }

    fn status(&self) -> String {
        self.updater.status(self.now_ms, Some((&self.hello, self.tried))).unwrap()
    }
}

fn begin() -> ToBoard {
    ToBoard::UpdateBegin(image(1).begin)
}

fn piece(offset: u32, length: usize) -> ToBoard {
    ToBoard::UpdateData(UpdateData { offset, bytes: vec![1; length].into_iter().collect() })
}

#[test]
fn an_image_is_sent_piece_by_piece_applied_and_told_until_it_is_confirmed() {
    let mut bench = Bench::new(hello());
    assert_eq!(bench.status(), "0.2.0 waits for the board");
    bench.transfer();
    assert_eq!(bench.status(), "0.2.0 is verified, the board starts it on trial");
    bench.say_hello();
    assert_eq!(bench.told, ["firmware 0.1.0 -> 0.2.0 installed, on trial"], "it has not started anew yet");
    bench.restart(|hello| (hello.firmware, hello.image) = ([0, 2, 0], ImageState::Trial));
    assert_eq!(bench.poll(), None);
    bench.hello.image = ImageState::Confirmed;
    bench.say_hello();
    bench.say_hello();
    assert_eq!(bench.told[1..], ["firmware 0.2.0 confirmed"]);
    assert_eq!((bench.poll(), bench.tried), (None, None));
    assert_eq!(bench.status(), "0.2.0 runs");
}

#[test]
fn nothing_is_sent_while_the_line_is_another_ones_or_before_an_answer() {
    let mut bench = Bench::new(hello());
    let board = bench.hello.clone();
    assert_eq!(bench.updater.poll(bench.now_ms, Some((&board, None)), false), None);
    assert_eq!(bench.updater.poll(bench.now_ms, None, true), None);
    assert_eq!(bench.poll(), Some(begin()));
    assert_eq!(bench.poll(), None, "stop and wait");
    bench.updater.answer(bench.now_ms, UpdateState::Receiving { next: 0 }, None);
    assert_eq!(bench.updater.poll(bench.now_ms, Some((&board, None)), false), None);
    assert_eq!(bench.poll(), Some(piece(0, 128)));
}

#[test]
fn what_is_not_answered_is_sent_again_ten_times_and_an_hour_later() {
    let mut bench = Bench::new(hello());
    let mut sent = 0;
    for _ in 0..100 {
        sent += usize::from(bench.poll().is_some());
        bench.now_ms += 250;
    }
    assert_eq!(sent, 10);
    assert_eq!(bench.told, ["firmware 0.2.0: update the board got no further than byte 0"]);
    assert!(bench.status().contains("again in 60 min"), "{}", bench.status());
    bench.now_ms += HOUR_MS - 30_000;
    assert_eq!(bench.poll(), None);
    bench.now_ms += 30_000;
    assert_eq!(bench.poll(), Some(begin()));
}

#[test]
fn the_offset_that_the_board_wants_is_followed_and_a_repeated_answer_is_not() {
    let mut bench = Bench::new(hello());
    bench.poll();
    assert_eq!(bench.receiving(256), None, "of an update before");
    bench.receiving(0);
    assert_eq!(bench.receiving(128), Some(piece(128, 128)));
    assert_eq!(bench.receiving(128), None, "the answer to a repeated piece");
    assert_eq!(bench.receiving(0), Some(piece(0, 128)), "it lost a piece");
    assert_eq!(bench.receiving(256), Some(piece(256, 44)), "it had one more");
    assert!(matches!(bench.receiving(300), Some(ToBoard::UpdateApply(_))));
    assert_eq!(bench.receiving(256), Some(piece(256, 44)), "not whole after all");
    assert_eq!(bench.receiving(301), None);
    assert_eq!(bench.told, ["firmware 0.2.0: update the board wants byte 301 of 300"]);
}

#[test]
fn a_board_that_wants_the_same_pieces_for_ever_is_given_up() {
    let mut bench = Bench::new(hello());
    bench.poll();
    let mut sent = 0;
    for number in 0..1_000 {
        sent += usize::from(bench.receiving((number % 2) * 128).is_some());
    }
    assert!(sent <= 30, "{sent}");
    assert_eq!(bench.told.len(), 1, "{:?}", bench.told);
}

#[test]
fn each_refusal_is_told_and_rests_for_an_hour() {
    use UpdateRefusal::*;
    for refusal in [OtherHardware, TooLarge, BadChecksum, FlashFailed, NoLoader, OnTrial] {
        let mut bench = Bench::new(hello());
        bench.poll();
        assert_eq!(bench.answer(UpdateState::Refused(refusal)), None);
        assert_eq!(bench.told, [format!("firmware 0.2.0: update refused: {refusal}")]);
        bench.now_ms += HOUR_MS - 1;
        assert_eq!(bench.poll(), None, "{refusal}");
        bench.now_ms += 1;
        assert_eq!(bench.poll(), Some(begin()), "{refusal}");
        bench.answer(UpdateState::Refused(refusal));
        assert_eq!(bench.told.len(), 1, "the same again");
    }
}

#[test]
fn what_is_broken_off_begins_again_three_times_and_then_rests() {
    let mut bench = Bench::new(hello());
    for _ in 0..3 {
        assert_eq!(bench.poll(), Some(begin()));
        bench.receiving(0);
        bench.restart(|_| {});
    }
    assert_eq!(bench.poll(), None);
    assert_eq!(bench.told, ["firmware 0.2.0: update broken off 3 times"]);
    bench.now_ms += HOUR_MS;
    assert_eq!(bench.poll(), Some(begin()));
    bench.receiving(0);
    assert_eq!(bench.answer(UpdateState::Refused(UpdateRefusal::NotBegun)), Some(begin()), "it forgot");
}

#[test]
fn an_image_that_came_back_is_not_sent_again_and_another_file_is() {
    let mut bench = Bench::new(hello());
    bench.transfer();
    bench.restart(|hello| (hello.image, hello.reset) = (ImageState::Reverted, ResetReason::Watchdog));
    assert_eq!(bench.told[1..], ["the board went back to 0.1.0: 0.2.0 did not confirm itself"]);
    bench.now_ms += 10 * HOUR_MS;
    assert_eq!(bench.poll(), None);
    // A restart of the agent, and of the board.
    bench.updater = Updater::default();
    bench.updater.image(Ok(image(1)));
    bench.restart(|_| {});
    assert_eq!(bench.poll(), None);
    assert_eq!(bench.told.len(), 2);
    assert!(bench.status().contains("not tried again"), "{}", bench.status());
    bench.updater.image(Ok(image(2)));
    assert_eq!(bench.poll(), Some(ToBoard::UpdateBegin(image(2).begin)));
    // And it stays so, although the board still says that one came back.
    bench.say_hello();
    bench.restart(|_| {});
    assert_eq!(bench.told.len(), 2, "{:?}", bench.told);
}

#[test]
fn a_lost_answer_to_the_end_is_made_up_for_by_the_hello() {
    for (firmware, state, last) in [
        ([0, 2, 0], ImageState::Confirmed, "firmware 0.2.0 confirmed"),
        ([0, 1, 0], ImageState::Reverted, "the board went back to 0.1.0: 0.2.0 did not confirm itself"),
    ] {
        let mut bench = Bench::new(hello());
        bench.poll();
        bench.receiving(0);
        assert!(matches!(bench.receiving(300), Some(ToBoard::UpdateApply(_))));
        bench.restart(|hello| (hello.firmware, hello.image) = (firmware, state));
        assert_eq!(bench.told, ["firmware 0.1.0 -> 0.2.0 installed, on trial", last]);
    }
    // What came back before says nothing of this one.
    let mut bench = Bench::new(Hello { image: ImageState::Reverted, ..hello() });
    bench.poll();
    bench.receiving(300);
    bench.receiving(0);
    bench.receiving(300);
    bench.restart(|_| {});
    assert_eq!(bench.told, Vec::<String>::new());
    assert_eq!(bench.poll(), Some(begin()));
}

#[test]
fn a_power_cut_during_a_trial_is_no_fault_of_the_image_until_the_third() {
    let mut bench = Bench::new(hello());
    for trial in 1..=3 {
        bench.transfer();
        bench.restart(|hello| (hello.image, hello.reset) = (ImageState::Reverted, ResetReason::PowerOn));
        bench.now_ms += HOUR_MS - 1;
        assert_eq!(bench.poll(), None);
        bench.now_ms += 1;
        assert_eq!(bench.tried.unwrap().given_back, trial == 3);
    }
    assert_eq!(bench.poll(), None);
    assert_eq!(bench.told[1], "the board went back to 0.1.0: the power was cut while 0.2.0 was on trial");
    assert_eq!(bench.told[5], "the board went back to 0.1.0: 0.2.0 did not confirm itself");
}

#[test]
fn a_cut_before_the_loader_began_begins_again() {
    let mut bench = Bench::new(hello());
    bench.transfer();
    bench.restart(|_| {});
    assert_eq!(bench.told[1..], ["firmware 0.2.0 was not installed, 0.1.0 runs"]);
    assert_eq!(bench.poll(), Some(begin()));
}

#[test]
fn a_board_that_does_not_start_anew_is_told() {
    let mut bench = Bench::new(hello());
    bench.transfer();
    bench.now_ms += 119_999;
    assert_eq!(bench.poll(), None);
    assert_eq!(bench.told.len(), 1);
    bench.now_ms += 1;
    bench.poll();
    assert_eq!(bench.told[1..], ["firmware 0.2.0: update the board did not start anew"]);
}

#[test]
fn an_image_that_is_not_for_the_board_is_not_sent() {
    let refused = "firmware 0.2.0 refused: ";
    for (hello, told) in [
        (Hello { firmware: [0, 2, 0], ..hello() }, None),
        (Hello { image: ImageState::Trial, ..hello() }, None),
        (Hello { hardware: Hardware::Lm3s6965, ..hello() }, Some("the image is for other hardware")),
        (Hello { image: ImageState::NoLoader, ..hello() }, Some("this board has no loader")),
        (Hello { journal: JournalState::Unreachable, ..hello() }, Some("the board's journal does not work")),
    ] {
        let mut bench = Bench::new(hello);
        bench.say_hello();
        assert_eq!(bench.poll(), None, "{:?}", bench.hello);
        assert_eq!(bench.told.len(), usize::from(told.is_some()), "{:?}", bench.told);
        if let Some(told) = told {
            assert!(bench.told[0].starts_with(&format!("{refused}{told}")), "{:?}", bench.told);
        }
    }
}

#[test]
fn a_bad_file_is_shown_and_stops_what_is_under_way() {
    let mut bench = Bench::new(hello());
    bench.poll();
    bench.updater.image(Err("pico.img: its checksum is wrong".to_owned()));
    assert_eq!(bench.status(), "cannot be used: pico.img: its checksum is wrong");
    assert_eq!(bench.receiving(0), None);
    bench.updater.image(Ok(image(1)));
    assert_eq!(bench.poll(), Some(begin()));
    bench.updater.image(Ok(image(1)));
    assert_eq!(bench.receiving(0), Some(piece(0, 128)), "the same file goes on");
}

/// A slot in memory.
#[derive(Default)]
struct Slot {
    bytes: Vec<u8>,
    state: Option<ImageState>,
    marked: bool,
    restarted: bool,
}

impl Slots for Slot {
    fn image(&self) -> ImageState {
        self.state.unwrap_or(ImageState::Confirmed)
    }

    fn capacity_bytes(&self) -> u32 {
        65_536
    }

    fn erase(&mut self, offset: u32) -> Result<(), SlotFault> {
        self.bytes.resize(offset as usize, 0xFF);
        self.bytes.resize((offset + Self::SECTOR_BYTES) as usize, 0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SlotFault> {
        let place = self.bytes.get_mut(offset as usize..offset as usize + bytes.len()).ok_or(SlotFault)?;
        place.copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SlotFault> {
        let place = self.bytes.get(offset as usize..offset as usize + bytes.len()).ok_or(SlotFault)?;
        bytes.copy_from_slice(place);
        Ok(())
    }

    fn mark_for_trial(&mut self, _image: &install::Image) -> Result<(), SlotFault> {
        self.marked = true;
        Ok(())
    }

    fn confirm(&mut self) -> Result<(), SlotFault> {
        self.state = Some(ImageState::Confirmed);
        Ok(())
    }

    fn restart(&mut self) {
        self.restarted = true;
    }
}

#[test]
fn the_firmwares_own_end_of_it_takes_what_is_sent() {
    let bytes: Vec<u8> = (0..31_001_u32).map(|number| ((number * 7) >> 3) as u8).collect();
    let mut bench = Bench::new(hello());
    bench.updater.image(Ok(Image::parse(&file([0, 2, 0], &bytes)).unwrap()));
    let mut slot = Slot::default();
    let mut board = Update::new(Hardware::Pico, ImageState::Confirmed);
    let (mut messages, mut answers) = (0, 0);
    while !slot.restarted {
        bench.now_ms += 10;
        assert!(bench.now_ms < 600_000, "{}", bench.status());
        if let Some(message) = bench.poll() {
            messages += 1;
            // One in seven is lost on its way, and one in eleven answers.
            if messages % 7 != 0 {
                board.receive(&slot, &message);
            }
        }
        board.poll(bench.now_ms, true, &mut slot);
        if let Some(answer) = board.take_answer() {
            answers += 1;
            if answers % 11 != 0 {
                let effect = bench.updater.answer(bench.now_ms, answer, bench.tried);
                effect.into_iter().for_each(|effect| assert_eq!(bench.note(effect), None));
            }
        }
        board.line_idle(bench.now_ms);
    }
    assert!(slot.marked && slot.bytes[..bytes.len()] == bytes);
    bench.restart(|hello| (hello.firmware, hello.image) = ([0, 2, 0], ImageState::Confirmed));
    assert_eq!(bench.told, ["firmware 0.1.0 -> 0.2.0 installed, on trial", "firmware 0.2.0 confirmed"]);
}
