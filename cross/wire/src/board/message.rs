//! What board and agent say to each other.

use heapless::{String, Vec};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::frame::{ENCODED_BYTES_MAX, FrameError, encode};
use super::{CAGES, DESKS};
use crate::Missing;

macro_rules! messages {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $kind:literal $variant:ident($body:ty),)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name { $($(#[$vdoc])* $variant($body),)* }

        impl $name {
            /// The kind on the wire: never reused.
            pub const fn kind(&self) -> u8 {
                match self { $($name::$variant(_) => $kind,)* }
            }

            /// Write the frame into `out` and return its length.
            pub fn encode(&self, out: &mut [u8; ENCODED_BYTES_MAX]) -> Result<usize, FrameError> {
                match self { $($name::$variant(body) => encode($kind, body, out),)* }
            }

            /// Read a frame's kind and body. Bytes behind the fields that are known here are a newer program's.
            pub fn decode(kind: u8, body: &[u8]) -> Result<Self, FrameError> {
                match kind {
                    $($kind => match postcard::take_from_bytes::<$body>(body) {
                        Ok((body, _)) => Ok($name::$variant(body)),
                        Err(_) => Err(FrameError::BadBody(kind)),
                    },)*
                    _ => Err(FrameError::UnknownKind(kind)),
                }
            }
        }
    };
}

messages! {
    /// From the board.
    FromBoard {
        /// Who it is; until greeted each second, and in answer to every greeting.
        0x01 Hello(Hello),
        /// Something to be acknowledged.
        0x02 Numbered(Numbered),
        /// Measurements; not acknowledged, like all readings.
        0x03 Readings(Readings),
        /// The supply is going: sent before anything else, not acknowledged, for there may be no time left.
        0x04 Gasp(Gasp),
        /// What is in an SFP cage: after a greeting and when it changes.
        0x05 Module(Module),
        /// How far an update is: in answer to every message of it.
        0x06 Update(UpdateState),
    }
}

messages! {
    /// To the board.
    ToBoard {
        /// The agent is there.
        0x81 Greet(Greet),
        /// A numbered message is durable at the agent.
        0x82 Ack(Ack),
        /// Do something with the relay.
        0x83 Relay(RelayOrder),
        /// Keep these settings.
        0x84 Configure(Settings),
        /// Take a new image: forget an unfinished one.
        0x85 UpdateBegin(UpdateBegin),
        /// A piece of the image.
        0x86 UpdateData(UpdateData),
        /// The image is whole: verify it, start it on trial.
        0x87 UpdateApply(UpdateApply),
    }
}

/// Who the board is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`super::PROTOCOL_VERSION`] of the board. First, and never moved: it is what tells whether the rest is understood.
    pub protocol: u16,
    /// What hardware it is.
    pub hardware: Hardware,
    /// The firmware's version: major, minor, patch.
    pub firmware: [u8; 3],
    /// The chip's own serial: two boards never have the same.
    pub serial: [u8; 8],
    /// How often the board has started, as its journal counts.
    pub boot: u32,
    /// Why it started the last time.
    pub reset: ResetReason,
    /// Milliseconds since that start.
    pub uptime_ms: u64,
    /// Whether it has had a [`Greet`] since its start.
    pub greeted: bool,
    /// Events of this boot that were dropped because the queue was full.
    pub events_dropped: u32,
    /// Frames from the agent that could not be read, since the start.
    pub frames_refused: u32,
    /// How the journal did at the start.
    pub journal: JournalState,
    /// The settings that it works by.
    pub settings: Settings,
    /// How the image that runs came to run.
    pub image: ImageState,
}

/// How the image that runs came to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageState {
    /// It is the one to stay.
    Confirmed,
    /// New: unless it confirms itself, the one before it comes back at the next start.
    Trial,
    /// The one after it did not confirm itself: this one came back.
    Reverted,
    /// This board has no loader: it is updated by hand.
    NoLoader,
}

/// What hardware a board is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hardware {
    /// TI LM3S6965 evaluation board: the emulated one.
    Lm3s6965,
    /// Raspberry Pi Pico (RP2040).
    Pico,
}

/// Why a board started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResetReason {
    /// Power came.
    PowerOn,
    /// Supply fell below what the chip needs and came back.
    Brownout,
    /// The watchdog: the firmware hung.
    Watchdog,
    /// The reset pin.
    Pin,
    /// The firmware asked for it.
    Software,
    /// The chip does not tell.
    Unknown,
}

