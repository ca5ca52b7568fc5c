//! A board in its boot loader: a USB drive `RPI-RP2` that takes a UF2 file and then takes itself away.
//!
//! The file's last block starts the board, often before the system has heard that it was written: an error at the very end
//! is no failure yet. What came of it shows the drive's going and the board's hello, nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use simpul_clock::Clock;

use super::fault::Fault;

/// What the boot loader tells of itself.
const INFO: &str = "INFO_UF2.TXT";
const BOARD_ID: &str = "RPI-RP2";
/// It has some 60 bytes.
const INFO_BYTES_MAX: u64 = 4_096;

/// Written at a time: a sector of the board's flash, as blocks of a file.
const CHUNK_BYTES: usize = 8_192;

/// From the last byte until the drive is gone: writing 2 MiB of flash takes ten seconds.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// The drive is looked for this often; the system tells nobody that a folder is gone.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A drive that was looked at.
#[derive(Debug)]
pub struct Drive {
    path: PathBuf,
    /// The device behind it, which goes when the board does.
    device: Option<PathBuf>,
}

impl Drive {
    /// Look at a drive, and whether it is a Pico's.
    ///
    /// # Errors
    /// It is none: nothing was written.
    pub fn open(path: &Path) -> Result<Drive, Fault> {
        let said = board_id(path).map_err(Fault::NoInfo)?;
        if said != BOARD_ID {
            return Err(Fault::NotAPico { said });
        }
        Ok(Drive { path: path.to_owned(), device: crate::platform::device_of(path) })
    }

    /// Write a UF2 file and wait until the board takes itself away. `progress`: bytes written so far.
    ///
    /// # Errors
    /// The drive went before all was written, or did not go.
    pub fn flash(&self, uf2: &[u8], clock: &Clock, mut progress: impl FnMut(usize)) -> Result<(), Fault> {
        let mut written = 0;
        if let Err(error) = self.write(uf2, &mut written, &mut progress) {
            // What is left is with the system; the board may have gone with the last block.
            if written < uf2.len() || self.is_there() {
                return Err(Fault::DriveLost { written, of: uf2.len(), error });
            }
        }
        let end = clock.now() + GONE_WITHIN;
        while self.is_there() {
            if clock.now() >= end {
                return Err(Fault::DriveStays);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn write(&self, uf2: &[u8], written: &mut usize, progress: &mut impl FnMut(usize)) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(self.path.join("simpul.uf2"))?;
        for chunk in uf2.chunks(CHUNK_BYTES) {
            file.write_all(chunk)?;
            *written += chunk.len();
            // So that what is shown is written, and not in this computer's memory.
            settled(file.sync_data())?;
            progress(*written);
        }
        settled(file.sync_all())
    }

    fn is_there(&self) -> bool {
        self.device.as_ref().is_none_or(|device| device.exists()) && board_id(&self.path).is_ok()
    }
}

/// What cannot be synced (a pipe) is not held back either.
fn settled(synced: io::Result<()>) -> io::Result<()> {
    synced.or_else(|error| if error.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) })
}

/// Whether a folder is a boot loader's drive.
pub fn is_boot_loader(path: &Path) -> bool {
    board_id(path).is_ok_and(|said| said == BOARD_ID)
}

fn board_id(path: &Path) -> io::Result<String> {
    let file = path.join(INFO);
    // Something else of this name (a pipe) would wait for ever.
    if !fs::metadata(&file)?.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(INFO_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let said = text.lines().find_map(|line| line.strip_prefix("Board-ID:"));
    said.map(|said| said.trim().chars().take(40).collect()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_is_a_picos_or_is_named_for_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(matches!(Drive::open(path), Err(Fault::NoInfo(_))));
        for (text, picos) in [
            ("UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n", true),
            ("Board-ID: RPI-RP2", true),
            ("Model: Raspberry Pi RP2350\nBoard-ID: RP2350\n", false),
            ("Board-ID: SAMD21G18A-Feather-v0\n", false),
            ("no such line\n", false),
            ("", false),
        ] {
            fs::write(path.join(INFO), text).unwrap();
            assert_eq!(is_boot_loader(path), picos, "{text:?}");
            assert_eq!(Drive::open(path).is_ok(), picos, "{text:?}");
        }
        fs::remove_file(path.join(INFO)).unwrap();
        fs::create_dir(path.join(INFO)).unwrap();
        assert!(matches!(Drive::open(path), Err(Fault::NoInfo(_))));
    }

    #[test]
    fn a_drive_that_is_gone_before_all_was_written_is_no_success() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drive");
        fs::create_dir(&path).unwrap();
        fs::write(path.join(INFO), "Board-ID: RPI-RP2\n").unwrap();
        let drive = Drive::open(&path).unwrap();
        fs::remove_dir_all(&path).unwrap();
        let lost = drive.flash(&[0; 20_000], &Clock::machine(), |_| ()).unwrap_err();
        assert!(matches!(lost, Fault::DriveLost { written: 0, of: 20_000, .. }), "{lost:?}");
    }
}
