//! Carry files: a node's backlog on a USB stick, readable for its hub alone. Why so: `docs/adr/0009-carry.md`.
//!
//! ```text
//! age-encryption.org/v1                        an age file (https://age-encryption.org/v1)
//! -> X25519 SHARE                              the file key, wrapped to the hub's carry key
//! WRAPPED
//! -> simpul-carry 1 NODE EPOCH CREATED_MS HUB  in clear: whose, when, for whom ([`Header`])
//!
//! --- MAC
//! NONCE (16 bytes)
//! chunks of 64 KiB + 16: frames of [kind u8, length u32 BE, bytes] ([`Kind`])
//! ```
//!
//! The first frame is the [`Opening`]: the node's certificate, its signature over everything before the first chunk, and
//! what the file promises. The others are payloads of `up/<stream>`, exactly as the uplink would publish them.
//!
//! Sealing and opening do no I/O: bytes in, bytes out, in bounded steps. Leaves to others: files and sticks (the agent), whose
//! certificate is good (the hub).
#![forbid(unsafe_code)]

mod bech32;
mod frame;
mod header;
mod key;
#[cfg(feature = "open")]
mod open;
mod opening;
mod seal;
mod stream;

pub use frame::{FRAME_BYTES_MAX, Kind};
pub use header::{HEADER_BYTES_MAX, Header, HeaderError};
#[cfg(feature = "open")]
pub use key::HubSecret;
pub use key::{BadKey, HubKey};
#[cfg(feature = "open")]
pub use open::{Item, OpenError, Opener};
pub use opening::{Opening, Promise, signed_message};
pub use seal::{SealError, Sealer};

/// The version of carry files that this program writes and reads.
pub const VERSION: u32 = 1;

/// The folder for carry files on a stick.
pub const FOLDER: &str = "simpul-carry";

/// How the name of a carry file ends.
pub const EXTENSION: &str = "carry";
