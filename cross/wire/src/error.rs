//! Why foreign bytes were refused.

use alloc::string::{String, ToString};
use core::fmt;

/// Why a payload could not be read. `Display` names what was wrong; it never prints content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// Not CBOR, cut short, or a field of another type.
    Malformed(String),
    /// A version or record kind that this program does not know; a newer one may.
    Unsupported(String),
    /// Well-formed, but a value is outside its range.
    Invalid(String),
    /// A size is over its limit.
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is (bytes or items).
        size: usize,
        /// The limit (bytes or items).
        limit: usize,
    },
    /// The checksum does not fit the bytes.
    BadChecksum,
    /// A header's count differs from what the body holds.
    CountMismatch {
        /// Count in the header.
        declared: u64,
        /// Items in the body.
        found: u64,
    },
}

impl WireError {
    /// A value out of its range.
    pub fn invalid(what: impl ToString) -> Self {
        WireError::Invalid(what.to_string())
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Malformed(what) => write!(f, "malformed: {what}"),
            WireError::Unsupported(what) => write!(f, "unsupported: {what}"),
            WireError::Invalid(what) => write!(f, "invalid: {what}"),
            WireError::TooLarge { what, size, limit } => write!(f, "{what} is too large: {size}, limit {limit}"),
            WireError::BadChecksum => f.write_str("checksum does not fit the bytes"),
            WireError::CountMismatch { declared, found } => {
                write!(f, "header declares {declared} records, the body holds {found}")
            }
        }
    }
}

impl core::error::Error for WireError {}

impl From<minicbor::decode::Error> for WireError {
    fn from(error: minicbor::decode::Error) -> Self {
        if error.is_unknown_variant() {
            WireError::Unsupported(error.to_string())
        } else {
            WireError::Malformed(error.to_string())
        }
    }
}

/// Encoding into memory cannot fail; this turns the type's impossible error into unreachable code in one place.
pub(crate) fn infallible<T>(result: Result<T, minicbor::encode::Error<core::convert::Infallible>>) -> T {
    match result {
        Ok(value) => value,
        // A custom `Encode` returned a message: none in this crate does.
        Err(error) => unreachable!("encoding into memory failed: {error}"),
    }
}

/// Encode a value into a new vector.
pub fn to_vec<T: minicbor::Encode<()>>(value: &T) -> alloc::vec::Vec<u8> {
    let mut out = alloc::vec::Vec::new();
    infallible(minicbor::encode(value, &mut out));
    out
}
