//! The bytes that nodes download, on disk by their hash: whole, durable, for the hub's user alone.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use simpul_wire::update::PROGRAM_BYTES_MAX;

use super::{UpdateError, read_bounded};
use crate::identity::authority::{prepare, write_secret};
use crate::identity::sha256;

/// The folder of contents. What is being downloaded is in memory, once for all who download it.
#[derive(Debug)]
pub struct Contents {
    folder: PathBuf,
    open: Mutex<HashMap<[u8; 32], Weak<Vec<u8>>>>,
}

impl Contents {
    /// In this folder.
    pub fn in_folder(folder: PathBuf) -> Contents {
        Contents { folder, open: Mutex::default() }
    }

    fn path(&self, sha256: &[u8; 32]) -> PathBuf {
        self.folder.join(hex::encode(sha256))
    }

    /// Keep bytes; durable when this returns. Their hash.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn keep(&self, bytes: &[u8]) -> Result<[u8; 32], UpdateError> {
        let hash = sha256(bytes);
        if self.read(&hash).is_ok() {
            return Ok(hash);
        }
        // Also over one that was damaged.
        let write = || {
            prepare(&self.folder)?;
            write_secret(&self.path(&hash), bytes)
        };
        write().map_err(|error| UpdateError::refused(error.to_string()))?;
        Ok(hash)
    }

    /// Read the content with this hash, and check it.
    ///
    /// # Errors
    /// It is not there, or damaged.
    pub fn read(&self, hash: &[u8; 32]) -> Result<Arc<Vec<u8>>, UpdateError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = open.get(hash).and_then(Weak::upgrade) {
            return Ok(bytes);
        }
        open.retain(|_, bytes| bytes.strong_count() > 0);
        let path = self.path(hash);
        let bytes = read_bounded(&path, PROGRAM_BYTES_MAX.into())?;
        if sha256(&bytes) != *hash {
            let text = format!("{}: is damaged; add its update file again", path.display());
            return Err(UpdateError::refused(text));
        }
        let bytes = Arc::new(bytes);
        open.insert(*hash, Arc::downgrade(&bytes));
        Ok(bytes)
    }

    /// Remove what nobody needs any more: everything but `needed`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn retain(&self, needed: &dyn Fn(&str) -> bool) -> Result<usize, UpdateError> {
        let file = |source| UpdateError::File { path: self.folder.clone(), source };
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(file)?,
        };
        let mut removed = 0;
        for entry in entries {
            let entry = entry.map_err(file)?;
            if !entry.file_name().to_str().is_some_and(needed) && std::fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_is_kept_is_checked_when_it_is_read_and_mended_by_keeping_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let contents = || Contents::in_folder(folder.path().join("content"));
        let hash = contents().keep(b"node = \"a\"").unwrap();
        let path = contents().path(&hash);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(contents().read(&hash).unwrap().as_slice(), b"node = \"a\"");
        std::fs::write(&path, "node = \"b\"").unwrap();
        let error = contents().read(&hash).unwrap_err().to_string();
        assert_eq!(error, format!("{}: is damaged; add its update file again", path.display()));
        contents().keep(b"node = \"a\"").unwrap();
        assert!(contents().read(&hash).is_ok());
        assert_eq!(contents().retain(&|name| name == hex::encode(hash)).unwrap(), 0);
        assert_eq!(contents().retain(&|_| false).unwrap(), 1);
        assert!(contents().read(&hash).is_err());
    }

    #[test]
    fn many_who_download_the_same_share_one_copy_and_nothing_stays_behind_them() {
        let folder = tempfile::tempdir().unwrap();
        let contents = Contents::in_folder(folder.path().into());
        let hash = contents.keep(&[7; 1_000]).unwrap();
        let (one, two) = (contents.read(&hash).unwrap(), contents.read(&hash).unwrap());
        assert!(Arc::ptr_eq(&one, &two));
        drop((one, two));
        let other = contents.keep(b"other").unwrap();
        contents.read(&other).unwrap();
        assert!(!contents.open.lock().unwrap().contains_key(&hash));
    }
}
