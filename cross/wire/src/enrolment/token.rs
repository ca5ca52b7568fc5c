//! The token: what a technician carries to a node, once, as text or as a QR code.
//!
//! ```text
//! simpul1 + base32( length: u16, guard: u8, CBOR of `length` bytes, CRC-32C: u32 )     (big endian)
//! ```
//!
//! The guard is the length's own check: a slip in the first characters must say "mistyped", not "cut short". The token
//! is a secret until it is used: it never stands in a log, and its `Debug` hides the secret.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use minicbor::{Decode, Encode};

use super::base32;
use super::{ADDRESSES_MAX, Address};
use crate::checksum::CRC32C;
use crate::error::to_vec;
use crate::{NodeId, WireError};

/// What a token begins with: people and secret scanners recognise one by it, and the version is in it.
const PREFIX: &str = "simpul1";

/// The same without its version's digit: a node's token, and a technician's ([`super::technician`]).
const NODES: &str = "simpul";
const TECHNICIANS: &str = "simpult";

/// Longest text. One with eight addresses of 128 bytes has 1,900 characters; a usual one has about 230.
const TEXT_BYTES_MAX: usize = 4_096;

/// Length and its guard.
const HEAD_BYTES: usize = 3;

/// CRC-32C.
const TAIL_BYTES: usize = 4;

/// The shared secret of a token: 128 random bits. Prints as `[secret]`.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Secret(#[cbor(with = "minicbor::bytes")] [u8; 16]);

impl Secret {
    /// From 16 random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Secret(bytes)
    }

    /// The bytes: for the one place that needs them.
    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A node's way into its district, once.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnrolmentToken {
    /// The node that it was made for, and no other.
    #[n(0)]
    pub node: NodeId,
    /// What the hub knows the hash of.
    #[n(1)]
    pub secret: Secret,
    /// SHA-256 of the district's CA certificate (DER): the node talks to a hub that shows this CA, and to no other.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub authority: [u8; 32],
    /// Addresses `host:port` of the hub's enrolment listener, tried in turn.
    #[n(3)]
    pub addresses: Vec<Address>,
    /// Unix seconds after which the hub refuses it. For people: a node without a clock cannot judge it, the hub does.
    #[n(4)]
    pub expires_s: u64,
}

/// Why a text is no token, in words for whoever typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// Something else altogether.
    NoToken,
    /// A token of a version that this program does not know.
    Version,
    /// Characters are missing at its end.
    CutShort,
    /// There is more than one token's worth.
    TooLong,
    /// A character is none of a token's; its place in what was given, from 1.
    Character(usize),
    /// The check sum does not fit.
    Mistyped,
    /// The check sum fits and the content does not: a program that made it, or this one, is at fault.
    Content(WireError),
    /// A technician's token, where a node's is needed.
    Technicians,
    /// A node's token, where a technician's is needed.
    Nodes,
    /// A whole token, of another node.
    OtherNode {
        /// Whose it is.
        token: NodeId,
        /// Who wanted to use it.
        node: NodeId,
    },
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::NoToken => {
                write!(f, "this is no enrolment token: one begins with {PREFIX}; copy the whole of it")
            }
            TokenError::Version => f.write_str("the enrolment token is of a newer kind: update this program"),
            TokenError::CutShort => {
                f.write_str("the enrolment token is cut short: copy all of it, to its last character")
            }
            TokenError::TooLong => {
                f.write_str("there is more than one enrolment token here, or something behind it: leave one, whole")
            }
            TokenError::Character(place) => {
                write!(f, "the enrolment token is mistyped: character {place} is none of a token's")
            }
            TokenError::Mistyped => f.write_str("the enrolment token is mistyped: compare it character by character"),
            TokenError::Content(error) => {
                write!(f, "the enrolment token is whole but cannot be used ({error}): make another one at the hub")
            }
            TokenError::Technicians => f.write_str(
                "this is a technician's token, for `simpul login`: take the node's own, of `simpul-hub nodes token`",
            ),
            TokenError::Nodes => f.write_str(
                "this is a node's token, for its card: take a technician's, of `simpul-hub technicians add`",
            ),
            TokenError::OtherNode { token, node } => write!(
                f,
                "the enrolment token belongs to another node: it is for {token}, this is {node}; take this node's own \
                 token, or correct the node's id in its configuration"
            ),
        }
    }
}

impl core::error::Error for TokenError {}

impl EnrolmentToken {
    /// Refuse to be used by another node.
    pub fn check_node(&self, node: &NodeId) -> Result<(), TokenError> {
        if self.node == *node {
            return Ok(());
        }
        Err(TokenError::OtherNode { token: self.node.clone(), node: node.clone() })
    }

    fn check(&self) -> Result<(), WireError> {
        check_addresses(&self.addresses)
    }
}

/// A token without an address leads nowhere, one with many is tried for hours.
pub(super) fn check_addresses(addresses: &[Address]) -> Result<(), WireError> {
    match addresses.len() {
        0 => Err(WireError::invalid("an enrolment token without an address")),
        size if size > ADDRESSES_MAX => Err(WireError::TooLarge { what: "addresses", size, limit: ADDRESSES_MAX }),
        _ => Ok(()),
    }
}

/// The text that is carried. Not for logs.
impl fmt::Display for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(PREFIX, &to_vec(self), f)
    }
}

impl FromStr for EnrolmentToken {
    type Err = TokenError;
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let content = read_text(text, PREFIX)?;
        let token: EnrolmentToken =
            minicbor::decode(&content).map_err(|error| TokenError::Content(WireError::from(error)))?;
        token.check().map_err(TokenError::Content)?;
        Ok(token)
    }
}

