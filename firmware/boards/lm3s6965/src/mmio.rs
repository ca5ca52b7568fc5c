//! Registers: the one place where an address becomes a read or a write, and the only `unsafe` of the board besides the
//! entry of its interrupts. What the registers mean is said where they are used.

use core::ptr::{read_volatile, write_volatile};

/// A 32-bit register of the LM3S6965, or a word of its memory.
#[derive(Debug, Clone, Copy)]
pub struct Register(usize);

impl Register {
    /// The register at `address`, which the datasheet's memory map must have there: a wrong one is a bus fault, which
    /// resets the board.
    pub const fn at(address: usize) -> Self {
        Register(address)
    }

    /// Its value.
    pub fn read(self) -> u32 {
        // SAFETY: the addresses are constants of this crate, aligned and within the chip's memory map, and no Rust
        // object lives there: peripherals, and a word that the linker is told to leave alone.
        unsafe { read_volatile(self.0 as *const u32) }
    }

    /// Replace its value.
    pub fn write(self, value: u32) {
        // SAFETY: as for `read`.
        unsafe { write_volatile(self.0 as *mut u32, value) }
    }

    /// Set these bits and leave the others. Not atomic: only for registers that no interrupt writes.
    pub fn set(self, bits: u32) {
        self.write(self.read() | bits);
    }

    /// Clear these bits and leave the others. Not atomic, as [`Register::set`].
    pub fn clear(self, bits: u32) {
        self.write(self.read() & !bits);
    }
}
