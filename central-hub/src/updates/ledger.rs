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

use std::path::Path;

use rusqlite::{Connection, Transaction, params};

use super::UpdateError;
use crate::database::{self, Database, DatabaseError};

pub use offers::Content;
pub use programs::ProgramRow;
pub use rollouts::{NewRollout, Order, Planned, RolloutRow};

/// Events shown at once.
const EVENTS_MAX: u32 = 1_000;

/// The database.
#[derive(Debug)]
pub struct Ledger(Database);

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
pub(super) type Change = database::Change<UpdateError>;

impl From<UpdateError> for Change {
    fn from(error: UpdateError) -> Change {
        Change::Refused(error)
    }
}

impl From<DatabaseError> for UpdateError {
    fn from(error: DatabaseError) -> UpdateError {
        match error {
            DatabaseError::File { path, source } => UpdateError::File { path, source },
            DatabaseError::Sqlite { path, source } => UpdateError::Database { path, source },
        }
    }
}

impl Ledger {
    /// Open the database, and make it if it is missing.
    ///
    /// # Errors
    /// It cannot be opened, or is a newer program's.
    pub fn open(path: &Path) -> Result<Ledger, UpdateError> {
        Ok(Ledger(Database::open(path, &schema::STEPS)?))
    }

    /// One transaction: what `work` did is kept if it returns `Ok`, and only then.
    pub(super) fn change<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Change>) -> Result<T, UpdateError> {
        self.0.change(work)
    }

    /// A read, of one state of the database.
    pub(super) fn look<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, UpdateError> {
        self.0.look(work)
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
