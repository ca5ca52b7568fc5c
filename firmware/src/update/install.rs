//! What the loader does before it starts the image: it installs, and it reverts.
//!
//! Three slots and a phase in a journal of its own ([`crate::journal`], which a cut at any byte leaves whole):
//!
//! ```text
//! Settled --image: verified--> Install --former = active--> Saved --active = second--> Trial --image: confirmed--> Settled
//!                                 |                           |                          | any start
//!                                 '--second is bad--.         '--flash failed--.         v
//!                                                   '--------------------------'--> active = former --> Reverted
//! ```
//!
//! Each arrow's copy leaves its source alone and is noted only when it is whole and read back, so a cut has it done again
//! from its beginning; what a cut leaves half erased is never taken for done, however it reads. A start that finds
//! `Trial` is the one after a trial that did not confirm itself, whatever ended it: watchdog, fault, a cut.

use core::cell::RefCell;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use simpul_wire::board::UpdateBegin;

use super::layout::{Layout, SECTOR_BYTES, STATE_SECTORS};
use super::{CRC32, SlotFault};
use crate::journal::{Found, Journal, Nor};

/// What a flash programs at once.
const PAGE_BYTES: usize = 256;

/// Bytes of a [`Record`].
const RECORD_BYTES: usize = 12;

/// An image in the second slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Image {
    /// Major, minor, patch.
    pub version: [u8; 3],
    /// How long it is.
    pub bytes: u32,
    /// CRC-32/ISO-HDLC of these bytes.
    pub crc32: u32,
}

impl From<UpdateBegin> for Image {
    fn from(begun: UpdateBegin) -> Self {
        Image { version: begun.version, bytes: begun.image_bytes, crc32: begun.crc32 }
    }
}

/// How far an installation is. The numbers are in the flash: never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The active image stays.
    Settled = 0,
    /// The second slot holds a verified image.
    Install = 1,
    /// The former slot holds the active image.
    Saved = 2,
    /// The active image is new, and has been started or is about to.
    Trial = 3,
    /// The active image is the one that ran before a trial.
    Reverted = 4,
}

/// What the loader's journal keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// How far it is.
    pub phase: Phase,
    /// Of which image.
    pub image: Image,
}

impl Record {
    fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [self.phase as u8; RECORD_BYTES];
        bytes[1..4].copy_from_slice(&self.image.version);
        bytes[4..8].copy_from_slice(&self.image.bytes.to_le_bytes());
        bytes[8..].copy_from_slice(&self.image.crc32.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; RECORD_BYTES]) -> Option<Self> {
        let [phase, a, b, c, l0, l1, l2, l3, c0, c1, c2, c3] = bytes;
        let phase = match phase {
            0 => Phase::Settled,
            1 => Phase::Install,
            2 => Phase::Saved,
            3 => Phase::Trial,
            4 => Phase::Reverted,
            _ => return None,
        };
        let (length, crc32) = (u32::from_le_bytes([l0, l1, l2, l3]), u32::from_le_bytes([c0, c1, c2, c3]));
        Some(Record { phase, image: Image { version: [a, b, c], bytes: length, crc32 } })
    }
}

/// A flash that several parts of a program use by turns. It is borrowed inside each call only, so never twice.
#[derive(Debug)]
pub struct Shared<'a, F>(pub &'a RefCell<F>);

impl<F: ErrorType> ErrorType for Shared<'_, F> {
    type Error = F::Error;
}

impl<F: ReadNorFlash> ReadNorFlash for Shared<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.0.borrow_mut().read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.borrow().capacity()
    }
}

impl<F: NorFlash> NorFlash for Shared<'_, F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        self.0.borrow_mut().erase(from, to)
    }

    #[inline(never)]
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.borrow_mut().write(offset, bytes)
    }
}

/// The loader's journal, and the flash around it.
#[derive(Debug)]
pub struct Store<'a, F, const STATE: u32> {
    flash: Shared<'a, F>,
    journal: Journal<Nor<Shared<'a, F>, STATE, STATE_SECTORS>, RECORD_BYTES>,
    record: Record,
}

impl<'a, F: NorFlash, const STATE: u32> Store<'a, F, STATE> {
    /// Read the journal. An empty one is a board that was flashed by hand: its image stays. So it is with one that nothing
    /// can be read in, for there is nothing better to go by.
    #[inline(never)]
    pub fn open(flash: &'a RefCell<F>) -> Self {
        let (journal, found) = Journal::open(Nor::new(Shared(flash)));
        let record = match found {
            Found::Good(bytes) => Record::from_bytes(bytes),
            Found::Empty | Found::Damaged | Found::Unreachable => None,
        };
        let record = record.unwrap_or(Record { phase: Phase::Settled, image: Image::default() });
        Store { flash: Shared(flash), journal, record }
    }

