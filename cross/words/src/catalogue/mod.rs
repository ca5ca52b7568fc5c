//! The catalogue, a file an area.
//!
//! How it speaks: plainly and kindly, what is so, then what to do; "Anda" is left out where it can be; no blame; units
//! and names as on the device; English texts without plurals of counted things ("Cards: {n}.").

mod common;

pub use common::Common;

use crate::Entry;

/// Every area's texts.
pub const AREAS: &[&[Entry]] = &[Common::ENTRIES];
