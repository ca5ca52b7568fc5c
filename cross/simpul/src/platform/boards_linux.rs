//! Linux: boards in their boot loader from `/sys/block` and `/proc/self/mounts`, ports from `/sys/class/tty`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::BootLoaders;

/// USB vendor id of Raspberry Pi.
const USB_VENDOR: &str = "2e8a";

/// The boot loader's drive as it calls itself over SCSI (RP2040 datasheet 2.8.4).
const SCSI: (&str, &str) = ("RPI", "RP2");

/// Most entries of a folder that are looked at: a machine has some hundred terminals and a few dozen disks.
const ENTRIES_MAX: usize = 1_024;

/// Where the kernel tells about itself; tests have their own.
struct Kernel {
    sys: PathBuf,
    proc: PathBuf,
    dev: PathBuf,
}

impl Kernel {
    fn real() -> Self {
        Kernel { sys: "/sys".into(), proc: "/proc".into(), dev: "/dev".into() }
    }

    /// Device and place of each mount.
    fn mounts(&self) -> Vec<(PathBuf, PathBuf)> {
        let text = fs::read_to_string(self.proc.join("self/mounts")).unwrap_or_default();
        let pair = |line: &str| {
            let mut words = line.split(' ');
            Some((PathBuf::from(unescape(words.next()?)), PathBuf::from(unescape(words.next()?))))
        };
        text.lines().filter_map(pair).collect()
    }

    /// The drives' partitions, by name.
    fn boot_loaders(&self) -> Vec<PathBuf> {
        let block = self.sys.join("block");
        let read = |disk: &str, file: &str| {
            fs::read_to_string(block.join(disk).join("device").join(file)).unwrap_or_default().trim().to_owned()
        };
        let mut found = Vec::new();
        for disk in names(&block) {
            if read(&disk, "vendor") != SCSI.0 || !read(&disk, "model").starts_with(SCSI.1) {
                continue;
            }
            // The drive has a partition table; one that had none would be mounted whole.
            let part = names(&block.join(&disk)).filter(|name| name.starts_with(disk.as_str())).min();
            found.push(self.dev.join(part.unwrap_or(disk)));
        }
        found.sort();
        found
    }

    fn drives(&self) -> BootLoaders {
        let mounts = self.mounts();
        let mut drives = BootLoaders::default();
        for device in self.boot_loaders() {
            match mounts.iter().find(|(mounted, _)| *mounted == device) {
                Some((_, place)) => drives.mounted.push(place.clone()),
                None => drives.not_mounted.push(device.display().to_string()),
            }
        }
        drives
    }

    fn ports(&self) -> Vec<PathBuf> {
        let terminals = self.sys.join("class/tty");
        let is_ours = |name: &String| {
            // The terminal's device is an interface of the USB device, which has the ids.
            let vendor = terminals.join(name).join("device/../idVendor");
            (name.starts_with("ttyACM") || name.starts_with("ttyUSB"))
                && fs::read_to_string(vendor).is_ok_and(|text| text.trim() == USB_VENDOR)
        };
        let mut ports: Vec<_> = names(&terminals).filter(is_ours).map(|name| self.dev.join(name)).collect();
        ports.sort();
        ports
    }
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// `/proc/self/mounts` writes what would end a word as three octal digits.
fn unescape(word: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(word.to_owned(), |word, (from, to)| word.replace(from, to))
}

/// Boards in their boot loader; a drive that is not mounted is mounted where the desktop's own tool does it without a
/// question.
pub fn boot_loader_drives() -> BootLoaders {
    let kernel = Kernel::real();
    let drives = kernel.drives();
    for device in &drives.not_mounted {
        // It may not be there, or not be allowed: then the drive stays as it is, and is told.
        let _ = Command::new("udisksctl")
            .args(["mount", "--no-user-interaction", "--block-device", device])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
    if drives.not_mounted.is_empty() { drives } else { kernel.drives() }
}

/// The device that is mounted at this place: it goes when the board does, while a mount may stay.
pub fn device_of(place: &Path) -> Option<PathBuf> {
    let place = fs::canonicalize(place).ok()?;
    let mounts = Kernel::real().mounts();
    mounts.into_iter().find(|(device, at)| *at == place && device.is_absolute()).map(|(device, _)| device)
}

/// USB serial devices of Raspberry Pi.
pub fn pico_ports() -> Vec<PathBuf> {
    Kernel::real().ports()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(root: &Path) -> Kernel {
        for folder in ["sys/block", "sys/class/tty", "proc/self", "dev"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        Kernel { sys: root.join("sys"), proc: root.join("proc"), dev: root.join("dev") }
    }

    fn disk(root: &Path, name: &str, vendor: &str, model: &str) {
        let folder = root.join("sys/block").join(name);
        fs::create_dir_all(folder.join("device")).unwrap();
        fs::create_dir_all(folder.join(format!("{name}1"))).unwrap();
        fs::write(folder.join("device/vendor"), format!("{vendor:<8}\n")).unwrap();
        fs::write(folder.join("device/model"), format!("{model:<16}\n")).unwrap();
    }

    #[test]
    fn boards_in_their_boot_loader_are_found_mounted_or_not_and_no_other_disk() {
        let root = tempfile::tempdir().unwrap();
        let kernel = kernel(root.path());
        disk(root.path(), "sda", "ATA", "Samsung SSD");
        disk(root.path(), "sdb", "RPI", "RP2");
        disk(root.path(), "sdc", "RPI", "RP2");
        let (mounted, not) = (kernel.dev.join("sdb1"), kernel.dev.join("sdc1"));
        let mounts = format!("/dev/sda1 / ext4 rw 0 0\n{} /media/a\\040b/RPI-RP2 vfat rw 0 0\n", mounted.display());
        fs::write(kernel.proc.join("self/mounts"), mounts).unwrap();
        let wanted =
            BootLoaders { mounted: vec!["/media/a b/RPI-RP2".into()], not_mounted: vec![not.display().to_string()] };
        assert_eq!(kernel.drives(), wanted);
    }

    #[test]
    fn ports_are_those_of_the_vendor_and_no_modem() {
        let root = tempfile::tempdir().unwrap();
        let kernel = kernel(root.path());
        for (index, (name, vendor)) in
            [("ttyACM1", "2e8a"), ("ttyACM0", "12d1"), ("ttyUSB0", "2e8a"), ("ttyS0", "2e8a")].iter().enumerate()
        {
            let interface = kernel.sys.join(format!("devices/usb1/1-{index}/interface"));
            fs::create_dir_all(&interface).unwrap();
            fs::write(interface.parent().unwrap().join("idVendor"), format!("{vendor}\n")).unwrap();
            let terminal = kernel.sys.join("class/tty").join(name);
            fs::create_dir_all(&terminal).unwrap();
            std::os::unix::fs::symlink(&interface, terminal.join("device")).unwrap();
        }
        assert_eq!(kernel.ports(), [kernel.dev.join("ttyACM1"), kernel.dev.join("ttyUSB0")]);
    }
}
