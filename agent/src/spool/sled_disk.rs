//! The real card: sled databases and plain files in one locked folder.
//!
//! ```text
//! <folder>/lock                      held while an agent runs
//! <folder>/witness.a, witness.b      see witness.rs
//! <folder>/mark                      see witness.rs
//! <folder>/ballast                   real blocks, given back when the disk is full
//! <folder>/db/<stream>-<number>-<epoch>/   one sled database each; `*.quarantined` is for people
//! <folder>/image/<epoch>-<number>.jpg
//! <folder>/key/<number>              see keys.rs
//! ```
//!
//! sled 0.34.7 panics on some damage and its `flush` does not reach the card on Linux: every call runs under
//! `catch_unwind`, and `sync` adds an fdatasync of its own on the database's file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::disk::{Database, Disk, StoreError};
use super::sled_trees::Trees;

/// sled's unit of writing. Smaller ones cost more headers, larger ones memory (four are buffered).
pub(super) const SEGMENT_BYTES: usize = 65_536;

/// sled's page cache: a database is read once, in order, so a cache buys nothing.
const CACHE_BYTES: u64 = 65_536;

/// A panicked instance lets go of its file a moment later; ten waits of 50 ms stay far below the 10 s of a boot.
const LOCK_ATTEMPTS_MAX: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Bytes of ballast written at a time.
const BALLAST_CHUNK_BYTES: usize = 64 * 1024;

/// The folder of a spool, locked.
pub struct SledDisk {
    folder: PathBuf,
    _lock: File,
    scribbled: Option<(String, File)>,
}

impl SledDisk {
    /// Lock the folder and make its sub-folders.
    pub fn new(folder: &Path) -> Result<SledDisk, StoreError> {
        let place = |error: io::Error| StoreError::Failed(format!("{}: {error}", folder.display()));
        for sub in ["db", "image", "key"] {
            fs::create_dir_all(folder.join(sub)).map_err(place)?;
        }
        let lock = lock(folder).map_err(place)?;
        sync_folder(folder).map_err(place)?;
        Ok(SledDisk { folder: folder.to_path_buf(), _lock: lock, scribbled: None })
    }

    fn database(&self, name: &str) -> PathBuf {
        self.folder.join("db").join(name)
    }

    fn sync_parent(&self, path: &Path) -> Result<(), StoreError> {
        sync_folder(path.parent().unwrap_or(&self.folder)).map_err(failed)
    }
}

/// Take a spool folder's lock; fails at once while an agent holds it.
pub(crate) fn lock(folder: &Path) -> io::Result<File> {
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|error| io::Error::new(io::Error::from(error).kind(), "in use by a running agent"))?;
    Ok(lock)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn failed(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(error.to_string()),
        // sled words a full disk anew and drops its kind.
        _ if error.to_string().contains("No space left") => StoreError::Full(error.to_string()),
        _ => StoreError::Failed(error.to_string()),
    }
}

fn sled_failed(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) => failed(error),
        other => StoreError::Damaged(other.to_string()),
    }
}

/// Run a call into sled; a panic is damage.
fn guarded<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
        Err(StoreError::Damaged(format!("sled panicked: {text}")))
    })
}

struct SledDatabase {
    /// `None` only while it is dropped.
    trees: Option<Trees>,
    file: File,
    blobs: PathBuf,
    blobs_synced: BTreeSet<OsString>,
}

impl SledDatabase {
    fn trees(&self) -> Result<&Trees, StoreError> {
        self.trees.as_ref().ok_or_else(|| StoreError::Failed("closed".to_string()))
    }
}

impl Drop for SledDatabase {
    fn drop(&mut self) {
        let trees = self.trees.take();
        // Dropping flushes, and on a damaged or full store that may panic; nothing accepted depends on it.
        if catch_unwind(AssertUnwindSafe(|| drop(trees))).is_err() {
            tracing::warn!("closing a database panicked");
        }
    }
}

