//! The one writer: a thread with the only connection that writes. It drains its queue into one transaction of at most
//! 256 uploads, with no timer: while a commit waits for the disk, the next group gathers.
//!
//! Maintenance and backups run here too, as closures, between commits; each keeps to some milliseconds.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::aside::Ring;
use super::commit::{Effects, Group, Staged};
use super::handover::Handover;
use super::intervals::IntervalCache;
use super::quarantine;
use super::roller::WAKE_BATCHES;
use super::schema::meta;
use super::space::Space;
use crate::store::{Outcome, StoreError};

/// Uploads in one transaction. Measured: 64 senders fill about 64; more than 256 only lengthens the wait of the first.
pub(super) const GROUP_UPLOADS_MAX: usize = 256;

/// Groups that wait. Beyond it `commit` itself waits, and with it intake and the senders' windows.
pub(super) const QUEUE_MAX: usize = 256;

/// Pages in the journal from which the checkpointer is woken (4 MiB): few enough to leave the writer's own checkpoint
/// little to do, enough to fold many commits to one page into one write.
const CHECKPOINT_PAGES: i64 = 1_024;

/// How long folding waits for readers: commits wait with it.
const FOLD_WAIT: Duration = Duration::from_millis(20);

/// How long a commit waits for another connection's lock; only the checkpointer ever has one, for a moment.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Commits between two measurements of the database's size; each costs some microseconds.
const MEASURE_COMMITS: u32 = 32;

pub(super) enum Work {
    Commit { group: Vec<Staged>, reply: Reply },
    Run(Box<dyn FnOnce(&mut Writer) + Send>),
}

pub(super) type Reply = oneshot::Sender<Result<Vec<Outcome>, StoreError>>;

pub(super) struct Writer {
    pub connection: Connection,
    pub space: Arc<Space>,
    cache: IntervalCache,
    next_batch_id: i64,
    aside: Ring,
    journal: PathBuf,
    checkpointer: SyncSender<()>,
    handover: Arc<Handover>,
    roller: SyncSender<()>,
    /// The newest batch when the roller was last woken.
    rolled_from: i64,
    commits: u32,
    /// Goes after the connection: see [`super::space::hold_shared_memory`].
    _shared: std::fs::File,
}

impl Writer {
    pub(super) fn new(
        (connection, shared): (Connection, std::fs::File),
        space: Arc<Space>,
        aside_bytes_max: u64,
        journal: PathBuf,
        checkpointer: SyncSender<()>,
        (handover, roller): (Arc<Handover>, SyncSender<()>),
    ) -> Result<Self, StoreError> {
        // Retention may have removed the newest ids, so they never come from the table alone: an id below the
        // position would never be rolled up.
        let newest: i64 = connection.query_row("SELECT coalesce(max(id), 0) FROM batch", [], |row| row.get(0))?;
        let position: i64 = meta(&connection, "rolled_up_to")?.unwrap_or(0);
        let mut aside = Ring::new(aside_bytes_max);
        aside.measure(&connection)?;
        space.measure(&connection)?;
        let next_batch_id = newest.max(position) + 1;
        let cache = IntervalCache::default();
        Ok(Writer {
            connection,
            space,
            cache,
            next_batch_id,
            aside,
            journal,
            checkpointer,
            handover,
            roller,
            rolled_from: next_batch_id,
            commits: 0,
            _shared: shared,
        })
    }

