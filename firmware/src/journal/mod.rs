//! The journal: the newest payload (boot number, totals, settings) over power cuts at any byte.
//!
//! # Shape
//!
//! ```text
//! unit 0 (a flash sector; one slot of an EEPROM)     unit 1                       ...
//! | slot | slot | slot | slot | ... | slot |         | slot | slot | ...  |
//!    7      8      9    (torn)   ->  next               3      4       old, erased when the ring comes by
//! ```
//!
//! Slots of [`SLOT_BYTES`] in a ring over at least two units that are cleared as a whole. A write takes the next slot of
//! a unit that was cleared, or clears the next unit first; it never touches the unit's slots before it and never clears
//! the unit that holds the newest valid slot. So whatever a cut leaves of the slot or unit that was under way, the last
//! acknowledged payload lies elsewhere, whole. An EEPROM is the case of units of one slot that need no clearing.
//!
//! # Reading
//!
//! [`Journal::open`] reads *every* slot and takes the valid one with the greatest number. It never stops at a slot that
//! it cannot read and never derives a slot's place from another's content: a header that was torn and then completed by
//! the bytes behind it is what made a well-known byte-wise journal hide stores that it had acknowledged.
//!
//! # Writing
//!
//! [`Journal::write`] reads back what it wrote and only then says `Ok`. A slot that does not read back is left behind and
//! the next one is tried, with a greater number, at most [`TRIES_MAX`] times. After a start the first blank slot is left
//! out once: a cut may have begun to program cells that still read as ones, and a cell is programmed once per erase.
//! For the same reason a unit is cleared even if it reads blank, unless this run cleared it.
//!
//! # Use
//!
//! Write the new boot number right after opening, before anything is told to anyone: if the newest slot's last pulse was
//! cut and its cells read well only today, that puts what was found into a slot that was verified.
//!
//! # How long it lasts, at 500 presses a day, each of them one write
//!
//! | medium | slots | clears of a unit a day | endurance | years |
//! |---|---|---|---|---|
//! | NOR, 2 sectors of 4,096 bytes | 2 * 32 = 64 | 500 / 64 = 7.8 | 100,000 erases | 100,000 / 7.8 / 365 = 35 |
//! | NOR, 4 sectors | 128 | 3.9 | 100,000 erases | 70 |
//! | EEPROM, 512 bytes | 4 | 500 / 4 = 125 | 1,000,000 writes | 1,000,000 / 125 / 365 = 21 |
//! | EEPROM, 4,096 bytes | 32 | 15.6 | 1,000,000 writes | 175 |
//!
//! A start costs two slots (the boot number's and the one left out), new settings one: nothing beside 500.

mod eeprom;
mod nor;
mod slot;

use simpul_wire::board::JournalState;

pub use eeprom::{Addressing, Eeprom};
pub use nor::Nor;
pub use slot::{PAYLOAD_BYTES_MAX, SLOT_BYTES};

use slot::Content;

/// Slots that one write tries. Three bad ones in a row are a dead memory, not a bad spot; and a person waits at the
/// button, for 50 ms a try on an EEPROM.
pub const TRIES_MAX: usize = 4;

/// Tries to read a slot at the start. A disturbed bus is read again before totals are called unreachable.
const READ_TRIES_MAX: usize = 3;

/// The medium did not do what it was asked. The journal tries elsewhere or gives up; why is of no use to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediumFault;

/// Where slots lie: [`Nor`] or [`Eeprom`]. Slots are numbered from 0 through all units.
pub trait Medium {
    /// Units that are cleared as a whole: at least 2.
    const UNITS: usize;

    /// Slots in each: at least 1.
    const SLOTS_PER_UNIT: usize;

    /// Read a slot.
    fn read(&mut self, slot: usize, bytes: &mut [u8; SLOT_BYTES]) -> Result<(), MediumFault>;

    /// Make a unit's slots writable; what was in them is gone.
    fn clear(&mut self, unit: usize) -> Result<(), MediumFault>;

    /// Write a slot of a unit that was cleared and that has not been written since.
    fn write(&mut self, slot: usize, bytes: &[u8; SLOT_BYTES]) -> Result<(), MediumFault>;
}

/// What the journal holds at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<const N: usize> {
    /// The newest payload.
    Good([u8; N]),
    /// All erased: a new board.
    Empty,
    /// Bytes are there, but no valid slot.
    Damaged,
    /// A slot could not be read, and it might have been the newest: an older one is not passed off as it.
    Unreachable,
}

impl<const N: usize> Found<N> {
    /// The same for the board's hello.
    pub const fn state(&self) -> JournalState {
        match self {
            Found::Good(_) => JournalState::Good,
            Found::Empty => JournalState::Empty,
            Found::Damaged => JournalState::Damaged,
            Found::Unreachable => JournalState::Unreachable,
        }
    }
}

/// Why a payload is not in the journal. It may be found after a restart all the same, if its slot was written and only
/// could not be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalError {
    /// The medium could not be read at the start: a write now would hide what may lie there. [`Journal::reopen`] first.
    Unreachable,
    /// No slot of [`TRIES_MAX`] took it.
    Failed,
}

impl core::fmt::Display for JournalError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            JournalError::Unreachable => f.write_str("the journal's memory could not be read: open it again first"),
            JournalError::Failed => write!(f, "none of {TRIES_MAX} slots of the journal took the payload"),
        }
    }
}

