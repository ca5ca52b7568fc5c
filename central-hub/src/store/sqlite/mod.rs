//! The embedded store: SQLite in WAL with synchronous=FULL, images in a directory.
//!
//! ```text
//! commit ──► images: parts to files ──► writer: one thread, one transaction a group ──► outcomes
//!                                         │ batches as received, rows, interval sets
//! maintain ─► reader: decode, date, add up ─► writer: minutes + position ─► seal: blocks of a day
//! reads ────► pool of read-only connections: blocks + tail + what is not rolled up
//! ```
//!
//! Invariants: only the writer's connection writes rows; an outcome is given after its transaction is durable; an
//! image's bytes are durable before its row; a batch is added up exactly once. `docs/adr/0002-hub-store.md` has the
//! measurements behind the layout.

mod aside;
mod backup;
mod commit;
mod dating;
mod error;
mod handover;
mod images;
mod intervals;
mod latest;
mod maintain;
mod pack;
mod pool;
mod quarantine;
mod readings;
mod reads;
mod redate;
mod roller;
mod rollup;
mod schema;
mod seal;
mod service;
mod snapshots;
mod space;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use simpul_clock::Clock;
use simpul_wire::Generation;
use tokio::sync::mpsc;

pub use backup::{RestoreReport, restore};

use super::StoreError;
use handover::Handover;
use images::Assembler;
use pool::Pool;
use quarantine::{DATABASE, INCOMING, SNAPSHOTS, WITNESS};
use roller::Roller;
use space::Space;
use writer::{QUEUE_MAX, Work, Writer};

/// Where a store lives and what it may take.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Its directory, of this store alone.
    pub directory: PathBuf,
    /// Most bytes of database, journal and images together; beyond it commits are refused.
    pub budget_bytes: u64,
    /// Days that images are kept, from capture (else from arrival).
    pub snapshot_days: u32,
    /// Days that batches of readings are kept as received, after they were rolled up.
    pub batch_days: u32,
    /// Most bytes of payloads kept aside.
    pub aside_bytes_max: u64,
    /// Most bytes of incomplete images.
    pub incoming_bytes_max: u64,
    /// Bytes of the ballast file, given up when the disk is full so that there is room to tidy up; 0 for none.
    pub ballast_bytes: u64,
}

impl StoreConfig {
    /// A directory and a budget, the rest as usual.
    pub fn new(directory: impl Into<PathBuf>, budget_bytes: u64) -> Self {
        StoreConfig {
            directory: directory.into(),
            budget_bytes,
            // Two weeks: long enough to look into a complaint, short enough for privacy.
            snapshot_days: 14,
            batch_days: 30,
            // A few hundred of the largest payloads: enough to see what is wrong, not an archive.
            aside_bytes_max: 16 * 1024 * 1024,
            // 300 nodes with an unfinished image of most of a megabyte each.
            incoming_bytes_max: 256 * 1024 * 1024,
            ballast_bytes: 4 * 1024 * 1024,
        }
    }
}

/// The store on SQLite. Made by [`SqliteStore::open`], ended by [`SqliteStore::close`]; dropped without, nothing
/// acknowledged is lost.
pub struct SqliteStore {
    config: StoreConfig,
    clock: Clock,
    generation: Generation,
    quarantined: Option<String>,
    space: Arc<Space>,
    pool: Arc<Pool>,
    objects: Arc<dyn ObjectStore>,
    images: Assembler,
    queue: Mutex<Option<mpsc::Sender<Work>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    maintenance: Arc<tokio::sync::Mutex<maintain::State>>,
    handover: Arc<Handover>,
    /// Backups are one at a time: two would share their unfinished file.
    backing_up: tokio::sync::Mutex<()>,
}

