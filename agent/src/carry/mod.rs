//! A backlog that leaves on a stick, sealed to the hub's key (docs/adr/0009-carry.md). It frees nothing: only the hub's
//! acknowledgement does.
//!
//! [`credentials`] is who seals, and for whom; [`pack`] makes a carry file of what is read, in memory-sized steps;
//! [`live`] reads from the running spool into a socket, [`dead`] from a card whose agent does not run; [`stick`] is the
//! medium. Leaves to others: the format (`simpul-carry`), the command line (`cli::carry`).

pub mod credentials;
pub mod dead;
pub mod live;
pub mod pack;
pub mod stick;

use serde::{Deserialize, Serialize};
use simpul_carry::{BadKey, SealError};

use crate::enrolment::EnrolmentError;
use crate::spool::SpoolError;
use crate::uplink::tls::TlsError;

/// Why nothing, or not everything, is on the stick.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// This node's identity.
    #[error(transparent)]
    Identity(#[from] EnrolmentError),
    /// This node's certificate files.
    #[error(transparent)]
    Files(#[from] TlsError),
    /// The hub's key was never told.
    #[error(
        "this node does not know its hub's carry key yet: it is told at enrolment, and asks once a day; or name it: --to \
         KEY, as `simpul-hub carry key` prints it at the hub"
    )]
    NoKey,
    /// A key that was named is none.
    #[error("--to: {0}")]
    Key(#[from] BadKey),
    /// Signing failed.
    #[error("this node's key cannot sign: {0}")]
    Sign(String),
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The buffer.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The agent, or the way to it.
    #[error("{0}")]
    Agent(String),
    /// The stick.
    #[error("{0}")]
    Stick(String),
    /// There is nothing to carry.
    #[error("nothing waits for the hub: there is nothing to carry")]
    Nothing,
}

/// What was put into a carry file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Numbers of records by stream, most urgent first: service, event, reading; then images.
    pub records: [u64; 4],
    /// Images that are left out: the file would have been too large, or they were not asked for.
    pub images_left: u64,
    /// Records and images that could not be read, or are too large to travel.
    pub unreadable: u64,
}

/// What to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Images too.
    pub images: bool,
    /// Largest file in bytes.
    pub bytes_max: u64,
    /// For this key, not for the hub's that was told.
    pub to: Option<simpul_carry::HubKey>,
}
