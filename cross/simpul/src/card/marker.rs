//! The mark of an unfinished card: one sector where the partition table will be.
//!
//! While a card is written its first MiB holds no boot code and no table, only this: text for whoever looks with a hex
//! editor, and what the next run tells the technician. It never ends in 55 AA, so nothing takes it for a disk.

use serde::{Deserialize, Serialize};

/// Bytes of the mark: one sector, which a card writes as a whole.
pub const MARKER_BYTES: usize = 512;
const MAGIC: &[u8] = b"SIMPUL-UNFINISHED-CARD-1\n";
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
/// Name and hash of the image, and the numbers, fit with room to spare.
const NAME_BYTES_MAX: usize = 120;

/// What was being written, and how far it came at least.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The image's file name (its first 120 bytes).
    pub image: String,
    /// The first half of the SHA-256 over the image's first MiB, in hex: which image, not whether it is whole.
    pub head_sha256: String,
    /// Everything before this is on the card.
    pub position_bytes: u64,
    /// The whole, if it was known.
    pub total_bytes: Option<u64>,
    /// The card's size; none for a file that grows, and whose length says nothing while it is unfinished.
    pub capacity_bytes: Option<u64>,
}

impl Marker {
    /// The mark's sector.
    pub fn encode(&self) -> [u8; MARKER_BYTES] {
        let mut marker = self.clone();
        while marker.image.len() > NAME_BYTES_MAX {
            marker.image.pop();
        }
        let mut sector = [b'\n'; MARKER_BYTES];
        let json = serde_json::to_vec(&marker).unwrap_or_default();
        let end = MAGIC.len() + json.len();
        // A name of 120 control characters would be six times as long in JSON: then it is left out.
        let (json, end) = if end + 8 <= MARKER_BYTES { (json, end) } else { (b"{}".to_vec(), MAGIC.len() + 2) };
        sector[..MAGIC.len()].copy_from_slice(MAGIC);
        sector[MAGIC.len()..end].copy_from_slice(&json);
        let checksum = CRC.checksum(&sector[..MARKER_BYTES - 8]);
        sector[MARKER_BYTES - 8..MARKER_BYTES - 4].copy_from_slice(&checksum.to_le_bytes());
        sector
    }

    /// The mark in a card's first sector, if it is one. A damaged mark is a mark all the same: `Some(None)`.
    pub fn decode(sector: &[u8]) -> Option<Option<Marker>> {
        if sector.len() < MARKER_BYTES || !sector.starts_with(MAGIC) {
            return None;
        }
        let stored = u32::from_le_bytes([sector[504], sector[505], sector[506], sector[507]]);
        if CRC.checksum(&sector[..MARKER_BYTES - 8]) != stored {
            return Some(None);
        }
        Some(serde_json::from_slice(sector[MAGIC.len()..MARKER_BYTES - 8].trim_ascii_end()).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(image: &str) -> Marker {
        Marker {
            image: image.into(),
            head_sha256: "ab".repeat(16),
            position_bytes: 1 << 30,
            total_bytes: Some(3 << 30),
            capacity_bytes: None,
        }
    }

    #[test]
    fn a_mark_comes_back_and_is_no_partition_table() {
        for name in ["2026-10-01-raspios-trixie-arm64-lite.img.xz", "", &"é".repeat(60)] {
            let sector = marker(name).encode();
            assert_eq!(Marker::decode(&sector), Some(Some(marker(name))));
            assert_ne!(sector[510..], [0x55, 0xAA]);
            assert_eq!(super::super::partitions::partitions(&sector), []);
        }
    }

    #[test]
    fn a_long_or_strange_name_is_cut_and_still_a_mark() {
        let decoded = Marker::decode(&marker(&"a".repeat(500)).encode()).flatten().expect("a mark");
        assert_eq!(decoded.image.len(), NAME_BYTES_MAX);
        assert_eq!(Marker::decode(&marker(&"\u{1}".repeat(120)).encode()), Some(None));
    }

    #[test]
    fn a_damaged_mark_is_a_mark_and_other_sectors_are_not() {
        let mut sector = marker("a.img").encode();
        sector[60] ^= 1;
        assert_eq!(Marker::decode(&sector), Some(None));
        assert_eq!(Marker::decode(&[0; 512]), None);
        assert_eq!(Marker::decode(&sector[..100]), None);
    }
}
