//! The board's words -> the wire's. Pure, and exhaustive: a new variant does not compile until it is decided on.

use simpul_wire::Label;
use simpul_wire::board::{Calibration, JournalState, Module, ReceiveLimits, ResetReason, SupplyState};
use simpul_wire::event::{BoardCondition, BoardReset, EventBody, OpticsLimits, OpticsModule, PowerCondition};

use super::conditions::Conditions;
use super::measure::dbm;

/// What a journal that cannot be written means.
pub(super) const JOURNAL_FAILED: &str = "a total could not be written; counts since then end with the next power cut";

pub(super) fn reset(reason: ResetReason) -> BoardReset {
    match reason {
        ResetReason::PowerOn => BoardReset::PowerOn,
        ResetReason::Brownout => BoardReset::Brownout,
        ResetReason::Watchdog => BoardReset::Watchdog,
        ResetReason::Pin => BoardReset::Pin,
        ResetReason::Software => BoardReset::Software,
        ResetReason::Unknown => BoardReset::Unknown,
    }
}

pub(super) fn power(state: SupplyState) -> EventBody {
    let (condition, outage_ms) = match state {
        SupplyState::Mains { outage_ms } => (PowerCondition::Mains, outage_ms),
        SupplyState::Battery => (PowerCondition::Battery, None),
        SupplyState::BatteryLow => (PowerCondition::BatteryLow, None),
    };
    EventBody::Power { condition, outage_ms }
}

/// Whether all that a board counted, it counted since this start.
pub(super) fn counts_from_zero(journal: JournalState) -> bool {
    match journal {
        JournalState::Empty => true,
        // What was lost with the journal is not known: the total is a baseline.
        JournalState::Good | JournalState::Damaged | JournalState::Unreachable => false,
    }
}

/// What a hello says of the journal. `failed`: the board said in this boot that it cannot write it.
pub(super) fn journal(state: JournalState, failed: bool, conditions: &mut Conditions) {
    if state == JournalState::Damaged {
        conditions.set(BoardCondition::JournalDamaged, "its totals began again; what it counted before is kept");
    } else {
        conditions.clear(BoardCondition::JournalDamaged);
    }
    if state == JournalState::Unreachable {
        conditions
            .set(BoardCondition::JournalFailed, "its memory does not answer; its totals end with its next power cut");
    } else if !failed {
        conditions.clear(BoardCondition::JournalFailed);
    } else {
        conditions.set(BoardCondition::JournalFailed, JOURNAL_FAILED);
    }
}

pub(super) fn optics(module: &Module) -> EventBody {
    let label = |text: &str| Label::clipped(text);
    let (found, missing) = match &module.found {
        Ok(found) => {
            let module = OpticsModule {
                vendor: label(&found.vendor),
                part: label(&found.part),
                serial: label(&found.serial),
                wavelength_nm: found.wavelength_nm,
                measures: found.calibration != Calibration::None,
                receive_limits: found.receive_limits.and_then(limits),
            };
            (Some(module), None)
        }
        Err(reason) => (None, Some(reason.0)),
    };
    EventBody::Optics { cage: module.cage, module: found, missing }
}

/// Limits in 1/100 dBm; none when they are not in order, or one is no power.
fn limits(limits: ReceiveLimits) -> Option<OpticsLimits> {
    let ReceiveLimits { low_alarm, low_warning, high_warning, high_alarm } = limits;
    let ordered = 0 < low_alarm && low_alarm <= low_warning && low_warning < high_warning && high_warning <= high_alarm;
    // 32 bits of nanowatts are -60 to +36 dBm: they fit.
    let hundredths = |nanowatts: u32| (100.0 * dbm(f64::from(nanowatts))).round() as i16;
    ordered.then(|| OpticsLimits {
        low_alarm_cdbm: hundredths(low_alarm),
        low_warning_cdbm: hundredths(low_warning),
        high_warning_cdbm: hundredths(high_warning),
        high_alarm_cdbm: hundredths(high_alarm),
    })
}

/// What makes two descriptions of a cage the same. As text: a second encoding of events would be 5 KB of the agent.
pub(super) fn fingerprint(module: &Module) -> String {
    match &module.found {
        Err(reason) => reason.0.to_string(),
        Ok(found) => {
            let measures = found.calibration != Calibration::None;
            let limits = found.receive_limits.map(|l| [l.low_alarm, l.low_warning, l.high_warning, l.high_alarm]);
            let [vendor, part, serial] = [&found.vendor, &found.part, &found.serial];
            format!("{vendor}\n{part}\n{serial}\n{} {measures} {limits:?}", found.wavelength_nm)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::Missing;
    use simpul_wire::board::{MissingNumber, ModuleFound};

    fn module(receive_limits: Option<ReceiveLimits>) -> Module {
        let found = ModuleFound {
            vendor: "ACME".try_into().unwrap(),
            part: "SFP-GE-BX".try_into().unwrap(),
            serial: "A1\n".try_into().unwrap(),
            wavelength_nm: 1_490,
            calibration: Calibration::External,
            receive_limits,
        };
        Module { cage: 1, found: Ok(found) }
    }

    fn limits_of(body: &EventBody) -> Option<OpticsLimits> {
        let EventBody::Optics { module: Some(module), .. } = body else { panic!("{body:?}") };
        module.receive_limits
    }

    #[test]
    fn a_modules_limits_become_hundredths_of_dbm_and_disordered_ones_none() {
        let ordered =
            ReceiveLimits { low_alarm: 1_995, low_warning: 3_162, high_warning: 158_489, high_alarm: 200_000 };
        let expected = OpticsLimits {
            low_alarm_cdbm: -2700,
            low_warning_cdbm: -2500,
            high_warning_cdbm: -800,
            high_alarm_cdbm: -699,
        };
        assert_eq!(limits_of(&optics(&module(Some(ordered)))), Some(expected));
        for bad in [
            ReceiveLimits { low_alarm: 0, ..ordered },
            ReceiveLimits { low_alarm: 3_163, ..ordered },
            ReceiveLimits { high_warning: 3_162, ..ordered },
            ReceiveLimits { high_alarm: 1, ..ordered },
        ] {
            assert_eq!(limits_of(&optics(&module(Some(bad)))), None, "{bad:?}");
        }
        assert!(limits(ReceiveLimits { high_alarm: u32::MAX, ..ordered }).unwrap().high_alarm_cdbm == 3_633);
    }

    #[test]
    fn an_empty_cage_says_why_and_no_text_of_a_module_breaks_a_label() {
        let empty = Module { cage: 0, found: Err(MissingNumber(Missing::NoModule)) };
        assert_eq!(optics(&empty), EventBody::Optics { cage: 0, module: None, missing: Some(Missing::NoModule) });
        let EventBody::Optics { module: Some(found), .. } = optics(&module(None)) else { panic!() };
        assert_eq!((found.serial.as_str(), found.measures), ("A1 ", true));
        assert_ne!(fingerprint(&module(None)), fingerprint(&empty));
    }
}
