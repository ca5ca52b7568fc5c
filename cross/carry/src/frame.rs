//! Frames: what stands in the encrypted stream, one after the other.

use simpul_wire::limits::PAYLOAD_BYTES_MAX;

/// Largest frame: that of a publish.
pub const FRAME_BYTES_MAX: usize = PAYLOAD_BYTES_MAX;

/// Bytes before a frame's own: its kind, its length.
pub(crate) const HEAD_BYTES: usize = 5;

/// What a frame holds. Numbers are never reused; frames of unknown kinds are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The [`crate::Opening`]; the first frame, and no other.
    Opening,
    /// A payload of `up/<stream>`.
    Publish,
}

impl Kind {
    pub(crate) fn number(self) -> u8 {
        match self {
            Kind::Opening => 1,
            Kind::Publish => 2,
        }
    }

    #[cfg(feature = "open")]
    pub(crate) fn from_number(number: u8) -> Option<Kind> {
        [Kind::Opening, Kind::Publish].into_iter().find(|kind| kind.number() == number)
    }
}

/// The bytes before a frame's own.
pub(crate) fn head(kind: Kind, length: u32) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = length.to_be_bytes();
    [kind.number(), a, b, c, d]
}
