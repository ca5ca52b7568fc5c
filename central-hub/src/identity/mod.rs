//! Who belongs to the district: its CA, its nodes, their tokens and certificates.
//!
//! [`authority`] makes and keeps the CA's keys and signs; [`ledger`] is the database of nodes, tokens and certificates;
//! [`issue`] decides who gets a certificate, in one transaction; [`villages`] reads the list of villages; [`listener`]
//! is the HTTPS that nodes talk to, with [`verifier`] and [`rate`]; [`follow`] carries what the command line changed to
//! the running hub. Leaves to others: what a certificate may do (`mqtt::acl`).
//!
//! ```text
//! DATA/identity/registry.db   nodes, tokens (hashed), certificates, refusals: command line and hub write it
//! DATA/pki/ca-N.key           the key of the N-th CA, mode 0600
//! DATA/pki/carry.key          what opens carry files, mode 0600 ([`carry`])
//! DATA/pki/ca.pem             the CAs that are trusted now: made from the registry
//! DATA/pki/hub.pem, hub.key   what the hub shows: made from the registry; the key stays
//! ```

pub mod authority;
pub mod carry;
pub mod follow;
pub mod issue;
pub mod ledger;
pub mod listener;
pub mod rate;
pub mod verifier;
pub mod villages;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Why something about identities could not be done.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The database.
    #[error("registry {path}: {source}")]
    Database {
        /// Where.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A file.
    #[error("{path}: {source}; correct the file's folder or rights")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key that others can read.
    #[error(
        "the CA's key {path} has mode {mode:03o}: only its owner may read it; run `chmod 600 {path}`, and think of who read it"
    )]
    OpenKey {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Certificates or keys cannot be made or read.
    #[error("{what}: {reason}")]
    Unusable {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
    /// There is no CA.
    #[error("there is no CA yet: run `simpul-hub ca init`")]
    NoAuthority,
    /// What was asked does not fit what is there; the text says what to do.
    #[error("{0}")]
    Refused(String),
}

impl IdentityError {
    pub(crate) fn refused(text: impl Into<String>) -> IdentityError {
        IdentityError::Refused(text.into())
    }
}

/// Where the identities of a hub are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The database.
    pub registry: PathBuf,
    /// Keys and certificates.
    pub pki: PathBuf,
}

impl Places {
    /// Of the hub in `data`.
    pub fn of(data: &Path) -> Places {
        Places { registry: data.join("identity").join("registry.db"), pki: data.join("pki") }
    }
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
