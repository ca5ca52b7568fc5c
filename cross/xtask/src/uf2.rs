//! UF2: an image as the blocks that a Pico's boot loader takes when the file is dragged onto its USB drive.
//!
//! Format: <https://github.com/microsoft/uf2>. What the RP2040 takes of it: datasheet 2.8.4.2 (family, 256 bytes a
//! block, addresses on 256). Leaves linking and the budget to others: what the ELF loads into flash is the image.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

const BLOCK_BYTES: usize = 512;
const PAYLOAD_BYTES: usize = 256;
const MAGIC_START: [u32; 2] = [0x0A32_4655, 0x9E5D_5157];
const MAGIC_END: u32 = 0x0AB1_6F30;
/// The field behind the block count is a family; a loader of another chip leaves the block alone.
const FLAG_FAMILY: u32 = 0x2000;
/// RP2040.
const FAMILY: u32 = 0xE48B_FF56;
/// Flash is erased in these. Sectors are written whole: the boot loader of the RP2040 may leave the rest of a
/// half-written one unerased (errata RP2040-E14).
pub const SECTOR_BYTES: u32 = 4096;
/// Where flash is in memory, and how much of it a Pico has.
const FLASH: std::ops::Range<u32> = 0x1000_0000..0x1020_0000;

/// The file that writes these sectors and no others.
pub fn from_sectors(sectors: &BTreeMap<u32, Vec<u8>>) -> Vec<u8> {
    let blocks = sectors.len() * SECTOR_BYTES as usize / PAYLOAD_BYTES;
    let mut file = Vec::with_capacity(blocks * BLOCK_BYTES);
    for (start, bytes) in sectors {
        for (address, payload) in (*start..).step_by(PAYLOAD_BYTES).zip(bytes.chunks_exact(PAYLOAD_BYTES)) {
            let number = file.len() / BLOCK_BYTES;
            let begin = file.len();
            let size = PAYLOAD_BYTES as u32;
            let [first, second] = MAGIC_START;
            let header = [first, second, FLAG_FAMILY, address, size, number as u32, blocks as u32, FAMILY];
            file.extend(header.iter().flat_map(|word| word.to_le_bytes()));
            file.extend_from_slice(payload);
            file.resize(begin + BLOCK_BYTES - 4, 0);
            file.extend_from_slice(&MAGIC_END.to_le_bytes());
        }
    }
    file
}

/// Each sector that the image of a 32-bit little-endian ELF touches, whole, by address: its loadable segments at their load
/// addresses, gaps as erased flash.
///
/// # Errors
/// Not such an ELF, a segment that is not in the Pico's flash, or no segment at all.
pub fn sectors(elf: &[u8]) -> Result<BTreeMap<u32, Vec<u8>>> {
    ensure!(elf.starts_with(b"\x7fELF\x01\x01"), "not a 32-bit little-endian ELF");
    let (table, size, count) = (word(elf, 28)?, half(elf, 42)?, half(elf, 44)?);
    let mut sectors = BTreeMap::new();
    for index in 0..u32::from(count) {
        let at = table.saturating_add(index * u32::from(size)) as usize;
        let (kind, offset, load, length) =
            (word(elf, at)?, word(elf, at + 4)?, word(elf, at + 12)?, word(elf, at + 16)?);
        const LOADABLE: u32 = 1;
        if kind != LOADABLE || length == 0 {
            continue;
        }
        let end = load.checked_add(length).filter(|end| FLASH.start <= load && *end <= FLASH.end);
        let Some(end) = end else { bail!("a segment of {length} bytes at {load:#x} is not in the Pico's flash") };
        let from = offset as usize;
        let bytes = elf.get(from..from.saturating_add(length as usize)).context("a segment behind the file's end")?;
        for (address, byte) in (load..end).zip(bytes) {
            let start = address - address % SECTOR_BYTES;
            let sector = sectors.entry(start).or_insert_with(|| vec![0xFF; SECTOR_BYTES as usize]);
            sector[(address - start) as usize] = *byte;
        }
    }
    ensure!(!sectors.is_empty(), "the ELF loads nothing");
    Ok(sectors)
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at.saturating_add(4)).and_then(|word| word.try_into().ok());
    Ok(u32::from_le_bytes(word.context("an ELF that ends in its headers")?))
}

