//! What the spool needs from the machine, as two small traits, so that a model that tears writes, fills up and forgets
//! what was never synced can stand in for the card. `sled_disk.rs` is the real one; nothing else touches files.
//!
//! Terms: a *database* is one small ordered key-value store; a *file* is replaced whole or not at all.

/// Why the storage did not do what it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No space left.
    #[error("no space left: {0}")]
    Full(String),
    /// What is stored cannot be read any more; trying again will not help.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Another failure of input or output.
    #[error("{0}")]
    Failed(String),
}

/// One small ordered key-value store.
pub trait Database: Send {
    /// Put a value; durable only after [`Database::sync`].
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// Visit keys from `from` on, ascending, until `visit` returns false. The only way to search: looking backward is not
    /// asked for, since sled's brings the "highest key" of an unbounded range along, a constant of 1 MiB.
    fn scan(&self, from: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError>;

    /// Make everything durable: returns after the card has it.
    fn sync(&mut self) -> Result<(), StoreError>;
}

/// The folder that the spool lives in, and the machine around it.
pub trait Disk: Send {
    /// Open or create a database. Recovers what the store can recover by itself; `Damaged` when it cannot.
    fn open(&mut self, name: &str) -> Result<Box<dyn Database>, StoreError>;

    /// Names of the databases that exist, in no order; quarantined ones left out.
    fn databases(&self) -> Result<Vec<String>, StoreError>;

    /// Whether a database's own file exists and has content.
    fn database_exists(&self, name: &str) -> bool;

    /// Delete a database; it must not be open. A missing one is no error.
    fn delete(&mut self, name: &str) -> Result<(), StoreError>;

    /// Set a damaged database aside for people; only the newest one is kept.
    fn quarantine(&mut self, name: &str) -> Result<(), StoreError>;

    /// Read `length` bytes of a file from `offset` on (fewer at its end); `None` if there is no such file.
    fn read(&self, file: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>, StoreError>;

    /// A file's length; `None` if there is no such file.
    fn length(&self, file: &str) -> Option<u64>;

    /// Replace a file durably, whole or not at all (temporary file, fsync, rename, fsync of the folder).
    fn replace(&mut self, file: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Write a file that nothing refers to yet, durably: half of a [`Disk::replace`]'s work for the card. A power cut may
    /// leave it torn.
    fn create(&mut self, file: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Write a small file in place without waiting for the card: it survives a killed process, not a power cut.
    fn scribble(&mut self, file: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Delete a file; a missing one is no error.
    fn remove(&mut self, file: &str) -> Result<(), StoreError>;

    /// Names (without the folder) and lengths of the files in a folder; unfinished temporary files are swept.
    fn list(&mut self, folder: &str) -> Result<Vec<(String, u64)>, StoreError>;

    /// Bytes that may still be written.
    fn free_bytes(&self) -> u64;

    /// Make the ballast `bytes` long (0: delete it) out of real blocks.
    fn set_ballast(&mut self, bytes: u64) -> Result<(), StoreError>;

    /// The ballast's length now.
    fn ballast_bytes(&self) -> u64;

    /// The kernel's id of this boot.
    fn boot_id(&self) -> String;

    /// The machine's hardware serial, if it has one that can be read.
    fn hardware_serial(&self) -> Option<String>;
}
