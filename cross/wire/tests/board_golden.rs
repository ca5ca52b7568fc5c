//! The exact bytes of every message between board and agent. A change that turns one of these red breaks boards in the
//! field: add a field at the end or a kind instead. `docs/protocol/board-link.md` shows the same bytes.
#![cfg(feature = "board")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use simpul_wire::Missing;
use simpul_wire::board::*;

fn encoded(message: &impl Encoded) -> String {
    let mut out = [0; ENCODED_BYTES_MAX];
    let length = message.write(&mut out).unwrap();
    hex::encode(&out[..length])
}

/// Both directions' messages.
trait Encoded: Sized + PartialEq + std::fmt::Debug {
    fn write(&self, out: &mut [u8; ENCODED_BYTES_MAX]) -> Result<usize, FrameError>;
    fn read(kind: u8, body: &[u8]) -> Result<Self, FrameError>;
}

impl Encoded for FromBoard {
    fn write(&self, out: &mut [u8; ENCODED_BYTES_MAX]) -> Result<usize, FrameError> {
        self.encode(out)
    }
    fn read(kind: u8, body: &[u8]) -> Result<Self, FrameError> {
        FromBoard::decode(kind, body)
    }
}

impl Encoded for ToBoard {
    fn write(&self, out: &mut [u8; ENCODED_BYTES_MAX]) -> Result<usize, FrameError> {
        self.encode(out)
    }
    fn read(kind: u8, body: &[u8]) -> Result<Self, FrameError> {
        ToBoard::decode(kind, body)
    }
}

#[track_caller]
fn check(message: impl Encoded, expected: &str) {
    let bytes = encoded(&message);
    assert_eq!(bytes, expected);
    let mut reader = FrameReader::default();
    let frames: Vec<_> = hex::decode(bytes)
        .unwrap()
        .into_iter()
        .filter_map(|byte| reader.push(byte).map(|frame| frame.map(|(kind, body)| (kind, body.to_vec()))))
        .collect();
    let [Ok((kind, body))] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(Encoded::read(*kind, body), Ok(message));
}

const SETTINGS: Settings =
    Settings { long_press_ms: 1_500, desks: 0b11, cages: 0b1, battery_low_mv: 11_000, relay: true };

fn numbered(body: NumberedBody) -> FromBoard {
    FromBoard::Numbered(Numbered { boot: 7, seq: 3, at_ms: 60_000, sent_ms: 60_500, body })
}

#[test]
fn a_hello() {
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        hardware: Hardware::Pico,
        firmware: [0, 1, 2],
        serial: [0xe6, 0x61, 0x41, 0x03, 0xe7, 0x45, 0x2d, 0x2f],
        boot: 7,
        reset: ResetReason::PowerOn,
        uptime_ms: 1_000,
        greeted: false,
        events_dropped: 0,
        frames_refused: 2,
        journal: JournalState::Good,
        settings: SETTINGS,
        image: ImageState::Confirmed,
    };
    check(FromBoard::Hello(hello), "00040101010c0102e6614103e7452d2f0703e80701020208dc0b0301f8550103e0c900");
}

#[test]
fn numbered_messages() {
    let mut totals = [DeskTotals::default(); DESKS];
    totals[0] = DeskTotals { short: 300, long: 2 };
    check(numbered(NumberedBody::Totals(totals)), "000a020703e0d403d4d80304ac02020101010101010101010101010103d7e300");
    check(
        numbered(NumberedBody::Power(SupplyState::Mains { outage_ms: Some(61_000) })),
        "000b020703e0d403d4d803010701c8dc036a8600",
    );
    check(numbered(NumberedBody::Power(SupplyState::Battery)), "000e020703e0d403d4d80301018c1100");
    check(numbered(NumberedBody::Power(SupplyState::BatteryLow)), "000e020703e0d403d4d8030102172300");
    check(numbered(NumberedBody::Tamper { open: true }), "000e020703e0d403d4d8030201e43b00");
    check(numbered(NumberedBody::ButtonStuck { desk: 1, stuck: true }), "000f020703e0d403d4d8030301013c1a00");
    check(
        numbered(NumberedBody::RelayResult { id: [5; 16], outcome: RelayOutcome::TooSoon }),
        "001e020703e0d403d4d8030405050505050505050505050505050505021e3800",
    );
    check(numbered(NumberedBody::JournalFailed), "000d020703e0d403d4d80305a38c00");
}

#[test]
fn readings() {
    let mut items = heapless::Vec::new();
    items.push(Reading { metric: 10, value: Measured::Millivolts(12_100) }).unwrap();
    items.push(Reading { metric: 12, value: Measured::Nanowatts(1_259) }).unwrap();
    items.push(Reading { metric: 15, value: Measured::MilliCelsius(-4_500) }).unwrap();
    items.push(Reading { metric: 14, value: Measured::Microamperes(6_000) }).unwrap();
    items.push(Reading { metric: 11, value: Missing::NotSupported.into() }).unwrap();
    check(
        FromBoard::Readings(Readings { at_ms: 60_000, items }),
        "001703e0d403050a01c45e0c04eb090f02a7460e03f02e0b0401900100",
    );
}

