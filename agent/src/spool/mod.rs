//! The buffer between sources and uplink: what is appended here survives a power cut (promise 1).
//!
//! [`Spool`] is a handle to one writer thread that owns all files; its queue is bounded (`queue.rs`). An append returns
//! after the fsync that made it durable; concurrent ones share it (group commit).
//!
//! # Constraints
//! - Accepted means kept: an append that was answered survives a killed process and a power cut at any moment; one that
//!   was refused leaves nothing behind that will be sent.
//! - A sequence number is never given twice within an epoch, whatever was lost, copied or restored.
//! - What is missing is known by number: after any damage the declared losses equal the missing records exactly.
//! - The spool opens within seconds whatever is in its folder; damage costs at most the database it is in.
//! - Everything has a limit in bytes, by stream (`limits.rs`); memory does not grow with the number of records: there
//!   is no index by record, only interval sets and a summary of each database.
//!
//! # On the card
//! Each stream of an epoch is a *row* of small sled databases ([`sled_disk`]). Records go into the *head*; at 1 MiB it is
//! *sealed*, and deleted when nothing in it waits for the hub. Databases are never deleted from record by record: which
//! numbers are acknowledged or lost is known outside of them, in the *witness* (`witness.rs`), as interval sets. The
//! witness also reserves numbers in blocks before they are used, binds the epoch to the machine's serial, and says which
//! databases there are and what the sealed ones hold. Images are files of their own; the database has what is known of
//! them. Keys of service records outlive their database in small sorted files (`keys.rs`).
//!
//! # Commit
//! `put` of all queued records, `flush` and fdatasync of each database touched, then the answers (`core.rs`). Only a
//! new block of numbers or a new database costs a witness besides. A large group is put as few large values, each of
//! which sled writes once (`sled_trees.rs`). After an error nothing of the group was accepted,
//! and what it may have left under its numbers is never sent.
//!
//! # Recovery
//! `recover.rs`: numbers that were committed and are neither here, acknowledged nor lost are declared `damaged`;
//! numbers that were only reserved are declared `unused`. Losses become records of the `event` stream; until the event
//! is durable the witness remembers them, and when an event database is dropped at its limit its unsent losses are
//! declared again, with neighbours merged.
//!
//! # Reading
//! Reads go through the writer thread, before the commit of what queued with them: they wait for one fsync at most.

mod backlog;
mod core;
pub mod disk;
mod inspect;
mod key_filter;
mod keys;
mod limits;
mod packet;
mod prepare;
mod queue;
mod recover;
mod rollup;
mod row;
mod serve;
mod shelves;
pub mod sled_disk;
mod sled_trees;
mod stock;
mod witness;
mod writer;

use std::sync::Arc;

use simpul_clock::Clock;
use simpul_wire::ack::{Ack, HubState};
use simpul_wire::event::EventRecord;
use simpul_wire::image::{ImageMeta, ImagePart};
use simpul_wire::reading::ReadingBlock;
use simpul_wire::service::ServiceRecord;
use simpul_wire::{Epoch, Generation, RangeSet, SeqRange, Stream};
use tokio::sync::{oneshot, watch};

use crate::config::SpoolConfig;

use self::core::Core;
use self::disk::Disk;
use self::prepare::Prepared;
use self::queue::Queue;
use self::sled_disk::SledDisk;
use self::writer::Command;
pub use backlog::Backlog;
pub use inspect::{DatabaseReport, EpochReport, Exported, Report, RowReport, export, inspect, verify};

/// The format of what is written into the spool's folder. A program reads this one and those before it.
///
/// It is raised in two releases: one that reads the new format and writes the old one, then one that writes it. A program
/// on trial, and the one that follows it when it goes back, then read all that the other wrote; an update that would
/// leave that out is refused (`update::install`).
pub const FORMAT: u16 = 1;

/// A record to append.
#[derive(Debug, Clone)]
pub enum NewRecord {
    /// To `service`. Its key is the idempotency key: the same key again is the same record.
    Service(ServiceRecord),
    /// To `event`.
    Event(EventRecord),
    /// To `reading`: takes as many sequence numbers as it has readings.
    Readings(ReadingBlock),
    /// To `snapshot`.
    Snapshot {
        /// What is known of it; length and hash must fit `jpeg`.
        meta: ImageMeta,
        /// The image, masked.
        jpeg: Vec<u8>,
    },
}

