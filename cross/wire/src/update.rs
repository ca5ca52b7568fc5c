//! Remote updates: what a hub offers a node, and what the node says of it.
//!
//! ```text
//! hub   cmd `LookForUpdates`                   (a hint, when a rollout reaches the node; the node also asks by itself)
//! node  GET /v1/updates                        -> [`Offers`]: at most one for the agent, the board, the configuration
//! node  GET /v1/updates/content/<sha256>       -> the bytes; `Range: bytes=N-` goes on where a cut download ended
//! node  event `Update`                         -> each [`Step`], with the rollout it belongs to
//! ```
//!
//! Both paths are on the enrolment listener and need the node's certificate. Programs (the agent, the board's firmware)
//! are signed with the district's update key, which may live off the hub: a hub that was broken into can offer, but not
//! make, a program. A configuration is not signed: it comes from whoever may operate the hub, over the node's TLS, and
//! the node refuses one that would change its identity, its trust or its update keys.
//!
//! Replays: a node takes no program below its floor, and none that is older than what it runs unless the manifest says
//! `downgrade`; a configuration only with a higher revision than the last that it judged.

use alloc::vec::Vec;
use core::fmt;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::error::to_vec;
use crate::{Label, WireError};

/// GET [`Offers`], with the node's certificate.
pub const OFFERS_PATH: &str = "/v1/updates";

/// GET the bytes, with the node's certificate: the content's SHA-256 in lower-case hex follows. Honours `Range`.
pub const CONTENT_PATH: &str = "/v1/updates/content/";

/// What stands in front of a manifest's bytes when they are signed: a signature for anything else is none for this.
pub const SIGNED_PREFIX: &[u8] = b"simpul update 1\0";

/// Largest content of a program, as it is transferred. An agent takes about 2.5 MB in zstd.
pub const PROGRAM_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Largest configuration, as TOML.
pub const CONFIGURATION_BYTES_MAX: u32 = 64 * 1024;

/// Largest [`Offers`].
pub const OFFERS_BYTES_MAX: usize = 4 * 1024;

/// What this program runs on, as [`Manifest::platform`] names it; empty on a machine that no program is made for.
pub const THIS_PLATFORM: &str = if cfg!(all(target_os = "linux", target_arch = "aarch64")) {
    "aarch64-linux"
} else if cfg!(all(target_os = "linux", target_arch = "arm")) {
    "armv7-linux"
} else if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    "x86_64-linux"
} else {
    ""
};

/// What an update replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Part {
    /// The agent's program.
    #[n(1)]
    Agent,
    /// The I/O board's firmware.
    #[n(2)]
    Board,
    /// The agent's configuration.
    #[n(3)]
    Configuration,
}

impl Part {
    /// Its name for programs: in paths, logs and the hub's API.
    pub fn name(self) -> &'static str {
        match self {
            Part::Agent => "agent",
            Part::Board => "board",
            Part::Configuration => "configuration",
        }
    }
}

/// A version, as in Semantic Versioning without a pre-release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Encode, Decode)]
#[cbor(array)]
pub struct Version {
    /// Major.
    #[n(0)]
    pub major: u16,
    /// Minor.
    #[n(1)]
    pub minor: u16,
    /// Patch.
    #[n(2)]
    pub patch: u16,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl core::str::FromStr for Version {
    type Err = WireError;

    fn from_str(text: &str) -> Result<Self, WireError> {
        let mut parts = text.split('.').map(|part| part.parse::<u16>());
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok(Version { major, minor, patch }),
            _ => Err(WireError::invalid("a version is three numbers, as 1.2.3")),
        }
    }
}

/// A program that may be installed. Signed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Manifest {
    /// [`Part::Agent`] or [`Part::Board`].
    #[n(0)]
    pub part: Part,
    /// Its version.
    #[n(1)]
    pub version: Version,
    /// What it runs on: `aarch64-linux`, `armv7-linux`, `x86_64-linux` for the agent; `rp2040` for the board.
    #[n(2)]
    pub platform: Label,
    /// Bytes, as transferred.
    #[n(3)]
    pub content_bytes: u32,
    /// SHA-256 of the content, as transferred.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub content_sha256: [u8; 32],
    /// Bytes when installed: the agent's content is in zstd, the board's is its update file as it is.
    #[n(5)]
    pub installed_bytes: u32,
    /// SHA-256 when installed.
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub installed_sha256: [u8; 32],
    /// From this update on the node takes nothing below this version, however well it is signed: what was found broken
    /// must not come back.
    #[n(7)]
    pub floor: Version,
    /// Older than what runs, and meant to be.
    #[n(8)]
    #[cbor(default)]
    pub downgrade: bool,
}

