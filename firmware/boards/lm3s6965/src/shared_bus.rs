//! One bus for several drivers, and SFP modules as the emulator has them: its EEPROM (`at24c-eeprom`) takes two bytes of
//! address where a module takes one.

use core::cell::RefCell;

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation};

use crate::i2c::{Bus, BusError};

/// A module's two pages (SFF-8472 4): A0h and A2h as seven-bit addresses.
const MODULE_PAGES: [u8; 2] = [0x50, 0x51];

/// What may be written to a module at once with the byte in front: an address and a password (SFF-8472 9.6), the
/// longest write that the specification knows.
const WRITE_BYTES_MAX: usize = 1 + 1 + 4;

/// The bus, for one of its drivers.
#[derive(Debug, Clone, Copy)]
pub struct SharedBus<'a>(&'a RefCell<Bus>);

impl<'a> SharedBus<'a> {
    /// A share of the bus.
    pub fn new(bus: &'a RefCell<Bus>) -> Self {
        SharedBus(bus)
    }
}

/// Why a transfer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedBusError {
    /// The bus says so.
    Bus(BusError),
    /// A write to a module of more than the specification knows.
    TooLong,
    /// Another driver is in the middle of a transfer: never, since there is one loop.
    InUse,
}

impl embedded_hal::i2c::Error for SharedBusError {
    fn kind(&self) -> ErrorKind {
        match self {
            SharedBusError::Bus(error) => error.kind(),
            SharedBusError::TooLong | SharedBusError::InUse => ErrorKind::Other,
        }
    }
}

impl ErrorType for SharedBus<'_> {
    type Error = SharedBusError;
}

impl I2c for SharedBus<'_> {
    fn transaction(&mut self, device: u8, operations: &mut [Operation<'_>]) -> Result<(), SharedBusError> {
        let mut bus = self.0.try_borrow_mut().map_err(|_| SharedBusError::InUse)?;
        for operation in operations {
            match operation {
                Operation::Write(bytes) if MODULE_PAGES.contains(&device) => {
                    let mut longer = [0; WRITE_BYTES_MAX];
                    let place = longer.get_mut(1..=bytes.len()).ok_or(SharedBusError::TooLong)?;
                    place.copy_from_slice(bytes);
                    bus.write(device, &longer[..=bytes.len()]).map_err(SharedBusError::Bus)?;
                }
                Operation::Write(bytes) => bus.write(device, bytes).map_err(SharedBusError::Bus)?,
                Operation::Read(bytes) => bus.read(device, bytes).map_err(SharedBusError::Bus)?,
            }
        }
        Ok(())
    }
}
