//! A technician's token and what a laptop shows it with: for a week, and for one laptop.
//!
//! The text form is a node's, with a prefix of its own: neither kind is ever read as the other.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use minicbor::bytes::ByteVec;
use minicbor::decode::{Decoder, Error};
use minicbor::encode::{Encoder, Write};
use minicbor::{Decode, Encode};

use super::token::{check_addresses, read_text, write_text};
use super::{Address, REQUEST_BYTES_MAX, Secret, TokenError};
use crate::WireError;
use crate::error::to_vec;

/// POST a [`LoginRequest`], without a client certificate; answered with an [`super::Identity`].
pub const LOGIN_PATH: &str = "/v1/technician/login";

/// What a technician's token begins with, its version in it.
const PREFIX: &str = "simpult1";

/// What the common name of a laptop's certificate begins with. No node's id has a colon or a slash, so that it is
/// never taken for a node's, and MQTT knows no such name.
const COMMON_NAME: &str = "technician:";

/// A technician's or a laptop's name: 1 to 24 letters, digits, `.`, `_` or `-`, beginning with a letter or digit. Two of
/// them fit a certificate's common name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Longest name in bytes.
    pub const BYTES_MAX: usize = 24;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What can be kept of a text that somebody else made up, such as a computer's name.
    pub fn clipped(text: &str) -> Option<Name> {
        let fitting = text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' });
        let text: String = fitting.skip_while(|c| !c.is_ascii_alphanumeric()).take(Self::BYTES_MAX).collect();
        text.parse().ok()
    }
}

impl FromStr for Name {
    type Err = WireError;
    fn from_str(text: &str) -> Result<Self, WireError> {
        let fits = (1..=Self::BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
            && text.as_bytes()[0].is_ascii_alphanumeric();
        if fits {
            Ok(Name(text.into()))
        } else {
            Err(WireError::invalid("name: 1 to 24 letters, digits, '.', '_' or '-', beginning with a letter or digit"))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for Name {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Name {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        d.str()?.parse().map_err(|_| Error::message("name out of its alphabet"))
    }
}

/// A technician's laptop: `budi/thinkpad`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct Laptop {
    /// Whose.
    #[n(0)]
    pub technician: Name,
    /// Which of that technician's.
    #[n(1)]
    pub name: Name,
}

impl Laptop {
    /// The common name of its certificate.
    pub fn common_name(&self) -> String {
        alloc::format!("{COMMON_NAME}{self}")
    }
}

impl fmt::Display for Laptop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.technician, self.name)
    }
}

impl FromStr for Laptop {
    type Err = WireError;
    fn from_str(text: &str) -> Result<Self, WireError> {
        let (technician, name) = text.split_once('/').ok_or_else(|| WireError::invalid("laptop: TECHNICIAN/LAPTOP"))?;
        Ok(Laptop { technician: technician.parse()?, name: name.parse()? })
    }
}

/// A technician's way into the district, once, for one laptop.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TechnicianToken {
    /// Whom it was made for.
    // Not 0: that is the node of a node's token, and either text is one that the other could be.
    #[n(5)]
    pub technician: Name,
    /// What the hub knows the hash of.
    #[n(1)]
    pub secret: Secret,
    /// SHA-256 of the district's CA certificate (DER).
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub authority: [u8; 32],
    /// Addresses `host:port` of the hub's enrolment listener, tried in turn.
    #[n(3)]
    pub addresses: Vec<Address>,
    /// Unix seconds after which the hub refuses it.
    #[n(4)]
    pub expires_s: u64,
}

/// The text that is carried. Not for logs.
impl fmt::Display for TechnicianToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(PREFIX, &to_vec(self), f)
    }
}

impl FromStr for TechnicianToken {
    type Err = TokenError;
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let content = read_text(text, PREFIX)?;
        let token: TechnicianToken =
            minicbor::decode(&content).map_err(|error| TokenError::Content(WireError::from(error)))?;
        check_addresses(&token.addresses).map_err(TokenError::Content)?;
        Ok(token)
    }
}

/// A laptop asks for its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LoginRequest {
    /// Who asks, and with which laptop.
    #[n(0)]
    pub laptop: Laptop,
    /// The token's secret.
    #[n(1)]
    pub secret: Secret,
    /// The signing request (PKCS#10, DER), as a node's.
    #[n(2)]
    pub request: ByteVec,
}

impl LoginRequest {
    /// As CBOR.
    pub fn to_vec(&self) -> Vec<u8> {
        to_vec(self)
    }

    /// From CBOR.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(WireError::TooLarge { what: "LoginRequest", size: bytes.len(), limit: REQUEST_BYTES_MAX });
        }
        Ok(minicbor::decode(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::super::EnrolmentToken;
    use super::*;
    use crate::NodeId;

    fn token() -> TechnicianToken {
        TechnicianToken {
            technician: "budi".parse().unwrap(),
            secret: Secret::from_bytes([7; 16]),
            authority: [0xca; 32],
            addresses: vec!["hub.example:8884".parse().unwrap()],
            expires_s: 1_796_000_000,
        }
    }

    #[test]
    fn neither_kind_of_token_is_read_as_the_other() {
        let text = token().to_string();
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(text.to_ascii_uppercase().parse(), Ok(token()));
        assert_eq!(text.parse::<EnrolmentToken>(), Err(TokenError::Technicians));
        let nodes = EnrolmentToken {
            node: "35.12.07.2003-01".parse().unwrap(),
            secret: token().secret,
            authority: token().authority,
            addresses: token().addresses,
            expires_s: 1,
        };
        assert_eq!(nodes.to_string().parse::<TechnicianToken>(), Err(TokenError::Nodes));
        // Not even with the other's prefix: the contents differ in kind.
        let swapped = nodes.to_string().replacen("simpul1", "simpult1", 1);
        assert!(matches!(swapped.parse::<TechnicianToken>(), Err(TokenError::Content(_))));
        assert_eq!("simpult2abc".parse::<TechnicianToken>(), Err(TokenError::Version));
        assert_eq!("hello".parse::<TechnicianToken>(), Err(TokenError::NoToken));
    }

    #[test]
    fn a_cut_or_mistyped_technicians_token_is_told_as_that() {
        let text = token().to_string();
        for end in PREFIX.len()..text.len() {
            assert_eq!(text[..end].parse::<TechnicianToken>(), Err(TokenError::CutShort), "cut at {end}");
        }
        let mut slipped = text.clone();
        let wrong = if text.as_bytes()[40] == b'0' { "1" } else { "0" };
        slipped.replace_range(40..41, wrong);
        assert_eq!(slipped.parse::<TechnicianToken>(), Err(TokenError::Mistyped));
        assert!(alloc::format!("{:?}", token()).contains("secret: [secret]"));
    }

    #[test]
    fn a_laptops_common_name_is_no_nodes_id_and_fits_a_certificate() {
        let longest = "b".repeat(Name::BYTES_MAX);
        let laptop: Laptop = alloc::format!("{longest}/{longest}").parse().unwrap();
        assert!(laptop.common_name().len() <= 64);
        assert!(laptop.common_name().parse::<NodeId>().is_err());
        for bad in ["budi", "budi/", "/x", "budi/a/b", "bu di/x", "-budi/x", "b\u{e9}/x"] {
            assert!(bad.parse::<Laptop>().is_err(), "{bad}");
        }
        assert_eq!(Name::clipped("Laptop Pak Budi!").unwrap().as_str(), "Laptop-Pak-Budi-");
        assert_eq!(Name::clipped("\u{1f980}"), None);
    }
}
