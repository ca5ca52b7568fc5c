//! When something happened, on a machine that has no clock battery.

use minicbor::{Decode, Encode};

/// When a record was made. Boot number and uptime are always true; wall time is what the machine believed, if
/// anything. The hub dates records by clock anchors and marks estimates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Stamp {
    /// How often this machine's agent has seen a new kernel boot.
    #[n(0)]
    pub boot: u32,
    /// Milliseconds since that boot.
    #[n(1)]
    pub uptime_ms: u64,
    /// Unix time in milliseconds, when the clock was synchronised.
    #[n(2)]
    pub wall_ms: Option<i64>,
}
