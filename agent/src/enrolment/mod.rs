//! How this node gets its certificate, and keeps it fresh.
//!
//! [`store`] is what is on the card: the identity in one file, the key of a request under way, the token; [`client`]
//! talks to the hub; [`access`] says with what the uplink connects; [`keeper`] renews. The key is made here and never
//! leaves the card. Leaves to others: what the uplink does with a certificate, and who gets one (the hub).

pub mod access;
pub mod client;
pub mod keeper;
pub mod store;

use std::path::PathBuf;

use simpul_wire::WireError;
use simpul_wire::enrolment::{Refusal, TokenError};

use crate::uplink::tls::TlsError;

/// Why there is no (new) certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {what}", path = path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// There is nothing to begin with.
    #[error(
        "this node has no certificate and no token: put the token of `simpul-hub nodes token` into {path}",
        path = path.display()
    )]
    NoToken {
        /// Where the token is looked for.
        path: PathBuf,
    },
    /// The token.
    #[error("{path}: {error}", path = path.display())]
    Token {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        error: TokenError,
    },
    /// Key or signing request cannot be made.
    #[error("key or signing request: {0}")]
    Key(String),
    /// No hub answered.
    #[error("no hub answered: {0}")]
    NoAnswer(String),
    /// The hub refused.
    #[error("the hub refuses: {0}")]
    Refused(Refusal),
    /// The hub's answer cannot be used.
    #[error("the hub's answer cannot be used: {0}")]
    BadAnswer(String),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl EnrolmentError {
    /// Whether it may pass without anybody's doing.
    pub fn passes(&self) -> bool {
        match self {
            EnrolmentError::Refused(refusal) => refusal.reason.passes(),
            EnrolmentError::NoAnswer(_) => true,
            _ => false,
        }
    }
}

impl From<WireError> for EnrolmentError {
    fn from(error: WireError) -> Self {
        EnrolmentError::BadAnswer(error.to_string())
    }
}