impl Database for SledDatabase {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        guarded(|| match &mut self.trees {
            Some(trees) => trees.put(key, value).map_err(sled_failed),
            None => Err(StoreError::Failed("closed".to_string())),
        })
    }

    fn scan(&self, from: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        guarded(|| {
            for entry in self.trees()?.from(from) {
                let (key, value) = entry.map_err(sled_failed)?;
                if !visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        guarded(|| self.trees()?.flush().map_err(sled_failed))?;
        // Values are sized to stay out of `blobs/`; what lands there all the same is not left to luck.
        let mut new_blobs = false;
        for entry in fs::read_dir(&self.blobs).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if !self.blobs_synced.contains(&name) {
                File::open(self.blobs.join(&name)).and_then(|file| file.sync_all()).map_err(failed)?;
                self.blobs_synced.insert(name);
                new_blobs = true;
            }
        }
        if new_blobs {
            sync_folder(&self.blobs).map_err(failed)?;
        }
        self.file.sync_data().map_err(failed)
    }
}

fn open_once(folder: &Path) -> Result<Trees, StoreError> {
    guarded(|| {
        let mut attempts = 0;
        loop {
            let config = sled::Config::new()
                .path(folder)
                .segment_size(SEGMENT_BYTES)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(None);
            match config.open().and_then(Trees::of) {
                Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                    attempts += 1;
                    if attempts == LOCK_ATTEMPTS_MAX {
                        return Err(StoreError::Failed(error.to_string()));
                    }
                    std::thread::sleep(LOCK_PAUSE);
                }
                // A read that ends too early, an impossible size: on opening, every error but a full disk is damage.
                Err(error) => {
                    return Err(match sled_failed(error) {
                        StoreError::Failed(text) => StoreError::Damaged(text),
                        other => other,
                    });
                }
                Ok(trees) => return Ok(trees),
            }
        }
    })
}

/// Rename sled's own snapshots, without which it reads its log from the start. Returns whether there were any.
fn set_snapshots_aside(folder: &Path) -> io::Result<bool> {
    let mut any = false;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with("snap.") {
            let mut aside = OsString::from("aside.");
            aside.push(&name);
            fs::rename(folder.join(&name), folder.join(aside))?;
            any = true;
        }
    }
    Ok(any)
}

impl Disk for SledDisk {
    fn open(&mut self, name: &str) -> Result<Box<dyn Database>, StoreError> {
        let folder = self.database(name);
        let new = !folder.exists();
        let opened = match open_once(&folder) {
            Err(StoreError::Damaged(first)) => match open_once(&folder) {
                Err(StoreError::Damaged(_)) if set_snapshots_aside(&folder).map_err(failed)? => {
                    tracing::warn!(database = name, error = first, "opening without sled's snapshot");
                    open_once(&folder)
                }
                second => second,
            },
            first => first,
        };
        let trees = opened?;
        let file = File::open(folder.join("db")).map_err(failed)?;
        if new {
            for part in ["conf", "db", "blobs", "."] {
                match File::open(folder.join(part)) {
                    Ok(file) => file.sync_all().map_err(failed)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(failed(error)),
                }
            }
            self.sync_parent(&folder)?;
        }
        Ok(Box::new(SledDatabase {
            trees: Some(trees),
            file,
            blobs: folder.join("blobs"),
            blobs_synced: BTreeSet::new(),
        }))
    }

