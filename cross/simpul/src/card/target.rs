//! Where the image goes: a card's device or a file, opened, judged, and seen as a [`Medium`].

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::medium::{Medium, ReadBack};
use super::problem::Problem;
use super::write::left_unfinished;
use crate::platform::{self, Disk};

/// Memory and offsets of reads around the cache are multiples of this.
const ALIGNMENT: usize = 4096;
/// One bounce buffer: a chunk of the writer's.
const BOUNCE_BYTES: usize = super::write::CHUNK_BYTES;

/// An opened target.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    file: File,
    disk: Option<Disk>,
    capacity_bytes: Option<u64>,
    read_back: Option<(File, ReadBack)>,
    bounce: Vec<u8>,
}

impl Target {
    /// Open `path`. A device has to be a spare card; a file is made if there is none. Nothing is changed yet.
    pub fn open(path: &Path, allow_large: bool) -> Result<Self, Problem> {
        let target = path.display().to_string();
        if path.is_dir() {
            return Err(Problem::TargetIsFolder { target });
        }
        if platform::is_device(path) {
            let (file, disk) = platform::open_disk(path, allow_large)?;
            let capacity_bytes = Some(disk.capacity_bytes);
            return Ok(Self::new(path, file, Some(disk), capacity_bytes));
        }
        if path.starts_with("/dev") && !path.exists() {
            // A mistyped device must not become a file on the system's own disk.
            return Err(Problem::NoSuchTarget { target });
        }
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = open.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Problem::NoPermission { target: target.clone() },
            io::ErrorKind::NotFound => Problem::NoSuchTarget { target: target.clone() },
            _ => Problem::System { what: format!("{target}: {error}") },
        })?;
        let length = file.metadata().map_err(Problem::CardRead)?.len();
        // A file with a length stands for a card of that size; an empty one grows, and so does its unfinished remainder.
        let mut target = Self::new(path, file, None, (length > 0).then_some(length));
        if let Some(Some(marker)) = left_unfinished(&mut target) {
            target.capacity_bytes = marker.capacity_bytes;
        }
        Ok(target)
    }

    fn new(path: &Path, file: File, disk: Option<Disk>, capacity_bytes: Option<u64>) -> Self {
        Target { path: path.to_owned(), file, disk, capacity_bytes, read_back: None, bounce: Vec::new() }
    }

    /// The disk, unless it is a file.
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// The last preparation before the first write, after the technician said yes.
    pub fn prepare(&mut self) -> Result<(), Problem> {
        #[cfg(windows)]
        if let Some(disk) = &self.disk {
            platform::release(disk)?;
            self.file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(Problem::CardWrite)?;
        }
        Ok(())
    }

    fn read_direct(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((file, _)) = &self.read_back else { return platform::read_at(&self.file, buffer, offset) };
        if self.bounce.is_empty() {
            self.bounce = vec![0; BOUNCE_BYTES + 2 * ALIGNMENT];
        }
        let skip = (offset % ALIGNMENT as u64) as usize;
        let wanted = buffer.len().min(BOUNCE_BYTES - ALIGNMENT);
        let whole = (skip + wanted).next_multiple_of(ALIGNMENT);
        let start = self.bounce.as_ptr().align_offset(ALIGNMENT);
        let aligned = &mut self.bounce[start..start + whole];
        let got = platform::read_at(file, aligned, offset - skip as u64)?;
        let count = got.saturating_sub(skip).min(wanted);
        buffer[..count].copy_from_slice(&aligned[skip..skip + count]);
        Ok(count)
    }
}

impl Medium for Target {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.read_back = None;
        platform::write_at(&self.file, bytes, offset)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let count = self.read_direct(offset + filled as u64, &mut buffer[filled..])?;
            if count == 0 {
                break;
            }
            filled += count;
        }
        Ok(filled)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn forget_cached(&mut self) -> io::Result<ReadBack> {
        if let Ok(file) = platform::open_direct(&self.path, &self.file) {
            self.read_back = Some((file, ReadBack::Direct));
            // Some file systems open so and then refuse to read so.
            if self.read_at(0, &mut [0; 512]).is_ok() {
                return Ok(ReadBack::Direct);
            }
        }
        self.read_back = Some((File::open(&self.path)?, ReadBack::Reopened));
        Ok(ReadBack::Reopened)
    }

    fn capacity_bytes(&self) -> Option<u64> {
        self.capacity_bytes
    }
}
