//! A small SQLite database that the command line and the running hub write at the same time: the registry of nodes, the
//! updates. Each change is one immediate transaction, durable when it returns. The store is another matter: it has one
//! writer, in one process.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// The other writer's transaction takes milliseconds; ten seconds is a disk in trouble.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// A database, and where it is.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// It cannot be used.
#[derive(Debug)]
pub enum DatabaseError {
    /// Its file or its folder.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is in it.
    Sqlite {
        /// Where.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// How a change failed: by the database, or because it may not be.
pub enum Change<E> {
    /// By the database.
    Database(rusqlite::Error),
    /// It may not be.
    Refused(E),
}

impl<E> From<rusqlite::Error> for Change<E> {
    fn from(error: rusqlite::Error) -> Self {
        Change::Database(error)
    }
}

impl Database {
    /// Open it, and make it if it is missing. `steps`: what makes version 1 out of nothing, version 2 out of that, and so on.
    ///
    /// # Errors
    /// It cannot be opened, or is a newer program's.
    pub fn open(path: &Path, steps: &[&str]) -> Result<Database, DatabaseError> {
        let file = |source| DatabaseError::File { path: path.into(), source };
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(file)?;
        }
        // SQLite gives its journal the rights of the database.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(file)?;
        let sqlite = |source| DatabaseError::Sqlite { path: path.into(), source };
        let mut connection = Connection::open(path).map_err(sqlite)?;
        connection.busy_timeout(BUSY_MAX).map_err(sqlite)?;
        prepare(&mut connection, steps).map_err(sqlite)?;
        Ok(Database { path: path.into(), connection: Mutex::new(connection) })
    }

    /// One transaction: what `work` did is kept if it returns `Ok`, and only then.
    ///
    /// # Errors
    /// The database, or what `work` refused.
    pub fn change<T, E: From<DatabaseError>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Change<E>>,
    ) -> Result<T, E> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let result = (|| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })();
        result.map_err(|error| match error {
            Change::Database(source) => DatabaseError::Sqlite { path: self.path.clone(), source }.into(),
            Change::Refused(error) => error,
        })
    }

    /// A read, of one state of the database.
    ///
    /// # Errors
    /// The database.
    pub fn look<T, E: From<DatabaseError>>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, E> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let read = connection.transaction().and_then(|transaction| work(&transaction));
        read.map_err(|source| DatabaseError::Sqlite { path: self.path.clone(), source }.into())
    }
}

/// Bring a connection's database to the newest version.
pub(crate) fn prepare(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // NORMAL loses commits in a power cut: a token would be good twice, a revision given twice.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let Some(missing) = steps.get(version as usize..) else {
        return Err(rusqlite::Error::InvalidParameterName(format!("version {version} is a newer program's")));
    };
    for step in missing {
        transaction.execute_batch(step)?;
    }
    let newest = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    if version != newest {
        transaction.pragma_update(None, "user_version", newest)?;
    }
    transaction.commit()
}
