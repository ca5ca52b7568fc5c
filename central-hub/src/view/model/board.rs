//! What the API says of a node's I/O board, of the optics in its cages, and of what came of a command.

use serde::Serialize;
use utoipa::ToSchema;

use super::ReadingView;

/// A node's I/O board. A field that was never said is null.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BoardView {
    /// Its serial.
    pub serial: Option<String>,
    /// good, silent, unplugged, wrong_protocol, boot_loader, frame_too_long, unknown_message, bad_frame,
    /// journal_damaged, journal_failed or impossible_value.
    pub condition: Option<String>,
    /// What exactly, in the agent's words.
    pub detail: Option<String>,
    /// Since when the condition holds.
    pub since_ms: Option<i64>,
    /// The newest condition that was not good, over or not.
    pub last_fault: Option<BoardFaultView>,
    /// Its last start.
    pub started: Option<BoardStartedView>,
    /// The lid of its case.
    pub tamper: Option<TamperView>,
    /// Buttons that are stuck now.
    pub buttons_stuck: Vec<StuckButtonView>,
    /// Its supply.
    pub power: Option<PowerView>,
    /// The last outage that it lived through.
    pub last_outage: Option<OutageView>,
    /// Supply voltage in V.
    pub supply_voltage: Option<ReadingView>,
    /// Battery voltage in V.
    pub battery_voltage: Option<ReadingView>,
    /// The cages that anything is known of.
    pub cages: Vec<CageView>,
    /// A reading of the board that is older than this is stale: not how it is, but how it was.
    pub stale_after_s: u32,
}

/// A condition of the board that was not good.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BoardFaultView {
    /// The condition.
    pub condition: String,
    /// What exactly, in the agent's words.
    pub detail: String,
    /// When it began.
    pub at_ms: i64,
}

/// A start of the board.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BoardStartedView {
    /// Its serial.
    pub serial: String,
    /// How often it has started.
    pub boot: u32,
    /// power_on, brownout, watchdog, pin, software or unknown.
    pub reset: String,
    /// The firmware's version.
    pub firmware: String,
    /// The hardware, such as pico.
    pub hardware: Option<String>,
    /// When.
    pub at_ms: i64,
}

/// The lid of the board's case.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TamperView {
    /// Open now.
    pub open: bool,
    /// Since when.
    pub since_ms: i64,
}

/// A button that is stuck.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StuckButtonView {
    /// The desk.
    pub desk: String,
    /// Since when.
    pub since_ms: i64,
}

/// The board's supply.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PowerView {
    /// mains, battery, battery_low or dying_gasp.
    pub condition: String,
    /// Since when.
    pub since_ms: i64,
}

/// An outage of the mains that is over.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OutageView {
    /// How long it lasted.
    pub outage_ms: u64,
    /// When mains came back.
    pub ended_ms: i64,
}

/// An SFP cage.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CageView {
    /// Its number, from 0.
    pub cage: u8,
    /// The module in it, if there is one that can be read.
    pub module: Option<ModuleView>,
    /// Why there is none.
    pub missing: Option<String>,
    /// Since when that is so.
    pub since_ms: Option<i64>,
    /// What the received power is worth; null if there never was a reading of it.
    pub judgement: Option<JudgementView>,
    /// Received power in dBm.
    pub rx_power: Option<ReadingView>,
    /// Sent power in dBm.
    pub tx_power: Option<ReadingView>,
    /// The laser's bias current in mA.
    pub tx_bias: Option<ReadingView>,
    /// The module's temperature in °C.
    pub temperature: Option<ReadingView>,
    /// The module's supply in V.
    pub supply: Option<ReadingView>,
}

/// An SFP module (SFF-8472).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModuleView {
    /// Vendor.
    pub vendor: String,
    /// Part number.
    pub part: String,
    /// Serial number.
    pub serial: String,
    /// Nominal wavelength in nanometres.
    pub wavelength_nm: u16,
    /// Whether it measures (digital diagnostics).
    pub measures: bool,
}

/// What received power is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpticalState {
    /// Between the limits.
    Good,
    /// Weak: still works.
    Weak,
    /// Below what the receiver is made for.
    Critical,
    /// Too strong for the receiver.
    Overload,
    /// No light on the fibre: a state, not a number.
    NoLight,
    /// Not measured now, for the reason beside it.
    Unknown,
}

/// The judgement of a receiver, with 1 dB of hysteresis.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JudgementView {
    /// By the newest reading.
    pub state: OpticalState,
    /// Start of the minute since which it is so.
    pub since_ms: Option<i64>,
    /// What it was before; null if it was never seen otherwise.
    pub before: Option<OpticalState>,
    /// When the newest reading was taken.
    pub at_ms: i64,
    /// What it is judged by.
    pub limits: LimitsView,
}

/// Limits of received power in dBm.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LimitsView {
    /// Below: critical.
    pub critical_below_dbm: f64,
    /// Below: weak.
    pub weak_below_dbm: f64,
    /// Above: overload.
    pub overload_above_dbm: f64,
    /// The module's own (SFF-8472) rather than class B+ of ITU-T G.984.2.
    pub own: bool,
}

/// What came of a command.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CommandResultView {
    /// The command's id, as the order was answered.
    pub id: String,
    /// Whether it was done.
    pub done: bool,
    /// Why not, or what came of it.
    pub detail: String,
    /// When.
    pub at_ms: i64,
}
