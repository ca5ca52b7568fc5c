//! The catalogue, a file an area.
//!
//! How it speaks: plainly and kindly, what is so, then what to do; "Anda" is left out where it can be; no blame; units
//! and names as on the device; English texts without plurals of counted things ("Cards: {n}.").

mod common;
mod doctor;

pub use common::Common;
pub use doctor::Doctor;

use crate::Entry;

/// Every area's texts.
pub const AREAS: &[&[Entry]] = &[Common::ENTRIES, Doctor::ENTRIES];