/// A durable append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its sequence numbers.
    pub range: SeqRange,
    /// The key was known: these are the numbers of the first time, and nothing was written.
    pub duplicate: bool,
}

/// Why an append was refused. Nothing was accepted.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum AppendError {
    /// The stream's limit in bytes is reached and the stream is one that never evicts.
    #[error("the {stream} buffer is full: {used_bytes} of {limit_bytes} bytes wait for the hub")]
    AtLimit {
        /// The stream.
        stream: Stream,
        /// Bytes used.
        used_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The disk is full.
    #[error("the disk is full: free space in {0}")]
    DiskFull(String),
    /// The key was used before for another content.
    #[error("the idempotency key was used before for another record")]
    KeyReused,
    /// The record is over a limit of size.
    #[error("{0}")]
    TooLarge(String),
    /// The storage failed; the spool recovers by itself, try again.
    #[error("storage: {0}")]
    Storage(String),
    /// The spool has been closed.
    #[error("the spool is closed")]
    Closed,
}

/// One stored record (a block for readings, the meta data for an image), encoded as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its sequence numbers.
    pub range: SeqRange,
    /// Encoded `ServiceRecord`, `EventRecord`, `ReadingBlock` or `ImageMeta`.
    pub bytes: Vec<u8>,
}

/// Why a read or an acknowledgement failed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The storage failed; the spool recovers by itself, try again.
    #[error("storage: {0}")]
    Storage(String),
    /// The spool has been closed.
    #[error("the spool is closed")]
    Closed,
}

/// What the spool holds, published after each change.
#[derive(Debug, Clone)]
pub struct SpoolState {
    /// The store's epoch.
    pub epoch: Epoch,
    /// The generation of the hub whose acknowledgements are in here.
    pub generation: Option<Generation>,
    /// The streams, by `Stream::number() - 1`.
    pub streams: [StreamStatus; 4],
    /// The disk is full and the ballast is spent.
    pub disk_full: bool,
    /// Older epochs of this store (a cloned or rolled-back card began a new one) that still owe records: to be sent
    /// under their own epoch. Empty on a healthy node.
    pub previous: Vec<EpochStatus>,
}

/// What the spool still holds of an older epoch.
#[derive(Debug, Clone)]
pub struct EpochStatus {
    /// The epoch.
    pub epoch: Epoch,
    /// The streams, by `Stream::number() - 1`; nothing is appended to them any more.
    pub streams: [StreamStatus; 4],
}

impl EpochStatus {
    /// One stream's status.
    pub fn stream(&self, stream: Stream) -> &StreamStatus {
        &self.streams[usize::from(stream.number()) - 1]
    }
}

/// What the spool holds of one stream.
#[derive(Debug, Clone)]
pub struct StreamStatus {
    /// The next sequence number.
    pub next_seq: u64,
    /// Stored and not acknowledged: what the uplink has to send.
    pub owed: Arc<RangeSet>,
    /// Records in `owed`.
    pub backlog_records: u64,
    /// Their bytes.
    pub backlog_bytes: u64,
    /// The limit in bytes.
    pub limit_bytes: u64,
    /// Records lost for ever in this epoch (`unused` numbers left out).
    pub lost_records: u64,
    /// Uptime of the oldest owed record, if of this boot.
    pub oldest_uptime_ms: Option<u64>,
}

impl SpoolState {
    /// One stream's status, in the store's own epoch.
    pub fn stream(&self, stream: Stream) -> &StreamStatus {
        &self.streams[usize::from(stream.number()) - 1]
    }

    /// Records and bytes of a stream that wait for the hub, those of older epochs with them: what people are told. Without
    /// them a card that was rolled back would say "nothing waits" over all that it had before.
    pub fn backlog(&self, stream: Stream) -> (u64, u64) {
        let older = self.previous.iter().map(|epoch| epoch.stream(stream));
        let all = std::iter::once(self.stream(stream)).chain(older);
        all.fold((0, 0), |(records, bytes), status| (records + status.backlog_records, bytes + status.backlog_bytes))
    }
}

