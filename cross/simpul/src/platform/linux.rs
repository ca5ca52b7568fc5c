//! Linux: disks from `/sys/block`, their uses from `/proc`, opened with `O_EXCL` (which a mounted disk refuses) and read
//! back with `O_DIRECT`.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::Disk;
use crate::card::problem::Problem;

/// Folders whose disk this computer runs from.
const SYSTEM_FOLDERS: [&str; 8] = ["/", "/boot", "/boot/efi", "/boot/firmware", "/usr", "/var", "/home", "/nix"];
/// Disks that are none: never offered.
const NOT_CARDS: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "sr", "nbd", "fd"];

/// Where the kernel tells about itself; tests have their own.
struct Kernel {
    sys: PathBuf,
    proc: PathBuf,
}

impl Kernel {
    fn real() -> Self {
        Kernel { sys: "/sys".into(), proc: "/proc".into() }
    }
}

/// The disks there are, the removable ones with a card first.
pub fn disks() -> Result<Vec<Disk>, Problem> {
    let kernel = Kernel::real();
    let mut disks: Vec<_> = kernel
        .disk_names()
        .map_err(|error| Problem::System { what: format!("/sys/block: {error}") })?
        .into_iter()
        .filter(|name| !NOT_CARDS.iter().any(|prefix| name.starts_with(prefix)))
        .map(|name| kernel.disk(&name))
        .collect();
    disks.sort_by_key(|disk| (!disk.removable, disk.capacity_bytes == 0, disk.path.clone()));
    Ok(disks)
}

/// Whether `path` is a disk or a part of one (not a file).
pub fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

/// Judge the disk at `path` and open it for this program alone.
pub fn open_disk(path: &Path, allow_large: bool) -> Result<(File, Disk), Problem> {
    let shown = path.display().to_string();
    let real = fs::canonicalize(path).map_err(|_| Problem::NoSuchTarget { target: shown.clone() })?;
    let name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let disk = Kernel::real().whole_disk(&name, &shown)?;
    if let Some(trouble) = disk.trouble(allow_large) {
        return Err(trouble);
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::EXCL.bits() as i32)
        .open(&real)
        .map_err(|error| open_problem(&error, shown))?;
    Ok((file, disk))
}

fn open_problem(error: &io::Error, target: String) -> Problem {
    match error.kind() {
        io::ErrorKind::ResourceBusy => Problem::TargetBusy { target },
        io::ErrorKind::PermissionDenied => Problem::NoPermission { target },
        io::ErrorKind::ReadOnlyFilesystem => Problem::ReadOnly { target },
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOMEDIUM.raw_os_error()) => {
            Problem::EmptyReader { target }
        }
        _ => Problem::System { what: format!("{target}: {error}") },
    }
}

/// Open `path` once more, for reads around the page cache. Offsets, lengths and memory have to be aligned to 4096.
pub fn open_direct(path: &Path, file: &File) -> io::Result<File> {
    // What a file system without O_DIRECT keeps is dropped at least; it may refuse, and the caller says how it read.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    OpenOptions::new().read(true).custom_flags(OFlags::DIRECT.bits() as i32).open(path)
}

/// Read at `offset`.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// Write all at `offset`.
pub fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

impl Kernel {
    fn disk_names(&self) -> io::Result<Vec<String>> {
        Ok(fs::read_dir(self.sys.join("block"))?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect())
    }

    fn whole_disk(&self, name: &str, shown: &str) -> Result<Disk, Problem> {
        let block = self.sys.join("block");
        if block.join(name).is_dir() {
            return Ok(self.disk(name));
        }
        let of = self.disk_names().unwrap_or_default().into_iter().find(|disk| block.join(disk).join(name).is_dir());
        match of {
            Some(disk) => Err(Problem::TargetIsPartition { target: shown.to_owned(), disk: format!("/dev/{disk}") }),
            None => Err(Problem::NoSuchTarget { target: shown.to_owned() }),
        }
    }

    fn disk(&self, name: &str) -> Disk {
        let folder = self.sys.join("block").join(name);
        let read = |file: &str| fs::read_to_string(folder.join(file)).map(|text| text.trim().to_owned()).ok();
        let sectors: u64 = read("size").and_then(|text| text.parse().ok()).unwrap_or(0);
        let behind_usb = fs::canonicalize(&folder).is_ok_and(|real| real.to_string_lossy().contains("/usb"));
        let is_card = read("device/type").as_deref() == Some("SD");
        let model = [read("device/vendor"), read("device/model"), read("device/name")];
        let model = model.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let uses = self.uses(name);
        Disk {
            path: format!("/dev/{name}"),
            capacity_bytes: sectors.saturating_mul(512),
            model,
            removable: read("removable").as_deref() == Some("1") || behind_usb || is_card,
            read_only: read("ro").as_deref() == Some("1"),
            system: uses.mounted_at.iter().any(|place| SYSTEM_FOLDERS.contains(&place.as_str())),
            mounted_at: uses.mounted_at.into_iter().collect(),
            used_by: uses.used_by.into_iter().collect(),
        }
    }

