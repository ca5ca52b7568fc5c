//! A two-wire (I2C) master on two GPIO pins, for the SFP cages: 100 kHz, and no module can hang it.
//!
//! Not the chip's controller: the HAL's blocking driver waits for it without an end, so one module that holds a line
//! down would reset the board every eight seconds, presses and all. Here every wait has an end, and a bus that is held is
//! freed by clocks (`bus::recover`) before the next transfer.

use embassy_rp::Peri;
use embassy_rp::gpio::{AnyPin, Level, OutputOpenDrain};
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation, SevenBitAddress};
use simpul_firmware::drivers::bus;

use crate::clock::{self, Delay};

/// Half a clock at 100 kHz: the slowest that every module takes.
const HALF_CLOCK_US: u32 = 5;

/// A module may hold the clock for 500 us (SFF-8472 rev 12.4, table 4-3, T_CLK_HOLD); twice that is a fault.
const CLOCK_HELD_US_MAX: u32 = 1_000;

/// The two wires, with pull-ups.
pub struct TwoWire {
    data: OutputOpenDrain<'static>,
    clock: OutputOpenDrain<'static>,
}

impl TwoWire {
    /// Let go of both wires. The chip's own pull-ups keep an unwired bus idle; a wired one has stronger ones.
    pub fn new(data: Peri<'static, AnyPin>, clock: Peri<'static, AnyPin>) -> Self {
        let [data, clock] = [data, clock].map(|pin| {
            let mut wire = OutputOpenDrain::new(pin, Level::High);
            wire.set_pullup(true);
            wire
        });
        TwoWire { data, clock }
    }

    /// Let the clock rise, and wait for a module that holds it.
    fn raise_clock(&mut self) -> Result<(), ErrorKind> {
        self.clock.set_high();
        let released_us = clock::now_us();
        while self.clock.is_low() {
            if clock::now_us().wrapping_sub(released_us) > CLOCK_HELD_US_MAX {
                return Err(ErrorKind::Bus);
            }
        }
        Delay.delay_us(HALF_CLOCK_US);
        Ok(())
    }

    fn lower_clock(&mut self) {
        self.clock.set_low();
        Delay.delay_us(HALF_CLOCK_US);
    }

    /// A START on a free bus, or a repeated one. Ends with the clock low.
    fn start(&mut self) -> Result<(), ErrorKind> {
        self.data.set_high();
        self.raise_clock()?;
        if self.data.is_low() {
            bus::recover(&mut self.clock, &mut self.data, &mut Delay).map_err(|_| ErrorKind::Bus)?;
        }
        self.data.set_low();
        Delay.delay_us(HALF_CLOCK_US);
        self.lower_clock();
        Ok(())
    }

    fn stop(&mut self) -> Result<(), ErrorKind> {
        self.data.set_low();
        Delay.delay_us(HALF_CLOCK_US);
        self.raise_clock()?;
        self.data.set_high();
        Delay.delay_us(HALF_CLOCK_US);
        Ok(())
    }

    /// One clock with the data wire let go (`true`) or held; what the wire was while the clock was high.
    fn bit(&mut self, high: bool) -> Result<bool, ErrorKind> {
        self.data.set_level(high.into());
        self.raise_clock()?;
        let seen = self.data.is_high();
        self.lower_clock();
        Ok(seen)
    }

    /// Whether it was acknowledged.
    fn write_byte(&mut self, byte: u8) -> Result<bool, ErrorKind> {
        for bit in (0..8).rev() {
            self.bit(byte >> bit & 1 == 1)?;
        }
        Ok(!self.bit(true)?)
    }

    fn read_byte(&mut self, acknowledge: bool) -> Result<u8, ErrorKind> {
        let mut byte = 0;
        for _ in 0..8 {
            byte = byte << 1 | u8::from(self.bit(true)?);
        }
        self.bit(!acknowledge)?;
        Ok(byte)
    }

    fn transfer(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let mut reading_before = None;
        let mut rest = operations;
        while let [operation, after @ ..] = rest {
            let reading = matches!(operation, Operation::Read(_));
            if reading_before != Some(reading) {
                self.start()?;
                if !self.write_byte(address << 1 | u8::from(reading))? {
                    return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
                }
                reading_before = Some(reading);
            }
            match operation {
                Operation::Write(bytes) => {
                    for byte in bytes.iter() {
                        if !self.write_byte(*byte)? {
                            return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data));
                        }
                    }
                }
                Operation::Read(bytes) => {
                    let goes_on = matches!(after.first(), Some(Operation::Read(_)));
                    let length = bytes.len();
                    for (index, byte) in bytes.iter_mut().enumerate() {
                        *byte = self.read_byte(goes_on || index + 1 < length)?;
                    }
                }
            }
            rest = after;
        }
        Ok(())
    }
}

impl ErrorType for TwoWire {
    type Error = ErrorKind;
}

impl I2c<SevenBitAddress> for TwoWire {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let outcome = self.transfer(address, operations);
        // Whatever came of it, the bus is to be free afterwards; a bus that is stuck tells the next start.
        let stopped = self.stop();
        outcome.and(stopped)
    }
}
