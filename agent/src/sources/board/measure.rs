//! The board's integers -> samples in the wire's units; values that no such device can have become a reason.

use simpul_wire::board::{Measured, Reading};
use simpul_wire::reading::Value;
use simpul_wire::{Label, Missing, Unit, metrics};

use crate::sources::readings::Sample;

/// What a metric of the board's is, and its limits in the board's integers.
struct Metric {
    unit: Unit,
    low: i64,
    high: i64,
}

/// Above what the board's supply or a 48 V battery bank has while it is charged.
const SUPPLY_MV_MAX: i64 = 60_000;
/// SFF-8472 has 16 bits of 0.1 mW / 1000, 6.5 mW; externally calibrated modules may say more. 10 mW = +10 dBm is above
/// any receiver's damage limit.
const POWER_NW_MAX: i64 = 10_000_000;
/// SFF-8472: 16 bits of 2 µA, and modules that double it.
const BIAS_UA_MAX: i64 = 262_140;
/// What silicon survives, as for the machine itself.
const TEMPERATURE_MC: (i64, i64) = (-60_000, 150_000);
/// SFF-8472: 16 bits of 100 µV, calibrated.
const MODULE_SUPPLY_MV_MAX: i64 = 7_000;

fn metric(name: &str) -> Option<Metric> {
    let last = name.rsplit('.').next().unwrap_or_default();
    let (unit, low, high) = match (name, last) {
        ("supply_voltage" | "battery_voltage", _) => (Unit::Volts, 0, SUPPLY_MV_MAX),
        (_, "rx_power" | "tx_power") => (Unit::DecibelMilliwatts, 0, POWER_NW_MAX),
        (_, "tx_bias") => (Unit::Milliamperes, 0, BIAS_UA_MAX),
        (_, "temperature") if name.starts_with("optics.") => (Unit::Celsius, TEMPERATURE_MC.0, TEMPERATURE_MC.1),
        (_, "supply") if name.starts_with("optics.") => (Unit::Volts, 0, MODULE_SUPPLY_MV_MAX),
        _ => return None,
    };
    Some(Metric { unit, low, high })
}

/// A sample of a board's reading.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Taken {
    /// Good, or missing for the board's own reason.
    Sample(Sample),
    /// Missing, because it is impossible; and what the board said.
    Impossible(Sample, String),
    /// A metric that this agent does not know of a board.
    Unknown(u8),
}

pub(super) fn take(reading: &Reading) -> Taken {
    let known = metrics::name(reading.metric).and_then(|name| Some((name, metric(name)?)));
    let Some((name, metric)) = known else { return Taken::Unknown(reading.metric) };
    let sample = |value| Sample { metric: Label::clipped(name), unit: metric.unit, value };
    let number = match (metric.unit, reading.value) {
        (_, Measured::Missing(reason)) => return Taken::Sample(sample(Value::Missing(reason.0))),
        (Unit::Volts, Measured::Millivolts(value)) => Some(i64::from(value)),
        (Unit::Celsius, Measured::MilliCelsius(value)) => Some(i64::from(value)),
        (Unit::Milliamperes, Measured::Microamperes(value)) => Some(i64::from(value)),
        (Unit::DecibelMilliwatts, Measured::Nanowatts(value)) => Some(i64::from(value)),
        _ => None,
    };
    let value = match number.filter(|number| (metric.low..=metric.high).contains(number)) {
        None => {
            let what = format!("{name}: {}", show(reading.value));
            return Taken::Impossible(sample(Value::Missing(Missing::OutOfRange)), what);
        }
        // A power of nothing has no logarithm: it is a state.
        Some(0) if metric.unit == Unit::DecibelMilliwatts => Value::Missing(Missing::NoLight),
        Some(nanowatts) if metric.unit == Unit::DecibelMilliwatts => Value::Number(hundredths(dbm(nanowatts as f64))),
        Some(thousandths) => Value::Number(thousandths as f64 / 1_000.0),
    };
    Taken::Sample(sample(value))
}

/// Power relative to 1 mW.
pub(super) fn dbm(nanowatts: f64) -> f64 {
    10.0 * (nanowatts / 1e6).log10()
}

/// More digits than a module resolves are noise, and cost bytes.
fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// A measured value for people.
pub(super) fn show(value: Measured) -> String {
    match value {
        Measured::Missing(reason) => reason.0.to_string(),
        Measured::Millivolts(value) => format!("{:.3} V", f64::from(value) / 1_000.0),
        Measured::MilliCelsius(value) => format!("{:.2} °C", f64::from(value) / 1_000.0),
        Measured::Microamperes(value) => format!("{:.3} mA", f64::from(value) / 1_000.0),
        Measured::Nanowatts(0) => Missing::NoLight.to_string(),
        Measured::Nanowatts(value) => format!("{:.2} dBm", dbm(f64::from(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::board::MissingNumber;

    fn check(name: &str, value: Measured, expected: Option<Value>) {
        let reading = Reading { metric: metrics::number(name).unwrap(), value };
        match (take(&reading), expected) {
            (Taken::Sample(sample), Some(expected)) => {
                assert_eq!((sample.metric.as_str(), sample.value), (name, expected), "{value:?}");
            }
            (Taken::Impossible(sample, what), None) => {
                assert_eq!(sample.value, Value::Missing(Missing::OutOfRange), "{value:?}");
                assert!(what.starts_with(name), "{what}");
            }
            (other, expected) => panic!("{name} {value:?}: {other:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn the_boards_integers_become_numbers_in_the_wires_units() {
        use Measured::*;
        let number = |value| Some(Value::Number(value));
        check("supply_voltage", Millivolts(12_345), number(12.345));
        check("battery_voltage", Millivolts(0), number(0.0));
        check("optics.0.rx_power", Nanowatts(1_000_000), number(0.0));
        check("optics.0.rx_power", Nanowatts(3_162), number(-25.0));
        check("optics.1.tx_power", Nanowatts(1), number(-60.0));
        check("optics.1.tx_bias", Microamperes(14_002), number(14.002));
        check("optics.0.temperature", MilliCelsius(-12_500), number(-12.5));
        check("optics.0.supply", Millivolts(3_298), number(3.298));
    }

    #[test]
    fn what_is_missing_keeps_its_reason_and_no_power_is_no_light() {
        let timeout = Measured::Missing(MissingNumber(Missing::Timeout));
        check("optics.0.rx_power", timeout, Some(Value::Missing(Missing::Timeout)));
        check("optics.0.rx_power", Measured::Nanowatts(0), Some(Value::Missing(Missing::NoLight)));
    }

    #[test]
    fn what_cannot_be_is_out_of_range() {
        use Measured::*;
        check("supply_voltage", Millivolts(60_001), None);
        check("optics.0.rx_power", Nanowatts(10_000_001), None);
        check("optics.0.tx_bias", Microamperes(u32::MAX), None);
        check("optics.0.temperature", MilliCelsius(-273_000), None);
        check("optics.0.temperature", MilliCelsius(255_000), None);
        check("optics.1.supply", Millivolts(7_001), None);
        // Another quantity than the metric's.
        check("optics.0.rx_power", Millivolts(3), None);
        check("supply_voltage", Nanowatts(3), None);
    }

    #[test]
    fn metrics_that_are_not_the_boards_are_unknown() {
        for number in [0, 5, 6, 200] {
            let reading = Reading { metric: number, value: Measured::MilliCelsius(1) };
            assert_eq!(take(&reading), Taken::Unknown(number));
        }
    }
}