fn half(bytes: &[u8], at: usize) -> Result<u16> {
    let half = bytes.get(at..at.saturating_add(2)).and_then(|half| half.try_into().ok());
    Ok(u16::from_le_bytes(half.context("an ELF that ends in its headers")?))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    fn from_elf(elf: &[u8]) -> Result<Vec<u8>> {
        sectors(elf).map(|sectors| from_sectors(&sectors))
    }

    /// An ELF with one program header per segment (load address, bytes), nothing else.
    pub fn elf(segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut file = b"\x7fELF\x01\x01\x01".to_vec();
        file.resize(52, 0);
        file[28..32].copy_from_slice(&52u32.to_le_bytes());
        file[42..44].copy_from_slice(&32u16.to_le_bytes());
        file[44..46].copy_from_slice(&(segments.len() as u16).to_le_bytes());
        let mut offset = 52 + 32 * segments.len() as u32;
        for (load, bytes) in segments {
            let length = bytes.len() as u32;
            for field in [1, offset, *load, *load, length, length, 4, 4] {
                file.extend_from_slice(&field.to_le_bytes());
            }
            offset += length;
        }
        segments.iter().for_each(|(_, bytes)| file.extend_from_slice(bytes));
        file
    }

    #[test]
    fn the_first_block_is_what_the_format_says_byte_by_byte() {
        let file = from_elf(&elf(&[(0x1000_0000, &[0xAA; 300])])).unwrap();
        assert_eq!(file.len(), 16 * 512, "one whole sector");
        let header = [
            0x55, 0x46, 0x32, 0x0A, 0x57, 0x51, 0x5D, 0x9E, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, //
            0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x56, 0xFF, 0x8B, 0xE4,
        ];
        assert_eq!(file[..32], header);
        assert_eq!(file[32..288], [0xAA; 256]);
        assert_eq!(file[288..508], [0; 220]);
        assert_eq!(file[508..512], [0x30, 0x6F, 0xB1, 0x0A]);
    }

    #[test]
    fn later_blocks_count_on_and_the_rest_of_a_sector_is_erased_flash() {
        let file = from_elf(&elf(&[(0x1000_0000, &[0xAA; 300]), (0x1000_1004, &[0xBB; 4])])).unwrap();
        assert_eq!(file.len(), 32 * 512);
        let second = &file[512..1024];
        assert_eq!(second[12..16], 0x1000_0100u32.to_le_bytes());
        assert_eq!(second[20..24], 1u32.to_le_bytes());
        assert_eq!(second[32..76], [0xAA; 44]);
        assert_eq!(second[76..288], [0xFF; 212]);
        let next_sector = &file[16 * 512..17 * 512];
        assert_eq!(next_sector[12..16], 0x1000_1000u32.to_le_bytes());
        assert_eq!(next_sector[20..28], [16, 0, 0, 0, 32, 0, 0, 0]);
        assert_eq!(next_sector[32..44], [255, 255, 255, 255, 0xBB, 0xBB, 0xBB, 0xBB, 255, 255, 255, 255]);
    }

    #[test]
    fn what_is_not_an_image_for_a_pico_is_refused_with_a_reason() {
        let refused = |file: &[u8]| from_elf(file).unwrap_err().to_string();
        assert_eq!(refused(b"MZ"), "not a 32-bit little-endian ELF");
        assert_eq!(refused(&elf(&[])), "the ELF loads nothing");
        assert_eq!(
            refused(&elf(&[(0x2000_0000, &[1, 2])])),
            "a segment of 2 bytes at 0x20000000 is not in the Pico's flash"
        );
        assert!(from_elf(&elf(&[(0x101F_FFFF, &[1])])).is_ok(), "the last byte of 2 MiB is still flash");
        assert!(refused(&elf(&[(0x101F_FFFF, &[1, 2])])).contains("not in the Pico's flash"));
        let whole = elf(&[(0x1000_0000, &[1, 2, 3, 4])]);
        for length in 0..whole.len() {
            assert!(from_elf(&whole[..length]).is_err(), "cut at {length}");
        }
    }
}
