//! What the API says of the hub itself, its disk and its backups.

use serde::Serialize;
use utoipa::ToSchema;

/// The hub itself.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HubView {
    /// Its version.
    pub version: String,
    /// Its store's generation.
    pub generation: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Open MQTT sessions; null behind an external broker.
    pub sessions: Option<u32>,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Bytes of the images.
    pub snapshot_bytes: u64,
    /// The disk budget.
    pub budget_bytes: u64,
    /// Free bytes on its file system.
    pub free_bytes: u64,
    /// Days until the budget is spent; null while unknown or not growing.
    pub days_left: Option<f64>,
    /// Payloads kept aside, ever.
    pub aside_count: u64,
    /// Batches of readings that are not rolled up yet.
    pub rollup_lag_batches: u64,
    /// Whether publishes can come in: the MQTT server listens, or the external broker is there.
    pub mqtt_ready: bool,
    /// Whether acknowledgements are withheld because the disk is full.
    pub withholding: bool,
    /// When the newest backup was begun; null if never.
    pub last_backup_ms: Option<i64>,
    /// Set from a restore until the next backup: the nodes send again what the backup lacked, as far as they kept it.
    pub restored: Option<RestoredView>,
    /// Incomplete images dropped at the limit since the start: their agents begin them again.
    pub incoming_dropped: u64,
    /// Set when the store was damaged at the start and set aside: what was done, for people.
    pub quarantined: Option<String>,
    /// Updates that wait for a person.
    pub paused_rollouts: Vec<PausedRolloutView>,
}

/// An update that waits for a person.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PausedRolloutView {
    /// The rollout's number.
    pub number: i64,
    /// Why, in the hub's words.
    pub reason: String,
}

/// The hub was restored from a backup.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RestoredView {
    /// When.
    pub at_ms: i64,
    /// When that backup was begun; null if it does not say.
    pub backup_ms: Option<i64>,
}

/// How full the hub's disk is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UsageView {
    /// Bytes of the database and its journal.
    pub database_bytes: u64,
    /// Bytes of the images.
    pub snapshot_bytes: u64,
    /// The budget.
    pub budget_bytes: u64,
    /// Free bytes on the file system.
    pub free_bytes: u64,
    /// Days until the budget is spent; null while unknown or not growing.
    pub days_left: Option<f64>,
    /// Payloads kept aside, ever.
    pub aside_count: u64,
    /// Batches of readings that are not rolled up yet.
    pub rollup_lag_batches: u64,
    /// Whether acknowledgements are withheld because the store cannot commit.
    pub withholding: bool,
}

/// A backup that was made.
#[derive(Debug, Clone, Serialize, serde::Deserialize, ToSchema)]
pub struct BackupView {
    /// Where it lies, on the hub's machine.
    pub directory: String,
    /// Bytes written.
    pub bytes: u64,
    /// Images copied (those that were there already are not copied again).
    pub images: u64,
    /// When it was begun.
    pub at_ms: i64,
}
