//! The board's flash: the journal in its last sectors, the chip's serial, and the slots of an update.

use core::cell::RefCell;

use embassy_rp::Peri;
use embassy_rp::flash::{Blocking, Flash};
use embassy_rp::peripherals::FLASH;
use simpul_firmware::journal::{Found, Journal, JournalError, Nor};
use simpul_firmware::kept::{KEPT_BYTES, Kept};
use simpul_firmware::runtime::Keep;
use simpul_firmware::update::install::Shared;
use simpul_wire::board::JournalState;

/// A Pico's W25Q16JV (Pico datasheet 2.1).
const FLASH_BYTES: usize = 2 * 1024 * 1024;

/// The last four sectors: far behind the image, so that a new image, which is written sector by sector, leaves the
/// totals alone. Four live for 70 years of 500 presses a day (`simpul_firmware::journal`).
const SECTORS: usize = 4;
const SECTOR_BYTES: u32 = 4096;
const FROM: u32 = FLASH_BYTES as u32 - SECTORS as u32 * SECTOR_BYTES;

/// The flash chip.
pub type Chip = Flash<'static, FLASH, Blocking, FLASH_BYTES>;

/// The journal.
pub struct FlashJournal<'a>(Journal<Nor<Shared<'a, Chip>, FROM, SECTORS>, KEPT_BYTES>);

/// What the flash chip holds at the start.
pub struct Opened<'a> {
    /// To be written from now on.
    pub journal: FlashJournal<'a>,
    /// What was kept; the default if there was nothing.
    pub kept: Kept,
    /// How it was found.
    pub state: JournalState,
    /// The chip's 64-bit unique id (W25Q16JV data sheet, command 4Bh); all ones if it has none.
    pub serial: [u8; 8],
}

/// Take the flash chip.
pub fn chip(flash: Peri<'static, FLASH>) -> RefCell<Chip> {
    RefCell::new(Chip::new_blocking(flash))
}

/// Read the flash chip.
pub fn open(chip: &RefCell<Chip>) -> Opened<'_> {
    let mut serial = [0xFF; 8];
    // Fails only on the chip's second core.
    let _ = chip.borrow_mut().blocking_unique_id(&mut serial);
    let (journal, found) = Journal::open(Nor::new(Shared(chip)));
    let (kept, state) = match found {
        Found::Good(bytes) => match Kept::from_bytes(&bytes) {
            Some(kept) => (kept, JournalState::Good),
            None => (Kept::default(), JournalState::Damaged),
        },
        other => (Kept::default(), other.state()),
    };
    Opened { journal: FlashJournal(journal), kept, state, serial }
}

impl Keep for FlashJournal<'_> {
    type Error = JournalError;

    fn keep(&mut self, kept: &Kept) -> Result<(), JournalError> {
        self.0.write(&kept.to_bytes())
    }
}
