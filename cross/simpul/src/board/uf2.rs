//! UF2 read back: whether a file is whole and for the RP2040, before a board is touched.
//!
//! Format: <https://github.com/microsoft/uf2>. What the RP2040's boot loader takes of it: datasheet 2.8.4.2. A file that it
//! would take in part, or that another chip's tools made, is refused here as a whole.

use std::collections::BTreeMap;

const BLOCK_BYTES: usize = 512;
const PAYLOAD_BYTES: usize = 256;
const MAGIC_START: [u32; 2] = [0x0A32_4655, 0x9E5D_5157];
const MAGIC_END: u32 = 0x0AB1_6F30;
/// A block that is no part of the flash's content.
const FLAG_NOT_FLASH: u32 = 0x1;
/// The field behind the block count is a family.
const FLAG_FAMILY: u32 = 0x2000;
/// RP2040.
const FAMILY: u32 = 0xE48B_FF56;
/// The Pico's flash in the chip's memory: 2 MiB.
const FLASH: std::ops::Range<u32> = 0x1000_0000..0x1020_0000;
/// Where the journal of totals begins (docs/protocol/board-update.md): no file of ours reaches into it.
const JOURNAL: u32 = FLASH.end - 16 * 1024;

/// The whole flash as blocks: no file for a Pico is larger.
pub const FILE_BYTES_MAX: usize = 2 * 1024 * 1024 / PAYLOAD_BYTES * BLOCK_BYTES;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uf2Error {
    /// It has no bytes.
    Empty,
    /// More than a Pico's flash can hold.
    TooLarge,
    /// An ELF: what the UF2 is made of.
    Elf,
    /// It does not begin as a UF2 does.
    NotUf2,
    /// It does not end where a block ends, or has other blocks than it says.
    WrongLength { said: u32, there: u32 },
    /// A block's beginning, end or size is not a block's.
    BadBlock { block: u32 },
    /// Its blocks are not numbered one after the other: one is missing, or there twice.
    BlockMissing { block: u32, found: u32 },
    /// For another chip.
    OtherChip { block: u32, family: u32 },
    /// A block lies outside of what an image may write.
    OutsideFlash { block: u32, address: u32 },
    /// Two blocks write the same place.
    Twice { block: u32, address: u32 },
}

/// What a file writes: 256 bytes each, by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uf2 {
    blocks: BTreeMap<u32, [u8; PAYLOAD_BYTES]>,
}

impl Uf2 {
    /// Check a file's bytes.
    ///
    /// # Errors
    /// [`Uf2Error`]: the first thing that is wrong with them.
    pub fn parse(file: &[u8]) -> Result<Uf2, Uf2Error> {
        if file.is_empty() {
            return Err(Uf2Error::Empty);
        }
        if file.starts_with(b"\x7fELF") {
            return Err(Uf2Error::Elf);
        }
        if !file.starts_with(&MAGIC_START[0].to_le_bytes()) {
            return Err(Uf2Error::NotUf2);
        }
        if file.len() > FILE_BYTES_MAX {
            return Err(Uf2Error::TooLarge);
        }
        let there = (file.len() / BLOCK_BYTES) as u32;
        let mut blocks = BTreeMap::new();
        let (whole, rest) = file.as_chunks::<BLOCK_BYTES>();
        for (number, block) in (0u32..).zip(whole) {
            let (address, payload) = read_block(number, there, block)?;
            if blocks.insert(address, payload).is_some() {
                return Err(Uf2Error::Twice { block: number, address });
            }
        }
        if !rest.is_empty() {
            let said = whole.first().map_or(there + 1, |block| word(block, 24));
            return Err(Uf2Error::WrongLength { said, there });
        }
        Ok(Uf2 { blocks })
    }

    /// The content of `range` of the chip's memory, where nothing is written as erased flash.
    pub fn content(&self, range: std::ops::Range<u32>) -> Vec<u8> {
        let mut bytes = vec![0xFF; range.len()];
        for (address, payload) in self.blocks.range(range.start..range.end) {
            let at = (address - range.start) as usize;
            for (place, byte) in bytes.iter_mut().skip(at).zip(payload) {
                *place = *byte;
            }
        }
        bytes
    }
}

