//! I2C0 at 100 kHz (datasheet 15): one write or one read at a time, each from START to STOP, since the emulated controller
//! makes no repeated START.

use embedded_hal::i2c::{Error, ErrorKind, NoAcknowledgeSource};

use crate::clock::CORE_HZ;
use crate::gpio::PORT_B;
use crate::mmio::Register;

const ADDRESS: Register = Register::at(0x4002_0000);
/// Written: what to do. Read: how it went.
const CONTROL: Register = Register::at(0x4002_0004);
const DATA: Register = Register::at(0x4002_0008);
const TIMER_PERIOD: Register = Register::at(0x4002_000C);
const CONFIGURATION: Register = Register::at(0x4002_0020);

const RUN: u32 = 1 << 0;
const START: u32 = 1 << 1;
const STOP: u32 = 1 << 2;
const ACKNOWLEDGE: u32 = 1 << 3;

const BUSY: u32 = 1 << 0;
const ERROR: u32 = 1 << 1;
const NO_ADDRESS_ACK: u32 = 1 << 2;
const NO_DATA_ACK: u32 = 1 << 3;
const ARBITRATION_LOST: u32 = 1 << 4;
const BUS_BUSY: u32 = 1 << 6;

const MASTER: u32 = 1 << 4;
const BUS_HZ: u32 = 100_000;

/// Looks at a busy controller before the bus counts as stuck: a byte takes 90 µs, and a look a few cycles at most, so
/// this is a hundred bytes' time.
const LOOKS_MAX: u32 = 100_000;

/// Why a transfer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusError {
    /// Nobody answers to the address.
    NoDevice,
    /// The device refused a byte.
    NoDataAcknowledge,
    /// The controller stays busy: something holds the bus.
    Stuck,
    /// A transfer without a byte, which this controller cannot make.
    Empty,
}

impl Error for BusError {
    fn kind(&self) -> ErrorKind {
        match self {
            BusError::NoDevice => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            BusError::NoDataAcknowledge => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data),
            BusError::Stuck => ErrorKind::Bus,
            BusError::Empty => ErrorKind::Other,
        }
    }
}

/// The bus.
#[derive(Debug)]
pub struct Bus(());

impl Bus {
    /// Take the pins and the controller.
    pub fn start() -> Self {
        // SCL is driven by the controller's own open drain, SDA by the pad's (datasheet 15.3).
        PORT_B.alternate(0b1100, 0b1000);
        CONFIGURATION.write(MASTER);
        // SCL_PRD = 2 * (1 + TPR) * (6 + 4) * CLK_PRD (datasheet 15.2.1.5).
        TIMER_PERIOD.write(CORE_HZ / (20 * BUS_HZ) - 1);
        Bus(())
    }

    /// Write bytes to a device, from START to STOP.
    pub fn write(&mut self, device: u8, bytes: &[u8]) -> Result<(), BusError> {
        ADDRESS.write(u32::from(device) << 1);
        let last = bytes.len().checked_sub(1).ok_or(BusError::Empty)?;
        for (at, byte) in bytes.iter().enumerate() {
            DATA.write(u32::from(*byte));
            command(RUN | first(at) | if at == last { STOP } else { 0 })?;
        }
        Ok(())
    }

    /// Read bytes from a device, from START to STOP.
    pub fn read(&mut self, device: u8, bytes: &mut [u8]) -> Result<(), BusError> {
        ADDRESS.write(u32::from(device) << 1 | 1);
        let last = bytes.len().checked_sub(1).ok_or(BusError::Empty)?;
        for (at, byte) in bytes.iter_mut().enumerate() {
            command(RUN | first(at) | if at == last { STOP } else { ACKNOWLEDGE })?;
            *byte = (DATA.read() & 0xFF) as u8;
        }
        Ok(())
    }
}

fn first(at: usize) -> u32 {
    if at == 0 { START } else { 0 }
}

/// Have one byte transferred and look how it went. After an error the bus is free again.
fn command(bits: u32) -> Result<(), BusError> {
    CONTROL.write(bits);
    let status = finished()?;
    if status & ERROR == 0 {
        return Ok(());
    }
    if status & BUS_BUSY != 0 {
        CONTROL.write(STOP);
        finished()?;
    }
    // One master cannot lose the bus to another: the emulated controller says "lost" when nobody answers.
    if status & (NO_ADDRESS_ACK | ARBITRATION_LOST) != 0 {
        Err(BusError::NoDevice)
    } else if status & NO_DATA_ACK != 0 {
        Err(BusError::NoDataAcknowledge)
    } else {
        Err(BusError::Stuck)
    }
}

fn finished() -> Result<u32, BusError> {
    for _ in 0..LOOKS_MAX {
        let status = CONTROL.read();
        if status & BUSY == 0 {
            return Ok(status);
        }
    }
    Err(BusError::Stuck)
}