#[test]
fn a_gasp() {
    check(FromBoard::Gasp(Gasp { boot: 7, at_ms: 60_000 }), "00080407e0d40327b600");
}

#[test]
fn modules() {
    let found = ModuleFound {
        vendor: "ACME".try_into().unwrap(),
        part: "GE-BX-D".try_into().unwrap(),
        serial: "X1".try_into().unwrap(),
        wavelength_nm: 1_490,
        calibration: Calibration::Internal,
        receive_limits: Some(ReceiveLimits {
            low_alarm: 1_259,
            low_warning: 1_995,
            high_warning: 158_489,
            high_alarm: 251_189,
        }),
    };
    check(
        FromBoard::Module(Module { cage: 0, found: Ok(found) }),
        "00020501130441434d450747452d42582d44025831d20b0e01eb09cb0f99d609b5aa0f281400",
    );
    check(FromBoard::Module(Module { cage: 1, found: Err(MissingNumber(Missing::NoModule)) }), "000705010105208600");
}

#[test]
fn the_state_of_an_update() {
    check(FromBoard::Update(UpdateState::Receiving { next: 384 }), "000206058003130900");
    check(FromBoard::Update(UpdateState::Verified), "000506011e4a00");
    check(FromBoard::Update(UpdateState::Refused(UpdateRefusal::BadChecksum)), "00060602033e1100");
}

#[test]
fn what_the_agent_says() {
    check(
        ToBoard::Greet(Greet { protocol: PROTOCOL_VERSION, wall_ms: Some(1_795_000_000_000) }),
        "000c81010180f8b2e5bd682deb00",
    );
    check(ToBoard::Greet(Greet { protocol: PROTOCOL_VERSION, wall_ms: None }), "0003810103248900");
    check(ToBoard::Ack(Ack { boot: 7, seq: 3 }), "00058207030b0100");
    check(
        ToBoard::Relay(RelayOrder { id: [5; 16], off_ms: 10_000 }),
        "00168305050505050505050505050505050505904ecbe200",
    );
    check(ToBoard::Configure(SETTINGS), "000b84dc0b0301f8550165c100");
    let begin = UpdateBegin { hardware: Hardware::Pico, version: [0, 2, 0], image_bytes: 28_672, crc32: 0xdead_beef };
    check(ToBoard::UpdateBegin(begin), "0003850102020b80e001effdb6f50d6a1200");
    let bytes = [1, 2, 3].into_iter().collect();
    check(ToBoard::UpdateData(UpdateData { offset: 256, bytes }), "000a86800203010203b03f00");
    check(ToBoard::UpdateApply(UpdateApply { crc32: 0xdead_beef }), "000987effdb6f50d8cd600");
}

/// Order is number in postcard: a variant that moves shows up here.
#[test]
fn numbers_never_move() {
    let number = |value: &dyn erased::Number| value.number();
    assert_eq!([Hardware::Lm3s6965, Hardware::Pico].map(|hardware| number(&hardware)), [0, 1]);
    let resets = [
        ResetReason::PowerOn,
        ResetReason::Brownout,
        ResetReason::Watchdog,
        ResetReason::Pin,
        ResetReason::Software,
        ResetReason::Unknown,
    ];
    assert_eq!(resets.map(|reset| number(&reset)), [0, 1, 2, 3, 4, 5]);
    let journals = [JournalState::Good, JournalState::Empty, JournalState::Damaged, JournalState::Unreachable];
    assert_eq!(journals.map(|journal| number(&journal)), [0, 1, 2, 3]);
    let outcomes = [
        RelayOutcome::Done,
        RelayOutcome::TooLong,
        RelayOutcome::TooSoon,
        RelayOutcome::Busy,
        RelayOutcome::Interrupted,
    ];
    assert_eq!(outcomes.map(|outcome| number(&outcome)), [0, 1, 2, 3, 4]);
    let images = [ImageState::Confirmed, ImageState::Trial, ImageState::Reverted, ImageState::NoLoader];
    assert_eq!(images.map(|image| number(&image)), [0, 1, 2, 3]);
    let refusals = [
        UpdateRefusal::OtherHardware,
        UpdateRefusal::TooLarge,
        UpdateRefusal::NotBegun,
        UpdateRefusal::BadChecksum,
        UpdateRefusal::FlashFailed,
        UpdateRefusal::NoLoader,
        UpdateRefusal::OnTrial,
    ];
    assert_eq!(refusals.map(|refusal| number(&refusal)), [0, 1, 2, 3, 4, 5, 6]);
    let calibrations = [Calibration::Internal, Calibration::External, Calibration::None];
    assert_eq!(calibrations.map(|calibration| number(&calibration)), [0, 1, 2]);
}

/// The number of a variant, as postcard writes it.
mod erased {
    pub trait Number {
        fn number(&self) -> u8;
    }