/// A manifest's bytes and their signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedManifest {
    /// [`Manifest`] as CBOR: exactly these bytes are signed, with [`SIGNED_PREFIX`] in front.
    #[n(0)]
    pub manifest: ByteVec,
    /// The first eight bytes of the SHA-256 of the public key: which of the node's keys to try.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub key_id: [u8; 8],
    /// Ed25519 (RFC 8032).
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

/// A program for this node.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ProgramOffer {
    /// The rollout that it belongs to; returns in the node's events.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub rollout: [u8; 16],
    /// What.
    #[n(1)]
    pub signed: SignedManifest,
}

/// A configuration for this node.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ConfigurationOffer {
    /// The rollout that it belongs to; returns in the node's events.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub rollout: [u8; 16],
    /// Counts up with each change for this node, from 1.
    #[n(1)]
    pub revision: u64,
    /// Bytes of the TOML.
    #[n(2)]
    pub content_bytes: u32,
    /// Its SHA-256.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub content_sha256: [u8; 32],
}

/// What a node should run. What is absent is as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Offers {
    /// The agent's program.
    #[n(0)]
    pub agent: Option<ProgramOffer>,
    /// The board's firmware.
    #[n(1)]
    pub board: Option<ProgramOffer>,
    /// The configuration.
    #[n(2)]
    pub configuration: Option<ConfigurationOffer>,
}

/// How far an update has come at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Step {
    /// The content is whole on the node's card.
    #[n(1)]
    Fetched,
    /// It waits for a better moment: people queue at the desks.
    #[n(2)]
    Waiting,
    /// It runs on trial: until the hub's acknowledgement has come, and for 15 minutes at most.
    #[n(3)]
    Trial,
    /// It has proved itself and stays.
    #[n(4)]
    Confirmed,
    /// The former one is back.
    #[n(5)]
    RolledBack,
    /// The node will not take it: the detail says why. It is not tried again in this rollout.
    #[n(6)]
    Refused,
    /// The download failed; it is tried again.
    #[n(7)]
    FetchFailed,
}

impl Step {
    /// Its name for programs: in logs and the hub's API.
    pub fn name(self) -> &'static str {
        match self {
            Step::Fetched => "fetched",
            Step::Waiting => "waiting",
            Step::Trial => "trial",
            Step::Confirmed => "confirmed",
            Step::RolledBack => "rolled_back",
            Step::Refused => "refused",
            Step::FetchFailed => "fetch_failed",
        }
    }

    /// Whether nothing follows it in its rollout.
    pub fn is_final(self) -> bool {
        matches!(self, Step::Confirmed | Step::RolledBack | Step::Refused)
    }
}

impl Manifest {
    /// As CBOR: what is signed, behind [`SIGNED_PREFIX`].
    pub fn to_vec(&self) -> Vec<u8> {
        to_vec(self)
    }

    /// From CBOR, within its limits.
    ///
    /// # Errors
    /// It cannot be read, is a configuration's, or claims more bytes than a program has.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        let manifest: Manifest = minicbor::decode(bytes)?;
        let bytes = manifest.content_bytes.max(manifest.installed_bytes);
        match manifest.part {
            Part::Configuration => Err(WireError::invalid("a configuration has no manifest")),
            _ if bytes > PROGRAM_BYTES_MAX => {
                Err(WireError::TooLarge { what: "program", size: bytes as usize, limit: PROGRAM_BYTES_MAX as usize })
            }
            _ => Ok(manifest),
        }
    }
}

impl Offers {
    /// As CBOR.
    pub fn to_vec(&self) -> Vec<u8> {
        to_vec(self)
    }

    /// From CBOR, within its limits.
    ///
    /// # Errors
    /// It cannot be read, or is larger than [`OFFERS_BYTES_MAX`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > OFFERS_BYTES_MAX {
            return Err(WireError::TooLarge { what: "offers", size: bytes.len(), limit: OFFERS_BYTES_MAX });
        }
        Ok(minicbor::decode(bytes)?)
    }
}
