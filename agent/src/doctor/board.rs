//! The I/O board: there, talking, understood; by the agent's word, and by the machine's ports when there is none.

use serde_json::Value as Json;
use simpul_wire::doctor::{Code, Finding, Verdict};
use simpul_wire::event::BoardCondition;

use super::{Patient, Word};
use crate::sources::board::port::Machine;

/// What was seen of the board.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub configured: bool,
    /// Its port, if it is there.
    pub port: Option<String>,
    pub boot_loader: bool,
    /// What the agent shows of it.
    pub said: Option<Json>,
}

pub(super) fn gather(patient: &Patient, word: Option<&Word>) -> Facts {
    let machine = Machine { sys: patient.sys.clone(), ..Machine::default() };
    let board = patient.config.board.as_ref();
    Facts {
        configured: board.is_some(),
        port: board.and_then(|board| machine.find(&board.port)).map(|port| port.display().to_string()),
        boot_loader: board.is_some() && machine.boot_loader(),
        said: word.and_then(|word| word.board.clone()),
    }
}

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    if !facts.configured {
        return vec![Code::BoardAbsent.finding(Verdict::Absent)];
    }
    let unknown = |why: &str| Code::BoardUnknown.finding(Verdict::Unknown).with_text("detail", why);
    let fault = |code: Code, verdict| code.finding(verdict);
    let said = facts.said.as_ref();
    let detail = said.and_then(|said| said["detail"].as_str()).unwrap_or_default();
    let port = said.and_then(|said| said["port"].as_str()).or(facts.port.as_deref());
    let condition = said.and_then(|said| said["condition"].as_str());
    let condition = BoardCondition::ALL.iter().find(|known| Some(known.text()) == condition);
    // With its condition, when the agent's detail adds nothing.
    let told = |finding: Finding, condition: &BoardCondition| {
        finding.with_text("detail", if detail.is_empty() { condition.text() } else { detail })
    };
    let mut findings = vec![match condition {
        None if facts.boot_loader => fault(Code::BoardBootLoader, Verdict::Fail),
        None if port.is_none() => fault(Code::BoardUnplugged, Verdict::Fail),
        None if said.is_none() => unknown("the agent does not run"),
        None => unknown("not heard yet"),
        Some(BoardCondition::Good) => {
            let version = said.and_then(|said| said["board"]["version"].as_str()).unwrap_or("–");
            let good = fault(Code::BoardGood, Verdict::Ok).with_text("version", version);
            good.with_text("port", port.unwrap_or("–"))
        }
        Some(BoardCondition::BootLoader) => fault(Code::BoardBootLoader, Verdict::Fail),
        Some(BoardCondition::Unplugged) => fault(Code::BoardUnplugged, Verdict::Fail),
        Some(BoardCondition::Silent) => fault(Code::BoardSilent, Verdict::Fail).with_text("port", port.unwrap_or("–")),
        Some(it @ BoardCondition::WrongProtocol) => told(fault(Code::BoardWrongProtocol, Verdict::Fail), it),
        Some(it @ BoardCondition::JournalFailed) => told(fault(Code::BoardJournal, Verdict::Fail), it),
        Some(it @ BoardCondition::JournalDamaged) => told(fault(Code::BoardJournal, Verdict::Warn), it),
        Some(it @ (BoardCondition::FrameTooLong | BoardCondition::UnknownMessage | BoardCondition::BadFrame)) => {
            told(fault(Code::BoardNoise, Verdict::Warn), it)
        }
        Some(it @ BoardCondition::ImpossibleValue) => told(fault(Code::BoardImpossible, Verdict::Warn), it),
    }];
    if let Some(why) = said.and_then(|said| said["refused"].as_str()) {
        findings.push(fault(Code::BoardRefused, Verdict::Warn).with_text("detail", why));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::testing::told;
    use super::*;

    #[test]
    fn a_board_is_judged_by_the_agents_word_and_without_it_by_its_port() {
        let facts = |port: Option<&str>, boot_loader, said: Json| Facts {
            configured: true,
            port: port.map(str::to_owned),
            boot_loader,
            said: (!said.is_null()).then_some(said),
        };
        let said = |condition: &str| serde_json::json!({"condition": condition, "detail": "", "port": "/dev/ttyACM0"});
        let port = Some("/dev/ttyACM0");
        let mut table = vec![
            (facts(None, false, Json::Null), "board.unplugged fail"),
            (facts(None, true, Json::Null), "board.boot_loader fail"),
            (facts(port, false, Json::Null), "board.unknown unknown"),
            (facts(port, false, serde_json::json!({"condition": null})), "board.unknown unknown"),
        ];
        for (condition, expected) in [
            ("good", "board.good ok"),
            ("silent", "board.silent fail"),
            ("unplugged", "board.unplugged fail"),
            ("boot_loader", "board.boot_loader fail"),
            ("wrong_protocol", "board.wrong_protocol fail"),
            ("journal_failed", "board.journal fail"),
            ("journal_damaged", "board.journal warn"),
            ("bad_frame", "board.noise warn"),
            ("frame_too_long", "board.noise warn"),
            ("unknown_message", "board.noise warn"),
            ("impossible_value", "board.impossible warn"),
        ] {
            table.push((facts(port, false, said(condition)), expected));
        }
        for (facts, expected) in table {
            assert_eq!(told(&judge(&facts)), [expected], "{facts:?}");
        }
        let mut refused = said("good");
        refused["refused"] = "the service buffer is full".into();
        assert_eq!(told(&judge(&facts(port, false, refused))), ["board.good ok", "board.refused warn"]);
        let none = Facts { configured: false, ..facts(None, true, Json::Null) };
        assert_eq!(told(&judge(&none)), ["board.absent absent"]);
    }
}
