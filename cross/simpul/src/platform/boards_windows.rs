//! Windows: boards in their boot loader by drive letter, ports from PowerShell's `Get-CimInstance`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::BootLoaders;
use crate::board::is_boot_loader;

/// Names of the serial ports of Raspberry Pi's USB devices end in `(COM5)`.
const QUESTION: &str = "Get-CimInstance Win32_PnPEntity -Filter \"PNPDeviceID LIKE '%VID[_]2E8A%' AND Name LIKE \
                        '%(COM%'\" | ForEach-Object { $_.Name }";

/// Boards in their boot loader. A and B are floppy drives', whose looking takes seconds.
pub fn boot_loader_drives() -> BootLoaders {
    let drives = (b'C'..=b'Z').map(|letter| PathBuf::from(format!("{}:\\", char::from(letter))));
    BootLoaders { mounted: drives.filter(|drive| is_boot_loader(drive)).collect(), not_mounted: Vec::new() }
}

/// A drive letter goes with its drive: there is nothing else to look at.
pub fn device_of(_place: &Path) -> Option<PathBuf> {
    None
}

/// USB serial devices of Raspberry Pi.
pub fn pico_ports() -> Vec<PathBuf> {
    let asked = Command::new("powershell.exe")
        .args(["-NoProfile", "-NonInteractive", "-Command", QUESTION])
        .stdin(Stdio::null())
        .output();
    let Ok(output) = asked else { return Vec::new() };
    let port = |line: &str| {
        let (_, rest) = line.rsplit_once('(')?;
        let name = rest.trim().strip_suffix(')')?;
        name.starts_with("COM").then(|| PathBuf::from(name))
    };
    let mut ports: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().filter_map(port).collect();
    ports.sort();
    ports.dedup();
    ports
}
