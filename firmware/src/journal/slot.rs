//! One slot: bytes <-> sequence number and payload. Knows nothing of where slots lie.
//!
//! ```text
//! 0..4            4..12               12..124                        124..128
//! "SPJ" version   sequence u64 (LE)   payload, the rest all ones     CRC-32/ISO-HDLC of bytes 0..124 (LE)
//! ```
//!
//! A payload that is shorter than its field is filled with ones: that is what an erased cell holds, so a longer payload
//! of newer firmware reads an old slot's missing end as "not yet written" instead of losing the slot.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// Bytes of a slot: a power of two, so that it fills whole EEPROM pages (8..128 bytes) and two fill a flash page (256),
/// and no slot shares with another what one write pulse touches.
pub const SLOT_BYTES: usize = 128;

/// What is left for a payload beside magic, sequence number and checksum.
pub const PAYLOAD_BYTES_MAX: usize = SLOT_BYTES - PAYLOAD_FROM - CRC_BYTES;

/// First bytes of every slot; the last of them is the layout's version.
const MAGIC: [u8; 4] = *b"SPJ\x01";

const PAYLOAD_FROM: usize = 12;
const CRC_BYTES: usize = 4;
const CHECKED_BYTES: usize = SLOT_BYTES - CRC_BYTES;

/// A number above is none of ours: at one write a millisecond 2^63 takes 290 million years. So the next number never
/// overflows, and "newest" is simply the greatest.
const SEQUENCE_MAX: u64 = u64::MAX >> 1;

/// Bitwise: a table is 1 KiB of the board's flash, and a slot takes it well under a millisecond.
static CRC32: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// What a slot's bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<const N: usize> {
    /// All ones.
    Blank,
    /// Whole.
    Valid {
        /// Its number: the greatest is the newest.
        sequence: u64,
        /// What was written.
        payload: [u8; N],
    },
    /// Anything else: a torn write, a torn erase, another layout.
    Unreadable,
}

/// Read a slot's bytes.
pub(super) fn read<const N: usize>(bytes: &[u8; SLOT_BYTES]) -> Content<N> {
    const { assert!(N <= PAYLOAD_BYTES_MAX, "the payload does not fit a slot") };
    if *bytes == [0xFF; SLOT_BYTES] {
        return Content::Blank;
    }
    let (checked, crc) = bytes.split_at(CHECKED_BYTES);
    if checked[..MAGIC.len()] != MAGIC || CRC32.checksum(checked).to_le_bytes() != *crc {
        return Content::Unreadable;
    }
    let mut sequence = [0; 8];
    sequence.copy_from_slice(&checked[MAGIC.len()..PAYLOAD_FROM]);
    let sequence = u64::from_le_bytes(sequence);
    if sequence > SEQUENCE_MAX {
        return Content::Unreadable;
    }
    let mut payload = [0; N];
    payload.copy_from_slice(&checked[PAYLOAD_FROM..PAYLOAD_FROM + N]);
    Content::Valid { sequence, payload }
}

/// The bytes of a slot.
pub(super) fn fill<const N: usize>(sequence: u64, payload: &[u8; N]) -> [u8; SLOT_BYTES] {
    const { assert!(N <= PAYLOAD_BYTES_MAX, "the payload does not fit a slot") };
    let mut bytes = [0xFF; SLOT_BYTES];
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    bytes[MAGIC.len()..PAYLOAD_FROM].copy_from_slice(&sequence.to_le_bytes());
    bytes[PAYLOAD_FROM..PAYLOAD_FROM + N].copy_from_slice(payload);
    let crc = CRC32.checksum(&bytes[..CHECKED_BYTES]);
    bytes[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_these_bytes() {
        let bytes = fill(0x0102, &[0xAA, 0xBB, 0xCC]);
        assert_eq!(bytes[..16], [b'S', b'P', b'J', 1, 2, 1, 0, 0, 0, 0, 0, 0, 0xAA, 0xBB, 0xCC, 0xFF]);
        assert_eq!(bytes[16..124], [0xFF; 108]);
        // By Python's zlib.crc32, which is the same CRC-32/ISO-HDLC.
        assert_eq!(bytes[124..], 0x5C50_4382_u32.to_le_bytes());
        assert_eq!(read(&bytes), Content::Valid { sequence: 0x0102, payload: [0xAA, 0xBB, 0xCC] });
    }

    #[test]
    fn every_single_flipped_bit_makes_a_slot_unreadable() {
        let bytes = fill(7, &[0x5A; PAYLOAD_BYTES_MAX]);
        for bit in 0..SLOT_BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read::<PAYLOAD_BYTES_MAX>(&bad), Content::Unreadable, "bit {bit}");
        }
    }

    #[test]
    fn a_number_that_could_overflow_is_not_ours() {
        assert_eq!(read::<1>(&fill(SEQUENCE_MAX + 1, &[0])), Content::Unreadable);
        assert_eq!(read(&fill(SEQUENCE_MAX, &[0])), Content::Valid { sequence: SEQUENCE_MAX, payload: [0] });
    }

    #[test]
    fn an_erased_slot_is_blank_and_one_of_zeros_is_not() {
        assert_eq!(read::<8>(&[0xFF; SLOT_BYTES]), Content::Blank);
        assert_eq!(read::<8>(&[0x00; SLOT_BYTES]), Content::Unreadable);
    }

    #[test]
    fn a_longer_payload_reads_the_missing_end_of_an_older_one_as_ones() {
        assert_eq!(read(&fill(1, &[1, 2])), Content::Valid { sequence: 1, payload: [1, 2, 0xFF, 0xFF] });
    }
}
