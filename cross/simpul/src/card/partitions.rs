//! The partition table in an image's first MiB: is this a disk at all, where does it end, which partitions are there.
//!
//! Pure, and read-only: MBR with its four primary entries, GPT by its own entries. Logical partitions are not looked
//! into: no image for a board has its boot files there.

const SECTOR_BYTES: u64 = 512;
/// The type of the MBR entry that stands for a GPT.
const PROTECTIVE: u8 = 0xEE;
const EFI_SYSTEM: [u8; 16] =
    [0x28, 0x73, 0x2A, 0xC1, 0x1F, 0xF8, 0xD2, 0x11, 0xBA, 0x4B, 0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B];
const BASIC_DATA: [u8; 16] =
    [0xA2, 0xA0, 0xD0, 0xEB, 0xE5, 0xB9, 0x33, 0x44, 0x87, 0xC0, 0x68, 0xB6, 0xB7, 0x26, 0x99, 0xC7];

/// One partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Where it begins.
    pub start_bytes: u64,
    /// How long it is.
    pub length_bytes: u64,
    /// Whether its type says that it may be FAT. What is in it decides.
    pub maybe_fat: bool,
}

impl Partition {
    /// Where it ends (exclusive).
    pub fn end_bytes(&self) -> u64 {
        self.start_bytes.saturating_add(self.length_bytes)
    }
}

/// The partitions of a disk that begins with `head`; empty when it has no partition table.
pub fn partitions(head: &[u8]) -> Vec<Partition> {
    let Some(sector) = head.get(..SECTOR_BYTES as usize) else { return Vec::new() };
    if sector[510..] != [0x55, 0xAA] {
        return Vec::new();
    }
    let entries: Vec<_> = sector[446..510].chunks_exact(16).collect();
    // The boot sector of a bare FAT also ends in 55 AA: there these bytes are code or text.
    if entries.iter().any(|entry| entry[0] & 0x7F != 0) {
        return Vec::new();
    }
    let mbr: Vec<_> = entries.iter().filter_map(|entry| mbr_partition(entry)).collect();
    if entries.iter().any(|entry| entry[4] == PROTECTIVE) {
        let gpt = gpt_partitions(head);
        if !gpt.is_empty() {
            return gpt;
        }
    }
    mbr
}

fn mbr_partition(entry: &[u8]) -> Option<Partition> {
    let kind = entry[4];
    let (start, length) = (u64::from(le32(&entry[8..12])), u64::from(le32(&entry[12..16])));
    if kind == 0 || kind == PROTECTIVE || start == 0 || length == 0 {
        return None;
    }
    Some(Partition {
        start_bytes: start * SECTOR_BYTES,
        length_bytes: length * SECTOR_BYTES,
        maybe_fat: matches!(kind, 0x01 | 0x04 | 0x06 | 0x0B | 0x0C | 0x0E | 0xEF),
    })
}

fn gpt_partitions(head: &[u8]) -> Vec<Partition> {
    // 128 entries is what every tool writes; more would not fit in front of the first partition of a normal image.
    const ENTRIES_MAX: usize = 128;
    let Some(header) = head.get(512..1024) else { return Vec::new() };
    if &header[..8] != b"EFI PART" {
        return Vec::new();
    }
    let Ok(at) = usize::try_from(le64(&header[72..80]).saturating_mul(SECTOR_BYTES)) else { return Vec::new() };
    let count = usize::try_from(le32(&header[80..84])).unwrap_or(0).min(ENTRIES_MAX);
    let entry_bytes = usize::try_from(le32(&header[84..88])).unwrap_or(0);
    if !(128..=4096).contains(&entry_bytes) {
        return Vec::new();
    }
    (0..count)
        .filter_map(|index| {
            let from = at.checked_add(index * entry_bytes)?;
            let entry = head.get(from..from.checked_add(128)?)?;
            let (first, last) = (le64(&entry[32..40]), le64(&entry[40..48]));
            if entry[..16] == [0; 16] || first == 0 || last < first {
                return None;
            }
            Some(Partition {
                start_bytes: first.checked_mul(SECTOR_BYTES)?,
                length_bytes: (last - first).checked_add(1)?.checked_mul(SECTOR_BYTES)?,
                maybe_fat: entry[..16] == EFI_SYSTEM || entry[..16] == BASIC_DATA,
            })
        })
        .collect()
}

fn le32(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn le64(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A first sector with one partition.
    pub fn mbr(kind: u8, start_sector: u32, sectors: u32) -> [u8; 512] {
        let mut sector = [0; 512];
        sector[446 + 4] = kind;
        sector[446 + 8..446 + 12].copy_from_slice(&start_sector.to_le_bytes());
        sector[446 + 12..446 + 16].copy_from_slice(&sectors.to_le_bytes());
        sector[510..].copy_from_slice(&[0x55, 0xAA]);
        sector
    }

    #[test]
    fn an_mbr_names_its_partitions() {
        let found = partitions(&mbr(0x0C, 8192, 16384));
        let fat = Partition { start_bytes: 4 << 20, length_bytes: 8 << 20, maybe_fat: true };
        assert_eq!(found, [fat]);
        assert_eq!(found[0].end_bytes(), 12 << 20);
    }

    #[test]
    fn what_is_no_disk_has_no_partitions() {
        let mut bare_fat = mbr(0x0C, 8192, 16384);
        bare_fat[446] = 0x6E; // boot code where a partition's status would be
        for (name, bytes) in [
            ("empty", vec![]),
            ("zeros", vec![0; 4096]),
            ("text", b"<html>404 Not Found</html>".repeat(40)),
            ("bare FAT", bare_fat.to_vec()),
            ("a table without entries", mbr(0, 0, 0).to_vec()),
        ] {
            assert_eq!(partitions(&bytes), [], "{name}");
        }
    }

    #[test]
    fn hostile_tables_neither_panic_nor_overflow() {
        let mut head = vec![0xFF; 64 * 512];
        head[..512].copy_from_slice(&mbr(PROTECTIVE, 1, u32::MAX));
        head[512..520].copy_from_slice(b"EFI PART");
        assert_eq!(partitions(&head), []);
        for at in 512..604 {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut head = head.clone();
                head[584..592].copy_from_slice(&2_u64.to_le_bytes());
                head[592..596].copy_from_slice(&128_u32.to_le_bytes());
                head[596..600].copy_from_slice(&128_u32.to_le_bytes());
                head[at] = value;
                let _ = partitions(&head);
            }
        }
    }
}
