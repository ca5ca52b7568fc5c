//! What is durable: one trait, so that SQLite (embedded) and PostgreSQL (outgrown) are the same to everybody else.
//!
//! Only this module writes state. A commit is a group: one transaction for all uploads that waited, no timer.

#[cfg(test)]
mod contract;
mod sqlite;

pub use sqlite::{RestoreReport, SqliteStore, StoreConfig, restore};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use simpul_wire::ack::{PartialImage, RejectReason};
use simpul_wire::event::{EventRecord, Loss};
use simpul_wire::image::{ImageMeta, ImagePart};
use simpul_wire::reading::ReadingBlock;
use simpul_wire::service::ServiceRecord;
use simpul_wire::state::AgentState;
use simpul_wire::{Epoch, Generation, NodeId, RangeSet, SeqRange, Stream};

/// One thing to commit, decoded and validated by intake.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Whose.
    pub node: NodeId,
    /// When it arrived, Unix milliseconds by the hub's clock.
    pub received_ms: i64,
    /// What.
    pub content: Content,
}

/// What there is to commit.
#[derive(Debug, Clone)]
pub enum Content {
    /// Records with their place.
    Batch {
        /// The agent's store.
        epoch: Epoch,
        /// The sequence numbers.
        range: SeqRange,
        /// The body as it was sent (compressed or not), to be kept as received.
        raw: Bytes,
        /// The same, decoded.
        records: Records,
    },
    /// A part of an image.
    Part {
        /// The agent's store.
        epoch: Epoch,
        /// The image's sequence number.
        seq: u64,
        /// The part.
        part: ImagePart,
    },
    /// An agent's own state.
    State(AgentState),
    /// A payload that could not be read: kept aside (bounded), counted, shown.
    Aside {
        /// The topic it came on.
        topic: String,
        /// Epoch, stream and range, where the header could be read.
        placed: Option<(Epoch, Stream, SeqRange)>,
        /// Why.
        reason: RejectReason,
        /// The reason for people.
        detail: String,
        /// The payload.
        payload: Bytes,
    },
}

/// Decoded records of a batch.
#[derive(Debug, Clone)]
pub enum Records {
    /// `service`.
    Service(Vec<ServiceRecord>),
    /// `event`; losses among them mark ranges as lost.
    Event(Vec<EventRecord>),
    /// `reading`.
    Reading(Vec<ReadingBlock>),
}

/// What became of one upload, after its transaction is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Durable (now, or already before): acknowledge the range. `new` says which of it this commit brought.
    Committed {
        /// The stream.
        stream: Stream,
        /// The epoch.
        epoch: Epoch,
        /// To acknowledge.
        range: SeqRange,
        /// Which of it was new.
        new: RangeSet,
    },
    /// An image is not whole yet: nothing to acknowledge, but this is missing.
    Partial(Epoch, PartialImage),
    /// Refused.
    Refused {
        /// Where, if known.
        placed: Option<(Epoch, Stream, SeqRange)>,
        /// Why.
        reason: RejectReason,
    },
    /// A state was stored.
    Noted,
}

/// Why a store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or its budget is full: acknowledgements are withheld, agents keep their records.
    #[error("the hub's disk is full: {0}")]
    Full(String),
    /// Anything else of the database or the file system.
    #[error("store: {0}")]
    Backend(String),
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// A node as the store knows it.
#[derive(Debug, Clone)]
pub struct NodeRow {
    /// The node.
    pub node: NodeId,
    /// When the hub first heard of it.
    pub first_heard_ms: i64,
    /// When anything last arrived.
    pub last_heard_ms: i64,
    /// Its last word of itself.
    pub state: Option<AgentState>,
    /// When that arrived.
    pub state_received_ms: Option<i64>,
}

/// What the hub has of one (node, epoch, stream).
#[derive(Debug, Clone)]
pub struct StreamRow {
    /// The node.
    pub node: NodeId,
    /// The epoch.
    pub epoch: Epoch,
    /// The stream.
    pub stream: Stream,
    /// Committed.
    pub have: RangeSet,
    /// Declared lost (and not arrived after all), `unused` left out.
    pub lost: Vec<Loss>,
    /// When the newest of it arrived.
    pub last_received_ms: i64,
}

/// How sure a date is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dating {
    /// By the record's own synchronised clock.
    Clock,
    /// By a clock anchor of the same boot, give or take this many milliseconds.
    Anchor(u32),
    /// Not before and not after its neighbours: an estimate.
    Estimated,
    /// No date at all: shown apart, by arrival.
    Undated,
}

