//! Identities: nodes, epochs of a store, generations of a hub.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use minicbor::decode::{Decoder, Error};
use minicbor::encode::{Encoder, Write};
use minicbor::{Decode, Encode};

use crate::WireError;

/// A node's id: fixed at enrolment and opaque from then on. By convention village code + ordinal,
/// `35.12.07.2003-01`; nothing in the code takes it apart.
///
/// 1 to 64 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit: safe as a topic level, a file name and a
/// certificate's common name. Compared by equality only (`-01` is not `-010`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(String);

impl NodeId {
    /// Longest id in bytes (a certificate's common name holds 64).
    pub const BYTES_MAX: usize = 64;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the node's machine: `simpul-`, then the id in lower case with a dash for what a host name must not
    /// have; at most 63 bytes (RFC 1035, section 2.3.4).
    pub fn host_name(&self) -> String {
        const LABEL_BYTES_MAX: usize = 63;
        let plain = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte.to_ascii_lowercase()) } else { '-' };
        let mut name: String = b"simpul-".iter().copied().chain(self.0.bytes()).map(plain).collect();
        name.truncate(LABEL_BYTES_MAX);
        // Its end must not be a dash; the id may end with one.
        name.truncate(name.trim_end_matches('-').len());
        name
    }
}

impl FromStr for NodeId {
    type Err = WireError;
    fn from_str(text: &str) -> Result<Self, WireError> {
        let fits = (1..=Self::BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
            && text.as_bytes()[0].is_ascii_alphanumeric();
        if fits {
            Ok(NodeId(text.into()))
        } else {
            Err(WireError::invalid(
                "node id: 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
            ))
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for NodeId {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for NodeId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        d.str()?.parse().map_err(|_| Error::message("node id out of its alphabet"))
    }
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From 16 random bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                $name(bytes)
            }

            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        /// 32 lower-case hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = WireError;
            fn from_str(text: &str) -> Result<Self, WireError> {
                let wrong = || WireError::invalid(concat!(stringify!($name), ": 32 hexadecimal digits"));
                if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(wrong());
                }
                let mut bytes = [0; 16];
                for (i, byte) in bytes.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
                }
                Ok($name(bytes))
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
                let bytes = d.bytes()?;
                bytes.try_into().map($name).map_err(|_| Error::message(concat!(stringify!($name), ": 16 bytes expected")))
            }
        }
    };
}

random_id! {
    /// Random id of an agent's store, bound to the machine's hardware serial. A sequence number is never used twice
    /// within an epoch; a cloned or rolled-back card gets an epoch of its own.
    Epoch
}

random_id! {
    /// Random id of a hub's store. A restore from backup changes it, and agents then send again what the backup lacks.
    Generation
}
