//! Backlogs that come on sticks: open, judge who sealed it, hand each payload to intake, and say what came of it.
//!
//! Everything that a file holds goes the way of what comes by fibre ([`crate::intake`]): the same decoding, the same
//! dedupe, the same acknowledgement. Leaves to others: HTTP (`web::carry`), the key (`identity::carry`), the format
//! (`simpul-carry`).

mod import;
mod judge;
mod report;
mod tally;
#[cfg(test)]
mod tests;

pub use import::{CarryError, Importer};
pub use judge::Judge;
pub use report::{CarryStream, CarryView, MissingRange, RejectedRange};