    /// Work until the queue closes; the directory's lock is held until then.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Work>, lock: std::fs::File) {
        let mut held = None;
        while let Some(work) = held.take().or_else(|| queue.blocking_recv()) {
            let (group, reply) = match work {
                Work::Run(run) => {
                    run(&mut self);
                    continue;
                }
                Work::Commit { group, reply } => (group, reply),
            };
            let mut uploads = group.len();
            let mut groups = vec![(group, reply)];
            while uploads < GROUP_UPLOADS_MAX {
                match queue.try_recv() {
                    Ok(Work::Commit { group, reply }) if uploads + group.len() <= GROUP_UPLOADS_MAX => {
                        uploads += group.len();
                        groups.push((group, reply));
                    }
                    Ok(other) => {
                        held = Some(other);
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.answer(groups);
        }
        if let Err(error) = self.fold_journal() {
            tracing::warn!(%error, "the journal could not be folded in at the end; the next start does it");
        }
        drop(self);
        drop(lock);
    }

    /// Run a closure in a transaction of its own. On an error nothing of it stays.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        self.after_commit();
        Ok(result)
    }

    fn answer(&mut self, groups: Vec<(Vec<Staged>, Reply)>) {
        let mut replies = Vec::with_capacity(groups.len());
        let mut uploads = Vec::new();
        for (group, reply) in groups {
            replies.push((group.len(), reply));
            uploads.extend(group);
        }
        match self.commit(uploads) {
            Ok(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                for (length, reply) in replies {
                    // Whoever asked may be gone; the records are durable all the same and come again as duplicates.
                    let _gone = reply.send(Ok(outcomes.by_ref().take(length).collect()));
                }
            }
            Err(error) => {
                if matches!(error, StoreError::Full(_)) {
                    self.space.met_full();
                } else {
                    if error.is_damage()
                        && let Some(directory) = self.journal.parent()
                    {
                        quarantine::suspect(directory);
                    }
                    tracing::error!(%error, "a group could not be committed: nothing of it is acknowledged");
                }
                for (_, reply) in replies {
                    let _gone = reply.send(Err(error.again()));
                }
            }
        }
    }

    fn commit(&mut self, uploads: Vec<Staged>) -> Result<Vec<Outcome>, StoreError> {
        if let Err(error) = self.space.check() {
            // Room may have been made since the last measurement, and the journal gives some back: the next commit
            // must see it.
            self.fold_journal()?;
            return Err(error);
        }
        let first_batch_id = self.next_batch_id;
        let result = self.try_commit(uploads);
        match result {
            Ok((outcomes, effects)) => {
                self.space.snapshot_bytes.fetch_add(effects.snapshot_bytes, Ordering::Relaxed);
                self.handover.give(effects.batches);
                if self.next_batch_id - self.rolled_from >= WAKE_BATCHES && self.roller.try_send(()).is_ok() {
                    self.rolled_from = self.next_batch_id;
                }
                self.after_commit();
                Ok(outcomes)
            }
            Err(error) => {
                // What is in memory is ahead of what is stored: forget it.
                self.cache.clear();
                self.next_batch_id = first_batch_id;
                self.aside.measure(&self.connection)?;
                Err(error)
            }
        }
    }

    fn try_commit(&mut self, uploads: Vec<Staged>) -> Result<(Vec<Outcome>, Effects), StoreError> {
        self.cache.trim();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.cache.recover(&transaction)?;
        let mut group = Group::new(&transaction, &mut self.cache, &mut self.next_batch_id, &mut self.aside);
        let mut outcomes = Vec::with_capacity(uploads.len());
        for upload in uploads {
            outcomes.push(group.apply(upload)?);
        }
        let effects = group.finish()?;
        transaction.commit()?;
        Ok((outcomes, effects))
    }

    /// Remove batches up to `last`, less those that are parked. The sets are stored first where these rows are their
    /// only proof.
    pub(super) fn retire_batches(&mut self, last: i64) -> Result<(), StoreError> {
        let retired = self.try_retire(last);
        if retired.is_err() {
            self.cache.clear();
        }
        retired
    }

    fn try_retire(&mut self, last: i64) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.cache.recover(&transaction)?;
        if !self.cache.is_saved(last) {
            self.cache.save(&transaction, self.next_batch_id - 1)?;
        }
        transaction
            .prepare_cached("DELETE FROM batch WHERE id <= ?1 AND id NOT IN (SELECT batch FROM parked)")?
            .execute([last])?;
        transaction.commit()?;
        self.after_commit();
        Ok(())
    }

    fn after_commit(&mut self) {
        match self.unfolded() {
            Ok(pages) if pages > CHECKPOINT_PAGES => {
                // Full: it is awake already.
                let _awake = self.checkpointer.try_send(());
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the journal could not be looked at"),
        }
        self.commits += 1;
        if self.commits >= MEASURE_COMMITS {
            self.commits = 0;
            if let Err(error) = self.measure() {
                tracing::warn!(%error, "the database's size could not be measured");
            }
        }
    }

    /// Pages of the journal that are not in the database yet. The file's length would not tell: it is used again from
    /// the start and never shrinks by itself.
    fn unfolded(&self) -> Result<i64, StoreError> {
        let mut statement = self.connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
        Ok(statement.query_row([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))?)
    }

    /// Fold the journal into the database and cut it to nothing, as far as readers allow; then measure.
    pub(super) fn fold_journal(&self) -> Result<(), StoreError> {
        // A reader may hold the journal: then it is folded, but stays as long as it is.
        self.connection.busy_timeout(FOLD_WAIT)?;
        let folded = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.connection.busy_timeout(BUSY_WAIT)?;
        folded?;
        self.measure()
    }

    /// Measure what database and journal take.
    pub(super) fn measure(&self) -> Result<(), StoreError> {
        let journal_bytes = std::fs::metadata(&self.journal).map_or(0, |metadata| metadata.len());
        self.space.journal_bytes.store(journal_bytes, Ordering::Relaxed);
        self.space.measure(&self.connection)
    }
}

/// Fold the journal into the database beside the writer, whenever woken, until the sender is gone. The writer's own
/// commits then hardly ever pay for a checkpoint.
pub(super) fn checkpoint(database: PathBuf, woken: std::sync::mpsc::Receiver<()>) {
    // The connection needs to write: a reader's cannot checkpoint.
    let connection = match Connection::open(&database).map_err(StoreError::from) {
        Ok(connection) => connection,
        Err(error) => {
            tracing::warn!(%error, "no checkpoints beside the writer: it makes its own");
            return;
        }
    };
    while woken.recv().is_ok() {
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(%error, "a checkpoint failed: the next one tries again");
        }
    }
}