impl SqliteStore {
    /// Open the store in the directory, making it if there is none. A damaged one is set aside (see
    /// [`super::Usage::quarantined`]).
    ///
    /// # Errors
    /// When the directory cannot be used or the database is of a newer version.
    pub fn open(config: StoreConfig, clock: Clock) -> Result<Self, StoreError> {
        let directory = config.directory.clone();
        fs::create_dir_all(&directory)?;
        let lock = lock(&directory)?;
        let space = Arc::new(Space::new(directory.clone(), config.budget_bytes, config.ballast_bytes));
        space.prepare()?;
        let quarantined = quarantine::inspect(&directory, clock.wall_ms())?;
        let database = directory.join(DATABASE);
        let can_have_bytes = config.budget_bytes.min(space.free_bytes()?);
        let connection = schema::open_writer(&database, new_generation()?, clock.wall_ms(), can_have_bytes)?;
        let stored: Option<Vec<u8>> = schema::meta(&connection, "generation")?;
        let generation = stored
            .and_then(|bytes| Some(Generation::from_bytes(bytes.try_into().ok()?)))
            .ok_or_else(|| StoreError::Backend("the database has no generation".into()))?;
        witness(&directory, generation)?;

        let objects_directory = directory.join(SNAPSHOTS);
        fs::create_dir_all(&objects_directory)?;
        // Its `put` then syncs the file and every directory it made before it returns.
        let objects = LocalFileSystem::new_with_prefix(&objects_directory)?.with_fsync(true);
        let objects: Arc<dyn ObjectStore> = Arc::new(objects);
        let images = Assembler::open(directory.join(INCOMING), Arc::clone(&objects), config.incoming_bytes_max)?;
        space::sync_directory(&directory)?;
        space.snapshot_bytes.store(snapshots::bytes(&connection)?, Ordering::Relaxed);
        space.incoming_bytes.store(images.bytes(), Ordering::Relaxed);

        let (wake, woken) = std::sync::mpsc::sync_channel(1);
        let journal = directory.join(format!("{DATABASE}-wal"));
        let shared = space::hold_shared_memory(&database)?;
        let (call, called) = std::sync::mpsc::sync_channel(1);
        let handover = Arc::<Handover>::default();
        let rollup = (Arc::clone(&handover), call);
        let writer =
            Writer::new((connection, shared), Arc::clone(&space), config.aside_bytes_max, journal, wake, rollup)?;
        let (queue, work) = mpsc::channel(QUEUE_MAX);
        let pool = Pool::new(database.clone());
        let maintenance = Arc::<tokio::sync::Mutex<maintain::State>>::default();
        let roller = Roller {
            clock: clock.clone(),
            pool: Arc::clone(&pool),
            handover: Arc::clone(&handover),
            maintenance: Arc::clone(&maintenance),
            queue: queue.downgrade(),
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(run).map_err(StoreError::from)
        };
        let checkpointed = database;
        let threads = vec![
            spawn("store-writer", Box::new(move || writer.run(work, lock)))?,
            spawn("store-checkpoint", Box::new(move || writer::checkpoint(checkpointed, woken)))?,
            spawn("store-rollup", Box::new(move || roller.run(called)))?,
        ];
        Ok(SqliteStore {
            config,
            clock,
            generation,
            quarantined,
            space,
            pool,
            objects,
            images,
            queue: Mutex::new(Some(queue)),
            threads: Mutex::new(threads),
            maintenance,
            handover,
            backing_up: tokio::sync::Mutex::default(),
        })
    }

    /// End in order: what is queued is committed, the journal is folded in. Later calls answer [`StoreError::Closed`].
    pub async fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.pool.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of the store had panicked");
                }
            }
        });
        if joined.await.is_err() {
            tracing::error!("the store's threads could not be awaited");
        }
    }

    fn queue(&self) -> Result<mpsc::Sender<Work>, StoreError> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreError::Closed)
    }

    /// Run a closure on the writer's thread, between commits.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let run = move |writer: &mut Writer| {
            // Whoever asked may be gone: the work is done all the same.
            let _gone = reply.send(work(writer));
        };
        self.queue()?.send(Work::Run(Box::new(run))).await.map_err(|_| StoreError::Closed)?;
        let result = answer.await.map_err(|_| StoreError::Closed)?;
        match &result {
            Err(StoreError::Full(_)) => self.space.met_full(),
            Err(error) if error.is_damage() => quarantine::suspect(&self.config.directory),
            _ => {}
        }
        result
    }
}

fn new_generation() -> Result<[u8; 16], StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Backend(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

/// Keep the generation beside the database: an emptied database is then told apart from a new one.
fn witness(directory: &std::path::Path, generation: Generation) -> Result<(), StoreError> {
    let path = directory.join(WITNESS);
    let text = generation.to_string();
    if fs::read_to_string(&path).is_ok_and(|held| held == text) {
        return Ok(());
    }
    fs::write(&path, text)?;
    fs::File::open(&path)?.sync_all()?;
    Ok(space::sync_directory(directory)?)
}

/// Hold the directory against a second hub: two writers would each believe their interval sets.
fn lock(directory: &std::path::Path) -> Result<fs::File, StoreError> {
    let file = fs::File::options().create(true).truncate(false).write(true).open(directory.join("lock"))?;
    // A store that was just dropped may still be ending its last commit.
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(20)),
            Err(fs::TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(StoreError::Backend(format!("{} is in use by another simpul-hub: stop that one first", directory.display())))
}

/// Five seconds.
const LOCK_TRIES: u32 = 250;
