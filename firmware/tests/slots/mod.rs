//! A model of a NOR flash whose power goes at a chosen operation, and slots of two sectors in it.

#![allow(dead_code)] // Each test file is a program of its own and uses its part.

use std::cell::{Cell, RefCell};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_firmware::update::FlashSlots;
use simpul_firmware::update::install::{Image, Store};
use simpul_firmware::update::layout::{Layout, SECTOR_BYTES};

/// The loader's journal is at the start, behind one sector of somebody else's.
pub const STATE: u32 = SECTOR_BYTES;

/// Two sectors a slot, with nothing between.
pub const LAYOUT: Layout = Layout {
    active: 3 * SECTOR_BYTES,
    second: 5 * SECTOR_BYTES,
    former: 7 * SECTOR_BYTES,
    slot_bytes: 2 * SECTOR_BYTES,
};
const FLASH_BYTES: usize = 9 * SECTOR_BYTES as usize;

/// Flash whose power goes in the middle of an operation.
#[derive(Debug)]
pub struct Flash {
    pub bytes: Vec<u8>,
    /// Operations until the power goes.
    pub left: Option<usize>,
    /// Erases and writes so far.
    pub operations: usize,
    /// Addresses whose cells cannot be changed any more.
    pub worn: std::ops::Range<usize>,
    pub rng: StdRng,
    dead: bool,
}

impl Flash {
    /// Erased, but for the running image.
    pub fn new(seed: u64, running: &[u8]) -> Self {
        let mut bytes = vec![0xFF; FLASH_BYTES];
        bytes[LAYOUT.active as usize..][..running.len()].copy_from_slice(running);
        Flash { bytes, left: None, operations: 0, worn: 0..0, rng: StdRng::seed_from_u64(seed), dead: false }
    }

    /// Power comes back, to go again after so many operations.
    pub fn power(&mut self, left: Option<usize>) {
        (self.left, self.dead) = (left, false);
    }

    /// A slot's first bytes.
    pub fn slot(&self, from: u32, length: usize) -> &[u8] {
        &self.bytes[from as usize..][..length]
    }

    fn change(&mut self, from: usize, to: usize, after: impl Fn(usize, u8) -> u8) -> Result<(), NorFlashErrorKind> {
        if self.dead {
            return Err(NorFlashErrorKind::Other);
        }
        self.operations += 1;
        self.dead = self.left == Some(0);
        self.left = self.left.map(|left| left.saturating_sub(1));
        for at in (from..to).filter(|at| !self.worn.contains(at)) {
            let (old, new) = (self.bytes[at], after(at - from, self.bytes[at]));
            self.bytes[at] = match self.rng.random_range(0..4) {
                // An erase passes anything, a write only what is between: bits fall one by one.
                0 if self.dead && new == 0xFF => self.rng.random(),
                0 if self.dead => new | (old & self.rng.random::<u8>()),
                1 if self.dead => old,
                _ => new,
            };
        }
        if self.dead { Err(NorFlashErrorKind::Other) } else { Ok(()) }
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        if self.dead {
            return Err(NorFlashErrorKind::Other);
        }
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR_BYTES as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.change(from as usize, to as usize, |_, _| 0xFF)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let at = offset as usize;
        if !self.dead && self.worn.is_empty() {
            assert!(self.bytes[at..at + bytes.len()].iter().all(|byte| *byte == 0xFF), "programmed twice: {at}");
        }
        self.change(at, at + bytes.len(), |index, old| old & bytes[index])
    }
}

/// An image of random bytes and its description.
pub fn image(seed: u64, length: usize) -> (Vec<u8>, Image) {
    let mut rng = StdRng::seed_from_u64(seed);
    let bytes: Vec<u8> = (0..length).map(|_| rng.random()).collect();
    let crc32 = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes);
    (bytes, Image { version: [1, 2, 3], bytes: length as u32, crc32 })
}

/// The loader's work at a start.
pub fn load(flash: &RefCell<Flash>) -> Result<(), simpul_firmware::update::SlotFault> {
    store(flash).load(&LAYOUT, &mut || {})
}

/// The loader's journal.
pub fn store(flash: &RefCell<Flash>) -> Store<'_, Flash, STATE> {
    Store::open(flash)
}

thread_local! {
    /// Restarts that this test's board asked for.
    pub static RESTARTS: Cell<u32> = const { Cell::new(0) };
}

/// What the running image has of it.
pub type BenchSlots<'a> = FlashSlots<'a, Flash, STATE>;

/// The same, at its start.
pub fn slots(flash: &RefCell<Flash>) -> BenchSlots<'_> {
    FlashSlots::open(flash, LAYOUT, || RESTARTS.set(RESTARTS.get() + 1))
}