/// A service record with its place and date.
#[derive(Debug, Clone)]
pub struct ServiceRow {
    /// Position in the store: ascending, for paging.
    pub id: i64,
    /// The node.
    pub node: NodeId,
    /// The epoch.
    pub epoch: Epoch,
    /// The sequence number.
    pub seq: u64,
    /// When it happened, Unix milliseconds (arrival when undated).
    pub at_ms: i64,
    /// How sure that is.
    pub dating: Dating,
    /// When it arrived.
    pub received_ms: i64,
    /// The record.
    pub record: ServiceRecord,
}

/// An event with its place and date.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// Position in the store: ascending, for paging.
    pub id: i64,
    /// The node.
    pub node: NodeId,
    /// The epoch.
    pub epoch: Epoch,
    /// The sequence number.
    pub seq: u64,
    /// When it happened, Unix milliseconds (arrival when undated).
    pub at_ms: i64,
    /// How sure that is.
    pub dating: Dating,
    /// When it arrived.
    pub received_ms: i64,
    /// The event.
    pub record: EventRecord,
}

/// Counts of one service at one node over a span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTotal {
    /// The node.
    pub node: NodeId,
    /// The service's code.
    pub service: String,
    /// Made by a simulator.
    pub simulated: bool,
    /// Sum of the counts' deltas.
    pub counted: i64,
    /// The part of it that a board's buttons made; the rest came by the API.
    pub counted_by_button: i64,
    /// Visits that ended as served.
    pub visits_served: u64,
    /// Visits that ended otherwise.
    pub visits_other: u64,
    /// When the newest of them happened.
    pub last_at_ms: i64,
    /// How many records of it have an estimated date.
    pub estimated: u64,
}

/// A whole image.
#[derive(Debug, Clone)]
pub struct SnapshotRow {
    /// Position in the store: ascending, for paging and for fetching the bytes.
    pub id: i64,
    /// The node.
    pub node: NodeId,
    /// When it was taken, Unix milliseconds (arrival when undated).
    pub at_ms: i64,
    /// How sure that is.
    pub dating: Dating,
    /// When it was whole.
    pub received_ms: i64,
    /// What is known of it.
    pub meta: ImageMeta,
}

/// One point of a rollup: extremes survive, gaps are absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RollupPoint {
    /// Start of the span, Unix milliseconds.
    pub at_ms: i64,
    /// Smallest value; NaN when `count` is 0.
    pub min: f64,
    /// Largest value; NaN when `count` is 0.
    pub max: f64,
    /// Sum of the values; NaN when `count` is 0.
    pub sum: f64,
    /// How many values.
    pub count: u64,
    /// How many readings were missing, with a reason.
    pub missing: u64,
}

/// The newest reading of one metric at one node.
#[derive(Debug, Clone)]
pub struct LatestReading {
    /// The node.
    pub node: NodeId,
    /// The metric.
    pub metric: String,
    /// Its unit.
    pub unit: simpul_wire::Unit,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// The value or its reason.
    pub value: simpul_wire::reading::Value,
}

/// Width of a rollup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day, in UTC.
    Day,
}

/// A payload that was kept aside.
#[derive(Debug, Clone)]
pub struct AsideRow {
    /// Position in the store.
    pub id: i64,
    /// The node of the topic.
    pub node: NodeId,
    /// When it arrived.
    pub received_ms: i64,
    /// The topic.
    pub topic: String,
    /// Why.
    pub reason: RejectReason,
    /// The reason for people.
    pub detail: String,
    /// Length of the payload in bytes.
    pub payload_bytes: u64,
}

/// How full the hub's disk is, and what the store has to say of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usage {
    /// Bytes of the database and its journal.
    pub database_bytes: u64,
    /// Bytes of the images.
    pub snapshot_bytes: u64,
    /// The budget.
    pub budget_bytes: u64,
    /// Free bytes on the file system.
    pub free_bytes: u64,
    /// Days until the budget is spent at the rate of the last days; `None` while unknown or when it shrinks.
    pub days_left: Option<f64>,
    /// Payloads kept aside, ever.
    pub aside_count: u64,
    /// Readings committed but not rolled up yet.
    pub rollup_lag_batches: u64,
    /// Whether commits are refused because the disk or its budget is full: nothing is acknowledged meanwhile.
    pub withholding: bool,
    /// When the newest backup was begun, Unix milliseconds.
    pub last_backup_ms: Option<i64>,
    /// Set from a restore until the next backup: what the store had acknowledged between the two comes again from the
    /// nodes, as far as they kept it.
    pub restored: Option<Restored>,
    /// Incomplete images that were dropped at the limit, since the start: their agents begin them again.
    pub incoming_dropped: u64,
    /// Set when the store was damaged at the start and set aside: what was done, for people.
    pub quarantined: Option<String>,
}

