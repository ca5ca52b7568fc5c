//! How a node gets its certificate: the token that a technician carries to it, and the requests and answers of the
//! hub's enrolment API. A technician's laptop gets its own in the same way, with a token of another kind; what it may
//! then ask is [`crate::technician`].
//!
//! The API is CBOR over HTTPS: an agent has a CBOR decoder already, and certificates are bytes. All of it follows the
//! wire's two rules. Leaves to others: certificates and signing requests themselves (X.509 in DER, opaque here), whether
//! a secret is a right one, and every clock.

mod api;
mod base32;
mod kept;
mod technician;
mod token;

pub use api::{
    ENROL_PATH, EnrolRequest, Identity, RENEW_PATH, Refusal, RefusalReason, RenewRequest, TRUST_PATH, Trust, Validity,
};
pub use kept::{KEPT_BYTES_MAX, KeptIdentity};
pub use technician::{LOGIN_PATH, Laptop, LoginRequest, Name, TechnicianToken};
pub use token::{EnrolmentToken, Secret, TokenError};

use crate::label::BoundedText;

/// An address `host:port` of a hub: a DNS name has at most 253 bytes, and those that people give to a hub far fewer.
pub type Address = BoundedText<128>;

/// Most addresses of one kind: tried in turn, so more would delay the right one by minutes.
pub const ADDRESSES_MAX: usize = 8;

/// Most CAs that a node holds: the present one and the next, and one that is on its way out.
pub const AUTHORITIES_MAX: usize = 4;

/// Largest request. A signing request for a P-256 key takes about 300 bytes.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024;

/// Largest answer: a certificate and four CAs of about 700 bytes each, and sixteen addresses.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The name in each hub's certificate, whatever its addresses are: a district's CA gives it to hubs alone, so a hub
/// that moves, or is reached by a tunnel, needs no other certificate.
pub const HUB_NAME: &str = "hub.simpul.internal";

/// What a node's phone code is computed from, before the SHA-256 of its token's secret (docs/adr/0010-phone-page.md).
pub const PHONE_CODE_PURPOSE: &[u8] = b"simpul phone code 1";

/// Bytes of a phone code: the first of the SHA-256.
pub const PHONE_CODE_BYTES: usize = 12;

/// The port of a node's phone page, unless its configuration says another.
pub const PHONE_PORT: u16 = 8481;
