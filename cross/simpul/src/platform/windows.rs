//! Windows: disks from PowerShell's `Get-Disk`, volumes let go by `diskpart clean`, sectors through `\\.\PhysicalDriveN`.
//!
//! The system's own tools stand in for `DeviceIoControl`, which would need unsafe code. A disk with a drive letter is no
//! trouble here: the letter goes with `clean`, after the technician has said yes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::Disk;
use crate::card::problem::Problem;

const FILE_FLAG_NO_BUFFERING: u32 = 0x2000_0000;
const PREFIX: &str = r"\\.\PhysicalDrive";
const QUESTION: &str = "ConvertTo-Json -Compress -InputObject @(Get-Disk | Select-Object Number,FriendlyName,\
                        @{n='Bus';e={[string]$_.BusType}},Size,IsBoot,IsSystem,IsReadOnly)";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    number: u32,
    friendly_name: Option<String>,
    bus: Option<String>,
    size: Option<u64>,
    is_boot: Option<bool>,
    is_system: Option<bool>,
    is_read_only: Option<bool>,
}

/// The disks there are, the removable ones first.
pub fn disks() -> Result<Vec<Disk>, Problem> {
    let failed = |what: String| Problem::System { what: format!("Get-Disk: {what}") };
    let output = Command::new("powershell.exe")
        .args(["-NoProfile", "-NonInteractive", "-Command", QUESTION])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let answers: Vec<Answer> = serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    let mut disks: Vec<_> = answers
        .into_iter()
        .map(|answer| Disk {
            path: format!("{PREFIX}{}", answer.number),
            capacity_bytes: answer.size.unwrap_or(0),
            model: answer.friendly_name.unwrap_or_default(),
            removable: matches!(answer.bus.as_deref(), Some("USB" | "SD" | "MMC")),
            read_only: answer.is_read_only.unwrap_or(false),
            system: answer.is_boot.unwrap_or(true) || answer.is_system.unwrap_or(true),
            ..Disk::default()
        })
        .collect();
    disks.sort_by_key(|disk| (!disk.removable, disk.path.clone()));
    Ok(disks)
}

/// Whether `path` names a disk (not a file).
pub fn is_device(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.starts_with(r"\\.\") || is_drive_letter(&text)
}

/// `E:`, `E:\` or `\\.\E:`: a volume on a disk.
fn is_drive_letter(text: &str) -> bool {
    let text = text.trim_start_matches(r"\\.\").trim_end_matches('\\');
    matches!(text.as_bytes(), [letter, b':'] if letter.is_ascii_alphabetic())
}

/// Judge the disk at `path`, let its volumes go, and open it.
pub fn open_disk(path: &Path, allow_large: bool) -> Result<(File, Disk), Problem> {
    let target = path.to_string_lossy().into_owned();
    if is_drive_letter(&target) {
        return Err(Problem::TargetIsPartition { target, disk: format!("{PREFIX}N") });
    }
    let found = disks()?.into_iter().find(|disk| disk.path.eq_ignore_ascii_case(&target));
    let disk = found.ok_or_else(|| Problem::NoSuchTarget { target: target.clone() })?;
    if let Some(trouble) = disk.trouble(allow_large) {
        return Err(trouble);
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => Problem::NoPermission { target: target.clone() },
        // ERROR_SHARING_VIOLATION
        _ if error.raw_os_error() == Some(32) => Problem::TargetBusy { target: target.clone() },
        _ => Problem::System { what: format!("{target}: {error}") },
    })?;
    Ok((file, disk))
}

/// Take the drive letters away: Windows refuses sectors of a mounted volume. Destroys the disk's partition table.
pub fn release(disk: &Disk) -> Result<(), Problem> {
    let failed = |what: String| Problem::System { what: format!("diskpart: {what}") };
    let number = disk.path.strip_prefix(PREFIX).unwrap_or_default();
    let mut child = Command::new("diskpart.exe")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        write!(stdin, "select disk {number}\r\nclean\r\nexit\r\n").map_err(|error| failed(error.to_string()))?;
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}

/// Open `path` once more, for reads around the cache. Offsets, lengths and memory have to be aligned to 4096.
pub fn open_direct(path: &Path, _file: &File) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(FILE_FLAG_NO_BUFFERING).open(path)
}

/// Read at `offset`.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

/// Write all at `offset`.
pub fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = file.seek_write(bytes, offset)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[count..];
        offset += count as u64;
    }
    Ok(())
}
