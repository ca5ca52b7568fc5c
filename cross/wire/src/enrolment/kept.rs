//! A node's identity as it lies on its card: key, certificate, CAs and addresses in one file, with a check sum behind.
//!
//! The agent writes it when it enrols; a laptop writes it for a card that is made where there is no uplink.

use alloc::vec::Vec;

use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use super::Identity;
use crate::checksum::CRC32C;
use crate::error::to_vec;
use crate::{NodeId, WireError};

/// Largest file: an answer has at most 16 KiB, a key 140 bytes.
pub const KEPT_BYTES_MAX: usize = 64 * 1024;

/// An identity as it is kept. Holds the key: not for logs.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeptIdentity {
    /// Whose.
    #[n(0)]
    pub node: NodeId,
    /// Its key (PKCS#8, DER).
    #[n(1)]
    pub key: ByteVec,
    /// Certificate, CAs, addresses.
    #[n(2)]
    pub identity: Identity,
    /// SHA-256 of the token's secret that it began with, if it began with one: that token is used up.
    #[n(3)]
    pub token: Option<ByteArray<32>>,
}

impl core::fmt::Debug for KeptIdentity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeptIdentity").field("node", &self.node).finish_non_exhaustive()
    }
}

impl KeptIdentity {
    /// As the file holds it: CBOR, then its CRC-32C (big endian).
    pub fn to_file(&self) -> Vec<u8> {
        let mut bytes = to_vec(self);
        bytes.extend(CRC32C.checksum(&bytes).to_be_bytes());
        bytes
    }

    /// From a file's bytes.
    ///
    /// # Errors
    /// It is too large, the check sum does not fit, or the content is none.
    pub fn from_file(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > KEPT_BYTES_MAX {
            return Err(WireError::TooLarge { what: "identity file", size: bytes.len(), limit: KEPT_BYTES_MAX });
        }
        let (content, sum) = bytes.split_last_chunk::<4>().ok_or(WireError::BadChecksum)?;
        if CRC32C.checksum(content).to_be_bytes() != *sum {
            return Err(WireError::BadChecksum);
        }
        Ok(minicbor::decode(content)?)
    }
}
