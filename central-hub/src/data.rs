//! The hub's folder: one hub, or one command that needs the hub stopped, works in it at a time.
//!
//! ```text
//! DATA/lock          held while a hub or an offline command works here
//! DATA/console.sock  the running hub's API for the command line: only the hub's user can open it
//! DATA/store/        database and images, the store's alone
//! DATA/tokens        named tokens, hashed
//! DATA/identity/     the registry of nodes, tokens and certificates
//! DATA/pki/          certificates and the CA's keys, unless the configuration names others
//! ```

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be made or opened.
    #[error("data directory {path}: {source}; correct data_directory, or make the folder for the hub's user")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is another user's: what we write there the hub could not read.
    #[error(
        "data directory {path} belongs to user {owner}, this is user {user}: run `sudo -u '#{owner}' simpul-hub ...`"
    )]
    Owner {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Somebody works in it.
    #[error("a hub is running on {path}: stop it first (`systemctl stop simpul-hub`)")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// The folder, held.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// The kernel gives the lock back with the process, however it ends.
    _lock: File,
}

/// Where the console socket of the hub in `data` is.
pub fn console_socket(data: &Path) -> PathBuf {
    data.join("console.sock")
}

/// Where the store of the hub in `data` is.
pub fn store_directory(data: &Path) -> PathBuf {
    data.join("store")
}

/// Make the folder, for its owner alone, if it is missing; refuse another user's.
pub fn prepare(path: &Path) -> Result<(), DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
    let owner = std::fs::metadata(path).map_err(io)?.uid();
    let user = rustix::process::geteuid().as_raw();
    if owner == user { Ok(()) } else { Err(DataError::Owner { path: path.into(), owner, user }) }
}

impl DataDirectory {
    /// Make it if it is missing, and hold it.
    ///
    /// # Errors
    /// It cannot be made, is another user's, or is in use.
    pub fn hold(path: &Path) -> Result<DataDirectory, DataError> {
        prepare(path)?;
        let io = |source| DataError::Io { path: path.into(), source };
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDirectory { path: path.into(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataError::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_works_in_the_folder_and_only_its_owner_sees_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/data");
        let held = DataDirectory::hold(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let expected = format!("a hub is running on {}: stop it first (`systemctl stop simpul-hub`)", path.display());
        assert_eq!(DataDirectory::hold(&path).unwrap_err().to_string(), expected);
        drop(held);
        assert!(DataDirectory::hold(&path).is_ok());
    }
}
