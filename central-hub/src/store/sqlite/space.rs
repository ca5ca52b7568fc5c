//! The disk: how much is used, whether commits must be refused, and a ballast file that keeps room to tidy up in.
//!
//! Terms: *used* is what this store occupies; *withholding* means that commits are refused with [`StoreError::Full`],
//! so that agents keep their records; *pressure* is the point above which images are thinned, well before that.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::{Connection, params};

use super::pack::DAY_MS;
use crate::store::StoreError;

/// Below this much free space SQLite cannot be trusted to finish a group of 256 uploads and its journal.
const FREE_BYTES_MIN: u64 = 1024 * 1024;

/// Below this much the database is not even opened: what its connections share is mapped memory, and touching a page
/// of it that the file system finds no block for ends the process (SIGBUS).
const OPEN_BYTES_MIN: u64 = 2 * SHARED_BYTES;

/// Blocks that the shared memory is given beforehand, for the same reason: enough for a journal of 128 MiB.
const SHARED_BYTES: u64 = 256 * 1024;

/// Percent of the budget (or of what the disk can give) from which images are thinned.
const PRESSURE_PERCENT: u64 = 90;

/// Free space from which images are thinned, whatever they take, and that a ballast is laid beside: twice what a commit
/// wants, so that images go before an acknowledgement has to wait.
const PRESSURE_BYTES: u64 = 2 * FREE_BYTES_MIN;

/// Days of samples that the growth is taken from: a week has one market day and one Sunday.
const GROWTH_DAYS: i64 = 7;

pub(super) struct Space {
    directory: PathBuf,
    budget_bytes: u64,
    ballast_bytes: u64,
    /// Bytes of images that have a row.
    pub snapshot_bytes: AtomicU64,
    /// Bytes of the database's pages in use.
    pub database_bytes: AtomicU64,
    /// Bytes of the journal.
    pub journal_bytes: AtomicU64,
    /// Bytes of incomplete images.
    pub incoming_bytes: AtomicU64,
    withholding: AtomicBool,
}

impl Space {
    pub(super) fn new(directory: PathBuf, budget_bytes: u64, ballast_bytes: u64) -> Self {
        let zero = || AtomicU64::new(0);
        Space {
            directory,
            budget_bytes,
            ballast_bytes,
            snapshot_bytes: zero(),
            database_bytes: zero(),
            journal_bytes: zero(),
            incoming_bytes: zero(),
            withholding: AtomicBool::new(false),
        }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        [&self.snapshot_bytes, &self.database_bytes, &self.journal_bytes, &self.incoming_bytes]
            .iter()
            .map(|bytes| bytes.load(Ordering::Relaxed))
            .sum()
    }

    pub(super) fn budget_bytes(&self) -> u64 {
        self.budget_bytes
    }

    pub(super) fn free_bytes(&self) -> Result<u64, StoreError> {
        let stat = rustix::fs::statvfs(&self.directory).map_err(std::io::Error::from)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    pub(super) fn is_withholding(&self) -> bool {
        self.withholding.load(Ordering::Relaxed)
    }

    /// Whether a group may be committed now. Recovers by itself: every call looks again.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let result = self.look();
        let full = result.is_err();
        if full != self.withholding.swap(full, Ordering::Relaxed) {
            match &result {
                Err(error) => tracing::error!(%error, "acknowledgements are withheld until there is space"),
                Ok(()) => tracing::info!("there is space again: acknowledgements go on"),
            }
        }
        result
    }

    fn look(&self) -> Result<(), StoreError> {
        let (used, budget) = (self.used_bytes(), self.budget_bytes);
        if used >= budget {
            return Err(StoreError::Full(format!(
                "{used} of the budget's {budget} bytes are used: raise it or free some"
            )));
        }
        let free = self.free_bytes()?;
        // A spent ballast is laid again before anything else: it is the room that tidying up needs.
        if self.ballast_bytes > 0 && !self.ballast().exists() {
            if free < self.ballast_bytes + PRESSURE_BYTES {
                return Err(StoreError::Full(format!(
                    "{free} bytes are free on the file system, the ballast is spent"
                )));
            }
            self.lay_ballast()?;
        }
        if free < FREE_BYTES_MIN {
            self.spend_ballast();
            return Err(StoreError::Full(format!("{free} bytes are free on the file system")));
        }
        Ok(())
    }

    /// A write met a full disk: make room to tidy up, and withhold.
    pub(super) fn met_full(&self) {
        self.spend_ballast();
        if !self.withholding.swap(true, Ordering::Relaxed) {
            tracing::error!("the disk is full: acknowledgements are withheld until there is space");
        }
    }

