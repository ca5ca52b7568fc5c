//! SFP modules as the emulator has them: its EEPROM (`at24c-eeprom`) takes two bytes of address, a module takes one.

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation};

use crate::i2c::{Bus, BusError};

/// A module's two pages (SFF-8472 4): A0h and A2h as seven-bit addresses.
const MODULE_PAGES: [u8; 2] = [0x50, 0x51];

/// What may be written to a module at once with the byte in front: an address and a password (SFF-8472 9.6), the
/// longest write that the specification knows.
const WRITE_BYTES_MAX: usize = 1 + 1 + 4;

/// The bus, with an upper address byte of 0 put in front of whatever is written to a module.
#[derive(Debug)]
pub struct ModuleShim(Bus);

impl ModuleShim {
    /// Around the whole bus: other devices pass unchanged.
    pub fn new(bus: Bus) -> Self {
        ModuleShim(bus)
    }
}

/// Why a transfer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShimError {
    /// The bus says so.
    Bus(BusError),
    /// A write to a module of more than the specification knows.
    TooLong,
}

impl embedded_hal::i2c::Error for ShimError {
    fn kind(&self) -> ErrorKind {
        match self {
            ShimError::Bus(error) => error.kind(),
            ShimError::TooLong => ErrorKind::Other,
        }
    }
}

impl ErrorType for ModuleShim {
    type Error = ShimError;
}

impl I2c for ModuleShim {
    fn transaction(&mut self, device: u8, operations: &mut [Operation<'_>]) -> Result<(), ShimError> {
        if !MODULE_PAGES.contains(&device) {
            return self.0.transaction(device, operations).map_err(ShimError::Bus);
        }
        for operation in operations {
            match operation {
                Operation::Write(bytes) => {
                    let mut longer = [0; WRITE_BYTES_MAX];
                    let place = longer.get_mut(1..=bytes.len()).ok_or(ShimError::TooLong)?;
                    place.copy_from_slice(bytes);
                    self.0.write(device, &longer[..=bytes.len()]).map_err(ShimError::Bus)?;
                }
                Operation::Read(bytes) => self.0.read(device, bytes).map_err(ShimError::Bus)?,
            }
        }
        Ok(())
    }
}