/// How the journal of totals was found at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalState {
    /// Read.
    Good,
    /// Empty: a new board, which counts from zero.
    Empty,
    /// Nothing readable in it: totals begin again at zero, and the agent takes that as a new baseline.
    Damaged,
    /// The memory does not answer: totals live until the next power cut only.
    Unreachable,
}

/// A message that the board repeats until it is acknowledged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// The board's boot: numbers begin anew with each.
    pub boot: u32,
    /// Counts up within the boot. A repeated message keeps its number.
    pub seq: u32,
    /// Milliseconds since the board's start at which it happened.
    pub at_ms: u64,
    /// Milliseconds since the board's start at which it is sent: the difference is its age.
    pub sent_ms: u64,
    /// What it says.
    pub body: NumberedBody,
}

/// What a numbered message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum NumberedBody {
    /// All desks' totals.
    Totals([DeskTotals; DESKS]),
    /// The supply changed.
    Power(SupplyState),
    /// The lid was opened (or closed).
    Tamper {
        /// Open now.
        open: bool,
    },
    /// A button has been down for too long, or is free again.
    ButtonStuck {
        /// Desk, from 0.
        desk: u8,
        /// Stuck now.
        stuck: bool,
    },
    /// What came of a [`RelayOrder`].
    RelayResult {
        /// The order's id.
        id: [u8; 16],
        /// What came of it.
        outcome: RelayOutcome,
    },
    /// A total could not be written to the journal; counting goes on in memory.
    JournalFailed,
}

/// The totals of one desk, since the board was made; they only grow, and start again only with a new journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskTotals {
    /// Short presses.
    pub short: u32,
    /// Long presses. What they mean (no-show, undo) is the agent's to know.
    pub long: u32,
}

/// The supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupplyState {
    /// Mains is there.
    Mains {
        /// How long the outage before it lasted, if the board lived through it.
        outage_ms: Option<u64>,
    },
    /// Mains is gone; the battery carries.
    Battery,
    /// The battery is nearly empty.
    BatteryLow,
}

/// What came of an order to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelayOutcome {
    /// Off and on again.
    Done,
    /// Refused: longer off than the board allows.
    TooLong,
    /// Refused: too soon after the last time.
    TooSoon,
    /// Refused: another order is being done.
    Busy,
    /// The board started anew while the load was off: it is on again.
    Interrupted,
}

/// Measurements of one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// Milliseconds since the board's start.
    pub at_ms: u64,
    /// The measurements.
    pub items: Vec<Reading, READINGS_PER_FRAME_MAX>,
}

/// Most measurements in one frame: supply, battery, and five of each of two modules.
pub const READINGS_PER_FRAME_MAX: usize = 2 + 5 * CAGES;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Number of the well-known metric ([`crate::metrics`]).
    pub metric: u8,
    /// What was measured, or why not.
    pub value: Measured,
}

/// A measured quantity in the board's integers, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measured {
    /// The reason.
    Missing(MissingNumber),
    /// 1/1000 V.
    Millivolts(u32),
    /// 1/1000 °C.
    MilliCelsius(i32),
    /// 1/1000 mA.
    Microamperes(u32),
    /// 1/1,000,000 mW; the agent makes dBm of it.
    Nanowatts(u32),
}

impl From<Missing> for Measured {
    fn from(reason: Missing) -> Self {
        Measured::Missing(MissingNumber(reason))
    }
}

/// A [`Missing`] as its number; a number that is not known here (a newer board's) reads as
/// [`Missing::Unreadable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingNumber(pub Missing);

impl Serialize for MissingNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0.number())
    }
}

impl<'de> Deserialize<'de> for MissingNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        Ok(MissingNumber(Missing::from_number(number).unwrap_or(Missing::Unreadable)))
    }
}

/// The dying gasp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gasp {
    /// The board's boot.
    pub boot: u32,
    /// Milliseconds since the board's start. The same boot and time again is the same gasp.
    pub at_ms: u64,
}

/// What is in an SFP cage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Module {
    /// Cage, from 0.
    pub cage: u8,
    /// The module, or why nothing is known of it.
    pub found: Result<ModuleFound, MissingNumber>,
}

/// A module's own description (SFF-8472, page A0h), and its limits (A2h).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleFound {
    /// Vendor name, ASCII, trimmed.
    pub vendor: String<16>,
    /// Part number, ASCII, trimmed.
    pub part: String<16>,
    /// Serial number, ASCII, trimmed.
    pub serial: String<16>,
    /// Nominal wavelength.
    pub wavelength_nm: u16,
    /// Who turns raw values into units.
    pub calibration: Calibration,
    /// Limits of the received power; only when they are in order.
    pub receive_limits: Option<ReceiveLimits>,
}