/// The store was made again from a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// When that backup was begun, if it says so.
    pub backup_ms: Option<i64>,
}

/// Which rows to page through.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Only this node.
    pub node: Option<NodeId>,
    /// Only rows after this id (ascending pages); with `newest_first`, only rows before it.
    pub cursor: Option<i64>,
    /// Descending by id.
    pub newest_first: bool,
    /// At most so many rows; capped at 10,000.
    pub limit: usize,
}

/// Result of a store's call.
pub type StoreResult<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The hub's store. Contract tests are written against this trait (`store::contract`).
pub trait Store: Send + Sync + 'static {
    /// Commit a group durably; one outcome for each upload, in order. Every upload stands alone: a refused one does
    /// not hinder the others. On an error nothing of the group is durable.
    fn commit(&self, group: Vec<Upload>) -> StoreResult<'_, Vec<Outcome>>;

    /// This store's generation; changes with a restore.
    fn generation(&self) -> Generation;

    /// What the latest backup holds of a node's `service` and `event` streams.
    fn backed_up(&self, node: NodeId) -> StoreResult<'_, Vec<(Epoch, Stream, RangeSet)>>;

    /// All nodes, by id.
    fn nodes(&self) -> StoreResult<'_, Vec<NodeRow>>;

    /// Streams of one node or of all.
    fn streams(&self, node: Option<NodeId>) -> StoreResult<'_, Vec<StreamRow>>;

    /// Totals per node and service for `from_ms <= at < to_ms`: exact at any moment.
    fn service_totals(&self, from_ms: i64, to_ms: i64) -> StoreResult<'_, Vec<ServiceTotal>>;

    /// Service records, by id.
    fn service_records(&self, page: Page) -> StoreResult<'_, Vec<ServiceRow>>;

    /// Events, by id.
    fn events(&self, page: Page) -> StoreResult<'_, Vec<EventRow>>;

    /// Rollups of one metric at one node, `from_ms <= at < to_ms`, with what is not rolled up yet overlaid.
    fn readings(
        &self,
        node: NodeId,
        metric: String,
        step: Step,
        from_ms: i64,
        to_ms: i64,
    ) -> StoreResult<'_, Vec<RollupPoint>>;

    /// The newest reading of every metric, of one node or of all.
    fn latest_readings(&self, node: Option<NodeId>) -> StoreResult<'_, Vec<LatestReading>>;

    /// Snapshots, by id.
    fn snapshots(&self, page: Page) -> StoreResult<'_, Vec<SnapshotRow>>;

    /// The newest snapshot of every camera of every node.
    fn latest_snapshots(&self) -> StoreResult<'_, Vec<SnapshotRow>>;

    /// A snapshot's JPEG; `None` if there is no such snapshot (any more).
    fn snapshot_bytes(&self, id: i64) -> StoreResult<'_, Option<Bytes>>;

    /// What was kept aside, newest first.
    fn aside(&self, limit: usize) -> StoreResult<'_, Vec<AsideRow>>;

    /// How full the disk is.
    fn usage(&self) -> StoreResult<'_, Usage>;

    /// Log that someone looked at an image (who, which, when): promise 7.
    fn log_look(&self, who: String, snapshot_id: i64, at_ms: i64) -> StoreResult<'_, ()>;

    /// Write a consistent copy into a directory that is empty, or holds an earlier backup of this store, and remember its
    /// position.
    fn backup(&self, directory: std::path::PathBuf) -> StoreResult<'_, BackupReport>;

    /// Roll up, seal, retain, thin: one bounded piece of work. True while there is more to do.
    fn maintain(&self, now_ms: i64) -> StoreResult<'_, bool>;
}

/// What a backup holds.
#[derive(Debug, Clone)]
pub struct BackupReport {
    /// Bytes written.
    pub bytes: u64,
    /// Images copied (those that were there already are not copied again).
    pub images: u64,
    /// When it was begun, Unix milliseconds.
    pub at_ms: i64,
}
