//! What returns from the hub: acknowledgements after commit, and the hub's own state. Never retained.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::error::to_vec;
use crate::limits::ACK_ITEMS_MAX;
use crate::units::numbered;
use crate::{Epoch, Generation, RangeSet, SeqRange, Stream, WireError};

/// A message on a node's `ack` topic.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Downlink {
    /// Records are durable at the hub, or refused.
    #[n(1)]
    Ack(#[n(0)] Ack),
    /// What the hub is and what its backups hold; sent when a node's session begins and when a backup was made.
    #[n(2)]
    Hub(#[n(0)] HubState),
}

/// For one (epoch, stream): what the hub has committed, what it refuses, what it still needs of images.
///
/// `have` may be an excerpt (the ranges that just changed) or everything: it only ever adds, within a generation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ack {
    /// The hub's store. Another one than last time: the hub was restored, begin again from its intervals.
    #[n(0)]
    pub generation: Generation,
    /// The epoch that the ranges belong to.
    #[n(1)]
    pub epoch: Epoch,
    /// The stream that the ranges belong to.
    #[n(2)]
    pub stream: Stream,
    /// Committed: the agent may free them (and keeps `service` and `event` until a backup has them).
    #[n(3)]
    pub have: RangeSet,
    /// Refused, with the reason.
    #[n(4)]
    #[cbor(default)]
    pub rejected: Vec<Rejected>,
    /// Images that are not whole yet.
    #[n(5)]
    #[cbor(default)]
    pub partial: Vec<PartialImage>,
    /// Publish no more than one batch each so many milliseconds for now; 0: as you like.
    #[n(6)]
    #[cbor(default)]
    pub slow_down_ms: u32,
}

/// A refused range.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Rejected {
    /// Which.
    #[n(0)]
    pub range: SeqRange,
    /// Why.
    #[n(1)]
    pub reason: RejectReason,
}

numbered! {
    /// Why the hub refused records.
    RejectReason {
        /// The checksum did not fit: send again; if that fails, halve the batch until the bad record stands alone.
        1 BadChecksum "bad_checksum",
        /// A version or kind that this hub does not know: keep it for a newer one.
        2 Unsupported "unsupported",
        /// Not readable, or a value out of range; kept aside at the hub. Halve; alone: lost, `rejected`.
        3 Malformed "malformed",
        /// Over a limit of size. Halve; alone: lost, `rejected`.
        4 TooLarge "too_large",
        /// The node in the header is not the topic's.
        5 WrongNode "wrong_node",
        /// Too many intervals or epochs for this node: send older gaps first.
        6 TooManyIntervals "too_many_intervals",
        /// An image whose bytes do not fit its SHA-256: send it again from the start.
        7 BadImageHash "bad_image_hash",
    }
}

/// An image of which parts are missing.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PartialImage {
    /// The image's sequence number.
    #[n(0)]
    pub seq: u64,
    /// Missing byte positions.
    #[n(1)]
    pub missing: RangeSet,
}

/// The hub's state, for one node.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HubState {
    /// The hub's store.
    #[n(0)]
    pub generation: Generation,
    /// What the latest backup holds of this node: kept records in here may go.
    #[n(1)]
    pub backed_up: Vec<BackedUp>,
    /// The hub's Unix time in milliseconds; only from a hub whose own clock is synchronised.
    #[n(2)]
    pub wall_ms: Option<i64>,
}

/// What a backup holds of one (epoch, stream).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BackedUp {
    /// The epoch.
    #[n(0)]
    pub epoch: Epoch,
    /// The stream.
    #[n(1)]
    pub stream: Stream,
    /// What the backup holds.
    #[n(2)]
    pub ranges: RangeSet,
}

impl Downlink {
    /// As CBOR.
    pub fn to_vec(&self) -> Vec<u8> {
        to_vec(self)
    }

    /// From CBOR.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        let message: Downlink = minicbor::decode(bytes)?;
        let items = match &message {
            Downlink::Ack(ack) => ack.rejected.len().max(ack.partial.len()),
            Downlink::Hub(hub) => hub.backed_up.len(),
        };
        // A hub state lists every epoch and stream of a node at most.
        if items > ACK_ITEMS_MAX.max(crate::limits::EPOCHS_MAX * Stream::ALL.len()) {
            return Err(WireError::TooLarge { what: "acknowledgement items", size: items, limit: ACK_ITEMS_MAX });
        }
        Ok(message)
    }
}
