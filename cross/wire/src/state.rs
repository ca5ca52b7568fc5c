//! An agent's own state: retained on its `state` topic, with a last will that says offline.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::error::to_vec;
use crate::{Epoch, Generation, Label, Stamp, Stream, WireError};

/// What an agent says of itself on connecting and each `interval_s` from then on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AgentState {
    /// False only in the last will and in a goodbye.
    #[n(0)]
    pub online: bool,
    /// The spool's epoch.
    #[n(1)]
    pub epoch: Epoch,
    /// When this was said.
    #[n(2)]
    pub stamp: Stamp,
    /// The agent's version.
    #[n(3)]
    pub version: Label,
    /// How often the agent says this, in seconds: the hub's liveness rule goes by it.
    #[n(4)]
    pub interval_s: u32,
    /// The generation of the hub that it last heard from.
    #[n(5)]
    pub generation: Option<Generation>,
    /// The backlog, by stream.
    #[n(6)]
    #[cbor(default)]
    pub streams: Vec<StreamState>,
    /// The serial of the machine that it runs in; nothing: the machine does not say, or the agent is an older one.
    #[n(7)]
    pub hardware: Option<Label>,
    /// What programs of it run on, such as `aarch64-linux` ([`crate::update::THIS_PLATFORM`]); agents before updates do
    /// not say it.
    #[n(8)]
    pub platform: Option<Label>,
}

/// An agent's backlog of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct StreamState {
    /// The stream.
    #[n(0)]
    pub stream: Stream,
    /// The next sequence number to be given: all below it exist, are lost, or are unused.
    #[n(1)]
    pub next_seq: u64,
    /// Records that the hub has not acknowledged.
    #[n(2)]
    pub backlog_records: u64,
    /// Their bytes in the spool.
    #[n(3)]
    pub backlog_bytes: u64,
    /// The stream's limit in bytes.
    #[n(4)]
    pub limit_bytes: u64,
    /// Records lost for ever in this epoch.
    #[n(5)]
    pub lost_records: u64,
    /// Uptime of the oldest unacknowledged record's making, if of this boot.
    #[n(6)]
    pub oldest_uptime_ms: Option<u64>,
}

impl AgentState {
    /// As CBOR.
    pub fn to_vec(&self) -> Vec<u8> {
        to_vec(self)
    }

    /// From CBOR.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        let state: AgentState = minicbor::decode(bytes)?;
        if state.streams.len() > Stream::ALL.len() {
            return Err(WireError::TooLarge {
                what: "stream states",
                size: state.streams.len(),
                limit: Stream::ALL.len(),
            });
        }
        Ok(state)
    }
}