    impl<T: serde::Serialize> Number for T {
        fn number(&self) -> u8 {
            let mut out = [0; 8];
            postcard::to_slice(self, &mut out).unwrap()[0]
        }
    }
}

#[test]
fn bytes_behind_the_known_fields_are_a_newer_programs() {
    let body = [7, 3, 0xff, 0xff];
    assert_eq!(ToBoard::decode(0x82, &body), Ok(ToBoard::Ack(Ack { boot: 7, seq: 3 })));
}

#[test]
fn a_reason_of_a_newer_board_is_unreadable_not_an_error() {
    let body = [0, 1, 12, 0, 200];
    let Ok(FromBoard::Readings(readings)) = FromBoard::decode(0x03, &body) else { panic!("not read") };
    assert_eq!(readings.items[0].value, Missing::Unreadable.into());
}

#[test]
fn each_bad_frame_has_its_own_reason() {
    let good = hex::decode(encoded(&ToBoard::Ack(Ack { boot: 7, seq: 3 }))).unwrap();
    let read = |bytes: &[u8]| {
        let mut reader = FrameReader::default();
        let frames: Vec<_> = bytes
            .iter()
            .filter_map(|byte| {
                reader.push(*byte).map(|frame| frame.and_then(|(kind, body)| ToBoard::decode(kind, body).map(|_| ())))
            })
            .collect();
        frames
    };
    assert_eq!(read(&good), [Ok(())]);
    let mut flipped = good.clone();
    flipped[3] ^= 0x10;
    let mut over = vec![0x01; FRAME_BYTES_MAX + 4];
    over.push(0);
    // An own frame of an unknown kind, and one whose body ends too early.
    let mut out = [0; ENCODED_BYTES_MAX];
    let length = encode(0x7f, &(), &mut out).unwrap();
    let unknown = out[..length].to_vec();
    let length = encode(0x82, &7u8, &mut out).unwrap();
    let short_body = out[..length].to_vec();
    let table: [(&[u8], FrameError); 6] = [
        (&flipped, FrameError::BadChecksum),
        (&over, FrameError::TooLong),
        (&[0x02, 0x01, 0x00], FrameError::TooShort),
        (&[0x09, 0x01, 0x00], FrameError::BadStuffing),
        (&unknown, FrameError::UnknownKind(0x7f)),
        (&short_body, FrameError::BadBody(0x82)),
    ];
    for (bytes, expected) in table {
        assert_eq!(read(bytes), [Err(expected)], "{}", hex::encode(bytes));
        // And the good one behind it is read.
        let both = [bytes, &good].concat();
        assert_eq!(read(&both), [Err(expected), Ok(())], "{}", hex::encode(both));
    }
}

#[test]
fn the_longest_messages_fit_a_frame() {
    let totals = [DeskTotals { short: u32::MAX, long: u32::MAX }; DESKS];
    let body = NumberedBody::Totals(totals);
    let longest = Numbered { boot: u32::MAX, seq: u32::MAX, at_ms: u64::MAX, sent_ms: u64::MAX, body };
    let mut out = [0; ENCODED_BYTES_MAX];
    FromBoard::Numbered(longest).encode(&mut out).unwrap();
    let item = Reading { metric: 255, value: Measured::MilliCelsius(i32::MIN) };
    let items = [item; READINGS_PER_FRAME_MAX].into_iter().collect();
    FromBoard::Readings(Readings { at_ms: u64::MAX, items }).encode(&mut out).unwrap();
    let bytes = [0xff; UPDATE_DATA_BYTES_MAX].into_iter().collect();
    ToBoard::UpdateData(UpdateData { offset: u32::MAX, bytes }).encode(&mut out).unwrap();
    let text = || "ABCDEFGHIJKLMNOP".try_into().unwrap();
    let limits =
        ReceiveLimits { low_alarm: u32::MAX, low_warning: u32::MAX, high_warning: u32::MAX, high_alarm: u32::MAX };
    let found = ModuleFound {
        vendor: text(),
        part: text(),
        serial: text(),
        wavelength_nm: u16::MAX,
        calibration: Calibration::None,
        receive_limits: Some(limits),
    };
    FromBoard::Module(Module { cage: 255, found: Ok(found) }).encode(&mut out).unwrap();
    let settings = Settings { long_press_ms: u16::MAX, desks: 255, cages: 255, battery_low_mv: u16::MAX, relay: true };
    let hello = Hello {
        protocol: u16::MAX,
        hardware: Hardware::Pico,
        firmware: [255; 3],
        serial: [255; 8],
        boot: u32::MAX,
        reset: ResetReason::Unknown,
        uptime_ms: u64::MAX,
        greeted: true,
        events_dropped: u32::MAX,
        frames_refused: u32::MAX,
        journal: JournalState::Unreachable,
        settings,
        image: ImageState::NoLoader,
    };
    FromBoard::Hello(hello).encode(&mut out).unwrap();
}
