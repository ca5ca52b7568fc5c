//! Bounded text.

use alloc::string::String;
use core::fmt;
use core::ops::Deref;
use core::str::FromStr;

use minicbor::decode::{Decoder, Error};
use minicbor::encode::{Encoder, Write};
use minicbor::{Decode, Encode};

use crate::WireError;

/// Text of at most `MAX` bytes with no control characters (line breaks and tabs included).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BoundedText<const MAX: usize>(String);

/// A short name or code: service, desk, camera, metric, idempotency key. At most 96 bytes.
pub type Label = BoundedText<96>;

/// A sentence for people: details of an event. At most 512 bytes.
pub type Text = BoundedText<512>;

impl<const MAX: usize> BoundedText<MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text with control characters as spaces, cut to `MAX` bytes at a character's boundary: for details that
    /// come from elsewhere (an error message), where a shorter text is better than none.
    pub fn clipped(text: &str) -> Self {
        let mut out = String::new();
        for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
            if out.len() + c.len_utf8() > MAX {
                break;
            }
            out.push(c);
        }
        BoundedText(out)
    }
}

impl<const MAX: usize> FromStr for BoundedText<MAX> {
    type Err = WireError;
    fn from_str(text: &str) -> Result<Self, WireError> {
        if text.len() > MAX {
            return Err(WireError::TooLarge { what: "text", size: text.len(), limit: MAX });
        }
        // Byte by byte where it can be: every metric of every batch passes here.
        let plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !plain && text.chars().any(char::is_control) {
            return Err(WireError::invalid("text with a control character"));
        }
        Ok(BoundedText(text.into()))
    }
}

impl<const MAX: usize> Deref for BoundedText<MAX> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for BoundedText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C, const MAX: usize> Encode<C> for BoundedText<MAX> {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C, const MAX: usize> Decode<'b, C> for BoundedText<MAX> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        d.str()?.parse().map_err(|_| Error::message("text is too long or has a control character"))
    }
}
