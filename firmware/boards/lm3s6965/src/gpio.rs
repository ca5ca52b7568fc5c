//! Pins of the ports A to G (PL061 with Luminary's additions; datasheet 9).

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};

use crate::mmio::Register;

/// Port A's interrupt: number 0.
pub const INTERRUPT: i16 = 0;

/// NVIC_ISER0: interrupts 0 to 31.
const INTERRUPTS_ENABLE: Register = Register::at(0xE000_E100);

const DIRECTION: usize = 0x400;
const RISING: usize = 0x40C;
const INTERRUPT_MASK: usize = 0x410;
const INTERRUPT_CLEAR: usize = 0x41C;
const ALTERNATE: usize = 0x420;
const OPEN_DRAIN: usize = 0x50C;
const PULL_DOWN: usize = 0x514;
const DIGITAL: usize = 0x51C;

/// A port.
#[derive(Debug, Clone, Copy)]
pub struct Port(usize);

/// Port A: UART0, lid, supply.
pub const PORT_A: Port = Port(0x4000_4000);
/// Port B: relay, I2C0.
pub const PORT_B: Port = Port(0x4000_5000);
/// Port D: the buttons.
pub const PORT_D: Port = Port(0x4000_7000);
/// Port F: the status light.
pub const PORT_F: Port = Port(0x4002_5000);

impl Port {
    fn register(self, offset: usize) -> Register {
        Register::at(self.0 + offset)
    }

    /// One pin as a register: the data register's address holds the mask (datasheet 9.2.1.2), so that a write leaves
    /// the other pins alone without reading them.
    fn pin(self, pin: u8) -> Register {
        self.register(4 << pin)
    }

    /// Pin 0 to 7 as an input that rests low, as all lines of the emulator do.
    pub fn input(self, pin: u8) -> Input {
        self.read_from(pin, false)
    }

    /// The same, read the other way round: the firmware has buttons to ground and mains as a high level, and on this
    /// board both rest low. So an emulated board that nobody touches has free buttons, and mains, also right after a
    /// reset, which lowers all lines.
    pub fn inverted_input(self, pin: u8) -> Input {
        self.read_from(pin, true)
    }

    fn read_from(self, pin: u8, inverted: bool) -> Input {
        self.register(DIRECTION).clear(1 << pin);
        self.register(PULL_DOWN).set(1 << pin);
        self.register(DIGITAL).set(1 << pin);
        Input { data: self.pin(pin), inverted }
    }

    /// An input that interrupts when it rises, which wakes the loop. Of port A only.
    pub fn waking_input(self, pin: u8) -> Input {
        let input = self.inverted_input(pin);
        // Edges, not levels, and of one kind, is how the port comes out of a reset (datasheet 9.3).
        self.register(RISING).set(1 << pin);
        self.register(INTERRUPT_CLEAR).write(1 << pin);
        self.register(INTERRUPT_MASK).set(1 << pin);
        INTERRUPTS_ENABLE.write(1 << INTERRUPT);
        input
    }

    /// Pin 0 to 7 as an output, low.
    pub fn output(self, pin: u8) -> Output {
        let output = Output { data: self.pin(pin) };
        output.data.write(0);
        self.register(DIRECTION).set(1 << pin);
        self.register(DIGITAL).set(1 << pin);
        output
    }

    /// Give pins to their peripheral; those in `open_drain` only ever pull low.
    pub fn alternate(self, pins: u32, open_drain: u32) {
        self.register(ALTERNATE).set(pins);
        self.register(OPEN_DRAIN).set(open_drain);
        self.register(DIGITAL).set(pins);
    }
}

/// An input pin.
#[derive(Debug)]
pub struct Input {
    data: Register,
    inverted: bool,
}

impl ErrorType for Input {
    type Error = Infallible;
}

impl InputPin for Input {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok((self.data.read() != 0) != self.inverted)
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        self.is_high().map(|high| !high)
    }
}

/// An output pin.
#[derive(Debug)]
pub struct Output {
    data: Register,
}

impl ErrorType for Output {
    type Error = Infallible;
}

impl OutputPin for Output {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.data.write(0);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.data.write(0xFF);
        Ok(())
    }
}

/// An input rose: called by the interrupt. The loop polls whenever it was woken, and a poll begins with the supply.
pub fn rose() {
    PORT_A.register(INTERRUPT_CLEAR).write(0xFF);
}
