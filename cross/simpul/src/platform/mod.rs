//! All that differs between systems: which disks and boards there are, what they are used for, how one is opened.
//!
//! The judgement ([`Disk::trouble`]) and everything above it is the same everywhere.

#[cfg(target_os = "linux")]
mod boards_linux;
#[cfg(target_os = "linux")]
pub use boards_linux::{boot_loader_drives, device_of, pico_ports};
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::{disks, is_device, open_direct, open_disk, read_at, write_at};

#[cfg(windows)]
mod boards_windows;
#[cfg(windows)]
pub use boards_windows::{boot_loader_drives, device_of, pico_ports};
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::{disks, is_device, open_direct, open_disk, read_at, release, write_at};

use crate::card::problem::Problem;

/// More than this and it is more likely somebody's disk than a card: the largest card sold for these boards.
pub const CAPACITY_BYTES_MAX: u64 = 256_000_000_000;

/// Boards that wait in their boot loader.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootLoaders {
    /// Where their drives are mounted.
    pub mounted: Vec<std::path::PathBuf>,
    /// Devices of drives that are not.
    pub not_mounted: Vec<String>,
}

/// A whole disk, as the system describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disk {
    /// How it is named to be opened.
    pub path: String,
    /// Its size; zero for a reader without a card.
    pub capacity_bytes: u64,
    /// Maker and model, as far as it says.
    pub model: String,
    /// Whether it is meant to be taken out: a card, or anything behind USB.
    pub removable: bool,
    /// Whether the system forbids writing.
    pub read_only: bool,
    /// Whether this computer runs from it.
    pub system: bool,
    /// Where parts of it are mounted.
    pub mounted_at: Vec<String>,
    /// What else uses it: swap, RAID, LVM, encryption.
    pub used_by: Vec<String>,
}

impl Disk {
    /// Why this must not be written; the worst first.
    pub fn trouble(&self, allow_large: bool) -> Option<Problem> {
        let target = self.path.clone();
        if self.system {
            return Some(Problem::SystemDisk { target });
        }
        if !self.mounted_at.is_empty() {
            return Some(Problem::Mounted { target, places: self.mounted_at.join(", ") });
        }
        if !self.used_by.is_empty() {
            return Some(Problem::InUse { target, by: self.used_by.join(", ") });
        }
        if self.capacity_bytes == 0 {
            return Some(Problem::EmptyReader { target });
        }
        if self.read_only {
            return Some(Problem::ReadOnly { target });
        }
        if self.capacity_bytes > CAPACITY_BYTES_MAX && !allow_large {
            let capacity_bytes = self.capacity_bytes;
            return Some(Problem::TooLarge { target, capacity_bytes, limit_bytes: CAPACITY_BYTES_MAX });
        }
        None
    }
}
