//! Requests and answers of the enrolment API. 200 with an [`Identity`] or [`Trust`]; anything else with a [`Refusal`].

use alloc::vec::Vec;
use core::fmt;

use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use super::{ADDRESSES_MAX, ANSWER_BYTES_MAX, AUTHORITIES_MAX, Address, REQUEST_BYTES_MAX, Secret};
use crate::error::to_vec;
use crate::label::Text;
use crate::{NodeId, WireError};

/// POST an [`EnrolRequest`], without a client certificate.
pub const ENROL_PATH: &str = "/v1/enrol";

/// POST a [`RenewRequest`], with the node's certificate; one that has expired will do, one that was revoked will not.
pub const RENEW_PATH: &str = "/v1/renew";

/// GET a [`Trust`], with the node's certificate, as for [`RENEW_PATH`].
pub const TRUST_PATH: &str = "/v1/trust";

/// A node asks for its first certificate.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnrolRequest {
    /// Who asks.
    #[n(0)]
    pub node: NodeId,
    /// The token's secret.
    #[n(1)]
    pub secret: Secret,
    /// The signing request (PKCS#10, DER). Only its public key counts. The same key again, after an answer that was
    /// lost, gets the same certificate again.
    #[n(2)]
    pub request: ByteVec,
}

/// A node asks for its next certificate.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RenewRequest {
    /// The signing request, as in [`EnrolRequest`].
    #[n(0)]
    pub request: ByteVec,
}

/// From when to when a certificate holds, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Validity {
    /// From.
    #[n(0)]
    pub from_s: u64,
    /// To.
    #[n(1)]
    pub to_s: u64,
}

/// Whom to trust, and where to find them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Trust {
    /// The district's CA certificates (DER): the present one first.
    #[n(0)]
    pub authorities: Vec<ByteVec>,
    /// Addresses `host:port` for MQTT, tried in turn.
    #[n(1)]
    #[cbor(default)]
    pub hubs: Vec<Address>,
    /// Addresses `host:port` of the enrolment listener, tried in turn.
    #[n(2)]
    #[cbor(default)]
    pub addresses: Vec<Address>,
    /// The node should renew soon, whatever its certificate's age: the CA that signed it is on its way out.
    #[n(3)]
    #[cbor(default)]
    pub renew: bool,
    /// The hub's carry key (X25519, 32 bytes): a backlog that travels on a stick is sealed to it.
    #[n(4)]
    #[cbor(default)]
    pub carry: Option<ByteArray<32>>,
}

/// A certificate, and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Identity {
    /// The certificate (DER).
    #[n(0)]
    pub certificate: ByteVec,
    /// When it holds, so that a node needs no X.509 parser.
    #[n(1)]
    pub validity: Validity,
    /// Whom to trust.
    #[n(2)]
    pub trust: Trust,
}

/// Why the hub refused, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum RefusalReason {
    /// No token has this secret.
    #[n(1)]
    UnknownToken,
    /// The token has been used, with another key.
    #[n(2)]
    UsedToken,
    /// The token has expired.
    #[n(3)]
    ExpiredToken,
    /// The token is another node's.
    #[n(4)]
    OtherNode,
    /// The certificate was revoked.
    #[n(5)]
    Revoked,
    /// The node was revoked, or is none of this district.
    #[n(6)]
    UnknownNode,
    /// The request cannot be read, or its signing request is none that is signed here.
    #[n(7)]
    BadRequest,
    /// No certificate was shown where one is needed.
    #[n(8)]
    NoCertificate,
    /// Too many ask at once, or this address asks too often.
    #[n(9)]
    Busy,
    /// The hub cannot issue now.
    #[n(10)]
    Unavailable,
    /// The laptop's certificate has expired: a new token is needed. Never said to a node.
    #[n(11)]
    ExpiredLogin,
    /// There is no such thing. Never said to a node.
    #[n(12)]
    NotFound,
    /// The node has no open session. Never said to a node.
    #[n(13)]
    NodeOffline,
    /// What was to be kept does not fit what the hub knows. Never said to a node.
    #[n(14)]
    DoesNotFit,
}

impl RefusalReason {
    /// Whether the same request may succeed later, without anybody's doing.
    pub fn passes(self) -> bool {
        matches!(self, RefusalReason::Busy | RefusalReason::Unavailable)
    }
}

/// A refusal: the reason for programs, a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refusal {
    /// Why.
    #[n(0)]
    pub reason: RefusalReason,
    /// What is wrong and what to do.
    #[n(1)]
    pub text: Text,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.as_str())
    }
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), WireError> {
    if size > limit { Err(WireError::TooLarge { what, size, limit }) } else { Ok(()) }
}

impl Trust {
    fn check(&self) -> Result<(), WireError> {
        within("authorities", self.authorities.len(), AUTHORITIES_MAX)?;
        within("addresses", self.hubs.len().max(self.addresses.len()), ADDRESSES_MAX)?;
        if self.authorities.is_empty() || self.authorities.iter().any(|authority| authority.is_empty()) {
            return Err(WireError::invalid("trust without a CA"));
        }
        Ok(())
    }
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

message!(EnrolRequest, REQUEST_BYTES_MAX, |_| Ok(()));
message!(RenewRequest, REQUEST_BYTES_MAX, |_| Ok(()));
message!(Refusal, ANSWER_BYTES_MAX, |_| Ok(()));
message!(Trust, ANSWER_BYTES_MAX, Trust::check);
message!(Identity, ANSWER_BYTES_MAX, |identity| {
    if identity.certificate.is_empty() || identity.validity.to_s <= identity.validity.from_s {
        return Err(WireError::invalid("identity without a certificate, or one that never holds"));
    }
    identity.trust.check()
});
