//! The link between the I/O board and its agent: UART 115200 8N1, COBS frames, postcard, CRC-16.
//!
//! ```text
//! 00 | COBS( kind: u8, body: postcard, CRC-16/IBM-SDLC of kind and body, little-endian ) | 00
//! ```
//!
//! The zero in front cuts off whatever half frame or noise came before it, so a re-plugged cable costs at most the frame
//! that was under way. Kinds below 0x80 come from the board, the others from the agent; a kind's number is never
//! reused, fields are only ever added at a body's end, and a reader ignores bytes behind the fields that it knows.
//!
//! **Greeting.** A board says [`Hello`] once a second until it is greeted; an agent that opens the port says [`Greet`]
//! and a board answers every greeting with a hello. A board and an agent of different [`PROTOCOL_VERSION`]s exchange
//! nothing else, and each says so.
//!
//! **Delivery.** [`Numbered`] messages (totals, events) are sent one at a time and again each
//! [`RESEND_AFTER_MS`] until the agent acknowledges, which it does after its own fsync: that pace is the flow control.
//! Totals are cumulative and replace each other while they wait; events wait in a bounded queue whose drops are counted
//! in every hello. Readings, a module's description and the dying gasp are not acknowledged.
//!
//! **Update.** [`UpdateBegin`], then [`UpdateData`] piece by piece, each answered by [`UpdateState::Receiving`], then
//! [`UpdateApply`]. The image goes into the flash's second half while the first one runs; the loader changes them at the
//! next start, and changes back unless the new one confirms itself, which it does once an agent has greeted it. A board
//! that is cut off at any moment runs one of the two.
//!
//! **Identity.** Totals belong to the board's serial: a spare board's old total is a baseline, never a difference.

pub mod frame;
#[cfg(feature = "board-host")]
pub mod host;
pub mod message;

pub use frame::{ENCODED_BYTES_MAX, FRAME_BYTES_MAX, FrameError, FrameReader, encode};
pub use message::*;

/// Version of the link. Raised when an old reader would misunderstand, not for an added field or kind.
pub const PROTOCOL_VERSION: u16 = 1;

/// A numbered message is sent again after so long without an acknowledgement. An agent's commit on a slow card takes
/// 50-200 ms; four tries fit the two seconds after which a person at the button wonders.
pub const RESEND_AFTER_MS: u64 = 500;

/// A board says hello this often until it is greeted.
pub const HELLO_EVERY_MS: u64 = 1_000;

/// A board sends readings this often; an agent that hears nothing for three times as long calls the board silent.
pub const READINGS_EVERY_MS: u64 = 10_000;

/// Service desks (buttons) of one board.
pub const DESKS: usize = 8;

/// SFP cages of one board, as in the well-known metrics `optics.0` and `optics.1`.
pub const CAGES: usize = 2;

/// The version at the front of a [`Hello`]'s or [`Greet`]'s body: also of one whose rest is another version's.
pub fn protocol_of(body: &[u8]) -> Option<u16> {
    postcard::take_from_bytes(body).ok().map(|(version, _)| version)
}