    /// At the start, before the database is opened: a completely full disk could not even open its journal.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        let free = self.free_bytes()?;
        if free < FREE_BYTES_MIN {
            self.spend_ballast();
            let free = self.free_bytes()?;
            if free < OPEN_BYTES_MIN {
                return Err(StoreError::Full(format!("{free} bytes are free on the file system, too few to open")));
            }
        } else if !self.ballast().exists() && free >= self.ballast_bytes + PRESSURE_BYTES {
            self.lay_ballast()?;
        }
        Ok(())
    }

    /// Whether images should be thinned: near the budget, or near what the file system has, whoever takes it.
    pub(super) fn is_pressed(&self) -> Result<bool, StoreError> {
        let (used, free) = (self.used_bytes(), self.free_bytes()?);
        // A spent ballast is laid again before anything is committed.
        let owed = if self.ballast().exists() { 0 } else { self.ballast_bytes };
        let can_have = self.budget_bytes.min(used.saturating_add(free));
        Ok(used > can_have / 100 * PRESSURE_PERCENT || free < owed + PRESSURE_BYTES)
    }

    /// Measure the database again; its free pages count as free, because they are used before the file grows.
    pub(super) fn measure(&self, connection: &Connection) -> Result<(), StoreError> {
        let number = |sql: &str| -> Result<i64, StoreError> {
            Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
        };
        let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
        let bytes = pages.saturating_mul(number("PRAGMA page_size")?).unsigned_abs();
        self.database_bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn ballast(&self) -> PathBuf {
        self.directory.join("ballast")
    }

    fn spend_ballast(&self) {
        if let Err(error) = fs::remove_file(self.ballast())
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::error!(%error, "the ballast file could not be removed");
        }
    }

    fn lay_ballast(&self) -> Result<(), StoreError> {
        let path = self.ballast();
        let lay = || -> std::io::Result<()> {
            let mut file = File::create(&path)?;
            // Real bytes, not a hole: a hole would give nothing back.
            let block = vec![0u8; 64 * 1024];
            let mut left = self.ballast_bytes;
            while left > 0 {
                let now = left.min(block.len() as u64);
                file.write_all(&block[..now as usize])?;
                left -= now;
            }
            file.sync_all()
        };
        let laid = lay();
        if laid.is_err() {
            self.spend_ballast();
        }
        Ok(laid?)
    }
}

/// Give the memory that SQLite's connections share its blocks. SQLite itself touches one byte in 4 KiB, which leaves
/// holes where blocks are smaller, as on small file systems. The handle must outlive the connection: closing it would
/// take the connection's locks away.
pub(super) fn hold_shared_memory(database: &Path) -> Result<File, StoreError> {
    let mut name = database.as_os_str().to_owned();
    name.push("-shm");
    let file = File::options().write(true).open(name)?;
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, SHARED_BYTES) {
        Ok(()) => {}
        Err(error) if error == rustix::io::Errno::NOSPC => return Err(std::io::Error::from(error).into()),
        Err(error) => tracing::debug!(%error, "this file system gives no blocks beforehand"),
    }
    Ok(file)
}

/// Remember today's usage. One row a day, the latest wins.
pub(super) fn sample(connection: &Connection, now_ms: i64, used_bytes: u64) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO usage_day VALUES (?1, ?2)")?
        .execute(params![now_ms.div_euclid(DAY_MS), i64::try_from(used_bytes).unwrap_or(i64::MAX)])?;
    // A year of rows is plenty for a figure of a week.
    connection.prepare_cached("DELETE FROM usage_day WHERE day < ?1")?.execute([now_ms.div_euclid(DAY_MS) - 366])?;
    Ok(())
}

/// Days until the budget is spent at the rate of the last days; `None` while unknown or when it shrinks.
pub(super) fn days_left(
    connection: &Connection,
    used_bytes: u64,
    can_have_bytes: u64,
) -> Result<Option<f64>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT day, bytes FROM usage_day ORDER BY day DESC LIMIT ?1")?;
    let samples = statement
        .query_map([GROWTH_DAYS + 1], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(match (samples.first(), samples.last()) {
        (Some((last_day, last)), Some((first_day, first))) if last_day > first_day && last > first => {
            let per_day = (last - first) as f64 / (last_day - first_day) as f64;
            Some(can_have_bytes.saturating_sub(used_bytes) as f64 / per_day)
        }
        _ => None,
    })
}

/// fsync a directory, so that the names in it are durable.
pub(super) fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}
