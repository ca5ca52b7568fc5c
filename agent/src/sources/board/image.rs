//! The firmware's file: read when it changes. What is in it, the link's crate knows ([`simpul_wire::board::host`]).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use simpul_wire::board::host::FILE_BYTES_MAX;
pub use simpul_wire::board::host::{Image, ImageError};

/// Why a file is no image for a board.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something is wrong with it.
    #[error("{0}")]
    Image(#[from] ImageError),
}

/// Read and check a file. Blocking.
///
/// # Errors
/// [`ReadError`]: what is wrong with it.
pub fn read(path: &Path) -> Result<Image, ReadError> {
    let mut bytes = Vec::new();
    // Two more than may be there: too long is then seen, whatever the file is.
    File::open(path)?.take(FILE_BYTES_MAX as u64 + 2).read_to_end(&mut bytes)?;
    Ok(Image::parse(&bytes)?)
}

/// The firmware's file as it was read: when it was changed (seconds, nanoseconds) and its size. Nothing: not at all.
pub(super) type Seen = Option<(i64, i64, u64)>;

/// A file that was read, or what is wrong with it.
pub(super) type Looked = (Seen, Result<Image, String>);

/// Look at the firmware's file, and read it unless it is the same as before. A bad one is read each time: it may be mended
/// in the same second. Blocking.
pub(super) fn look(path: &Path, seen: Seen) -> Option<Looked> {
    let stamp = match std::fs::metadata(path) {
        Ok(meta) => (meta.mtime(), meta.mtime_nsec(), meta.size()),
        Err(error) => return Some((None, Err(format!("{}: {error}", path.display())))),
    };
    if seen == Some(stamp) {
        return None;
    }
    match read(path) {
        Ok(image) => Some((Some(stamp), Ok(image))),
        Err(error) => Some((None, Err(format!("{}: {error}", path.display())))),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crc::{CRC_32_ISO_HDLC, Crc};
    use simpul_wire::board::{Hardware, UpdateBegin};

    use super::*;

    const MAGIC: &[u8; 8] = b"SIMPULFW";
    static CRC32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

    /// The file of an image, as it is built.
    pub(in super::super) fn file(version: [u8; 3], image: &[u8]) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.push(1);
        file.extend(version);
        file.extend((image.len() as u32).to_le_bytes());
        file.extend(CRC32.checksum(image).to_le_bytes());
        file.extend(image);
        file
    }

    #[test]
    fn a_whole_file_is_read_byte_by_byte_as_the_protocol_says() {
        // The algorithm's own check value.
        let file = b"SIMPULFW\x01\x01\x02\x03\x09\0\0\0\x26\x39\xF4\xCB123456789";
        let image = Image::parse(file).unwrap();
        let begin = UpdateBegin { hardware: Hardware::Pico, version: [1, 2, 3], image_bytes: 9, crc32: 0xCBF4_3926 };
        assert_eq!(image.begin, begin);
        assert_eq!(image.piece(0).unwrap().bytes, *b"123456789");
        assert_eq!(image.piece(9), None);
        assert_eq!(image.piece(u32::MAX), None);
        let long = Image::parse(&self::file([0; 3], &[7; 300])).unwrap();
        let lengths: Vec<_> = [0, 128, 256].iter().map(|at| long.piece(*at).unwrap().bytes.len()).collect();
        assert_eq!(lengths, [128, 128, 44]);
    }

    #[test]
    fn a_file_that_is_damaged_anywhere_or_cut_anywhere_is_refused() {
        let whole = file([1, 2, 3], b"an image");
        for place in (0..whole.len()).filter(|place| !(9..12).contains(place)) {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x40;
            assert!(Image::parse(&damaged).is_err(), "byte {place}");
        }
        for length in 0..whole.len() {
            assert!(Image::parse(&whole[..length]).is_err(), "{length} bytes");
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(matches!(Image::parse(&longer), Err(ImageError::WrongLength { said: 8, there: 9 })));
        assert!(matches!(Image::parse(&file([0; 3], &[])), Err(ImageError::WrongSize(0))));
        assert!(matches!(Image::parse(&file([0; 3], &[0; 65_537])), Err(ImageError::WrongSize(65_537))));
        assert!(Image::parse(&file([0; 3], &[0; 65_536])).is_ok());
    }

    #[test]
    fn the_firmwares_file_is_read_when_it_changes_and_a_bad_one_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pico.img");
        assert!(matches!(look(&path, None), Some((None, Err(_)))), "not there");
        std::fs::write(&path, file([0, 2, 0], &[1; 300])).unwrap();
        let Some((seen @ Some(_), Ok(_))) = look(&path, None) else { panic!() };
        assert!(look(&path, seen).is_none());
        std::fs::write(&path, b"half").unwrap();
        let Some((bad @ None, Err(_))) = look(&path, seen) else { panic!() };
        assert!(look(&path, bad).is_some());
        std::fs::write(&path, file([0, 3, 0], &[1; 301])).unwrap();
        assert!(matches!(look(&path, seen), Some((Some(_), Ok(image))) if image.begin.version == [0, 3, 0]));
    }
}