/// A token's content as text.
pub(super) fn write_text(prefix: &str, content: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // Eight addresses of 128 bytes are far below.
    let length = u16::try_from(content.len()).map_err(|_| fmt::Error)?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + content.len() + TAIL_BYTES);
    bytes.extend(length.to_be_bytes());
    bytes.push(guard(length));
    bytes.extend(content);
    bytes.extend(CRC32C.checksum(content).to_be_bytes());
    let mut text = String::from(prefix);
    base32::encode(&bytes, &mut text);
    f.write_str(&text)
}

/// Any one character that is wrong in length or guard shows.
fn guard(length: u16) -> u8 {
    let [high, low] = length.to_be_bytes();
    (high.rotate_left(3) ^ low) ^ 0xa5
}

/// A token's content from text that begins with `prefix`.
pub(super) fn read_text(text: &str, prefix: &str) -> Result<Vec<u8>, TokenError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    // Lines and groups are how paper and messengers hand it on. Places are kept for the message.
    let kept = || text.char_indices().filter(|(_, c)| !c.is_whitespace() && *c != '-');
    let symbols: Vec<u8> = kept().map(|(_, c)| u8::try_from(c).unwrap_or(b'?')).collect();
    let begins =
        |prefix: &str| symbols.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix.as_bytes()));
    if !begins(prefix) {
        let is_kind = |kind: &str| begins(kind) && symbols.get(kind.len()).is_some_and(u8::is_ascii_digit);
        // The kind with its version's digit: a technician's is not a node's of another version, nor the other way round.
        return Err(match (is_kind(NODES), is_kind(TECHNICIANS)) {
            (true, _) if prefix == PREFIX => TokenError::Version,
            (_, true) if prefix != PREFIX => TokenError::Version,
            (true, _) => TokenError::Nodes,
            (_, true) => TokenError::Technicians,
            _ => TokenError::NoToken,
        });
    }
    let bytes = base32::decode(&symbols[prefix.len()..]).map_err(|place| {
        let place = kept().nth(prefix.len() + place).map_or(0, |(place, _)| place);
        TokenError::Character(text[..place].chars().count() + 1)
    })?;
    content(&bytes).map(<[u8]>::to_vec)
}

fn content(bytes: &[u8]) -> Result<&[u8], TokenError> {
    let &[high, low, check, ref rest @ ..] = bytes else { return Err(TokenError::CutShort) };
    let length = u16::from_be_bytes([high, low]);
    if guard(length) != check {
        return Err(TokenError::Mistyped);
    }
    let length = usize::from(length);
    let Some((content, tail)) = rest.split_at_checked(length).filter(|(_, tail)| tail.len() >= TAIL_BYTES) else {
        return Err(TokenError::CutShort);
    };
    if tail.len() > TAIL_BYTES {
        return Err(TokenError::TooLong);
    }
    if CRC32C.checksum(content).to_be_bytes() != tail { Err(TokenError::Mistyped) } else { Ok(content) }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    fn token() -> EnrolmentToken {
        EnrolmentToken {
            node: "35.12.07.2003-01".parse().unwrap(),
            secret: Secret::from_bytes([7; 16]),
            authority: [0xca; 32],
            addresses: vec!["hub.example:8884".parse().unwrap(), "192.0.2.7:8884".parse().unwrap()],
            expires_s: 1_796_000_000,
        }
    }

    #[test]
    fn a_token_survives_paper_messengers_and_capitals() {
        let text = token().to_string();
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(text.to_ascii_uppercase().parse(), Ok(token()));
        let grouped: String =
            text.chars().enumerate().flat_map(|(i, c)| [c, if i % 5 == 4 { '-' } else { '\n' }]).collect();
        assert_eq!(grouped.parse(), Ok(token()));
    }

    #[test]
    fn every_cut_is_told_as_a_cut_and_every_slip_as_a_slip() {
        let text = token().to_string();
        for end in PREFIX.len()..text.len() {
            assert_eq!(text[..end].parse::<EnrolmentToken>(), Err(TokenError::CutShort), "cut at {end}");
        }
        for place in PREFIX.len()..text.len() {
            for wrong in ["0", "7", "a", "z"] {
                let mut slipped = text.clone();
                slipped.replace_range(place..=place, wrong);
                match slipped.parse::<EnrolmentToken>() {
                    // The same character, or bits of the last one that mean nothing.
                    Ok(read) => assert_eq!(read, token()),
                    Err(error) => assert_eq!(error, TokenError::Mistyped, "{wrong} at {place}"),
                }
            }
        }
        let mut strange = text.clone();
        strange.replace_range(40..41, "!");
        assert_eq!(strange.parse::<EnrolmentToken>(), Err(TokenError::Character(41)));
        assert_eq!((text.clone() + "00000").parse::<EnrolmentToken>(), Err(TokenError::TooLong));
        assert_eq!("simpul_0123".parse::<EnrolmentToken>(), Err(TokenError::NoToken));
        assert_eq!("".parse::<EnrolmentToken>(), Err(TokenError::NoToken));
        assert_eq!(text.replace("simpul1", "simpul2").parse::<EnrolmentToken>(), Err(TokenError::Version));
    }

    #[test]
    fn a_token_is_for_one_node_and_its_debug_hides_the_secret() {
        let other: NodeId = "35.12.07.2003-010".parse().unwrap();
        assert!(token().check_node(&token().node).is_ok());
        let error = token().check_node(&other).unwrap_err().to_string();
        assert!(error.contains("belongs to another node: it is for 35.12.07.2003-01, this is 35.12.07.2003-010"));
        assert!(alloc::format!("{:?}", token()).contains("secret: [secret]"));
    }
}