    fn databases(&self) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder.join("db")).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".quarantined") {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn database_exists(&self, name: &str) -> bool {
        fs::metadata(self.database(name).join("db")).is_ok_and(|file| file.len() > 0)
    }

    fn delete(&mut self, name: &str) -> Result<(), StoreError> {
        match fs::remove_dir_all(self.database(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    fn quarantine(&mut self, name: &str) -> Result<(), StoreError> {
        let parent = self.folder.join("db");
        for entry in fs::read_dir(&parent).map_err(failed)? {
            let old = entry.map_err(failed)?.file_name();
            if old.to_string_lossy().ends_with(".quarantined") {
                fs::remove_dir_all(parent.join(old)).map_err(failed)?;
            }
        }
        match fs::rename(self.database(name), parent.join(format!("{name}.quarantined"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => sync_folder(&parent).map_err(failed),
        }
    }

    fn read(&self, file: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let handle = match File::open(self.folder.join(file)) {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let left = handle.metadata().map_err(failed)?.len().saturating_sub(offset);
        let mut bytes = vec![0; length.min(usize::try_from(left).unwrap_or(usize::MAX))];
        handle.read_exact_at(&mut bytes, offset).map_err(failed)?;
        Ok(Some(bytes))
    }

    fn length(&self, file: &str) -> Option<u64> {
        fs::metadata(self.folder.join(file)).ok().map(|file| file.len())
    }

    fn replace(&mut self, file: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.join(file);
        let temporary = path.with_extension("tmp");
        let written = File::create(&temporary).and_then(|mut handle| {
            handle.write_all(bytes)?;
            handle.sync_all()
        });
        if let Err(error) = written.and_then(|()| fs::rename(&temporary, &path)) {
            // A half-written file holds blocks that a full disk needs.
            if let Err(error) = fs::remove_file(&temporary) {
                tracing::debug!(file, %error, "no temporary file to remove");
            }
            return Err(failed(error));
        }
        self.sync_parent(&path)
    }

    fn create(&mut self, file: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.join(file);
        let written = File::create(&path).and_then(|mut handle| {
            handle.write_all(bytes)?;
            handle.sync_all()
        });
        if let Err(error) = written {
            self.remove(file)?;
            return Err(failed(error));
        }
        // ext4 wrote the name along with the file: this costs nothing there, and is what other file systems ask for.
        self.sync_parent(&path)
    }

    fn scribble(&mut self, file: &str, bytes: &[u8]) -> Result<(), StoreError> {
        if self.scribbled.as_ref().is_none_or(|(name, _)| name != file) {
            let path = self.folder.join(file);
            let handle = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
            self.scribbled = Some((file.to_string(), handle));
        }
        match &self.scribbled {
            Some((_, handle)) => handle.write_all_at(bytes, 0).map_err(failed),
            None => Ok(()),
        }
    }

    fn remove(&mut self, file: &str) -> Result<(), StoreError> {
        match fs::remove_file(self.folder.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    fn list(&mut self, folder: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.folder.join(folder)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".tmp") {
                fs::remove_file(entry.path()).map_err(failed)?;
            } else {
                files.push((name, entry.metadata().map_err(failed)?.len()));
            }
        }
        Ok(files)
    }

    fn free_bytes(&self) -> u64 {
        rustix::fs::statvfs(&self.folder).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn set_ballast(&mut self, bytes: u64) -> Result<(), StoreError> {
        let path = self.folder.join("ballast");
        if bytes == 0 {
            self.remove("ballast")?;
            return self.sync_parent(&path);
        }
        // Not zeros and not a hole: some file systems would not spend blocks on those.
        let pattern: Vec<u8> =
            (0..BALLAST_CHUNK_BYTES).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let written = File::create(&path).and_then(|mut handle| {
            let mut left = bytes;
            while left > 0 {
                let part = left.min(BALLAST_CHUNK_BYTES as u64);
                handle.write_all(&pattern[..usize::try_from(part).unwrap_or(BALLAST_CHUNK_BYTES)])?;
                left -= part;
            }
            handle.sync_all()
        });
        if let Err(error) = written {
            self.remove("ballast")?;
            return Err(failed(error));
        }
        self.sync_parent(&path)
    }

    fn ballast_bytes(&self) -> u64 {
        self.length("ballast").unwrap_or(0)
    }

    fn boot_id(&self) -> String {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| String::new(), |id| id.trim().to_string())
    }

    fn hardware_serial(&self) -> Option<String> {
        hardware_serial()
    }
}

/// The serial of this machine, as far as it says one.
pub fn hardware_serial() -> Option<String> {
    // The machine id lies on the card and is cloned with it: the last resort.
    ["/sys/firmware/devicetree/base/serial-number", "/sys/class/dmi/id/product_uuid", "/etc/machine-id"]
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_string())
        .find(|text| !text.is_empty())
}
