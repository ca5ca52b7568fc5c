//! The database of updates: programs, rollouts, each node's progress, who did what.
//!
//! Command line and running hub write it at the same time: each change is one immediate transaction, durable when it
//! returns (synchronous FULL). Decisions are [`super::plan`]'s; this keeps them.

mod offers;
mod programs;
mod rollouts;
mod schema;
#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::UpdateError;

pub use offers::Content;
pub use programs::ProgramRow;
pub use rollouts::{NewRollout, Order, Planned, RolloutRow};

/// The other writer's transaction takes milliseconds; ten seconds is a disk in trouble.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// Events shown at once.
const EVENTS_MAX: u32 = 1_000;

/// The database.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// Something that was done, by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// When, Unix milliseconds by the hub's clock.
    pub at_ms: i64,
    /// Who: `cli:USER`, `api:TOKEN`, `hub`.
    pub who: String,
    /// The rollout's number, if it is of one.
    pub rollout: Option<i64>,
    /// Someone must look at it.
    pub alarm: bool,
    /// What.
    pub what: String,
}

/// How a change failed.
pub(super) enum Change {
    Database(rusqlite::Error),
    Refused(UpdateError),
}

impl From<rusqlite::Error> for Change {
    fn from(error: rusqlite::Error) -> Change {
        Change::Database(error)
    }
}

impl From<UpdateError> for Change {
    fn from(error: UpdateError) -> Change {
        Change::Refused(error)
    }
}

impl Ledger {
    /// Open the database, and make it if it is missing.
    ///
    /// # Errors
    /// It cannot be opened, or is a newer program's.
    pub fn open(path: &Path) -> Result<Ledger, UpdateError> {
        let file = |source| UpdateError::File { path: path.into(), source };
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(file)?;
        }
        // SQLite gives its journal the rights of the database.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(file)?;
        let database = |source| UpdateError::Database { path: path.into(), source };
        let mut connection = Connection::open(path).map_err(database)?;
        connection.busy_timeout(BUSY_MAX).map_err(database)?;
        schema::prepare(&mut connection).map_err(database)?;
        Ok(Ledger { path: path.into(), connection: Mutex::new(connection) })
    }

    /// One transaction: what `work` did is kept if it returns `Ok`, and only then.
    pub(super) fn change<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Change>) -> Result<T, UpdateError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let result = (|| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })();
        result.map_err(|error| match error {
            Change::Database(source) => UpdateError::Database { path: self.path.clone(), source },
            Change::Refused(error) => error,
        })
    }

    /// A read, of one state of the database.
    pub(super) fn look<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, UpdateError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let read = connection.transaction().and_then(|transaction| work(&transaction));
        read.map_err(|source| UpdateError::Database { path: self.path.clone(), source })
    }

    /// What was done, newest first, of all rollouts or of one.
    ///
    /// # Errors
    /// The database.
    pub fn events(&self, rollout: Option<i64>) -> Result<Vec<EventRow>, UpdateError> {
        self.look(|connection| {
            let mut statement = connection.prepare(
                "SELECT at_ms, who, rollout, alarm, what FROM event
                 WHERE ?1 IS NULL OR rollout = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let rows = statement.query_map(params![rollout, EVENTS_MAX], |row| {
                Ok(EventRow {
                    at_ms: row.get(0)?,
                    who: row.get(1)?,
                    rollout: row.get(2)?,
                    alarm: row.get(3)?,
                    what: row.get(4)?,
                })
            })?;
            rows.collect()
        })
    }
}

/// Write an event down.
fn note(connection: &Connection, row: &EventRow) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO event (at_ms, who, rollout, alarm, what) VALUES (?, ?, ?, ?, ?)",
        params![row.at_ms, row.who, row.rollout, row.alarm, row.what],
    )?;
    Ok(())
}
