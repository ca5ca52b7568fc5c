//! What the API says, as JSON (snake_case; times are Unix milliseconds UTC, ages seconds; unknown is `null`, never 0).
//!
//! The room's page generates its types from the OpenAPI document that these types make.

mod board;
mod examination;
mod hub;
mod rollout;

use serde::Serialize;
use utoipa::ToSchema;

pub use board::{
    BoardFaultView, BoardStartedView, BoardView, CageView, CommandResultView, JudgementView, LimitsView, ModuleView,
    OpticalState, OutageView, PowerView, StuckButtonView, TamperView,
};
pub use examination::{ExaminationView, FindingView, NodeExaminationView, ParameterView};
pub use hub::{BackupView, HubView, PausedRolloutView, RestoredView, UsageView};
pub use rollout::{RolloutCountsView, RolloutDetailView, RolloutNodeView, RolloutView};

/// Everything that the first page shows, as of one moment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Overview {
    /// The hub's time when this was read.
    pub now_ms: i64,
    /// The district's UTC offset in minutes (WIB 420, WITA 480, WIT 540).
    pub utc_offset_minutes: i32,
    /// Start of the local day that "today" means.
    pub today_start_ms: i64,
    /// Every known node, by id.
    pub nodes: Vec<NodeView>,
    /// Today's service counts, per village and service.
    pub services: Vec<ServiceView>,
    /// The hub itself.
    pub hub: HubView,
    /// Whether the fibre switch of the demo is there.
    pub demo: bool,
}

/// How a node is, by its own interval (one rule everywhere).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// Heard from within 2 of its intervals, session open.
    Live,
    /// Nothing for more than 2 intervals, or its session just ended.
    Late,
    /// Nothing for more than 5 intervals.
    Silent,
    /// Registered, never heard from.
    Never,
}

/// A node.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NodeView {
    /// Its id.
    pub id: String,
    /// Name of its place, if registered.
    pub name: Option<String>,
    /// Its village's code (Kemendagri), if registered.
    pub village_code: Option<String>,
    /// Its village's name, if registered.
    pub village_name: Option<String>,
    /// How it is.
    pub liveness: Liveness,
    /// Whether its MQTT session is open now; unknown behind an external broker.
    pub connected: Option<bool>,
    /// When anything last arrived.
    pub last_heard_ms: Option<i64>,
    /// Seconds since then.
    pub age_s: Option<i64>,
    /// How often it promises to speak.
    pub interval_s: Option<u32>,
    /// The agent's version.
    pub version: Option<String>,
    /// What its programs are for, such as aarch64-linux; null from agents that do not say it.
    pub platform: Option<String>,
    /// The agent store's epoch.
    pub epoch: Option<String>,
    /// Epochs that the hub knows of this node.
    pub epoch_count: u32,
    /// Its streams: backlog at the node and losses.
    pub streams: Vec<StreamView>,
    /// Its cameras.
    pub cameras: Vec<CameraView>,
    /// Its newest readings.
    pub readings: Vec<ReadingView>,
    /// Its I/O board, if one was ever heard of.
    pub board: Option<BoardView>,
    /// What came of its newest command, if there was one.
    pub last_command: Option<CommandResultView>,
    /// Its newest notable event, if any.
    pub last_event: Option<EventView>,
    /// The demo's switch: whether its fibre is cut now; null without a switch.
    pub fibre_cut: Option<bool>,
}

/// One stream of a node, over all its epochs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StreamView {
    /// service, event, reading or snapshot.
    pub stream: String,
    /// Records that the hub has.
    pub have_records: u64,
    /// Records at the node that the hub has not acknowledged, by the node's last word (as old as the node's `age_s`);
    /// null if it never said.
    pub backlog_records: Option<u64>,
    /// Their bytes.
    pub backlog_bytes: Option<u64>,
    /// The node's limit for this stream in bytes.
    pub limit_bytes: Option<u64>,
    /// Records lost for ever.
    pub lost_records: u64,
    /// The losses, newest first, at most 20.
    pub losses: Vec<LossView>,
}

