//! Small files that must survive a power cut whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Replace a file so that a power cut leaves the old one or the new one, whole.
///
/// # Errors
/// When the file or its directory cannot be written; the old one is then still there.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
