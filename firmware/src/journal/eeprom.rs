//! A serial EEPROM (AT24C family) as the journal's medium: a unit is one slot, and nothing needs clearing.
//!
//! The chip takes a page at a time and then does not answer for its write cycle: whoever wants it next asks again
//! until it does. Between setting the address and reading there is a STOP ([`crate::drivers::bus::read_from`]).

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{Error, ErrorKind, I2c};

use super::{Medium, MediumFault, SLOT_BYTES};
use crate::drivers::bus;

/// A write cycle takes 5 ms by the data sheets, 10 ms in old chips; asked once a millisecond, with as much in reserve.
const BUSY_POLLS_MAX: usize = 20;

/// Longest page that is used: chips with larger ones take these as well.
const PAGE_BYTES_MAX: usize = 32;

/// Most address bytes.
const ADDRESS_BYTES_MAX: usize = 2;

/// How a chip is told which of its bytes is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// One byte, and the bits above it in the low bits of the chip's bus address: up to 2,048 bytes (AT24C02..16).
    OneByte,
    /// Two bytes, high one first: AT24C32 and larger.
    TwoBytes,
}

/// An EEPROM of `BYTES` bytes (a multiple of [`SLOT_BYTES`], at least two) that is written in pages of `PAGE_BYTES`
/// (8, 16 or 32; a chip with larger pages takes 32).
#[derive(Debug)]
pub struct Eeprom<I, D, const BYTES: usize, const PAGE_BYTES: usize> {
    i2c: I,
    delay: D,
    address: u8,
    addressing: Addressing,
}

impl<I: I2c, D: DelayNs, const BYTES: usize, const PAGE_BYTES: usize> Eeprom<I, D, BYTES, PAGE_BYTES> {
    /// The chip at a 7-bit bus address (0x50..0x57).
    pub fn new(i2c: I, delay: D, address: u8, addressing: Addressing) -> Self {
        const {
            assert!(BYTES.is_multiple_of(SLOT_BYTES) && BYTES <= 1 << 16, "an EEPROM is whole slots");
            assert!(SLOT_BYTES.is_multiple_of(PAGE_BYTES) && PAGE_BYTES <= PAGE_BYTES_MAX, "a slot is whole pages");
        }
        Eeprom { i2c, delay, address, addressing }
    }

    /// The bus, for others that are on it.
    pub fn bus(&mut self) -> &mut I {
        &mut self.i2c
    }

    /// Bus address, and the address bytes, of a byte of the chip.
    fn pointer(&self, at: usize) -> (u8, [u8; ADDRESS_BYTES_MAX], usize) {
        match self.addressing {
            Addressing::OneByte => (self.address | (at >> 8) as u8, [at as u8, 0], 1),
            Addressing::TwoBytes => (self.address, [(at >> 8) as u8, at as u8], 2),
        }
    }

    /// Do something with the chip, as soon as it answers.
    fn when_ready(&mut self, mut act: impl FnMut(&mut I) -> Result<(), I::Error>) -> Result<(), MediumFault> {
        for _ in 0..BUSY_POLLS_MAX {
            match act(&mut self.i2c).map_err(|error| error.kind()) {
                Ok(()) => return Ok(()),
                Err(ErrorKind::NoAcknowledge(_)) => self.delay.delay_ms(1),
                Err(_) => return Err(MediumFault),
            }
        }
        Err(MediumFault)
    }
}

impl<I: I2c, D: DelayNs, const BYTES: usize, const PAGE_BYTES: usize> Medium for Eeprom<I, D, BYTES, PAGE_BYTES> {
    const UNITS: usize = BYTES / SLOT_BYTES;
    const SLOTS_PER_UNIT: usize = 1;

    fn read(&mut self, slot: usize, bytes: &mut [u8; SLOT_BYTES]) -> Result<(), MediumFault> {
        for (index, part) in bytes.chunks_exact_mut(PAGE_BYTES).enumerate() {
            let (chip, pointer, length) = self.pointer(slot * SLOT_BYTES + index * PAGE_BYTES);
            self.when_ready(|i2c| bus::read_from(i2c, chip, &pointer[..length], part))?;
        }
        Ok(())
    }

    fn clear(&mut self, _unit: usize) -> Result<(), MediumFault> {
        Ok(())
    }

    fn write(&mut self, slot: usize, bytes: &[u8; SLOT_BYTES]) -> Result<(), MediumFault> {
        for (index, page) in bytes.chunks_exact(PAGE_BYTES).enumerate() {
            let (chip, pointer, length) = self.pointer(slot * SLOT_BYTES + index * PAGE_BYTES);
            let mut message = [0; ADDRESS_BYTES_MAX + PAGE_BYTES_MAX];
            message[..length].copy_from_slice(&pointer[..length]);
            message[length..length + PAGE_BYTES].copy_from_slice(page);
            self.when_ready(|i2c| i2c.write(chip, &message[..length + PAGE_BYTES]))?;
        }
        Ok(())
    }
}
