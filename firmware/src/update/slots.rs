//! What an update needs of a board: the second slot, and a note to the loader.

use core::cell::RefCell;

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use simpul_wire::board::ImageState;

use super::install::{Image, Phase, Store};
use super::layout::{Layout, SECTOR_BYTES};

/// The flash did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotFault;

/// The second slot and the note to the loader. Offsets are from the slot's start.
pub trait Slots {
    /// What [`Slots::erase`] erases.
    const SECTOR_BYTES: u32 = SECTOR_BYTES;

    /// How the running image came to run.
    fn image(&self) -> ImageState;

    /// The longest image.
    fn capacity_bytes(&self) -> u32;

    /// Erase the sector that begins at `offset`.
    fn erase(&mut self, offset: u32) -> Result<(), SlotFault>;

    /// Write where it was erased.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SlotFault>;

    /// Read.
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SlotFault>;

    /// The image in the slot is whole: the loader is to start it on trial. Durable on return.
    fn mark_for_trial(&mut self, image: &Image) -> Result<(), SlotFault>;

    /// The running image stays. Durable on return.
    fn confirm(&mut self) -> Result<(), SlotFault>;

    /// Start the board anew. May return: it does so where a reset takes its time.
    fn restart(&mut self);
}

/// A board without loader.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSlots;

impl Slots for NoSlots {
    fn image(&self) -> ImageState {
        ImageState::NoLoader
    }

    fn capacity_bytes(&self) -> u32 {
        0
    }

    fn erase(&mut self, _offset: u32) -> Result<(), SlotFault> {
        Err(SlotFault)
    }

    fn write(&mut self, _offset: u32, _bytes: &[u8]) -> Result<(), SlotFault> {
        Err(SlotFault)
    }

    fn read(&mut self, _offset: u32, _bytes: &mut [u8]) -> Result<(), SlotFault> {
        Err(SlotFault)
    }

    fn mark_for_trial(&mut self, _image: &Image) -> Result<(), SlotFault> {
        Err(SlotFault)
    }

    fn confirm(&mut self) -> Result<(), SlotFault> {
        Err(SlotFault)
    }

    fn restart(&mut self) {}
}

/// Slots in a NOR flash that the loader of [`super::install`] looks after.
#[derive(Debug)]
pub struct FlashSlots<'a, F, const STATE: u32> {
    store: Store<'a, F, STATE>,
    layout: Layout,
    restart: fn(),
}

impl<'a, F: NorFlash, const STATE: u32> FlashSlots<'a, F, STATE> {
    /// The slots of `flash`; `restart` starts the board anew.
    pub fn open(flash: &'a RefCell<F>, layout: Layout, restart: fn()) -> Self {
        FlashSlots { store: Store::open(flash), layout, restart }
    }

    /// Where `bytes` from `offset` on are in the flash, if they are in the slot.
    fn place(&self, offset: u32, bytes: u32) -> Result<u32, SlotFault> {
        match offset.checked_add(bytes) {
            Some(end) if end <= self.layout.slot_bytes => Ok(self.layout.second + offset),
            _ => Err(SlotFault),
        }
    }
}

impl<F: NorFlash, const STATE: u32> Slots for FlashSlots<'_, F, STATE> {
    fn image(&self) -> ImageState {
        match self.store.record().phase {
            Phase::Settled => ImageState::Confirmed,
            Phase::Trial => ImageState::Trial,
            // The loader could not do what it was told, and left what ran before.
            Phase::Install | Phase::Saved | Phase::Reverted => ImageState::Reverted,
        }
    }

    fn capacity_bytes(&self) -> u32 {
        self.layout.slot_bytes
    }

    fn erase(&mut self, offset: u32) -> Result<(), SlotFault> {
        let from = self.place(offset, SECTOR_BYTES)?;
        self.store.flash().erase(from, from + SECTOR_BYTES).map_err(|_| SlotFault)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SlotFault> {
        let at = self.place(offset, bytes.len() as u32)?;
        self.store.flash().write(at, bytes).map_err(|_| SlotFault)
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SlotFault> {
        let at = self.place(offset, bytes.len() as u32)?;
        self.store.flash().read(at, bytes).map_err(|_| SlotFault)
    }

    fn mark_for_trial(&mut self, image: &Image) -> Result<(), SlotFault> {
        self.store.install(image)
    }

    fn confirm(&mut self) -> Result<(), SlotFault> {
        self.store.enter(Phase::Settled)
    }

    fn restart(&mut self) {
        (self.restart)();
    }
}
