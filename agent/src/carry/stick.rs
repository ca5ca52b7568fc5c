//! The medium: is there space, a temporary name, fsync, reading back, and only then the name that an import looks for.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise, statvfs};
use sha2::{Digest, Sha256};
use simpul_carry::{EXTENSION, FOLDER, HEADER_BYTES_MAX, Header};
use simpul_wire::NodeId;

use super::CarryError;
use crate::sources::camera::iso_time;

/// Largest sum of payloads in a file: FAT's limit is 4 GiB less one byte, and a file's own takes 2 MiB of that much.
pub const FILE_BYTES_MAX: u64 = (4 << 30) - (16 << 20);

/// Besides the records: headers, seals, the file system's own.
const SPARE_BYTES: u64 = 1 << 20;

/// Read back at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// A carry file that is being written.
pub struct Stick {
    folder: PathBuf,
    partial: PathBuf,
    file: File,
    sum: Sha256,
    /// Bytes written.
    pub written: u64,
    begin: Vec<u8>,
}

fn text(path: &Path, error: &io::Error) -> CarryError {
    let advice = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOSPC) => "; the stick is full: free space on it, or take a larger one",
        Some(rustix::io::Errno::IO | rustix::io::Errno::NODEV | rustix::io::Errno::NXIO) => {
            "; was the stick pulled out? Put it in again, and begin anew: the node still has everything"
        }
        Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => "; use sudo",
        Some(rustix::io::Errno::ROFS) => "; the stick can only be read: is its lock on?",
        _ => "",
    };
    CarryError::Stick(format!("{}: {error}{advice}", path.display()))
}

/// What a backlog of so many bytes needs on a stick.
pub fn needs_bytes(backlog_bytes: u64) -> u64 {
    backlog_bytes + backlog_bytes / 50 + SPARE_BYTES
}

/// Whether a folder lies on the same file system as another one: then no stick is mounted there.
pub fn is_same_disk(folder: &Path, other: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    device(folder).is_some() && device(folder) == device(other)
}

impl Stick {
    /// Make sure of space, and begin. What an earlier export of this node left unfinished is replaced.
    ///
    /// # Errors
    /// There is no such folder, it cannot be written to, or has not enough space: then nothing was written.
    pub fn begin(directory: &Path, node: &NodeId, needs_bytes: u64) -> Result<Stick, CarryError> {
        if !directory.is_dir() {
            let why = "there is no such folder: is the stick mounted?";
            return Err(CarryError::Stick(format!("{}: {why}", directory.display())));
        }
        let folder = directory.join(FOLDER);
        let partial = folder.join(format!("{node}.partial"));
        let left = fs::metadata(&partial).map_or(0, |left| left.len());
        let room = statvfs(directory).map_err(|error| text(directory, &error.into()))?;
        let free = room.f_bavail.saturating_mul(room.f_frsize).saturating_add(left);
        if free < needs_bytes {
            return Err(CarryError::Stick(format!(
                "{}: about {} MB are needed, {} MB are free: free space, take a larger stick, or leave the images here \
                 (--without-images)",
                directory.display(),
                needs_bytes.div_ceil(1_000_000),
                free / 1_000_000
            )));
        }
        fs::create_dir_all(&folder).map_err(|error| text(&folder, &error))?;
        let file = File::create(&partial).map_err(|error| text(&partial, &error))?;
        let (sum, begin) = (Sha256::new(), Vec::new());
        Ok(Stick { folder, partial, file, sum, written: 0, begin })
    }

