//! A module's raw values into quantities (SFF-8472 sections 9.4-9.6). Pure; knows nothing of the bus.
//!
//! Raw units: temperature 1/256 °C signed, supply 100 uV, bias 2 uA, power 0.1 uW, unsigned. An externally calibrated
//! module's are first `slope * raw + offset`, slope unsigned 8.8, offset signed, and the received power is a polynomial
//! of fourth degree of it.

use simpul_wire::Missing;
use simpul_wire::board::{Measured, ReceiveLimits};

use super::Diagnostics;

/// A2h bytes 32..40: limits of the received power.
pub(super) const LIMITS_BYTES: usize = 8;

/// A2h bytes 56..92: constants of external calibration.
pub(super) const CALIBRATION_BYTES: usize = 36;

/// A2h bytes 96..112: measured values and status.
pub(super) const MEASURED_BYTES: usize = 16;

/// What a module can have while it still answers: a wider span than any is built for (-40..85 °C), 1/1000 °C.
const TEMPERATURE_MILLI_CELSIUS: core::ops::RangeInclusive<i64> = -50_000..=110_000;

/// A module is made for 3.135-3.465 V; outside of this its logic does not work, or no longer, mV.
const SUPPLY_MILLIVOLTS: core::ops::RangeInclusive<i64> = 2_000..=5_000;

/// The greatest raw value: of any other there is no unit.
const RAW_MAX: i64 = u16::MAX as i64;

/// Who calibrates.
pub(super) enum Calibrated {
    /// The module did.
    Internal,
    /// We do, with its constants.
    External([u8; CALIBRATION_BYTES]),
}

/// Where a quantity's slope is among the constants; its offset follows.
#[derive(Clone, Copy)]
enum Linear {
    Bias = 76 - 56,
    TxPower = 80 - 56,
    Temperature = 84 - 56,
    Supply = 88 - 56,
}

impl Calibrated {
    /// The measured values.
    pub(super) fn diagnostics(&self, bytes: &[u8; MEASURED_BYTES]) -> Diagnostics {
        let raw = |at: usize| i64::from(word(bytes, at - 96));
        let temperature = self.linear(Linear::Temperature, i64::from(word(bytes, 0) as i16)) * 1_000 / 256;
        let supply = self.linear(Linear::Supply, raw(98)) / 10;
        let bias = self.linear(Linear::Bias, raw(100));
        let tx_power = self.linear(Linear::TxPower, raw(102));
        Diagnostics {
            rx_power: power(self.receive(word(bytes, 104 - 96))),
            tx_power: power(if (0..=RAW_MAX).contains(&tx_power) {
                Ok(tx_power as u32)
            } else {
                Err(Missing::OutOfRange)
            }),
            tx_bias: measured(bias, &(0..=RAW_MAX), |bias| Measured::Microamperes(bias as u32 * 2)),
            temperature: measured(temperature, &TEMPERATURE_MILLI_CELSIUS, |value| {
                Measured::MilliCelsius(value as i32)
            }),
            supply: measured(supply, &SUPPLY_MILLIVOLTS, |value| Measured::Millivolts(value as u32)),
        }
    }

    /// Limits of the received power, if they are in order: there are modules whose are not, and limits at 0 are none.
    pub(super) fn receive_limits(&self, bytes: &[u8; LIMITS_BYTES]) -> Option<ReceiveLimits> {
        let limit = |at: usize| self.receive(word(bytes, at - 32)).ok().map(|tenths| tenths * 100);
        let limits = ReceiveLimits {
            high_alarm: limit(32)?,
            low_alarm: limit(34)?,
            high_warning: limit(36)?,
            low_warning: limit(38)?,
        };
        let ordered = limits.low_alarm <= limits.low_warning
            && limits.low_warning < limits.high_warning
            && limits.high_warning <= limits.high_alarm;
        ordered.then_some(limits)
    }

    /// `slope * raw + offset`, rounded, in raw units: at most 2^24, so nothing overflows.
    fn linear(&self, quantity: Linear, raw: i64) -> i64 {
        match self {
            Calibrated::Internal => raw,
            Calibrated::External(constants) => {
                let slope = i64::from(word(constants, quantity as usize));
                let offset = i64::from(word(constants, quantity as usize + 2) as i16);
                ((slope * raw + 128) >> 8) + offset
            }
        }
    }

    /// Received power in 0.1 uW: less than nothing is nothing (a dark photodiode's noise), more than a raw value can say
    /// or no number is [`Missing::OutOfRange`].
    fn receive(&self, raw: u16) -> Result<u32, Missing> {
        let Calibrated::External(constants) = self else { return Ok(u32::from(raw)) };
        // Rx_PWR(4) comes first, so Horner's scheme reads them in their order.
        let power = constants[..20].chunks_exact(4).fold(0.0_f32, |power, bytes| {
            power * f32::from(raw) + f32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        });
        // False for NaN too.
        if power.is_finite() && power <= RAW_MAX as f32 {
            Ok((power.max(0.0) + 0.5) as u32)
        } else {
            Err(Missing::OutOfRange)
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Tenths of a microwatt as nanowatts; no light is a state and has no dBm.
fn power(tenths: Result<u32, Missing>) -> Measured {
    match tenths {
        Ok(0) => Missing::NoLight.into(),
        Ok(tenths) => Measured::Nanowatts(tenths * 100),
        Err(reason) => reason.into(),
    }
}

fn measured(value: i64, possible: &core::ops::RangeInclusive<i64>, unit: impl Fn(i64) -> Measured) -> Measured {
    if possible.contains(&value) { unit(value) } else { Missing::OutOfRange.into() }
}
