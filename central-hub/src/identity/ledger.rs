//! The registry's database: CAs, villages, nodes, laptops, tokens, certificates, refusals, deeds, acceptances.
//!
//! Command line and running hub write it at the same time: each change is one immediate transaction, durable when it
//! returns (synchronous FULL). What is written here is the truth; the files in `pki` are made from it.

mod acceptances;
mod ca;
mod laptops;
mod nodes;
mod schema;

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::IdentityError;
use crate::database::{self, Database, DatabaseError};

pub use acceptances::{AcceptanceRow, NewAcceptance};
pub use ca::{CaRow, CaState, Stranded};
pub(super) use ca::{in_state as ca_in_state, trusted};
pub(super) use laptops::note as note_deed;
pub use laptops::{DeedRow, Ended, LaptopRow};
pub(super) use nodes::known;
pub use nodes::{Added, NodeRow};

/// Refusals kept for people; the log has the rest.
const REFUSALS_MAX: u32 = 1_000;

/// The database.
#[derive(Debug)]
pub struct Ledger(Database);

/// A refusal, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRow {
    /// When, Unix milliseconds by the hub's clock.
    pub at_ms: i64,
    /// Which kind.
    pub reason: String,
    /// The node that it was about, as far as it is known.
    pub node: String,
    /// Who asked.
    pub peer: String,
    /// What it was told.
    pub text: String,
}

impl Ledger {
    /// Open the database, and make it if it is missing.
    pub fn open(path: &Path) -> Result<Ledger, IdentityError> {
        Ok(Ledger(Database::open(path, &schema::STEPS)?))
    }

    /// Whether there is one.
    pub fn exists(path: &Path) -> bool {
        path.exists()
    }

    /// One transaction: what `work` did is kept if it returns `Ok`, and only then.
    pub(super) fn change<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Change>,
    ) -> Result<T, IdentityError> {
        self.0.change(work)
    }

    /// A read, of one state of the database.
    pub(super) fn look<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, IdentityError> {
        self.0.look(work)
    }

    /// A number that changes whenever another process (or connection) changed the database.
    pub fn version(&self) -> Result<i64, IdentityError> {
        self.look(|connection| connection.query_row("PRAGMA data_version", [], |row| row.get(0)))
    }

    /// Serial numbers of all certificates that open no door any more: revoked ones, a node's or a laptop's, and those
    /// that were made ahead and have been renewed.
    pub fn revoked(&self) -> Result<Vec<Vec<u8>>, IdentityError> {
        self.look(|connection| {
            let mut statement = connection.prepare(
                "SELECT serial FROM certificate WHERE revoked_ms IS NOT NULL
                 UNION SELECT serial FROM certificate WHERE spent_ms IS NOT NULL
                 UNION SELECT serial FROM laptop WHERE revoked_ms IS NOT NULL",
            )?;
            statement.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// Keep a refusal; the oldest go.
    pub fn note_refusal(&self, row: &RefusalRow) -> Result<(), IdentityError> {
        self.change(|transaction| {
            transaction.execute(
                "INSERT INTO refusal (at_ms, reason, node, peer, text) VALUES (?, ?, ?, ?, ?)",
                params![row.at_ms, row.reason, row.node, row.peer, row.text],
            )?;
            transaction
                .execute("DELETE FROM refusal WHERE id <= (SELECT max(id) FROM refusal) - ?", params![REFUSALS_MAX])?;
            Ok(())
        })
    }

    /// The last refusal of a node.
    pub fn last_refusal(&self, node: &str) -> Result<Option<RefusalRow>, IdentityError> {
        self.look(|connection| {
            let query = "SELECT at_ms, reason, node, peer, text FROM refusal WHERE node = ? ORDER BY id DESC LIMIT 1";
            connection.query_row(query, [node], refusal_row).optional()
        })
    }

    /// The last refusals, newest first.
    pub fn refusals(&self) -> Result<Vec<RefusalRow>, IdentityError> {
        self.look(|connection| {
            let mut statement =
                connection.prepare("SELECT at_ms, reason, node, peer, text FROM refusal ORDER BY id DESC")?;
            statement.query_map([], refusal_row)?.collect()
        })
    }
}

fn refusal_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RefusalRow> {
    Ok(RefusalRow { at_ms: row.get(0)?, reason: row.get(1)?, node: row.get(2)?, peer: row.get(3)?, text: row.get(4)? })
}

/// How a change failed.
pub(super) type Change = database::Change<IdentityError>;

impl From<IdentityError> for Change {
    fn from(error: IdentityError) -> Change {
        Change::Refused(error)
    }
}

impl From<DatabaseError> for IdentityError {
    fn from(error: DatabaseError) -> IdentityError {
        match error {
            DatabaseError::File { path, source } => IdentityError::File { path, source },
            DatabaseError::Sqlite { path, source } => IdentityError::Database { path, source },
        }
    }
}

/// Whether a query has a row.
pub(super) fn there(connection: &Connection, query: &str, values: impl rusqlite::Params) -> rusqlite::Result<bool> {
    Ok(connection.query_row(query, values, |_| Ok(())).optional()?.is_some())
}