    /// Write on.
    ///
    /// # Errors
    /// It is full, or gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), CarryError> {
        self.file.write_all(bytes).map_err(|error| text(&self.partial, &error))?;
        self.sum.update(bytes);
        self.written += bytes.len() as u64;
        let head = bytes.len().min(HEADER_BYTES_MAX - self.begin.len());
        self.begin.extend_from_slice(&bytes[..head]);
        Ok(())
    }

    /// Make it durable, read it back, and give it its name.
    ///
    /// # Errors
    /// The stick does not return what was written to it, or is gone: there is no carry file then.
    pub fn finish(self) -> Result<PathBuf, CarryError> {
        let fail = |error: &io::Error| text(&self.partial, error);
        self.file.sync_all().map_err(|error| fail(&error))?;
        let written = self.sum.clone().finalize();
        if read_back(&self.partial).map_err(|error| fail(&error))? != written {
            let why = "the stick does not return what was written to it: take another one";
            return Err(CarryError::Stick(format!("{}: {why}", self.partial.display())));
        }
        let Header { node, epoch, created_ms, .. } =
            Header::peek(&self.begin).map_err(|error| CarryError::Stick(error.to_string()))?;
        let at: String = iso_time(created_ms).chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let epoch = epoch.to_string();
        let path = self.folder.join(format!("{node}-{}-{at}.{EXTENSION}", &epoch[..8]));
        fs::rename(&self.partial, &path).map_err(|error| text(&path, &error))?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(|error| text(&self.folder, &error))?;
        Ok(path)
    }

    /// Take what was written off again, as far as that goes.
    pub fn give_up(self) {
        drop(self.file);
        // A stick that was pulled keeps it; the next export replaces it.
        let _ = fs::remove_file(&self.partial);
    }
}

/// SHA-256 of what the medium returns: its pages are dropped first.
fn read_back(path: &Path) -> io::Result<sha2::digest::Output<Sha256>> {
    let mut file = File::open(path)?;
    fadvise(&file, 0, None, Advice::DontNeed)?;
    let (mut sum, mut piece) = (Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            return Ok(sum.finalize());
        }
        sum.update(&piece[..length]);
    }
}

#[cfg(test)]
mod tests {
    use simpul_carry::{HubKey, Sealer};
    use simpul_wire::Epoch;

    use super::*;

    /// X25519's base point: a public key that works.
    const HUB: HubKey = HubKey::from_bytes({
        let mut key = [0; 32];
        key[0] = 9;
        key
    });

    fn node() -> NodeId {
        "35.12.07.2003-01".parse().unwrap()
    }

    fn head() -> Vec<u8> {
        let epoch = Epoch::from_bytes([0xe5; 16]);
        Sealer::begin(&Header { node: node(), epoch, created_ms: 1_795_000_000_000, hub: HUB }).unwrap().1
    }

    #[test]
    fn a_file_gets_its_name_only_when_it_is_whole_and_a_killed_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let mut killed = Stick::begin(folder.path(), &node(), 1_000).unwrap();
        killed.write(&head()).unwrap();
        killed.write(&[7; 100_000]).unwrap();
        drop(killed);
        let names = || -> Vec<String> {
            let entries = fs::read_dir(folder.path().join(FOLDER)).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        assert_eq!(names(), ["35.12.07.2003-01.partial"]);
        let mut stick = Stick::begin(folder.path(), &node(), 1_000).unwrap();
        let head = head();
        // In pieces, as they come.
        head.chunks(100).for_each(|piece| stick.write(piece).unwrap());
        let path = stick.finish().unwrap();
        assert_eq!(names(), ["35.12.07.2003-01-e5e5e5e5-20261118T110640Z.carry"]);
        assert_eq!(fs::read(path).unwrap(), head);
    }

    #[test]
    fn a_stick_that_returns_something_else_gives_no_carry_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut stick = Stick::begin(folder.path(), &node(), 1_000).unwrap();
        stick.write(&head()).unwrap();
        let partial = stick.partial.clone();
        let mut bytes = fs::read(&partial).unwrap();
        bytes[50] ^= 1;
        fs::write(&partial, bytes).unwrap();
        let error = stick.finish().unwrap_err().to_string();
        assert!(error.contains("does not return what was written to it"), "{error}");
        assert!(partial.exists());
    }

    #[test]
    fn space_is_asked_for_before_anything_is_written_and_an_unfinished_file_counts_as_free() {
        let folder = tempfile::tempdir().unwrap();
        let error = Stick::begin(folder.path(), &node(), u64::MAX).err().unwrap().to_string();
        assert!(error.contains("are needed") && error.contains("--without-images"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = Stick::begin(&folder.path().join("absent"), &node(), 0).err().unwrap().to_string();
        assert!(error.contains("is the stick mounted?"), "{error}");
    }
}
