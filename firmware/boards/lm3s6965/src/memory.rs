//! The two EEPROMs: the journal's, and the one that has the board's serial.

use simpul_firmware::drivers::bus::read_from;
use simpul_firmware::journal::{Addressing, Eeprom, Found, Journal, JournalError};
use simpul_firmware::kept::{KEPT_BYTES, Kept};
use simpul_firmware::runtime::Keep;
use simpul_wire::board::JournalState;

use crate::clock::Delay;
use crate::shared_bus::{SharedBus, SharedBusError};

/// An AT24C32: 4 KiB in pages of 32 bytes, all three address pins high.
const JOURNAL_DEVICE: u8 = 0x57;
const JOURNAL_BYTES: usize = 4_096;
const PAGE_BYTES: usize = 32;

/// An AT24CS32's serial, with the same address pins: a device and an address of its own (data sheet 5.2.4). Of its 128
/// bits the first 64 are told.
const SERIAL_DEVICE: u8 = 0x5F;
const SERIAL_AT: [u8; 2] = [0x08, 0x00];

/// Tries to read the serial: a disturbed bus is read again before the board gives up.
const SERIAL_TRIES_MAX: usize = 10;

/// The journal.
#[derive(Debug)]
pub struct EepromJournal<'a>(Journal<Eeprom<SharedBus<'a>, Delay, JOURNAL_BYTES, PAGE_BYTES>, KEPT_BYTES>);

impl<'a> EepromJournal<'a> {
    /// Read the EEPROM: the journal, what was kept (the default if there was nothing), and how it was found.
    pub fn open(bus: SharedBus<'a>) -> (Self, Kept, JournalState) {
        let (journal, found) = Journal::open(Eeprom::new(bus, Delay, JOURNAL_DEVICE, Addressing::TwoBytes));
        let (kept, state) = match found {
            Found::Good(bytes) => match Kept::from_bytes(&bytes) {
                Some(kept) => (kept, JournalState::Good),
                None => (Kept::default(), JournalState::Damaged),
            },
            other => (Kept::default(), other.state()),
        };
        (EepromJournal(journal), kept, state)
    }
}

impl Keep for EepromJournal<'_> {
    type Error = JournalError;

    fn keep(&mut self, kept: &Kept) -> Result<(), JournalError> {
        self.0.write(&kept.to_bytes())
    }
}

/// The board's serial. An error after several tries: without it the board must not speak, for its totals would be
/// another's.
pub fn serial(mut bus: SharedBus<'_>) -> Result<[u8; 8], SharedBusError> {
    let mut serial = [0; 8];
    let mut outcome = Ok(());
    for _ in 0..SERIAL_TRIES_MAX {
        outcome = read_from(&mut bus, SERIAL_DEVICE, &SERIAL_AT, &mut serial);
        if outcome.is_ok() {
            break;
        }
    }
    outcome.map(|()| serial)
}
