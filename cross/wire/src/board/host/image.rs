//! The file that a board is updated with: header and image, as docs/protocol/board-update.md lays them out. Checks that it is
//! whole; leaves reading files to its caller, and to `update` which board it is for.

use alloc::sync::Arc;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

use crate::board::{Hardware, UPDATE_DATA_BYTES_MAX, UpdateBegin, UpdateData};

const MAGIC: &[u8; 8] = b"SIMPULFW";
const HEADER_BYTES: usize = 20;

/// A slot of the board's flash: no board takes more.
pub const IMAGE_BYTES_MAX: usize = 64 * 1024;

/// A whole file, at most.
pub const FILE_BYTES_MAX: usize = HEADER_BYTES + IMAGE_BYTES_MAX;

/// Bitwise, for a file that is read once: a table would be 1 KiB of the agent.
static CRC32: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Why a file is no image for a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageError {
    /// It does not begin as such a file does.
    NotAnImage,
    /// Its hardware is not known here.
    UnknownHardware(u8),
    /// It is cut off, or has something behind its end.
    WrongLength {
        /// As the header says.
        said: u32,
        /// As there are.
        there: usize,
    },
    /// It is empty, or larger than a slot of the board.
    WrongSize(u32),
    /// Its bytes are not those that were built.
    BadChecksum,
}

impl core::fmt::Display for ImageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ImageError::NotAnImage => f.write_str("no image of a board (.img of the firmware's build)"),
            ImageError::UnknownHardware(number) => {
                write!(f, "for hardware {number}, which this program does not know")
            }
            ImageError::WrongLength { said, there } => {
                write!(f, "{there} bytes of image where its header says {said}; copy it again")
            }
            ImageError::WrongSize(bytes) => write!(f, "{bytes} bytes, and a board takes 1 to {IMAGE_BYTES_MAX}"),
            ImageError::BadChecksum => f.write_str("its checksum is wrong; copy it again"),
        }
    }
}

impl core::error::Error for ImageError {}

/// A whole image.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    /// What its header says, as it is said to the board.
    pub begin: UpdateBegin,
    bytes: Arc<[u8]>,
}

impl core::fmt::Debug for Image {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.begin.fmt(f)
    }
}

impl Image {
    /// Check a file's bytes.
    ///
    /// # Errors
    /// [`ImageError`]: what is wrong with them.
    pub fn parse(file: &[u8]) -> Result<Image, ImageError> {
        let (header, image) = file.split_first_chunk::<HEADER_BYTES>().ok_or(ImageError::NotAnImage)?;
        let [magic @ .., _, _, _, _, _, _, _, _, _, _, _, _] = header;
        if magic != MAGIC {
            return Err(ImageError::NotAnImage);
        }
        let [_, _, _, _, _, _, _, _, hardware, major, minor, patch, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
        let hardware = match hardware {
            0 => Hardware::Lm3s6965,
            1 => Hardware::Pico,
            other => return Err(ImageError::UnknownHardware(other)),
        };
        let image_bytes = u32::from_le_bytes([l0, l1, l2, l3]);
        let crc32 = u32::from_le_bytes([c0, c1, c2, c3]);
        if image_bytes == 0 || image_bytes as usize > IMAGE_BYTES_MAX {
            return Err(ImageError::WrongSize(image_bytes));
        }
        if image.len() != image_bytes as usize {
            return Err(ImageError::WrongLength { said: image_bytes, there: image.len() });
        }
        if CRC32.checksum(image) != crc32 {
            return Err(ImageError::BadChecksum);
        }
        let begin = UpdateBegin { hardware, version: [major, minor, patch], image_bytes, crc32 };
        Ok(Image { begin, bytes: image.into() })
    }

    /// The image, as it lies in its slot.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The piece at an offset; nothing at or behind the end.
    pub fn piece(&self, offset: u32) -> Option<UpdateData> {
        let rest = self.bytes.get(offset as usize..).filter(|rest| !rest.is_empty())?;
        let bytes = rest.iter().copied().take(UPDATE_DATA_BYTES_MAX).collect();
        Some(UpdateData { offset, bytes })
    }
}