/// Who turns a module's raw values into units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Calibration {
    /// The module.
    Internal,
    /// The reader, with constants of the module.
    External,
    /// Nobody: it measures nothing.
    None,
}

/// Limits of the received power in nanowatts: low alarm <= low warning < high warning <= high alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveLimits {
    /// Below: alarm.
    pub low_alarm: u32,
    /// Below: warning.
    pub low_warning: u32,
    /// Above: warning.
    pub high_warning: u32,
    /// Above: alarm.
    pub high_alarm: u32,
}

/// The agent is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greet {
    /// [`super::PROTOCOL_VERSION`] of the agent. First, and never moved.
    pub protocol: u16,
    /// Unix time in milliseconds, when the agent's clock is synchronised: a hint, the board keeps no calendar.
    pub wall_ms: Option<i64>,
}

/// A numbered message is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Its boot.
    pub boot: u32,
    /// Its number.
    pub seq: u32,
}

/// Switch the load off and on again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayOrder {
    /// The same id again is the same order.
    pub id: [u8; 16],
    /// How long off.
    pub off_ms: u32,
}

/// The start of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateBegin {
    /// What hardware the image is for.
    pub hardware: Hardware,
    /// Its version: major, minor, patch.
    pub version: [u8; 3],
    /// How long it is.
    pub image_bytes: u32,
    /// CRC-32/ISO-HDLC of the whole image.
    pub crc32: u32,
}

/// Bytes of the image in one [`UpdateData`], at most: a divisor of a flash page, and a frame of 13 ms.
pub const UPDATE_DATA_BYTES_MAX: usize = 128;

/// A piece of an image. Pieces come in order, each after the one before was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateData {
    /// Where it belongs; what the board has is answered with [`UpdateState::Receiving`].
    pub offset: u32,
    /// The bytes: [`UPDATE_DATA_BYTES_MAX`], fewer only at the image's end.
    pub bytes: Vec<u8, UPDATE_DATA_BYTES_MAX>,
}

/// Verify the image and start it on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateApply {
    /// That of the [`UpdateBegin`]: another update's end must not apply this one.
    pub crc32: u32,
}

/// How far an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateState {
    /// Everything before this offset is in the flash.
    Receiving {
        /// The next byte that is wanted.
        next: u32,
    },
    /// Whole and verified; the board starts anew into it now.
    Verified,
    /// Refused: nothing of it will run.
    Refused(UpdateRefusal),
}

/// Why an update is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateRefusal {
    /// The image is for other hardware.
    OtherHardware,
    /// The image does not fit.
    TooLarge,
    /// No update was begun, or another one.
    NotBegun,
    /// The bytes that were written do not have the promised checksum.
    BadChecksum,
    /// The flash could not be written.
    FlashFailed,
    /// This board has no loader.
    NoLoader,
    /// The running image is itself on trial: wait until it has confirmed itself.
    OnTrial,
}

impl core::fmt::Display for UpdateRefusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            UpdateRefusal::OtherHardware => "the image is for other hardware",
            UpdateRefusal::TooLarge => "the image does not fit",
            UpdateRefusal::NotBegun => "no update was begun, or another one",
            UpdateRefusal::BadChecksum => "what was written does not have the promised checksum",
            UpdateRefusal::FlashFailed => "the flash could not be written",
            UpdateRefusal::NoLoader => "this board has no loader: update it by hand",
            UpdateRefusal::OnTrial => "the running image is itself on trial",
        })
    }
}

/// What a board keeps over a power cut besides its totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// A press of at least this is a long one.
    pub long_press_ms: u16,
    /// Which desks have a button: bit 0 is desk 0. A pin without one floats.
    pub desks: u8,
    /// Which cages are wired: bit 0 is cage 0. An unwired bus is [`Missing::NotSupported`], not a fault.
    pub cages: u8,
    /// The battery is nearly empty below this, and good again 5 % above it; 0: there is no battery.
    pub battery_low_mv: u16,
    /// Whether a relay is wired.
    pub relay: bool,
}

impl Default for Settings {
    /// One desk, nothing else: what a board can be sure of before it is told.
    fn default() -> Self {
        Settings { long_press_ms: 1_500, desks: 0b1, cages: 0, battery_low_mv: 0, relay: false }
    }
}
