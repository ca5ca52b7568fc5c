//! Supply and battery, measured behind dividers by the chip's ADC.

use embassy_rp::Peri;
use embassy_rp::adc::{Adc, Blocking, Channel, Config};
use embassy_rp::gpio::Pull;
use embassy_rp::peripherals::{ADC, PIN_26, PIN_27};
use simpul_firmware::runtime::Measure;
use simpul_wire::Missing;

/// The divider in front of both inputs: 100 kOhm over 10 kOhm, so 36 V is full scale and a 12 V battery that is being
/// charged at 15 V uses less than half of it.
const DIVIDER: u32 = 11;

/// The ADC's reference is the board's 3.3 V (Pico datasheet, 4.3), and 12 bits are its range.
const REFERENCE_MV: u32 = 3_300;
const STEPS: u32 = 4_096;

/// Measurements that are averaged: the converter's noise of some steps is then below one, in 32 us.
const SAMPLES: u32 = 16;

/// The two inputs.
pub struct Voltages {
    adc: Adc<'static, Blocking>,
    supply: Channel<'static>,
    battery: Channel<'static>,
}

impl Voltages {
    /// Take the pins; their digital side is switched off.
    pub fn new(adc: Peri<'static, ADC>, supply: Peri<'static, PIN_26>, battery: Peri<'static, PIN_27>) -> Self {
        Voltages {
            adc: Adc::new_blocking(adc, Config::default()),
            supply: Channel::new_pin(supply, Pull::None),
            battery: Channel::new_pin(battery, Pull::None),
        }
    }
}

fn millivolts(adc: &mut Adc<'static, Blocking>, channel: &mut Channel<'static>) -> Result<u32, Missing> {
    let mut sum = 0;
    for _ in 0..SAMPLES {
        sum += u32::from(adc.blocking_read(channel).map_err(|_| Missing::Unreadable)?);
    }
    // At most 65,520 * 36,300: below 2^32.
    Ok(sum * (REFERENCE_MV * DIVIDER) / (STEPS * SAMPLES))
}

impl Measure for Voltages {
    fn supply_millivolts(&mut self) -> Result<u32, Missing> {
        millivolts(&mut self.adc, &mut self.supply)
    }

    fn battery_millivolts(&mut self) -> Result<u32, Missing> {
        millivolts(&mut self.adc, &mut self.battery)
    }
}