/// A loss: range and reason, visible (promise 1).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LossView {
    /// The epoch.
    pub epoch: String,
    /// First sequence number.
    pub first_seq: u64,
    /// Last sequence number.
    pub last_seq: u64,
    /// Reason: evicted, thinned, damaged, hub_rewound, rejected, replaced, rolled_up.
    pub reason: String,
}

/// A camera of a node.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CameraView {
    /// Its id.
    pub camera: String,
    /// Its newest image, if there is one.
    pub snapshot: Option<SnapshotView>,
    /// good, unreachable, unauthorized, bad_image, frozen, black, view_changed; null if it never said.
    pub condition: Option<String>,
}

/// An image.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SnapshotView {
    /// Its id: the bytes are at `/api/v1/snapshots/{id}/image`.
    pub id: i64,
    /// The node.
    pub node: String,
    /// The camera.
    pub camera: String,
    /// When it was taken.
    pub at_ms: i64,
    /// How sure that is.
    pub dating: DatingView,
    /// Seconds since then.
    pub age_s: i64,
    /// When it was whole at the hub.
    pub received_ms: i64,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Share under masks, in percent.
    pub masked_percent: u8,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Made by a simulator.
    pub simulated: bool,
}

/// How sure a date is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatingView {
    /// By the record's own synchronised clock.
    Clock,
    /// By a clock anchor.
    Anchor,
    /// Estimated.
    Estimated,
    /// No date: arrival is shown.
    Undated,
}

/// A reading.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReadingView {
    /// The metric.
    pub metric: String,
    /// Its unit, as text.
    pub unit: String,
    /// When.
    pub at_ms: i64,
    /// Seconds since then.
    pub age_s: i64,
    /// The value; null when missing.
    pub value: Option<f64>,
    /// Why it is missing; null when there is a value.
    pub missing: Option<String>,
}

/// Today's counts of one service in one village.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ServiceView {
    /// Village code; null for nodes that are not registered to one.
    pub village_code: Option<String>,
    /// Village name.
    pub village_name: Option<String>,
    /// The service's code.
    pub service: String,
    /// Sum of counters.
    pub counted: i64,
    /// The part of it that buttons of I/O boards made.
    pub counted_by_button: i64,
    /// The part of it that came by the API.
    pub counted_by_api: i64,
    /// Visits served.
    pub visits_served: u64,
    /// Visits that ended otherwise.
    pub visits_other: u64,
    /// When the newest happened.
    pub last_at_ms: i64,
    /// Coverage: nodes of the village that are live now, so that the count can be up to date for them.
    pub nodes_live: u32,
    /// Coverage: nodes of the village.
    pub nodes_total: u32,
    /// Service records that the village's nodes still hold: more is to come. Null if one of them never said or does not
    /// speak now: its last word is not what waits in it.
    pub backlog_records: Option<u64>,
    /// Records among them with an estimated date.
    pub estimated: u64,
    /// Made by a simulator (SIMULASI).
    pub simulated: bool,
    /// The nodes that it comes from: the source.
    pub nodes: Vec<String>,
}

/// An event.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventView {
    /// Position, for paging.
    pub id: i64,
    /// The node.
    pub node: String,
    /// The epoch.
    pub epoch: String,
    /// The sequence number.
    pub seq: u64,
    /// When it happened.
    pub at_ms: i64,
    /// How sure that is.
    pub dating: DatingView,
    /// When it arrived.
    pub received_ms: i64,
    /// clock_anchor, loss, started, stopping, camera, spool, link, power, command_result, board, board_started, tamper,
    /// button_stuck, optics or examination.
    pub kind: String,
    /// info, warning or critical.
    pub severity: String,
    /// What exactly, for people; fields of the kind as `name=value`.
    pub detail: String,
}

