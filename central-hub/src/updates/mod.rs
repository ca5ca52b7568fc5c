//! Remote updates: what may be installed, on which nodes, ring by ring, and how far it is.
//!
//! [`mod@file`] is the update file (signed manifest and content), [`key`] the keys, [`platform`] what a program runs on;
//! [`configuration`] checks what nodes are to be configured with; [`plan`] decides who gets what when (pure);
//! [`ledger`] is the database; [`content`] keeps the bytes; [`listener`] hands them out, paced by [`pace`]; [`drive`]
//! is the task of the running hub that brings all of this together.
//!
//! ```text
//! DATA/updates/updates.db          programs, rollouts, each node's progress, who did what: command line and hub write it
//! DATA/updates/content/<sha256>    what nodes download, mode 0600: configurations have passwords in them
//! ```
//!
//! Keys that sign are not here: [`key`] makes them wherever the operator keeps them, and this hub needs their public
//! halves alone. A hub that was broken into can offer a program again, but not make one.

pub mod configuration;
pub mod content;
pub mod drive;
pub mod file;
pub mod key;
pub mod ledger;
pub mod listener;
pub mod pace;
pub mod plan;
pub mod platform;

use std::path::{Path, PathBuf};

/// Why something about updates could not be done.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The database.
    #[error("updates {path}: {source}")]
    Database {
        /// Where.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A file.
    #[error("{path}: {source}; correct the file's folder or rights")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What was asked does not fit what is there; the text says what to do.
    #[error("{0}")]
    Refused(String),
}

impl UpdateError {
    pub(crate) fn refused(text: impl Into<String>) -> UpdateError {
        UpdateError::Refused(text.into())
    }
}

/// Where the updates of a hub are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The database.
    pub ledger: PathBuf,
    /// What nodes download.
    pub content: PathBuf,
}

impl Places {
    /// Of the hub in `data`.
    pub fn of(data: &Path) -> Places {
        let folder = data.join("updates");
        Places { ledger: folder.join("updates.db"), content: folder.join("content") }
    }
}

/// Read a file of at most `bytes_max`; refused before it is read when it is larger.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, UpdateError> {
    use std::io::Read;
    let file = |source| UpdateError::File { path: path.into(), source };
    let opened = std::fs::File::open(path).map_err(file)?;
    let mut bytes = Vec::new();
    // One more than allowed: a file that grows meanwhile is too large too.
    opened.take(bytes_max + 1).read_to_end(&mut bytes).map_err(file)?;
    if bytes.len() as u64 > bytes_max {
        let text = format!("{}: has more than {bytes_max} bytes; is it the right file?", path.display());
        return Err(UpdateError::refused(text));
    }
    Ok(bytes)
}