fn read_block(number: u32, there: u32, block: &[u8; BLOCK_BYTES]) -> Result<(u32, [u8; PAYLOAD_BYTES]), Uf2Error> {
    let bad = Uf2Error::BadBlock { block: number };
    let [flags, address, size, found, said, family] = [8, 12, 16, 20, 24, 28].map(|at| word(block, at));
    if word(block, 0) != MAGIC_START[0] || word(block, 4) != MAGIC_START[1] || word(block, 508) != MAGIC_END {
        return Err(bad);
    }
    if flags & FLAG_FAMILY == 0 || family != FAMILY {
        return Err(Uf2Error::OtherChip { block: number, family: if flags & FLAG_FAMILY == 0 { 0 } else { family } });
    }
    if flags & FLAG_NOT_FLASH != 0 || size as usize != PAYLOAD_BYTES {
        return Err(bad);
    }
    if found != number {
        return Err(Uf2Error::BlockMissing { block: number, found });
    }
    if said != there {
        return Err(Uf2Error::WrongLength { said, there });
    }
    if !address.is_multiple_of(PAYLOAD_BYTES as u32) || !(FLASH.start..JOURNAL).contains(&address) {
        return Err(Uf2Error::OutsideFlash { block: number, address });
    }
    let payload = block[32..].first_chunk().copied().ok_or(bad)?;
    Ok((address, payload))
}

/// A little-endian word of a block; the places are this file's own.
fn word(block: &[u8; BLOCK_BYTES], at: usize) -> u32 {
    block[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A file of so many blocks, each written by its own number.
    pub fn file(count: u32) -> Vec<u8> {
        (0..count).flat_map(|number| block(number, count, FLASH.start + number * 256)).collect()
    }

    fn block(number: u32, count: u32, address: u32) -> Vec<u8> {
        let header = [MAGIC_START[0], MAGIC_START[1], FLAG_FAMILY, address, 256, number, count, FAMILY];
        let mut block: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        block.resize(288, number as u8);
        block.resize(508, 0);
        block.extend(MAGIC_END.to_le_bytes());
        block
    }

    #[test]
    fn a_whole_file_is_read_and_gaps_are_erased_flash() {
        let mut bytes = block(0, 2, FLASH.start);
        bytes.extend(block(1, 2, FLASH.start + 512));
        let uf2 = Uf2::parse(&bytes).unwrap();
        let content = uf2.content(FLASH.start..FLASH.start + 1024);
        assert_eq!((content[0], content[256], content[512], content[768]), (0, 0xFF, 1, 0xFF));
    }

    #[test]
    fn whatever_is_wrong_with_a_file_is_told_by_name() {
        let whole = file(8);
        let with = |at: usize, value: u32| {
            let mut file = whole.clone();
            file[at..at + 4].copy_from_slice(&value.to_le_bytes());
            Uf2::parse(&file).unwrap_err()
        };
        assert_eq!(Uf2::parse(&[]), Err(Uf2Error::Empty));
        assert_eq!(Uf2::parse(b"\x7fELF\x01\x01\x01"), Err(Uf2Error::Elf));
        assert_eq!(Uf2::parse(b"PK\x03\x04"), Err(Uf2Error::NotUf2));
        assert_eq!(Uf2::parse(&whole[..700]), Err(Uf2Error::WrongLength { said: 8, there: 1 }));
        assert_eq!(Uf2::parse(&whole[..7 * 512]), Err(Uf2Error::WrongLength { said: 8, there: 7 }));
        let missing = [&whole[..1024], &whole[1536..]].concat();
        assert_eq!(Uf2::parse(&missing), Err(Uf2Error::WrongLength { said: 8, there: 7 }));
        let twice = [&whole[..1024], &whole[512..1024], &whole[1536..]].concat();
        assert_eq!(Uf2::parse(&twice), Err(Uf2Error::BlockMissing { block: 2, found: 1 }));
        assert_eq!(with(3 * 512 + 28, 0x1234_5678), Uf2Error::OtherChip { block: 3, family: 0x1234_5678 });
        assert_eq!(with(8, 0), Uf2Error::OtherChip { block: 0, family: 0 });
        assert_eq!(with(24, 9), Uf2Error::WrongLength { said: 9, there: 8 });
        assert_eq!(with(508, 0), Uf2Error::BadBlock { block: 0 });
        assert_eq!(with(512 + 4, 0), Uf2Error::BadBlock { block: 1 });
        assert_eq!(with(512 + 16, 476), Uf2Error::BadBlock { block: 1 });
        assert_eq!(with(12, 0x2000_0000), Uf2Error::OutsideFlash { block: 0, address: 0x2000_0000 });
        assert_eq!(with(12, JOURNAL), Uf2Error::OutsideFlash { block: 0, address: JOURNAL });
        assert_eq!(with(12, FLASH.start + 1), Uf2Error::OutsideFlash { block: 0, address: FLASH.start + 1 });
        assert_eq!(with(12, FLASH.start + 256), Uf2Error::Twice { block: 1, address: FLASH.start + 256 });
        assert_eq!(Uf2::parse(&file(8_193)), Err(Uf2Error::TooLarge));
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_refused() {
        let whole = file(3);
        for length in 0..whole.len() {
            assert!(Uf2::parse(&whole[..length]).is_err(), "{length} bytes");
        }
    }
}
