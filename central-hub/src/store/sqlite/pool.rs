//! Reading beside the writer: a small pool of read-only connections, used on blocking threads, each read in one
//! transaction so that everything it sees is of the same moment.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::quarantine;
use super::schema::open_reader;
use crate::store::StoreError;

/// Reads at the same time. The room's page asks a handful of things at once; more would only fight over two cores.
const READERS_MAX: usize = 4;

pub(super) struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Pool {
    pub(super) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Pool { path, idle: Mutex::new(Vec::new()), permits: Semaphore::new(READERS_MAX) })
    }

    /// Run `read` on a blocking thread within one read transaction.
    pub(super) async fn read<T, F>(self: &Arc<Self>, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let _permit = self.permits.acquire().await.map_err(|_| StoreError::Closed)?;
        let pool = Arc::clone(self);
        let result = tokio::task::spawn_blocking(move || pool.read_here(read))
            .await
            .map_err(|error| StoreError::Backend(format!("a read ended early: {error}")))?;
        if let (Err(error), Some(directory)) = (&result, self.path.parent())
            && error.is_damage()
        {
            quarantine::suspect(directory);
        }
        result
    }

    /// Run `read` on this thread, which may block, within one read transaction.
    pub(super) fn read_here<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let transaction = connection.transaction()?;
        let result = read(&transaction)?;
        drop(transaction);
        // A connection that met an error is not kept: the next read opens a fresh one.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(result)
    }

    /// No more reads; those under way end.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
