//! An examination as the room sees it: its findings in words of the language that was asked for. Pure.

use simpul_wire::doctor::{Finding, Report, SealedReport, Value, Verdict};
use simpul_words::Language;
use simpul_words::findings::{say, say_verdict};

use super::model::{ExaminationView, FindingView, ParameterView};

/// A node's newest examination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// When it was made.
    pub at_ms: i64,
    /// The worst of what was found.
    pub verdict: Verdict,
    /// What was found.
    pub report: SealedReport,
}

/// Put an examination into words.
pub fn view(examined: &Examined, language: Language, now_ms: i64) -> ExaminationView {
    // A report of another age of the wire says at least how bad it is.
    let report = examined.report.open().ok();
    let report = report.as_ref();
    ExaminationView {
        id: report.and_then(|report| report.id).map(hex::encode),
        at_ms: examined.at_ms,
        age_s: super::day::age_s(now_ms, examined.at_ms),
        verdict: examined.verdict.to_string(),
        version: report.map(|report| report.version.to_string()),
        took_ms: report.map(|report| report.took_ms),
        findings: report
            .map(|report| report.findings.iter().map(|finding| finding_view(report, finding, language)).collect()),
        omitted: report.map(|report| report.omitted),
    }
}

fn finding_view(report: &Report, finding: &Finding, language: Language) -> FindingView {
    let said = say(finding, language);
    let cause = finding.follows.and_then(|code| report.findings.iter().find(|cause| cause.code == code));
    let parameters = finding.parameters.iter().map(|it| {
        let value = match &it.value {
            Value::Text(text) => ParameterView::Text(text.to_string()),
            Value::Count(count) => ParameterView::Count(*count),
            Value::Bytes(bytes) => ParameterView::Bytes(*bytes),
            Value::DurationMs(ms) => ParameterView::DurationMs(*ms),
            Value::UnixS(seconds) => ParameterView::UnixS(*seconds),
            Value::Millivolts(millivolts) => ParameterView::Millivolts(*millivolts),
        };
        (it.name.to_string(), value)
    });
    FindingView {
        code: finding.code,
        id: finding.id.to_string(),
        verdict: finding.verdict.to_string(),
        verdict_text: say_verdict(finding.verdict, language),
        follows: cause.map(|cause| cause.id.to_string()),
        parameters: parameters.collect(),
        what: said.what,
        why: said.why,
        act: said.act,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::doctor::Code;

    fn examined(findings: Vec<Finding>) -> Examined {
        let report = Report::clipped(Some([0xab; 16]), "0.1.0".parse().unwrap(), 900, findings);
        Examined { at_ms: 1_000, verdict: report.worst(), report: report.seal() }
    }

    #[test]
    fn findings_are_said_in_the_language_that_was_asked_for() {
        let cause = Code::NetworkNoRoute.finding(Verdict::Fail);
        let effect = Finding { follows: Some(83), ..Code::NameTimeout.finding(Verdict::Fail) };
        let examined = examined(vec![cause, effect.with_text("name", "hub")]);
        let view = |language| super::view(&examined, language, 61_000);
        let (indonesian, english) = (view(Language::Indonesian), view(Language::English));
        assert_eq!((indonesian.age_s, indonesian.id), (60, Some("ab".repeat(16))));
        let words = |view: Option<Vec<FindingView>>| view.unwrap()[1].what.clone();
        assert_eq!(words(indonesian.findings), "Server nama (DNS) tidak menjawab untuk hub.");
        let findings = english.findings.unwrap();
        assert_eq!(findings[1].follows.as_deref(), Some("network.no_route"));
        assert_eq!(findings[1].parameters["name"], ParameterView::Text("hub".into()));
        assert_eq!(findings[0].verdict_text, "FAILED");
    }

    #[test]
    fn what_only_a_newer_agent_finds_is_shown_by_number_and_id() {
        let newer = Finding { code: 999, id: "roof.leaks".parse().unwrap(), ..Code::HubGood.finding(Verdict::Fail) };
        let view = view(&examined(vec![newer]), Language::English, 0);
        let finding = &view.findings.unwrap()[0];
        assert_eq!((finding.code, finding.id.as_str()), (999, "roof.leaks"));
        assert!(finding.what.contains("999 (roof.leaks)"), "{}", finding.what);
    }
}
