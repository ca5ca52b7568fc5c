//! Models of a NOR flash and of a serial EEPROM that remember what was done to them, and every state in which a power
//! cut can leave them.

#![allow(dead_code)] // Each test file is a program of its own and uses its part.

use std::cell::RefCell;
use std::rc::Rc;

use embedded_hal::i2c::{self, ErrorKind, I2c, NoAcknowledgeSource, Operation};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use rand::RngExt;
use rand::rngs::StdRng;
use simpul_firmware::journal::{Addressing, Eeprom, Medium, Nor};

/// States of a whole sector or page mixed at random, beside the states of each byte.
const MIXTURES: usize = 6;

/// One thing that was done to the cells; a cut can come at any moment of it.
#[derive(Debug, Clone)]
pub enum Op {
    /// NOR: all ones, and anything on the way there.
    Erase { from: usize, to: usize },
    /// NOR: bits go from one to zero, in any order.
    Program { at: usize, bytes: Vec<u8> },
    /// EEPROM: bytes are replaced, and are anything on the way.
    Page { at: usize, bytes: Vec<u8> },
}

/// Cells, and what was done to them.
#[derive(Debug, Default)]
pub struct Chip {
    pub bytes: Vec<u8>,
    pub log: Vec<Op>,
    /// Addresses whose cells cannot be changed any more.
    pub worn: std::ops::Range<usize>,
    /// Reads, from the next one on, that fail.
    pub failing_reads: usize,
}

impl Chip {
    fn apply(&mut self, op: Op) {
        for at in op.range() {
            if !self.worn.contains(&at) {
                self.bytes[at] = op.result(at, self.bytes[at]);
            }
        }
        self.log.push(op);
    }

    fn read_fails(&mut self) -> bool {
        let fails = self.failing_reads > 0;
        self.failing_reads = self.failing_reads.saturating_sub(1);
        fails
    }
}

impl Op {
    fn range(&self) -> std::ops::Range<usize> {
        match self {
            Op::Erase { from, to } => *from..*to,
            Op::Program { at, bytes } | Op::Page { at, bytes } => *at..at + bytes.len(),
        }
    }

    /// What a byte becomes.
    fn result(&self, at: usize, before: u8) -> u8 {
        match self {
            Op::Erase { .. } => 0xFF,
            Op::Program { at: from, bytes } => before & bytes[at - from],
            Op::Page { at: from, bytes } => bytes[at - from],
        }
    }

    /// What a byte may be when power goes while it is changed.
    fn torn(&self, at: usize, before: u8, rng: &mut StdRng) -> u8 {
        match self {
            Op::Erase { .. } | Op::Page { .. } => match rng.random_range(0..4) {
                0 => before,
                1 => self.result(at, before),
                _ => rng.random(),
            },
            Op::Program { .. } => {
                let after = self.result(at, before);
                after | (before & rng.random::<u8>())
            }
        }
    }

    /// Show `see` every state that a cut during this operation can leave: each byte done up to here, each byte torn, and
    /// all bytes torn at once. A state that equals the one before is shown once. Leaves the operation done.
    pub fn cut(&self, bytes: &mut Vec<u8>, rng: &mut StdRng, see: &mut dyn FnMut(&mut Vec<u8>, &mut StdRng)) {
        let range = self.range();
        for _ in 0..MIXTURES {
            let whole = bytes[range.clone()].to_vec();
            for at in range.clone() {
                bytes[at] = self.torn(at, bytes[at], rng);
            }
            see(bytes, rng);
            bytes[range.clone()].copy_from_slice(&whole);
        }
        see(bytes, rng);
        for at in range {
            let (before, after) = (bytes[at], self.result(at, bytes[at]));
            let torn = self.torn(at, before, rng);
            if torn != before && torn != after {
                bytes[at] = torn;
                see(bytes, rng);
            }
            bytes[at] = after;
            if after != before {
                see(bytes, rng);
            }
        }
    }
}

/// A chip that test and journal hold together.
pub type Shared = Rc<RefCell<Chip>>;

/// A chip with these bytes.
pub fn chip(bytes: Vec<u8>) -> Shared {
    Rc::new(RefCell::new(Chip { bytes, ..Chip::default() }))
}

/// NOR flash with sectors of `SECTOR` bytes.
#[derive(Debug)]
pub struct Flash<const SECTOR: usize>(pub Shared);

impl<const SECTOR: usize> ErrorType for Flash<SECTOR> {
    type Error = NorFlashErrorKind;
}

impl<const SECTOR: usize> ReadNorFlash for Flash<SECTOR> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let mut chip = self.0.borrow_mut();
        if chip.read_fails() {
            return Err(NorFlashErrorKind::Other);
        }
        bytes.copy_from_slice(&chip.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.borrow().bytes.len()
    }
}

