//! Commands from hub to agent: only into live sessions, idempotent by id, with a time to live from receipt.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::error::to_vec;
use crate::{Label, WireError};

/// A command. Its result returns as an event ([`crate::event::EventBody::CommandResult`]).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Command {
    /// Random id: the same id again is the same command, also across a reboot.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub id: [u8; 16],
    /// Milliseconds from receipt after which it is no longer to be done.
    #[n(1)]
    pub ttl_ms: u32,
    /// What to do.
    #[n(2)]
    pub action: Action,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Action {
    /// Take a snapshot now.
    #[n(1)]
    #[cbor(map)]
    SnapshotNow {
        /// The camera's id.
        #[n(0)]
        camera: Label,
    },
    /// Someone looked: the camera's view is right, masks apply as configured.
    #[n(2)]
    #[cbor(map)]
    ConfirmView {
        /// The camera's id.
        #[n(0)]
        camera: Label,
    },
    /// Switch what hangs on the board's relay off and on again.
    #[n(3)]
    #[cbor(map)]
    PowerCycle {
        /// Milliseconds off; the board refuses more than it allows.
        #[n(0)]
        off_ms: u32,
    },
    /// Examine yourself; the findings come as [`crate::event::EventBody::Examination`] with this command's id.
    #[n(4)]
    #[cbor(map)]
    Examine {},
    /// Ask the hub for updates now ([`crate::update::OFFERS_PATH`]).
    #[n(5)]
    #[cbor(map)]
    LookForUpdates {},
}

impl Command {
    /// As CBOR.
    pub fn to_vec(&self) -> Vec<u8> {
        to_vec(self)
    }

    /// From CBOR; an unknown action is [`WireError::Unsupported`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        Ok(minicbor::decode(bytes)?)
    }
}
