//! The I2C bus itself: reading from an address within a chip, and freeing a bus that a chip holds down.

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal::i2c::I2c;
use simpul_wire::Missing;

/// Set a chip's address pointer, then read from there, as two transfers with a STOP in between.
///
/// Not `write_read`: one of the boards' controllers makes no repeated START. EEPROMs and SFP modules keep the pointer
/// over a STOP (the "current address read" of AT24C and of SFF-8472), an address without data starts no write cycle, and
/// there is one master, so nobody comes in between.
pub fn read_from<I: I2c>(i2c: &mut I, chip: u8, pointer: &[u8], bytes: &mut [u8]) -> Result<(), I::Error> {
    i2c.write(chip, pointer)?;
    i2c.read(chip, bytes)
}

/// Clocks that free any chip: eight bits of the byte that it is sending, and the acknowledge (UM10204, 3.1.16).
pub const RECOVERY_CLOCKS: usize = 9;

/// Half a clock at 100 kHz, the slowest that every chip on the bus takes.
const HALF_CLOCK_US: u32 = 5;

/// Free a bus on which a chip holds SDA down, as one does whose read was cut off by the board's restart: nine clocks,
/// with SDA let go, then a STOP. Takes the pins as open-drain outputs, before or instead of the I2C peripheral, 100 us.
///
/// Errors: [`Missing::BusStuck`] if SDA is still low afterwards, SCL is held low, or a pin cannot be driven or read.
pub fn recover<C, A, D>(scl: &mut C, sda: &mut A, delay: &mut D) -> Result<(), Missing>
where
    C: OutputPin + InputPin,
    A: OutputPin + InputPin,
    D: DelayNs,
{
    clock_free(scl, sda, delay).map_err(|_| Missing::BusStuck)
}

/// The bus is not free, or a pin does not work.
struct Stuck;

fn clock_free<C, A, D>(scl: &mut C, sda: &mut A, delay: &mut D) -> Result<(), Stuck>
where
    C: OutputPin + InputPin,
    A: OutputPin + InputPin,
    D: DelayNs,
{
    sda.set_high().map_err(|_| Stuck)?;
    for _ in 0..RECOVERY_CLOCKS {
        scl.set_low().map_err(|_| Stuck)?;
        delay.delay_us(HALF_CLOCK_US);
        scl.set_high().map_err(|_| Stuck)?;
        delay.delay_us(HALF_CLOCK_US);
    }
    // STOP: SDA rises while SCL is high. SDA falls while SCL is low, or it would be a START.
    scl.set_low().map_err(|_| Stuck)?;
    delay.delay_us(HALF_CLOCK_US);
    sda.set_low().map_err(|_| Stuck)?;
    delay.delay_us(HALF_CLOCK_US);
    scl.set_high().map_err(|_| Stuck)?;
    delay.delay_us(HALF_CLOCK_US);
    sda.set_high().map_err(|_| Stuck)?;
    delay.delay_us(HALF_CLOCK_US);
    match (scl.is_high(), sda.is_high()) {
        (Ok(true), Ok(true)) => Ok(()),
        _ => Err(Stuck),
    }
}
