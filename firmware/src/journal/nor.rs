//! NOR flash as the journal's medium: a unit is an erase sector.

use embedded_storage::nor_flash::NorFlash;

use super::{Medium, MediumFault, SLOT_BYTES};

/// `SECTORS` erase sectors of a NOR flash, from byte `FROM` on (a multiple of the flash's erase size).
///
/// On an RP2040's flash a write of a slot is half a page: the other half is programmed with ones, which changes
/// nothing there. Each word is programmed once per erase.
#[derive(Debug)]
pub struct Nor<F, const FROM: u32, const SECTORS: usize> {
    flash: F,
}

impl<F: NorFlash, const FROM: u32, const SECTORS: usize> Nor<F, FROM, SECTORS> {
    /// The sectors of `flash`. That they lie within it shows when they are read: outside is [`MediumFault`].
    pub fn new(flash: F) -> Self {
        const {
            assert!((FROM as usize).is_multiple_of(F::ERASE_SIZE), "the journal begins at a sector");
            assert!(F::ERASE_SIZE.is_multiple_of(SLOT_BYTES), "a sector is whole slots");
            assert!(SLOT_BYTES.is_multiple_of(F::WRITE_SIZE), "a slot is whole words to write");
            assert!(SLOT_BYTES.is_multiple_of(F::READ_SIZE), "a slot is whole words to read");
        }
        Nor { flash }
    }

    const fn offset(slot: usize) -> u32 {
        FROM + (slot * SLOT_BYTES) as u32
    }
}

impl<F: NorFlash, const FROM: u32, const SECTORS: usize> Medium for Nor<F, FROM, SECTORS> {
    const UNITS: usize = SECTORS;
    const SLOTS_PER_UNIT: usize = F::ERASE_SIZE / SLOT_BYTES;

    fn read(&mut self, slot: usize, bytes: &mut [u8; SLOT_BYTES]) -> Result<(), MediumFault> {
        self.flash.read(Self::offset(slot), bytes).map_err(|_| MediumFault)
    }

    fn clear(&mut self, unit: usize) -> Result<(), MediumFault> {
        let from = Self::offset(unit * Self::SLOTS_PER_UNIT);
        self.flash.erase(from, from + F::ERASE_SIZE as u32).map_err(|_| MediumFault)
    }

    fn write(&mut self, slot: usize, bytes: &[u8; SLOT_BYTES]) -> Result<(), MediumFault> {
        self.flash.write(Self::offset(slot), bytes).map_err(|_| MediumFault)
    }
}