impl core::error::Error for JournalError {}

/// The newest valid slot of a scan.
struct Newest<const N: usize> {
    sequence: u64,
    payload: [u8; N],
    unit: usize,
    /// The last slot of its unit that is not blank.
    used_to: usize,
}

/// Keeps the newest payload of `N` bytes on a medium.
#[derive(Debug)]
pub struct Journal<M, const N: usize> {
    medium: M,
    reachable: bool,
    /// The greatest number that may be on the medium.
    sequence: u64,
    /// The unit with the newest valid slot: never cleared.
    newest_unit: Option<usize>,
    /// The unit that the ring is at.
    unit: usize,
    /// The slot for the next write, in `unit`; without one the next unit is cleared first.
    next: Option<usize>,
}

impl<M: Medium, const N: usize> Journal<M, N> {
    /// Read the medium. Nothing is written. Reads each slot once if all goes well: 64 slots of flash or 4 of an EEPROM
    /// (50 ms at 100 kHz).
    pub fn open(medium: M) -> (Self, Found<N>) {
        const { assert!(M::UNITS >= 2 && M::SLOTS_PER_UNIT >= 1, "a ring has at least two units") };
        let mut journal =
            Journal { medium, reachable: false, sequence: 0, newest_unit: None, unit: M::UNITS - 1, next: None };
        let found = journal.reopen();
        (journal, found)
    }

    /// Read the medium again, for one that was [`Found::Unreachable`].
    pub fn reopen(&mut self) -> Found<N> {
        let mut newest: Option<Newest<N>> = None;
        let mut blank = true;
        self.reachable = false;
        for slot in 0..M::UNITS * M::SLOTS_PER_UNIT {
            let mut bytes = [0; SLOT_BYTES];
            if (0..READ_TRIES_MAX).all(|_| self.medium.read(slot, &mut bytes).is_err()) {
                return Found::Unreachable;
            }
            match (slot::read(&bytes), &mut newest) {
                (Content::Blank, _) => continue,
                (Content::Valid { sequence, payload }, newest)
                    if newest.as_ref().is_none_or(|newest| sequence > newest.sequence) =>
                {
                    *newest = Some(Newest { sequence, payload, unit: Self::unit_of(slot), used_to: slot });
                }
                // Behind the newest in its own unit: a write that was cut.
                (_, Some(newest)) if newest.unit == Self::unit_of(slot) => newest.used_to = slot,
                _ => {}
            }
            blank = false;
        }
        self.reachable = true;
        let Some(Newest { sequence, payload, unit, used_to }) = newest else {
            (self.sequence, self.newest_unit, self.unit, self.next) = (0, None, M::UNITS - 1, None);
            return if blank { Found::Empty } else { Found::Damaged };
        };
        // One blank slot is left out: it may have been programmed a little.
        let next = used_to + 2;
        self.sequence = sequence;
        self.newest_unit = Some(unit);
        self.unit = unit;
        self.next = (Self::unit_of(next) == unit).then_some(next);
        Found::Good(payload)
    }

    /// Write a payload, and read it back. `Ok` is a promise: from now on no cut brings back an older one. At most
    /// [`TRIES_MAX`] slots are cleared for, written and read.
    pub fn write(&mut self, payload: &[u8; N]) -> Result<(), JournalError> {
        if !self.reachable {
            return Err(JournalError::Unreachable);
        }
        for _ in 0..TRIES_MAX {
            // A number for each try: a slot that did not read back today may do so tomorrow.
            self.sequence += 1;
            if self.try_slot(payload).is_ok() {
                return Ok(());
            }
        }
        Err(JournalError::Failed)
    }

    /// Clear the next unit if the next write would have to: for a quiet moment, since clearing a flash sector takes
    /// 45-400 ms in which the board does nothing else. Without it, [`Journal::write`] does so itself.
    pub fn prepare(&mut self) -> Result<(), JournalError> {
        if !self.reachable {
            return Err(JournalError::Unreachable);
        }
        self.place().map(|_| ()).map_err(|MediumFault| JournalError::Failed)
    }

    /// The medium, for a bus that others use too.
    pub fn medium(&mut self) -> &mut M {
        &mut self.medium
    }

    fn try_slot(&mut self, payload: &[u8; N]) -> Result<(), MediumFault> {
        let slot = self.place()?;
        // Whatever comes of it, this slot is used.
        self.next = Some(slot + 1).filter(|next| Self::unit_of(*next) == self.unit);
        let bytes = slot::fill(self.sequence, payload);
        self.medium.write(slot, &bytes)?;
        let mut read = [0; SLOT_BYTES];
        self.medium.read(slot, &mut read)?;
        if read != bytes {
            return Err(MediumFault);
        }
        self.newest_unit = Some(self.unit);
        Ok(())
    }

    /// The slot for the next write, in a unit that is cleared.
    fn place(&mut self) -> Result<usize, MediumFault> {
        if let Some(slot) = self.next {
            return Ok(slot);
        }
        let after = (self.unit + 1) % M::UNITS;
        self.unit = if self.newest_unit == Some(after) { (after + 1) % M::UNITS } else { after };
        self.medium.clear(self.unit)?;
        let slot = self.unit * M::SLOTS_PER_UNIT;
        self.next = Some(slot);
        Ok(slot)
    }

    const fn unit_of(slot: usize) -> usize {
        slot / M::SLOTS_PER_UNIT
    }
}
