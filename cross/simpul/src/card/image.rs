//! The image that is to be written: what it is packed with, its first MiB, and its bytes in order.
//!
//! The kind is told by the first bytes, never by the name. A packed image is unpacked on the way: its end is known only
//! when it has come, so a torn archive is found at the end at the latest. An `.xz` has an index at its own end: a torn
//! one is refused before the card is touched.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::problem::Problem;

/// How much of the image comes first into memory and last onto the card: partition table, boot code, GPT.
pub const HEAD_BYTES: usize = 1 << 20;

/// What an image is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// `.xz`
    Xz,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstandard,
}

/// An opened image.
pub struct Image {
    /// The file's name, to be shown.
    pub name: String,
    /// Packed with what.
    pub packing: Packing,
    /// The file's own size.
    pub stored_bytes: u64,
    /// Its size on the card, where that is known before the end.
    pub unpacked_bytes: Option<u64>,
    /// Its first MiB (all of it, if it is smaller).
    pub head: Vec<u8>,
    reader: Box<dyn Read>,
    consumed: Arc<AtomicU64>,
    source_failed: Arc<AtomicBool>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("name", &self.name).field("packing", &self.packing).finish_non_exhaustive()
    }
}

impl Image {
    /// Open the image at `path` and read its first MiB.
    pub fn open(path: &Path) -> Result<Self, Problem> {
        let shown = path.display().to_string();
        let unreadable = |error: io::Error| Problem::ImageUnreadable { image: shown.clone(), error };
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Problem::ImageIsNoFile { image: shown });
        }
        let stored_bytes = metadata.len();
        let mut magic = [0_u8; 18];
        let magic_bytes = read_up_to(&mut file, &mut magic).map_err(unreadable)?;
        let packing = packing_of(&magic[..magic_bytes], &shown)?;
        let unpacked_bytes = match packing {
            Packing::Plain => Some(stored_bytes),
            Packing::Xz => {
                xz_unpacked_bytes(&mut file, stored_bytes).map_err(|torn| torn.into_problem(&shown, unreadable))?
            }
            Packing::Zstandard => zstd::zstd_safe::get_frame_content_size(&magic[..magic_bytes]).ok().flatten(),
            Packing::Gzip => None, // its size is kept modulo 4 GiB
        };
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let consumed = Arc::new(AtomicU64::new(0));
        let source_failed = Arc::new(AtomicBool::new(false));
        let source = Source { file, consumed: Arc::clone(&consumed), failed: Arc::clone(&source_failed) };
        let mut image = Image {
            name: path.file_name().map_or(shown.clone(), |name| name.to_string_lossy().into_owned()),
            packing,
            stored_bytes,
            unpacked_bytes,
            head: Vec::new(),
            reader: unpack(source, packing).map_err(unreadable)?,
            consumed,
            source_failed,
        };
        let mut head = vec![0; HEAD_BYTES];
        let got = image.read(&mut head)?;
        head.truncate(got);
        image.head = head;
        Ok(image)
    }

    /// An image out of any bytes; for tests.
    #[cfg(test)]
    pub fn of(bytes: Vec<u8>) -> Result<Self, Problem> {
        let head = bytes[..bytes.len().min(HEAD_BYTES)].to_vec();
        let rest = bytes[head.len()..].to_vec();
        Ok(Image {
            name: "test.img".into(),
            packing: Packing::Plain,
            stored_bytes: bytes.len() as u64,
            unpacked_bytes: None,
            head,
            reader: Box::new(io::Cursor::new(rest)),
            consumed: Arc::default(),
            source_failed: Arc::default(),
        })
    }

    /// The next bytes behind the head: as many as `buffer` has room for, fewer only at the image's end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Problem> {
        read_up_to(&mut self.reader, buffer).map_err(|error| {
            let image = self.name.clone();
            if self.source_failed.load(Ordering::Relaxed) {
                Problem::ImageUnreadable { image, error }
            } else if error.kind() == io::ErrorKind::UnexpectedEof {
                Problem::ArchiveTorn { image }
            } else {
                Problem::ArchiveDamaged { image, error }
            }
        })
    }

    /// How much of the file was read: the measure of progress, for only this total is always known.
    pub fn consumed_bytes(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }
}

