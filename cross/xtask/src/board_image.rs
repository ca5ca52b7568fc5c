//! The Pico's two files: what a technician flashes (loader and image, `pico.uf2`), and what an agent sends over the link (the
//! image alone, `pico.img`).
//!
//! docs/protocol/board-update.md has the header of the second one. Leaves building and budgets to `firmware`.

use anyhow::{Context, Result, bail, ensure};
use crc::{CRC_32_ISO_HDLC, Crc};

use crate::uf2::{self, SECTOR_BYTES};

/// Where flash is in the Pico's memory.
const FLASH: u32 = 0x1000_0000;
/// `simpul_firmware::update::layout`, as addresses: the loader's journal, and the slot of the image that runs.
const STATE: u32 = FLASH + 12 * 1024;
const STATE_SECTORS: u32 = 2;
const ACTIVE: u32 = FLASH + 64 * 1024;
const SLOT_BYTES: u32 = 64 * 1024;

const MAGIC: &[u8; 8] = b"SIMPULFW";
/// The link's number of the hardware (`simpul_wire::board::Hardware`).
const PICO: u8 = 1;

/// What a technician flashes. It erases the loader's journal, too: a trial that a board was in is over, and what was flashed
/// by hand stays.
///
/// # Errors
/// A file that is no ELF for a Pico, or one that is not in its place.
pub fn to_flash(loader: &[u8], image: &[u8]) -> Result<Vec<u8>> {
    let mut sectors = uf2::sectors(loader).context("the loader")?;
    ensure!(sectors.keys().all(|start| *start < STATE), "the loader reaches into its journal");
    for sector in 0..STATE_SECTORS {
        sectors.insert(STATE + sector * SECTOR_BYTES, vec![0xFF; SECTOR_BYTES as usize]);
    }
    let image = uf2::sectors(image).context("the image")?;
    ensure_in_slot(image.keys())?;
    sectors.extend(image);
    Ok(uf2::from_sectors(&sectors))
}

/// What an agent sends: a header, then the image as it lies in its slot.
///
/// # Errors
/// A file that is no ELF for a Pico, or one that is not in its place.
pub fn to_send(image: &[u8], version: [u8; 3]) -> Result<Vec<u8>> {
    let sectors = uf2::sectors(image)?;
    ensure_in_slot(sectors.keys())?;
    let mut bytes = Vec::new();
    for (start, sector) in &sectors {
        // Sectors that nothing is in.
        bytes.resize((start - ACTIVE) as usize, 0xFF);
        bytes.extend_from_slice(sector);
    }
    // The end of the last sector is erased flash: not worth the line's time.
    let used = bytes.iter().rposition(|byte| *byte != 0xFF).map_or(0, |last| last + 1);
    bytes.truncate(used);
    let mut file = MAGIC.to_vec();
    file.push(PICO);
    file.extend(version);
    file.extend((bytes.len() as u32).to_le_bytes());
    file.extend(Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&bytes).to_le_bytes());
    file.extend(bytes);
    Ok(file)
}

/// A version's numbers from its text, `major.minor.patch`.
///
/// # Errors
/// Not three numbers below 256.
pub fn version(text: &str) -> Result<[u8; 3]> {
    let numbers: Vec<u8> = text.split('.').map(str::parse).collect::<Result<_, _>>().context(text.to_owned())?;
    match numbers.try_into() {
        Ok(numbers) => Ok(numbers),
        Err(_) => bail!("{text} is not a version of three numbers"),
    }
}

fn ensure_in_slot<'a>(mut sectors: impl Iterator<Item = &'a u32>) -> Result<()> {
    ensure!(
        sectors.all(|start| (ACTIVE..ACTIVE + SLOT_BYTES).contains(start)),
        "the image is not in its slot at {ACTIVE:#x}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uf2::tests::elf;
    use simpul_firmware::update::layout;

    #[test]
    fn places_are_those_that_the_loader_looks_at() {
        assert_eq!(STATE - FLASH, layout::PICO_STATE);
        assert_eq!(STATE_SECTORS as usize, layout::STATE_SECTORS);
        assert_eq!(ACTIVE - FLASH, layout::PICO.active);
        assert_eq!(SLOT_BYTES, layout::PICO.slot_bytes);
    }

    #[test]
    fn the_file_to_send_is_what_the_protocol_says_byte_by_byte() {
        let file = to_send(&elf(&[(ACTIVE, b"12345"), (ACTIVE + 5, b"6789")]), [1, 2, 3]).unwrap();
        assert_eq!(file[..8], *b"SIMPULFW");
        assert_eq!(file[8..12], [1, 1, 2, 3]);
        assert_eq!(file[12..16], [9, 0, 0, 0]);
        // The algorithm's own check value.
        assert_eq!(file[16..20], 0xCBF4_3926_u32.to_le_bytes());
        assert_eq!(file[20..], *b"123456789");
    }

    #[test]
    fn a_gap_between_sectors_is_sent_as_erased_flash() {
        let file = to_send(&elf(&[(ACTIVE, &[7]), (ACTIVE + 2 * SECTOR_BYTES, &[8])]), [0; 3]).unwrap();
        let image = &file[20..];
        assert_eq!((image.len(), image[0], image[2 * SECTOR_BYTES as usize]), (8193, 7, 8));
        assert!(image[1..8192].iter().all(|byte| *byte == 0xFF));
    }

    #[test]
    fn the_file_to_flash_has_loader_and_image_and_an_erased_journal_between() {
        let file = to_flash(&elf(&[(FLASH, &[1])]), &elf(&[(ACTIVE, &[2])])).unwrap();
        let starts: Vec<u32> = file
            .chunks(512)
            .map(|block| u32::from_le_bytes(block[12..16].try_into().unwrap()))
            .filter(|address| address % SECTOR_BYTES == 0)
            .collect();
        assert_eq!(starts, [FLASH, STATE, STATE + SECTOR_BYTES, ACTIVE]);
        let journal = &file[16 * 512..48 * 512];
        assert!(journal.chunks(512).all(|block| block[32..288] == [0xFF; 256]));
        assert_eq!(file[32], 1);
        assert_eq!(file[48 * 512 + 32], 2);
    }

    #[test]
    fn what_is_not_in_its_place_is_refused() {
        let at = |address| elf(&[(address, &[1][..])]);
        assert!(to_flash(&at(STATE), &at(ACTIVE)).is_err());
        assert!(to_flash(&at(FLASH), &at(FLASH)).is_err());
        assert!(to_send(&at(FLASH), [0; 3]).is_err());
        assert!(to_send(&at(ACTIVE + SLOT_BYTES), [0; 3]).is_err());
        for text in ["1.2", "1.2.3.4", "1.2.256", "a.b.c", ""] {
            assert!(version(text).is_err(), "{text}");
        }
        assert_eq!(version("1.20.255").unwrap(), [1, 20, 255]);
    }
}
