//! The four streams, each with its own sequence and its own behaviour at the limit.

use core::fmt;
use core::str::FromStr;

use minicbor::{Decode, Encode};

use crate::WireError;

/// A stream of records. The numbers are on the wire and in stores: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Stream {
    /// Counts, visits, cases: never evicted.
    #[n(1)]
    Service,
    /// Power, tamper, link, camera, agent, clock anchors, losses, results of commands: oldest first, counted.
    #[n(2)]
    Event,
    /// Measured values, one column block a minute: rolled up, then oldest first.
    #[n(3)]
    Reading,
    /// Images: thinned, then oldest first.
    #[n(4)]
    Snapshot,
}

impl Stream {
    /// Every stream, most urgent first: events and service records go before readings, images last.
    pub const ALL: [Stream; 4] = [Stream::Event, Stream::Service, Stream::Reading, Stream::Snapshot];

    /// The name in topics, files and pages.
    pub const fn name(self) -> &'static str {
        match self {
            Stream::Service => "service",
            Stream::Event => "event",
            Stream::Reading => "reading",
            Stream::Snapshot => "snapshot",
        }
    }

    /// The number on the wire and in stores.
    pub const fn number(self) -> u8 {
        match self {
            Stream::Service => 1,
            Stream::Event => 2,
            Stream::Reading => 3,
            Stream::Snapshot => 4,
        }
    }

    /// The stream with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Stream::Service),
            2 => Some(Stream::Event),
            3 => Some(Stream::Reading),
            4 => Some(Stream::Snapshot),
            _ => None,
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Stream {
    type Err = WireError;
    fn from_str(text: &str) -> Result<Self, WireError> {
        Self::ALL
            .into_iter()
            .find(|stream| stream.name() == text)
            .ok_or_else(|| WireError::invalid("stream: service, event, reading or snapshot"))
    }
}
