//! What the agent shows of its board on site.

use serde::Serialize;
use simpul_wire::board::ImageState;

use super::describe;

/// The board, for `simpul-agent status` and `simpul-agent board status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BoardStatus {
    /// Its port; nothing: not found.
    pub port: Option<String>,
    /// Its condition; nothing: not known yet.
    pub condition: Option<String>,
    /// More about the condition, for people.
    pub detail: String,
    /// Who it is, once it said so.
    pub board: Option<BoardLine>,
    /// Its last measurements.
    pub readings: Vec<ReadingLine>,
    /// Its totals by configured button.
    pub desks: Vec<DeskLine>,
    /// Age of the last frame in milliseconds; nothing: none since the start.
    pub heard_ms: Option<u64>,
    /// Frames from it that could not be read or are not known, since the agent's start.
    pub frames_refused: u64,
    /// Events that the agent could not keep, since its start.
    pub events_lost: u64,
    /// Why the last message could not be kept, while it cannot.
    pub refused: Option<String>,
    /// How the configured firmware stands; nothing: none is configured.
    pub update: Option<String>,
    /// This board will never take it: other hardware, no loader, no journal.
    pub update_refused: bool,
}

/// Who the board is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoardLine {
    /// Serial.
    pub serial: String,
    /// Firmware and hardware.
    pub version: String,
    /// How the running image came to run.
    pub image: String,
    /// CRC-32 of the image that did not confirm itself there, in hexadecimal.
    pub given_back: Option<String>,
    /// How often it has started.
    pub boot: u32,
    /// Why it started the last time.
    pub reset: String,
    /// Milliseconds from its start to its last hello.
    pub uptime_ms: u64,
    /// Whether it works by the configured settings.
    pub configured: bool,
    /// Events of this boot that it dropped.
    pub events_dropped: u32,
    /// Frames from the agent that it could not read, since its start.
    pub frames_refused: u32,
}

impl BoardLine {
    /// The running image is not on trial any more.
    pub fn is_settled(&self) -> bool {
        [ImageState::Confirmed, ImageState::Reverted].iter().any(|state| self.image == describe::image(*state))
    }
}

/// A measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadingLine {
    /// What.
    pub metric: String,
    /// The value with its unit, or why there is none.
    pub value: String,
}

/// A desk's totals since its board was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeskLine {
    /// The button, from 1.
    pub button: u8,
    /// Its service and desk.
    pub name: String,
    /// Short presses.
    pub short: u32,
    /// Long presses.
    pub long: u32,
}