/// What opening found.
#[derive(Debug, Clone)]
pub struct OpenReport {
    /// How often this machine has booted under this agent: for stamps.
    pub boot: u32,
    /// Whether the machine booted since the last run.
    pub new_boot: bool,
    /// Whether the last run closed the spool in order.
    pub clean: bool,
    /// What was quarantined, replaced or declared lost, for people; each also is an event in the spool.
    pub notes: Vec<String>,
}

/// Handle to the spool. Clones share it; when the last one goes without [`Spool::close`], the spool counts as not closed
/// in order, and nothing is lost by that.
#[derive(Debug, Clone)]
pub struct Spool {
    state: watch::Receiver<SpoolState>,
    queue: Arc<Queue>,
}

impl Spool {
    /// Open (or create, recover, quarantine) the spool and start its writer thread. Always boots (promise 6) unless
    /// the directory itself cannot be written to.
    pub fn open(config: &SpoolConfig, clock: Clock) -> Result<(Spool, OpenReport), SpoolError> {
        let disk = SledDisk::new(&config.directory)?;
        Self::open_on(Box::new(disk), config, clock)
    }

    /// The same on another [`Disk`]: for tests that tear writes and fill disks.
    pub fn open_on(disk: Box<dyn Disk>, config: &SpoolConfig, clock: Clock) -> Result<(Spool, OpenReport), SpoolError> {
        let (core, report) = Core::open(disk, config.clone(), clock)?;
        let (publish, state) = watch::channel(core.state());
        let queue = Queue::start(move |commands| writer::run(core, &commands, &publish))
            .map_err(|error| SpoolError::Storage(error.to_string()))?;
        Ok((Spool { state, queue: Arc::new(queue) }, report))
    }

    async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, SpoolError>>) -> Command,
    ) -> Result<T, SpoolError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(make(reply)).await.ok_or(SpoolError::Closed)?;
        answer.await.map_err(|_| SpoolError::Closed)?
    }

    /// The state, and changes of it.
    pub fn state(&self) -> watch::Receiver<SpoolState> {
        self.state.clone()
    }

    /// Append; returns when durable. To be called within a tokio runtime.
    pub async fn append(&self, record: NewRecord) -> Result<Appended, AppendError> {
        self.queue.append(Prepared::new(record)?).await.ok_or(AppendError::Closed)?
    }

    /// Stored records of `range` in that epoch (the store's own, or one of [`SpoolState::previous`]), ascending, at least
    /// one (if any is left) and at most `bytes_max` bytes and `records_max` records. Numbers that are gone (acknowledged,
    /// evicted) are skipped; a block of readings that only partly lies in `range` comes whole.
    ///
    /// The epoch is always named: a new one may begin between the question and the answer, and its numbers are others.
    pub async fn read(
        &self,
        epoch: Epoch,
        stream: Stream,
        range: SeqRange,
        bytes_max: usize,
        records_max: usize,
    ) -> Result<Vec<Stored>, SpoolError> {
        self.ask(|reply| Command::Read { epoch, stream, range, bytes_max, records_max, reply }).await
    }

    /// A part of an image of that epoch; `None` if it is gone.
    pub async fn read_part(
        &self,
        epoch: Epoch,
        seq: u64,
        offset: u32,
        bytes_max: usize,
    ) -> Result<Option<ImagePart>, SpoolError> {
        self.ask(|reply| Command::ReadPart { epoch, seq, offset, bytes_max, reply }).await
    }

    /// The hub has committed or refused records: free them, keep them, or declare them lost.
    ///
    /// `RejectReason::Unsupported` keeps the record for a newer hub, out of `owed` until the hub's generation or the
    /// session changes; the uplink bisects batches and passes only refusals of single records.
    pub async fn acknowledge(&self, ack: Ack) -> Result<(), SpoolError> {
        self.ask(|reply| Command::Acknowledge(Box::new(ack), reply)).await
    }

    /// The hub said what it is, at the beginning of each session: with another generation everything kept becomes owed
    /// again, but for what the hub's acknowledgements then name; what its backup holds need no longer be kept.
    pub async fn hub(&self, hub: HubState) -> Result<(), SpoolError> {
        self.ask(|reply| Command::Hub(Box::new(hub), reply)).await
    }

    /// Close in order: flush, mark clean.
    pub async fn close(self) -> Result<(), SpoolError> {
        self.ask(Command::Close).await
    }
}