/// The file, counting what was read and remembering whether the disk (not the archive) failed.
struct Source {
    file: File,
    consumed: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(count) => {
                self.consumed.fetch_add(count as u64, Ordering::Relaxed);
                Ok(count)
            }
            Err(error) => {
                self.failed.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

fn unpack(source: Source, packing: Packing) -> io::Result<Box<dyn Read>> {
    // 1 MiB: a spinning disk or a USB stick reads on while the card is written.
    let buffered = BufReader::with_capacity(1 << 20, source);
    Ok(match packing {
        Packing::Plain => Box::new(buffered),
        Packing::Xz => Box::new(lzma_rust2::XzReader::new(buffered, true)),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
        Packing::Zstandard => Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?),
    })
}

fn packing_of(magic: &[u8], image: &str) -> Result<Packing, Problem> {
    let image = || image.to_owned();
    match magic {
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Packing::Xz),
        [0x1F, 0x8B, ..] => Ok(Packing::Gzip),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Ok(Packing::Zstandard),
        [b'P', b'K', 3, 4, ..] => Err(Problem::UnknownArchive { image: image(), kind: "ZIP" }),
        [b'7', b'z', 0xBC, 0xAF, ..] => Err(Problem::UnknownArchive { image: image(), kind: "7z" }),
        [b'B', b'Z', b'h', ..] => Err(Problem::UnknownArchive { image: image(), kind: "bzip2" }),
        [b'Q', b'F', b'I', 0xFB, ..] => Err(Problem::UnknownArchive { image: image(), kind: "qcow2" }),
        _ => Ok(Packing::Plain),
    }
}

/// Fill `buffer` as far as the reader's end allows.
pub fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

enum XzEnd {
    Torn,
    Unreadable(io::Error),
}

impl XzEnd {
    fn into_problem(self, image: &str, unreadable: impl Fn(io::Error) -> Problem) -> Problem {
        match self {
            XzEnd::Torn => Problem::ArchiveTorn { image: image.to_owned() },
            XzEnd::Unreadable(error) => unreadable(error),
        }
    }
}

/// The unpacked size out of the index at an `.xz` file's end; `None` when the file has several streams, whose sum only
/// unpacking tells. A file that does not end like an `.xz` is torn.
fn xz_unpacked_bytes(file: &mut File, stored_bytes: u64) -> Result<Option<u64>, XzEnd> {
    const HEADER_BYTES: u64 = 12;
    const FOOTER_BYTES: u64 = 12;
    // An index entry takes at most 18 bytes: this is room for 58,000 blocks; pixz and xz -T make one each 4 to 24 MB.
    const INDEX_BYTES_MAX: u64 = 1 << 20;
    if stored_bytes < HEADER_BYTES + FOOTER_BYTES {
        return Err(XzEnd::Torn);
    }
    let mut footer = [0_u8; FOOTER_BYTES as usize];
    read_at(file, stored_bytes - FOOTER_BYTES, &mut footer)?;
    if footer == [0; FOOTER_BYTES as usize] {
        return Ok(None); // stream padding: allowed, and rare
    }
    if &footer[10..] != b"YZ" {
        return Err(XzEnd::Torn);
    }
    let stored_size = u32::from_le_bytes([footer[4], footer[5], footer[6], footer[7]]);
    let index_bytes = (u64::from(stored_size) + 1) * 4;
    if index_bytes > INDEX_BYTES_MAX || index_bytes + FOOTER_BYTES + HEADER_BYTES > stored_bytes {
        return Ok(None);
    }
    let mut index = vec![0_u8; index_bytes as usize];
    read_at(file, stored_bytes - FOOTER_BYTES - index_bytes, &mut index)?;
    let mut rest = &index[..];
    let mut next = || -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let (byte, after) = rest.split_first()?;
            rest = after;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    let mut sizes = || -> Option<(u64, u64)> {
        if next()? != 0 {
            return None;
        }
        let records = next()?;
        let (mut blocks_bytes, mut unpacked_bytes) = (0_u64, 0_u64);
        for _ in 0..records {
            blocks_bytes = blocks_bytes.checked_add(next()?.checked_next_multiple_of(4)?)?;
            unpacked_bytes = unpacked_bytes.checked_add(next()?)?;
        }
        Some((blocks_bytes, unpacked_bytes))
    };
    let whole = sizes()
        .filter(|(blocks, _)| blocks.checked_add(HEADER_BYTES + index_bytes + FOOTER_BYTES) == Some(stored_bytes));
    Ok(whole.map(|(_, unpacked)| unpacked))
}

fn read_at(file: &mut File, offset: u64, buffer: &mut [u8]) -> Result<(), XzEnd> {
    file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(buffer)).map_err(XzEnd::Unreadable)
}
