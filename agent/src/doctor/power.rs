//! The supply: the machine's own flag, and what the board measures.

use simpul_wire::Missing;
use simpul_wire::doctor::{Code, Finding, Value, Verdict};

use super::{Patient, Word};
use crate::sources::host;

/// A 12 V supply below this is not well: a lead battery is three quarters empty, an adapter overloaded.
const LOW_MILLIVOLTS: u64 = 11_500;
/// Below this nothing is connected to that input: the board is fed by USB alone.
const CONNECTED_MILLIVOLTS: u64 = 3_000;

/// What was seen of the supply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub undervoltage: Result<bool, Missing>,
    pub board_millivolts: Option<u64>,
}

pub(super) fn gather(patient: &Patient, word: Option<&Word>) -> Facts {
    Facts {
        undervoltage: host::undervoltage(&patient.sys),
        board_millivolts: word.and_then(|word| word.board.as_ref()).and_then(supply),
    }
}

/// `"11.90 V"` of the board's supply.
fn supply(board: &serde_json::Value) -> Option<u64> {
    let readings = board["readings"].as_array()?;
    let reading = readings.iter().find(|reading| reading["metric"] == "supply_voltage")?;
    let volts: f64 = reading["value"].as_str()?.strip_suffix(" V")?.parse().ok()?;
    (0.0..1_000.0).contains(&volts).then_some((volts * 1_000.0).round() as u64)
}

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match facts.undervoltage {
        Ok(true) => findings.push(Code::PowerUndervoltage.finding(Verdict::Fail)),
        Ok(false) | Err(Missing::NotSupported) => {}
        Err(reason) => findings.push(Code::PowerUnknown.finding(Verdict::Unknown).with_text("error", reason)),
    }
    let supply = facts.board_millivolts.filter(|millivolts| *millivolts >= CONNECTED_MILLIVOLTS);
    if let Some(millivolts) = supply.filter(|millivolts| *millivolts < LOW_MILLIVOLTS) {
        findings.push(Code::PowerBoardLow.finding(Verdict::Warn).with("supply", Value::Millivolts(millivolts)));
    }
    if findings.is_empty() {
        findings.push(match (facts.undervoltage, supply) {
            (Err(_), None) => Code::PowerAbsent.finding(Verdict::Absent),
            _ => Code::PowerGood.finding(Verdict::Ok),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::testing::told;
    use super::*;

    #[test]
    fn a_supply_is_judged_by_whatever_measures_it() {
        let none = Err(Missing::NotSupported);
        for (undervoltage, board_millivolts, expected) in [
            (Ok(false), None, "power.good ok"),
            (Ok(true), None, "power.undervoltage fail"),
            (none, None, "power.absent absent"),
            (none, Some(12_600), "power.good ok"),
            (none, Some(11_000), "power.board_low warn"),
            (none, Some(20), "power.absent absent"),
            (Err(Missing::Forbidden), None, "power.unknown unknown"),
        ] {
            assert_eq!(told(&judge(&Facts { undervoltage, board_millivolts })), [expected], "{board_millivolts:?}");
        }
    }

    #[test]
    fn the_boards_supply_is_read_from_its_status() {
        let board = serde_json::json!({"readings": [{"metric": "supply_voltage", "value": "11.90 V"}]});
        assert_eq!(supply(&board), Some(11_900));
        let missing = serde_json::json!({"readings": [{"metric": "supply_voltage", "value": "missing: not yet"}]});
        assert_eq!(supply(&missing), None);
    }
}
