//! The first frame: who sealed the file, and what it promises.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use simpul_wire::error::to_vec;
use simpul_wire::limits::EPOCHS_MAX;
use simpul_wire::{Epoch, RangeSet, Stream, WireError};

use crate::FRAME_BYTES_MAX;

/// Keeps a signature for a carry file from being one for anything else.
const CONTEXT: &[u8] = b"simpul carry file v1\0";

/// Promises of so many rows at most: as many as a hub keeps of a node.
const PROMISES_MAX: usize = EPOCHS_MAX * Stream::ALL.len();

/// Who sealed the file, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Opening {
    /// The node's certificate (DER).
    #[n(0)]
    pub certificate: ByteVec,
    /// How it signed: the number of TLS's signature scheme (RFC 8446, 4.2.3).
    #[n(1)]
    pub scheme: u16,
    /// Its signature over [`signed_message`].
    #[n(2)]
    pub signature: ByteVec,
    /// What the export set out to write; empty: it was too scattered to say.
    #[n(3)]
    #[cbor(default)]
    pub promises: Vec<Promise>,
}

/// What is promised of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Promise {
    /// The epoch.
    #[n(0)]
    pub epoch: Epoch,
    /// The stream.
    #[n(1)]
    pub stream: Stream,
    /// The sequence numbers.
    #[n(2)]
    pub ranges: RangeSet,
}

/// What a node signs: everything of the file before its first chunk, under a name of its own.
pub fn signed_message(head: &[u8]) -> Vec<u8> {
    [CONTEXT, head].concat()
}

impl Opening {
    /// As a frame; promises that do not fit into it are left out.
    pub fn to_vec(&self) -> Vec<u8> {
        let bytes = to_vec(self);
        if bytes.len() <= FRAME_BYTES_MAX && self.promises.len() <= PROMISES_MAX {
            return bytes;
        }
        to_vec(&Opening { promises: Vec::new(), ..self.clone() })
    }

    /// From a frame.
    ///
    /// # Errors
    /// It is none.
    pub fn from_slice(bytes: &[u8]) -> Result<Opening, WireError> {
        let opening: Opening = minicbor::decode(bytes)?;
        if opening.promises.len() > PROMISES_MAX {
            let (size, limit) = (opening.promises.len(), PROMISES_MAX);
            return Err(WireError::TooLarge { what: "promises", size, limit });
        }
        Ok(opening)
    }
}
