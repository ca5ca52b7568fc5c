//! Frames: bytes <-> kind and body. Knows nothing of what a body means.

use crc::{CRC_16_IBM_SDLC, Crc, NoTable};

/// Kind and body together, at most: two descriptions of a module, and small enough that a board holds three.
pub const FRAME_BYTES_MAX: usize = 192;

/// A whole frame on the wire, at most: both zeros, COBS's one byte in 254, CRC.
pub const ENCODED_BYTES_MAX: usize = FRAME_BYTES_MAX + 2 + 1 + 2;

const CRC_BYTES: usize = 2;

/// Bitwise: a table is 512 bytes of the board's flash, and 200 bytes take it 1 ms of a frame's 17.
static CRC16: Crc<u16, NoTable> = Crc::<u16, NoTable>::new(&CRC_16_IBM_SDLC);

/// Why a frame could not be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// More bytes between two zeros than a frame may have.
    TooLong,
    /// Fewer bytes than a kind and a checksum.
    TooShort,
    /// Not COBS.
    BadStuffing,
    /// The checksum does not fit the bytes.
    BadChecksum,
    /// A kind that this program does not know; a newer one may.
    UnknownKind(u8),
    /// The body does not fit its kind.
    BadBody(u8),
}

impl core::fmt::Display for FrameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            FrameError::TooLong => write!(f, "a frame of more than {FRAME_BYTES_MAX} bytes"),
            FrameError::TooShort => f.write_str("a frame of fewer bytes than a kind and a checksum"),
            FrameError::BadStuffing => f.write_str("a frame that is not COBS"),
            FrameError::BadChecksum => f.write_str("a frame whose checksum does not fit its bytes"),
            FrameError::UnknownKind(kind) => write!(f, "an unknown kind of message: {kind:#04x}"),
            FrameError::BadBody(kind) => write!(f, "a message of kind {kind:#04x} that cannot be read"),
        }
    }
}

impl core::error::Error for FrameError {}

/// Write a message's frame into `out` and return its length. The only error is [`FrameError::TooLong`], or
/// [`FrameError::BadBody`] for a message that postcard refuses: no message of [`super::message`] is either.
pub fn encode<M: serde::Serialize>(kind: u8, body: &M, out: &mut [u8; ENCODED_BYTES_MAX]) -> Result<usize, FrameError> {
    let mut plain = [0; FRAME_BYTES_MAX + CRC_BYTES];
    plain[0] = kind;
    let body = postcard::to_slice(body, &mut plain[1..FRAME_BYTES_MAX]).map_err(|error| match error {
        postcard::Error::SerializeBufferFull => FrameError::TooLong,
        _ => FrameError::BadBody(kind),
    })?;
    let checked = 1 + body.len();
    let crc = CRC16.checksum(&plain[..checked]);
    plain[checked..checked + CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    out[0] = 0;
    let stuffed = cobs::try_encode(&plain[..checked + CRC_BYTES], &mut out[1..]).map_err(|_| FrameError::TooLong)?;
    out[1 + stuffed] = 0;
    Ok(stuffed + 2)
}

/// Collects bytes into frames. After any garbage the next whole frame is read.
#[derive(Debug)]
pub struct FrameReader {
    bytes: [u8; FRAME_BYTES_MAX + CRC_BYTES + 1],
    length: usize,
    /// More came than fits: everything up to the next zero is one bad frame.
    overflowed: bool,
}

impl Default for FrameReader {
    fn default() -> Self {
        FrameReader { bytes: [0; FRAME_BYTES_MAX + CRC_BYTES + 1], length: 0, overflowed: false }
    }
}

impl FrameReader {
    /// Take one byte. At the end of a frame: its kind and body, or why it was refused; bounded work, no panic.
    pub fn push(&mut self, byte: u8) -> Option<Result<(u8, &[u8]), FrameError>> {
        if byte != 0 {
            match self.bytes.get_mut(self.length) {
                Some(place) => {
                    *place = byte;
                    self.length += 1;
                }
                None => self.overflowed = true,
            }
            return None;
        }
        let length = core::mem::take(&mut self.length);
        let overflowed = core::mem::take(&mut self.overflowed);
        match (length, overflowed) {
            (0, _) => None,
            (_, true) => Some(Err(FrameError::TooLong)),
            (length, false) => Some(self.open(length)),
        }
    }

    /// Forget what came so far: the port was opened anew.
    pub fn reset(&mut self) {
        self.length = 0;
        self.overflowed = false;
    }

    fn open(&mut self, length: usize) -> Result<(u8, &[u8]), FrameError> {
        let plain = cobs::decode_in_place(&mut self.bytes[..length]).map_err(|_| FrameError::BadStuffing)?;
        let checked = plain.checked_sub(CRC_BYTES).filter(|checked| *checked > 0).ok_or(FrameError::TooShort)?;
        let (frame, crc) = self.bytes[..plain].split_at(checked);
        if CRC16.checksum(frame).to_le_bytes() != *crc {
            return Err(FrameError::BadChecksum);
        }
        Ok((frame[0], &frame[1..]))
    }
}
