//! The firmware's two files: `pico.uf2` for a board in its boot loader, `pico.img` for one that runs. Both are of one build:
//! the slot that the first one fills is the second one, byte by byte, or nothing is begun.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use simpul_wire::board::Hardware;
use simpul_wire::board::host::{self, Image};

use super::problem::Problem;
use super::uf2::{self, Uf2};

/// The active slot in the chip's memory (docs/protocol/board-update.md).
const ACTIVE: std::ops::Range<u32> = 0x1001_0000..0x1002_0000;
/// What `cargo xtask firmware` calls the file.
const NAME: &str = "pico.uf2";

/// A build of the firmware.
#[derive(Debug)]
pub struct Firmware {
    /// The UF2's bytes, as they are written.
    pub uf2: Vec<u8>,
    /// What is sent to a board that runs, with the version that it will say of itself.
    pub image: Image,
}

impl Firmware {
    /// Read and check both files. `named`: what `--image` says, either of the two; else `pico.uf2` is looked for beside the
    /// program and in the folder at hand.
    ///
    /// # Errors
    /// [`Problem`]: nothing was written anywhere.
    pub fn read(named: Option<&Path>) -> Result<Firmware, Problem> {
        let path = match named {
            Some(path) => path.with_extension("uf2"),
            None => find()?,
        };
        let to_send = path.with_extension("img");
        let bytes = read(&path, uf2::FILE_BYTES_MAX)?;
        let parsed = Uf2::parse(&bytes).map_err(|error| Problem::Uf2 { file: path.display().to_string(), error })?;
        let image = match read(&to_send, host::FILE_BYTES_MAX) {
            Err(Problem::ImageUnreadable { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Problem::SendMissing { file: to_send.display().to_string() });
            }
            other => {
                Image::parse(&other?).map_err(|error| Problem::Send { file: to_send.display().to_string(), error })?
            }
        };
        let mut slot = parsed.content(ACTIVE);
        let same = slot.len() >= image.bytes().len() && slot.starts_with(image.bytes());
        let rest = slot.split_off(image.bytes().len().min(slot.len()));
        if image.begin.hardware != Hardware::Pico || !same || rest.iter().any(|byte| *byte != 0xFF) {
            return Err(Problem::OtherBuild { uf2: path.display().to_string(), send: to_send.display().to_string() });
        }
        Ok(Firmware { uf2: bytes, image })
    }
}

fn find() -> Result<PathBuf, Problem> {
    let program = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let mut places: Vec<PathBuf> = program.into_iter().map(|folder| folder.join(NAME)).collect();
    places.push(NAME.into());
    places.push(Path::new("firmware").join(NAME));
    match places.iter().find(|place| place.is_file()) {
        Some(place) => Ok(place.clone()),
        None => {
            let places = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ");
            Err(Problem::ImageNotFound { places })
        }
    }
}

/// A file's bytes, a few more than `bytes_max` at most: too long is then seen.
fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let file = || path.display().to_string();
    if path.is_dir() {
        return Err(Problem::ImageIsFolder { file: file() });
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|open| open.take(bytes_max as u64 + 2).read_to_end(&mut bytes))
        .map_err(|error| Problem::ImageUnreadable { file: file(), error })?;
    Ok(bytes)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crc::{CRC_32_ISO_HDLC, Crc};

    /// An image's file of these bytes, as it is built.
    pub fn to_send(version: [u8; 3], image: &[u8]) -> Vec<u8> {
        let mut file = b"SIMPULFW\x01".to_vec();
        file.extend(version);
        file.extend((image.len() as u32).to_le_bytes());
        file.extend(Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(image).to_le_bytes());
        file.extend(image);
        file
    }

    #[test]
    fn both_files_have_to_be_of_one_build() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pico.uf2");
        // 257 blocks: the last one is the first of the active slot, written with its number, 0.
        std::fs::write(&path, crate::board::uf2::tests::file(257)).unwrap();
        let said = |named: &Path| Firmware::read(Some(named)).unwrap_err().say(simpul_words::Language::English);
        assert!(said(&path).contains("pico.img is missing"), "{}", said(&path));
        std::fs::write(folder.path().join("pico.img"), to_send([1, 2, 3], &[0; 256])).unwrap();
        // Named by either.
        for name in ["pico.uf2", "pico.img"] {
            let firmware = Firmware::read(Some(&folder.path().join(name))).unwrap();
            assert_eq!(firmware.image.begin.version, [1, 2, 3]);
        }
        for other in [&[0; 255][..], &[1; 256], &[0; 257]] {
            std::fs::write(folder.path().join("pico.img"), to_send([1, 2, 3], other)).unwrap();
            assert!(said(&path).contains("not of the same build"), "{} bytes: {}", other.len(), said(&path));
        }
    }
}