impl<const SECTOR: usize> NorFlash for Flash<SECTOR> {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.0.borrow_mut().apply(Op::Erase { from: from as usize, to: to as usize });
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let mut chip = self.0.borrow_mut();
        let at = offset as usize;
        if chip.worn.is_empty() {
            assert!(chip.bytes[at..at + bytes.len()].iter().all(|byte| *byte == 0xFF), "programmed twice: {at}");
        }
        chip.apply(Op::Program { at, bytes: bytes.to_vec() });
        Ok(())
    }
}

/// An AT24C at 0x57 with pages of `PAGE` bytes: wraps within a page, does not answer while it writes.
#[derive(Debug)]
pub struct At24c<const PAGE: usize> {
    chip: Shared,
    addressing: Addressing,
    pointer: usize,
    busy_polls: usize,
}

/// Its bus address.
const AT24C: u8 = 0x57;

impl<const PAGE: usize> i2c::ErrorType for At24c<PAGE> {
    type Error = ErrorKind;
}

impl<const PAGE: usize> I2c for At24c<PAGE> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let mut chip = self.chip.borrow_mut();
        let block = match self.addressing {
            Addressing::OneByte => usize::from(address ^ AT24C & !1),
            Addressing::TwoBytes => 0,
        };
        assert!(address == AT24C || self.addressing == Addressing::OneByte && block <= 1, "{address:#04x}");
        let [operation] = operations else { panic!("this bus makes no repeated START") };
        if self.busy_polls > 0 {
            self.busy_polls -= 1;
            return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
        }
        match operation {
            Operation::Write(bytes) => {
                let (pointer, data) = match self.addressing {
                    Addressing::OneByte => (block << 8 | usize::from(bytes[0]), &bytes[1..]),
                    Addressing::TwoBytes => (usize::from(bytes[0]) << 8 | usize::from(bytes[1]), &bytes[2..]),
                };
                self.pointer = pointer;
                if !data.is_empty() {
                    let page = pointer / PAGE * PAGE;
                    let mut bytes = chip.bytes[page..page + PAGE].to_vec();
                    for (index, byte) in data.iter().enumerate() {
                        bytes[(pointer - page + index) % PAGE] = *byte;
                    }
                    chip.apply(Op::Page { at: page, bytes });
                    self.busy_polls = 3;
                }
            }
            Operation::Read(bytes) => {
                if chip.read_fails() {
                    return Err(ErrorKind::Bus);
                }
                for byte in bytes.iter_mut() {
                    *byte = chip.bytes[self.pointer % chip.bytes.len()];
                    self.pointer += 1;
                }
            }
        }
        Ok(())
    }
}

/// Nothing waits for it.
#[derive(Debug)]
pub struct NoDelay;

impl embedded_hal::delay::DelayNs for NoDelay {
    fn delay_ns(&mut self, _ns: u32) {}
}

/// A medium to put a journal on.
pub trait Bench {
    /// The medium.
    type Medium: Medium;
    /// How many bytes the chip has.
    const BYTES: usize;
    /// The medium over a chip.
    fn medium(chip: &Shared) -> Self::Medium;
}

/// Two sectors of four slots, behind a sector of somebody else's.
pub struct TwoSectors;

impl Bench for TwoSectors {
    type Medium = Nor<Flash<512>, 512, 2>;
    const BYTES: usize = 3 * 512;
    fn medium(chip: &Shared) -> Self::Medium {
        Nor::new(Flash(Rc::clone(chip)))
    }
}

/// Three sectors of two slots.
pub struct ThreeSectors;

impl Bench for ThreeSectors {
    type Medium = Nor<Flash<256>, 0, 3>;
    const BYTES: usize = 3 * 256;
    fn medium(chip: &Shared) -> Self::Medium {
        Nor::new(Flash(Rc::clone(chip)))
    }
}

/// Four slots in pages of 16 bytes, addressed by one byte (AT24C04).
pub struct SmallEeprom;

impl Bench for SmallEeprom {
    type Medium = Eeprom<At24c<16>, NoDelay, 512, 16>;
    const BYTES: usize = 512;
    fn medium(chip: &Shared) -> Self::Medium {
        let (chip, addressing) = (Rc::clone(chip), Addressing::OneByte);
        Eeprom::new(At24c { chip, addressing, pointer: 0, busy_polls: 0 }, NoDelay, AT24C & !1, addressing)
    }
}

/// Eight slots in pages of 32 bytes, addressed by two bytes.
pub struct LargeEeprom;

impl Bench for LargeEeprom {
    type Medium = Eeprom<At24c<32>, NoDelay, 1024, 32>;
    const BYTES: usize = 1024;
    fn medium(chip: &Shared) -> Self::Medium {
        let (chip, addressing) = (Rc::clone(chip), Addressing::TwoBytes);
        Eeprom::new(At24c { chip, addressing, pointer: 0, busy_polls: 0 }, NoDelay, AT24C, addressing)
    }
}
