//! What a technician's laptop asks the hub, on the listener where nodes enrol, by the laptop's own certificate.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/technician/login` ([`crate::enrolment::LoginRequest`]) | [`crate::enrolment::Identity`] |
//! | `GET /v1/technician/nodes?after=ID` | [`NodeList`] |
//! | `GET /v1/technician/nodes/ID?seen=N` | [`NodeFacts`]: at once, or when it is another than `N`, or after [`WAIT_S`] |
//! | `POST /v1/technician/nodes/ID/examination` | [`ExaminationOrdered`]; what is found comes with the facts |
//! | `GET /v1/technician/nodes/ID/snapshots/N` | the JPEG |
//! | `POST /v1/technician/nodes/ID/token` | [`IssuedToken`] |
//! | `POST /v1/technician/nodes/ID/bundle` ([`crate::enrolment::RenewRequest`]) | [`crate::enrolment::Identity`] |
//! | `POST /v1/technician/acceptances` ([`SignedAcceptance`]) | [`AcceptanceKept`] |
//!
//! Anything else is answered with a [`crate::enrolment::Refusal`].

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::doctor::{SealedReport, Verdict};
use crate::enrolment::Laptop;
use crate::error::to_vec;
use crate::units::numbered;
use crate::{Label, NodeId, Text, WireError};

/// All paths of laptops begin so.
pub const PREFIX: &str = "/v1/technician/";

/// GET a [`NodeList`].
pub const NODES_PATH: &str = "/v1/technician/nodes";

/// POST a [`SignedAcceptance`].
pub const ACCEPTANCES_PATH: &str = "/v1/technician/acceptances";

/// How long the hub holds a request for facts that have not changed.
pub const WAIT_S: u64 = 20;

/// Nodes in one answer.
pub const LISTED_MAX: usize = 200;

/// Cameras told of one node.
pub const CAMERAS_MAX: usize = 64;

/// Largest answer, pictures apart: a page of nodes of some 300 bytes each.
pub const ANSWER_BYTES_MAX: usize = 128 * 1024;

/// Largest picture: what an agent sends at most.
pub const PICTURE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Largest signed acceptance: a dozen pictures' hashes and names.
pub const ACCEPTANCE_BYTES_MAX: usize = 16 * 1024;

/// Pictures that one acceptance names.
pub const PICTURES_MAX: usize = 16;

/// The path of one node; `what` is empty, or begins with a slash.
pub fn node_path(node: &NodeId, what: &str) -> String {
    format!("{NODES_PATH}/{node}{what}")
}

numbered! {
    /// How a node is, as in the room.
    Liveness {
        /// Heard from within two of its intervals.
        1 Live "live",
        /// Nothing for longer, or its session just ended.
        2 Late "late",
        /// Nothing for more than five intervals.
        3 Silent "silent",
        /// Never heard from.
        4 Never "never",
    }
}

/// A page of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct NodeList {
    /// By id, at most [`LISTED_MAX`].
    #[n(0)]
    #[cbor(default)]
    pub nodes: Vec<ListedNode>,
    /// There are more behind the last one.
    #[n(1)]
    #[cbor(default)]
    pub more: bool,
}

/// A node in a list.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ListedNode {
    /// Its id.
    #[n(0)]
    pub node: NodeId,
    /// What it stands in; empty if nobody said.
    #[n(1)]
    pub name: Text,
    /// Its village's name; empty if it has none.
    #[n(2)]
    pub village: Text,
    /// How it is.
    #[n(3)]
    pub liveness: Liveness,
    /// When anything last arrived, Unix milliseconds.
    #[n(4)]
    pub last_heard_ms: Option<i64>,
}

/// What the hub knows of a node, for whoever installs or mends it.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct NodeFacts {
    /// Its id.
    #[n(0)]
    pub node: NodeId,
    /// Changes whenever the facts do; to be said back as `seen`.
    #[n(1)]
    pub seen: u64,
    /// The hub's time, Unix milliseconds.
    #[n(2)]
    pub now_ms: i64,
    /// What it stands in; empty if nobody said.
    #[n(3)]
    pub name: Text,
    /// Its village's code; empty if it has none.
    #[n(4)]
    pub village_code: Label,
    /// Its village's name; empty if it has none.
    #[n(5)]
    pub village: Text,
    /// How it is.
    #[n(6)]
    pub liveness: Liveness,
    /// Whether its session is open; nothing: an external broker does not say.
    #[n(7)]
    pub connected: Option<bool>,
    /// When the hub first heard of it.
    #[n(8)]
    pub first_heard_ms: Option<i64>,
    /// When anything last arrived.
    #[n(9)]
    pub last_heard_ms: Option<i64>,
    /// The agent's version.
    #[n(10)]
    pub version: Option<Label>,
    /// The serial of the machine that it runs in.
    #[n(11)]
    pub hardware: Option<Label>,
    /// The serial of its I/O board.
    #[n(12)]
    pub board: Option<Label>,
    /// Its newest reading that has a value.
    #[n(13)]
    pub reading: Option<ReadingFact>,
    /// Its cameras, at most [`CAMERAS_MAX`].
    #[n(14)]
    #[cbor(default)]
    pub cameras: Vec<CameraFacts>,
    /// Its newest examination.
    #[n(15)]
    pub examination: Option<ExaminationFact>,
    /// When its certificate ends, Unix seconds; nothing: it is not enrolled.
    #[n(16)]
    pub certificate_to_s: Option<u64>,
    /// The last refusal of its enrolment: why it is not there.
    #[n(17)]
    pub refusal: Option<RefusalFact>,
    /// The district's UTC offset in minutes (WIB 420, WITA 480, WIT 540).
    #[n(18)]
    #[cbor(default)]
    pub utc_offset_minutes: i32,
}