    /// What the journal says.
    pub fn record(&self) -> Record {
        self.record
    }

    pub(super) fn flash(&mut self) -> &mut Shared<'a, F> {
        &mut self.flash
    }

    pub(super) fn install(&mut self, image: &Image) -> Result<(), SlotFault> {
        self.write(Record { phase: Phase::Install, image: *image })
    }

    pub(super) fn enter(&mut self, phase: Phase) -> Result<(), SlotFault> {
        self.write(Record { phase, ..self.record })
    }

    #[inline(never)]
    fn write(&mut self, record: Record) -> Result<(), SlotFault> {
        self.journal.write(&record.to_bytes()).map_err(|_| SlotFault)?;
        self.record = record;
        Ok(())
    }

    /// The loader's whole work at a start; on `Ok` the active slot holds an image to run. `alive` is called at least once
    /// a sector, whose erase takes 400 ms at most.
    ///
    /// # Errors
    /// The former image could not be brought back: to be tried again at the next start.
    pub fn load(&mut self, layout: &Layout, alive: &mut dyn FnMut()) -> Result<(), SlotFault> {
        let image = self.record.image;
        loop {
            match self.record.phase {
                Phase::Settled | Phase::Reverted => return Ok(()),
                Phase::Install => {
                    let whole = self.holds(layout, layout.second, &image, alive);
                    // Nothing was touched: if the flash takes no copy or no note, what runs goes on running.
                    if !whole || self.copy(layout.active, layout.former, layout.slot_bytes, alive).is_err() {
                        return self.enter(Phase::Reverted).or(Ok(()));
                    }
                    if self.enter(Phase::Saved).is_err() {
                        return Ok(());
                    }
                }
                Phase::Saved => {
                    let copied = self.copy(layout.second, layout.active, image.bytes, alive);
                    if copied.is_ok()
                        && self.holds(layout, layout.active, &image, alive)
                        && self.enter(Phase::Trial).is_ok()
                    {
                        return Ok(());
                    }
                    return self.revert(layout, alive);
                }
                Phase::Trial => return self.revert(layout, alive),
            }
        }
    }

    fn revert(&mut self, layout: &Layout, alive: &mut dyn FnMut()) -> Result<(), SlotFault> {
        self.copy(layout.former, layout.active, layout.slot_bytes, alive)?;
        // Without the note it is done once more at the next start.
        self.enter(Phase::Reverted).or(Ok(()))
    }

    /// Copy a slot's first `bytes` and read each page back.
    fn copy(&mut self, from: u32, to: u32, bytes: u32, alive: &mut dyn FnMut()) -> Result<(), SlotFault> {
        for at in (0..bytes).step_by(PAGE_BYTES) {
            if at.is_multiple_of(SECTOR_BYTES) {
                alive();
                self.flash.erase(to + at, to + at + SECTOR_BYTES).map_err(|_| SlotFault)?;
            }
            let mut page = [0; PAGE_BYTES];
            self.flash.read(from + at, &mut page).map_err(|_| SlotFault)?;
            if page != [0xFF; PAGE_BYTES] {
                self.flash.write(to + at, &page).map_err(|_| SlotFault)?;
            }
            let mut read = [0; PAGE_BYTES];
            self.flash.read(to + at, &mut read).map_err(|_| SlotFault)?;
            if read != page {
                return Err(SlotFault);
            }
        }
        Ok(())
    }

    /// Whether a slot holds this image.
    fn holds(&mut self, layout: &Layout, slot: u32, image: &Image, alive: &mut dyn FnMut()) -> bool {
        if image.bytes > layout.slot_bytes {
            return false;
        }
        let mut digest = CRC32.digest();
        for at in (0..image.bytes).step_by(PAGE_BYTES) {
            if at.is_multiple_of(SECTOR_BYTES) {
                alive();
            }
            let mut page = [0; PAGE_BYTES];
            let piece = &mut page[..(image.bytes - at).min(PAGE_BYTES as u32) as usize];
            if self.flash.read(slot + at, piece).is_err() {
                return false;
            }
            digest.update(piece);
        }
        digest.finalize() == image.crc32
    }
}
