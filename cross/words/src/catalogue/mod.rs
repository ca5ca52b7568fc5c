//! The catalogue, a file an area.
//!
//! How it speaks: plainly and kindly, what is so, then what to do; "Anda" is left out where it can be; no blame; units
//! and names as on the device; English texts without plurals of counted things ("Cards: {n}.").

mod ask;
mod board;
mod bundle;
mod card;
mod common;
mod doctor;
mod help;
mod hub;
mod label;
mod phone;
mod watch;

pub use ask::Ask;
pub use board::Board;
pub use bundle::Bundle;
pub use card::Card;
pub use common::Common;
pub use doctor::Doctor;
pub use help::Help;
pub use hub::Hub;
pub use label::Label;
pub use phone::Phone;
pub use watch::Watch;

use crate::Entry;

/// Every area's texts.
pub const AREAS: &[&[Entry]] = &[
    Ask::ENTRIES,
    Board::ENTRIES,
    Bundle::ENTRIES,
    Card::ENTRIES,
    Common::ENTRIES,
    Doctor::ENTRIES,
    Help::ENTRIES,
    Hub::ENTRIES,
    Label::ENTRIES,
    Phone::ENTRIES,
    Watch::ENTRIES,
];
