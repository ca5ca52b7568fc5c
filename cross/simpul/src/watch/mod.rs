//! `simpul watch`.

use std::path::PathBuf;

use simpul_clock::Clock;
use simpul_words::Language;

use crate::exit::Exit;

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The node.
    pub node: String,
    /// The BAST's PDF.
    pub bast: Option<PathBuf>,
    /// The technician's note.
    pub note: String,
    /// Give up after so many minutes.
    pub minutes_max: Option<u64>,
    /// Look once.
    pub once: bool,
}

/// Run `simpul watch`.
pub fn run(_: &Request, _: Language, _: &Clock) -> Result<(), Exit> {
    Err(Exit::Usage)
}