    /// What uses a disk: its own mounts and swaps, its partitions', and those of what is built upon them.
    fn uses(&self, name: &str) -> Uses {
        let mounts = fs::read_to_string(self.proc.join("self/mountinfo")).unwrap_or_default();
        let swaps = fs::read_to_string(self.proc.join("swaps")).unwrap_or_default();
        let block = self.sys.join("block");
        let mut uses = Uses::default();
        let mut open = vec![block.join(name)];
        let mut seen = BTreeSet::new();
        while let Some(folder) = open.pop() {
            // A loop among holders cannot be; a limit is cheaper than to believe it.
            if !seen.insert(folder.clone()) || seen.len() > 1_000 {
                continue;
            }
            let own = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let number = fs::read_to_string(folder.join("dev")).unwrap_or_default();
            for line in mounts.lines() {
                let words: Vec<_> = line.split(' ').collect();
                let source = words.iter().position(|word| *word == "-").and_then(|at| words.get(at + 2));
                let same = words.get(2).is_some_and(|dev| *dev == number.trim());
                if same || source.is_some_and(|source| *source == format!("/dev/{own}")) {
                    uses.mounted_at.extend(words.get(4).map(|place| place.replace("\\040", " ")));
                }
            }
            if swaps.lines().any(|line| line.split_whitespace().next() == Some(&format!("/dev/{own}"))) {
                uses.used_by.insert("swap".into());
            }
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.path().join("partition").exists() {
                    open.push(entry.path());
                }
            }
            for holder in fs::read_dir(folder.join("holders")).into_iter().flatten().flatten() {
                let holder = holder.file_name().to_string_lossy().into_owned();
                open.push(block.join(&holder));
                uses.used_by.insert(holder);
            }
        }
        uses
    }
}

#[derive(Default)]
struct Uses {
    mounted_at: BTreeSet<String>,
    used_by: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with a system disk (an LVM root on sda2), a mounted card (sdb1), a spare card and an empty reader.
    fn kernel() -> (tempfile::TempDir, Kernel) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let put = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        put("sys/block/sda/size", "1000000\n");
        put("sys/block/sda/dev", "8:0\n");
        put("sys/block/sda/sda2/partition", "2\n");
        put("sys/block/sda/sda2/dev", "8:2\n");
        put("sys/block/sda/sda2/holders/dm-0", "");
        put("sys/block/dm-0/dev", "253:0\n");
        put("sys/block/sdb/size", "62333952\n");
        put("sys/block/sdb/removable", "1\n");
        put("sys/block/sdb/device/vendor", "Generic \n");
        put("sys/block/sdb/device/model", "STORAGE DEVICE  \n");
        put("sys/block/sdb/dev", "8:16\n");
        put("sys/block/sdb/sdb1/partition", "1\n");
        put("sys/block/sdb/sdb1/dev", "8:17\n");
        put("sys/block/mmcblk0/size", "62333952\n");
        put("sys/block/mmcblk0/dev", "179:0\n");
        put("sys/block/mmcblk0/device/type", "SD\n");
        put("sys/block/mmcblk0/device/name", "SC32G\n");
        put("sys/block/sdc/size", "0\n");
        put("sys/block/sdd/size", "1000000\n");
        put("sys/block/sdd/sdd1/partition", "1\n");
        put("sys/block/sdd/sdd1/dev", "8:49\n");
        put("proc/swaps", "Filename Type Size\n/dev/sdd1 partition 1 0 -2\n");
        put(
            "proc/self/mountinfo",
            "22 1 253:0 / / rw - ext4 /dev/mapper/root rw\n40 22 8:17 / /media/kartu\\040saya rw - vfat /dev/sdb1 rw\n",
        );
        let kernel = Kernel { sys: folder.path().join("sys"), proc: folder.path().join("proc") };
        (folder, kernel)
    }

    #[test]
    fn each_disk_is_judged_by_what_it_is_used_for() {
        let (_folder, kernel) = kernel();
        let trouble = |name: &str| kernel.disk(name).trouble(false);
        assert!(matches!(trouble("sda"), Some(Problem::SystemDisk { .. })), "the root is on LVM on sda2");
        assert!(matches!(trouble("sdb"), Some(Problem::Mounted { places, .. }) if places == "/media/kartu saya"));
        assert!(matches!(trouble("sdc"), Some(Problem::EmptyReader { .. })));
        assert!(matches!(trouble("sdd"), Some(Problem::InUse { by, .. }) if by == "swap"));
        assert!(trouble("mmcblk0").is_none());
        let card = kernel.disk("mmcblk0");
        assert_eq!((card.removable, card.capacity_bytes, card.model.as_str()), (true, 31_914_983_424, "SC32G"));
        assert_eq!(kernel.disk("sdb").model, "Generic STORAGE DEVICE");
    }

    #[test]
    fn a_partition_is_refused_and_its_disk_named() {
        let (_folder, kernel) = kernel();
        let refused = kernel.whole_disk("sdb1", "/dev/sdb1");
        assert!(matches!(refused, Err(Problem::TargetIsPartition { disk, .. }) if disk == "/dev/sdb"));
        assert!(matches!(kernel.whole_disk("sdz", "/dev/sdz"), Err(Problem::NoSuchTarget { .. })));
    }

    #[test]
    fn a_large_disk_needs_to_be_allowed() {
        let disk =
            Disk { path: "/dev/sde".into(), capacity_bytes: super::super::CAPACITY_BYTES_MAX + 1, ..Disk::default() };
        assert!(matches!(disk.trouble(false), Some(Problem::TooLarge { .. })));
        assert!(disk.trouble(true).is_none());
    }
}
