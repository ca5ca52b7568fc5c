//! What can go wrong between a laptop and the hub, each with its own text and what to do.

use std::fmt;
use std::io;

use simpul_wire::WireError;
use simpul_wire::enrolment::{Refusal, RefusalReason, TokenError};
use simpul_words::{Hub, Language, Words};

/// Why the hub could not be asked, or what it refused. Never holds a secret.
#[derive(Debug)]
#[allow(missing_docs, reason = "the texts of the same name say it")]
pub enum Problem {
    NotLoggedIn,
    NoHome,
    File { path: String, error: io::Error },
    OpenKey { path: String },
    Damaged { path: String },
    Token(TokenError),
    Key { what: String },
    NoAddress,
    NoHub { address: String, why: String },
    ForeignHub,
    Refused(Refusal),
    BadAnswer { what: String },
    System { what: String },
    NoName { name: String },
    NoNode { node: String },
    NoReport { node: String },
}

impl Problem {
    /// Of key or certificate.
    pub fn key(error: impl fmt::Display) -> Problem {
        Problem::Key { what: error.to_string() }
    }

    /// Of an answer that cannot be read.
    pub fn answer(error: WireError) -> Problem {
        Problem::BadAnswer { what: error.to_string() }
    }

    /// Whether asking again may help, without anybody's doing.
    pub fn passes(&self) -> bool {
        match self {
            Problem::NoHub { .. } => true,
            Problem::Refused(refusal) => refusal.reason.passes(),
            _ => false,
        }
    }

    /// The problem, and what to do about it.
    pub fn say(&self, language: Language) -> String {
        match self {
            Problem::NotLoggedIn => Hub::NotLoggedIn.text(language),
            Problem::NoHome => Hub::NoHome.text(language),
            Problem::File { path, error } => Hub::File { path, error }.text(language),
            Problem::OpenKey { path } => Hub::OpenKey { path }.text(language),
            Problem::Damaged { path } => Hub::Damaged { path }.text(language),
            Problem::Token(error) => token(error, language),
            Problem::Key { what } => Hub::Key { what }.text(language),
            Problem::NoAddress => Hub::NoAddress.text(language),
            Problem::NoHub { address, why } => Hub::NoHub { address, why }.text(language),
            Problem::ForeignHub => Hub::ForeignHub.text(language),
            Problem::Refused(refusal) => refused(refusal, language),
            Problem::BadAnswer { what } => Hub::BadAnswer { what }.text(language),
            Problem::System { what } => Hub::System { what }.text(language),
            Problem::NoName { name } => Hub::NoName { name }.text(language),
            Problem::NoNode { node } => Hub::NoNode { node }.text(language),
            Problem::NoReport { node } => Hub::NoReport { node }.text(language),
        }
    }
}

fn token(error: &TokenError, language: Language) -> String {
    match error {
        TokenError::Nodes => Hub::TokenNodes.text(language),
        TokenError::Version => Hub::TokenVersion.text(language),
        TokenError::CutShort => Hub::TokenCutShort.text(language),
        TokenError::TooLong => Hub::TokenTooLong.text(language),
        TokenError::Mistyped => Hub::TokenMistyped.text(language),
        TokenError::Character(place) => Hub::TokenCharacter { place }.text(language),
        _ => Hub::TokenNone.text(language),
    }
}

/// In the technician's own language; the hub's sentence is added where it says more.
fn refused(refusal: &Refusal, language: Language) -> String {
    match refusal.reason {
        RefusalReason::UnknownToken => Hub::UnknownToken.text(language),
        RefusalReason::UsedToken => Hub::UsedToken.text(language),
        RefusalReason::ExpiredToken => Hub::ExpiredToken.text(language),
        RefusalReason::Revoked => Hub::Revoked { text: &refusal.text }.text(language),
        RefusalReason::ExpiredLogin | RefusalReason::NoCertificate => Hub::ExpiredLogin.text(language),
        RefusalReason::NodeOffline => Hub::NodeOffline.text(language),
        RefusalReason::Busy | RefusalReason::Unavailable => Hub::Later { text: &refusal.text }.text(language),
        _ => Hub::Refused { text: &refusal.text }.text(language),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.say(Language::English))
    }
}

impl std::error::Error for Problem {}