/// A reading.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct ReadingFact {
    /// The metric.
    #[n(0)]
    pub metric: Label,
    /// Its unit.
    #[n(1)]
    pub unit: Label,
    /// Its value.
    #[n(2)]
    pub value: f64,
    /// When, Unix milliseconds.
    #[n(3)]
    pub at_ms: i64,
}

/// A camera.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CameraFacts {
    /// Its id.
    #[n(0)]
    pub camera: Label,
    /// How it is, as events say it (`good`, `unreachable`, ...); nothing: it never said.
    #[n(1)]
    pub condition: Option<Label>,
    /// Its newest picture at the hub.
    #[n(2)]
    pub picture: Option<PictureFact>,
}

/// A picture at the hub.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PictureFact {
    /// Its number at the hub.
    #[n(0)]
    pub snapshot: i64,
    /// The camera's id.
    #[n(1)]
    pub camera: Label,
    /// SHA-256 of the JPEG.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub sha256: [u8; 32],
    /// When it was taken, Unix milliseconds.
    #[n(3)]
    pub at_ms: i64,
    /// Width in pixels.
    #[n(4)]
    pub width: u16,
    /// Height in pixels.
    #[n(5)]
    pub height: u16,
}

/// An examination.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ExaminationFact {
    /// When it was made, Unix milliseconds.
    #[n(0)]
    pub at_ms: i64,
    /// What was found.
    #[n(1)]
    pub report: SealedReport,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RefusalFact {
    /// When, Unix milliseconds.
    #[n(0)]
    pub at_ms: i64,
    /// What the node was told.
    #[n(1)]
    pub text: Text,
}

/// An examination was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ExaminationOrdered {
    /// The order's id: the report will carry it.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub id: [u8; 16],
    /// From receipt at the node, after so many milliseconds it is not begun any more.
    #[n(1)]
    pub ttl_ms: u32,
}

/// A node's enrolment token, for the only time. Prints without it.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct IssuedToken {
    /// The token's text ([`crate::enrolment::EnrolmentToken`]).
    #[n(0)]
    pub text: String,
    /// Unix seconds after which the hub refuses it.
    #[n(1)]
    pub expires_s: u64,
}

impl core::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IssuedToken").field("expires_s", &self.expires_s).finish_non_exhaustive()
    }
}

/// A node was seen to work, at its place: what the hand-over protocol says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Acceptance {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// What it stands in.
    #[n(1)]
    pub name: Text,
    /// Its village's code.
    #[n(2)]
    pub village_code: Label,
    /// Its village's name.
    #[n(3)]
    pub village: Text,
    /// The serial of the machine.
    #[n(4)]
    pub hardware: Option<Label>,
    /// The serial of the I/O board.
    #[n(5)]
    pub board: Option<Label>,
    /// The agent's version.
    #[n(6)]
    pub version: Label,
    /// When the hub first heard of it, Unix milliseconds.
    #[n(7)]
    pub first_heard_ms: i64,
    /// When the reading was taken that was seen.
    #[n(8)]
    pub reading_ms: i64,
    /// The pictures that were seen, at most [`PICTURES_MAX`].
    #[n(9)]
    #[cbor(default)]
    pub pictures: Vec<PictureFact>,
    /// The worst of its newest examination.
    #[n(10)]
    pub verdict: Verdict,
    /// When that was made.
    #[n(11)]
    pub examined_ms: i64,
    /// Who accepts, with which laptop.
    #[n(12)]
    pub laptop: Laptop,
    /// When, by the hub's clock.
    #[n(13)]
    pub made_ms: i64,
    /// Anything that the technician wrote: where exactly it hangs, who has the key.
    #[n(14)]
    pub note: Text,
}

/// An acceptance with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedAcceptance {
    /// The [`Acceptance`] as CBOR: exactly what was signed.
    #[n(0)]
    pub acceptance: ByteVec,
    /// ECDSA P-256 with SHA-256 (ASN.1), by the key of the laptop's certificate.
    #[n(1)]
    pub signature: ByteVec,
}

/// An acceptance is kept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AcceptanceKept {
    /// Its number: the hand-over protocol bears it.
    #[n(0)]
    pub number: u64,
    /// When it came, Unix milliseconds.
    #[n(1)]
    pub at_ms: i64,
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), WireError> {
    if size > limit { Err(WireError::TooLarge { what, size, limit }) } else { Ok(()) }
}

macro_rules! message {
    ($name:ident, $limit:expr, $check:expr) => {
        impl $name {
            /// As CBOR.
            pub fn to_vec(&self) -> Vec<u8> {
                to_vec(self)
            }

            /// From CBOR, within its limits.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
                within(stringify!($name), bytes.len(), $limit)?;
                let message: Self = minicbor::decode(bytes)?;
                let check: fn(&Self) -> Result<(), WireError> = $check;
                check(&message)?;
                Ok(message)
            }
        }
    };
}

message!(NodeList, ANSWER_BYTES_MAX, |list| within("nodes", list.nodes.len(), LISTED_MAX));
message!(NodeFacts, ANSWER_BYTES_MAX, |facts| within("cameras", facts.cameras.len(), CAMERAS_MAX));
message!(ExaminationOrdered, ANSWER_BYTES_MAX, |_| Ok(()));
message!(IssuedToken, ANSWER_BYTES_MAX, |_| Ok(()));
message!(AcceptanceKept, ANSWER_BYTES_MAX, |_| Ok(()));
message!(SignedAcceptance, ACCEPTANCE_BYTES_MAX, |_| Ok(()));
message!(Acceptance, ACCEPTANCE_BYTES_MAX, |acceptance| {
    within("pictures", acceptance.pictures.len(), PICTURES_MAX)
});