/// A service record, for export and for comparing by key.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ServiceRecordView {
    /// Position, for paging.
    pub id: i64,
    /// The node.
    pub node: String,
    /// The epoch.
    pub epoch: String,
    /// The sequence number.
    pub seq: u64,
    /// The idempotency key.
    pub key: String,
    /// When it happened.
    pub at_ms: i64,
    /// How sure that is.
    pub dating: DatingView,
    /// When it arrived.
    pub received_ms: i64,
    /// api or board.
    pub origin: String,
    /// Made by a simulator.
    pub simulated: bool,
    /// count or visit.
    pub kind: String,
    /// The service's code.
    pub service: String,
    /// The desk.
    pub desk: Option<String>,
    /// Count: how many more.
    pub delta: Option<i64>,
    /// Count: the source's total.
    pub total: Option<u64>,
    /// Visit: ticket.
    pub ticket: Option<String>,
    /// Visit: seconds waited.
    pub waited_s: Option<u32>,
    /// Visit: seconds served.
    pub served_s: Option<u32>,
    /// Visit: served, no show, cancelled, referred.
    pub outcome: Option<String>,
}

/// A page of rows.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Rows<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Pass as `cursor` for the next page; null at the end.
    pub next_cursor: Option<i64>,
}

/// A payload that was kept aside.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AsideView {
    /// Position.
    pub id: i64,
    /// The node.
    pub node: String,
    /// When it arrived.
    pub received_ms: i64,
    /// The topic.
    pub topic: String,
    /// bad_checksum, unsupported, malformed, too_large, wrong_node, ...
    pub reason: String,
    /// For people.
    pub detail: String,
    /// Length in bytes.
    pub payload_bytes: u64,
}

/// One span of a series. Gaps are absent points.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SeriesPointView {
    /// Start of the span.
    pub at_ms: i64,
    /// Smallest; null when all readings of the span were missing.
    pub min: Option<f64>,
    /// Mean.
    pub mean: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
    /// Values.
    pub count: u64,
    /// Missing readings.
    pub missing: u64,
}

/// A series of one metric at one node.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SeriesView {
    /// The node.
    pub node: String,
    /// The metric.
    pub metric: String,
    /// Its unit, as text; null if there is no reading of it.
    pub unit: Option<String>,
    /// Width of a span in seconds.
    pub step_s: u32,
    /// The spans that hold anything, in order of time.
    pub points: Vec<SeriesPointView>,
}

/// The newest readings of one node.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NodeReadingsView {
    /// The node.
    pub node: String,
    /// One of each metric.
    pub readings: Vec<ReadingView>,
}

/// Sequence numbers `first_seq..=last_seq`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RangeView {
    /// The first.
    pub first_seq: u64,
    /// The last, inclusive.
    pub last_seq: u64,
}

/// What the hub has of one (node, epoch, stream), range by range, for auditors.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StreamRangesView {
    /// The node.
    pub node: String,
    /// The epoch.
    pub epoch: String,
    /// service, event, reading or snapshot.
    pub stream: String,
    /// Committed.
    pub have: Vec<RangeView>,
    /// How many records that is.
    pub have_records: u64,
    /// Declared lost.
    pub lost: Vec<LossView>,
    /// How many records that is.
    pub lost_records: u64,
    /// When the newest of it arrived.
    pub last_received_ms: i64,
}

/// Who is looking.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionView {
    /// The token's name; `local` on a hub that is open to its own machine.
    pub name: String,
    /// Whether this hub asks for a token at all.
    pub token_required: bool,
}

/// A live event on `/api/v1/live` (server-sent events; the event's name is its `type`).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LiveEvent {
    /// These nodes changed: fetch the overview, at most once a second.
    Changed {
        /// Their ids; empty with `all`.
        nodes: Vec<String>,
        /// So much changed that every node counts as changed.
        all: bool,
        /// The hub's time.
        now_ms: i64,
    },
    /// Nothing changed; the hub is alive. Every 5 s at the latest: without it the page says "data from HH:MM".
    Heartbeat {
        /// The hub's time.
        now_ms: i64,
    },
}

/// An error of the API.
#[derive(Debug, Clone, Serialize, serde::Deserialize, ToSchema)]
pub struct ErrorView {
    /// A stable code, such as `unauthorized`.
    pub code: String,
    /// What was wrong and what to do, in English.
    pub message: String,
}
