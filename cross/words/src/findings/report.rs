//! A whole examination, as it is printed on site and on a technician's laptop: in words, or as a JSON document.

#[cfg(feature = "json")]
use serde_json::{Value as Json, json};
#[cfg(feature = "json")]
use simpul_wire::doctor::Value;
use simpul_wire::doctor::{Finding, Report, Verdict};

use super::{say, say_verdict};
use crate::{Common, Doctor, Language, Words};

/// Columns of a line before the words: verdicts are above them.
const INDENT: &str = "    ";

/// For people: trouble with its reason and its remedy, what follows from it behind it, and a line for all that is well.
pub fn text(node: &str, report: &Report, language: Language) -> String {
    let took = language.number(f64::from(report.took_ms) / 1_000.0, 1);
    let took = Common::Seconds { n: &took }.text(language);
    let head = Doctor::Node { node: &node, version: &report.version, took: &took }.text(language);
    let mut text = format!("{head}\n\n");
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for finding in report.findings.iter() {
        let said = say(finding, language);
        let verdict = say_verdict(finding.verdict, language);
        let is_effect = finding.follows.is_some();
        let indent = if is_effect { INDENT } else { "" };
        line(format!("{indent}{verdict}  {}  [{}]", said.what, finding.id));
        if let Some(cause) = finding.follows {
            let cause = report.findings.iter().find(|it| it.code == cause).map(|it| it.id.to_string());
            let cause = cause.unwrap_or_else(|| finding.follows.unwrap_or_default().to_string());
            line(format!("{indent}{INDENT}{}", Doctor::Follows { what: &cause }.text(language)));
            // Mend the cause first: its own remedy would only lead astray.
            continue;
        }
        if !is_well(finding) {
            if let Some(why) = &said.why {
                line(format!("{INDENT}{}", Doctor::Why { text: why }.text(language)));
            }
            if let Some(act) = &said.act {
                line(format!("{INDENT}{}", Doctor::Act { text: act }.text(language)));
            }
        }
    }
    line(String::new());
    let count = |verdict| report.findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (fail, warn, unknown) = (count(Verdict::Fail), count(Verdict::Warn), count(Verdict::Unknown));
    line(match report.worst() {
        Verdict::Ok | Verdict::Absent => Doctor::AllWell.text(language),
        _ => Doctor::Counts { fail: &fail, warn: &warn, unknown: &unknown }.text(language),
    });
    if report.omitted > 0 {
        line(Doctor::Omitted { n: &report.omitted }.text(language));
    }
    text
}

fn is_well(finding: &Finding) -> bool {
    matches!(finding.verdict, Verdict::Ok | Verdict::Absent)
}

/// For programs: see docs/doctor.md.
#[cfg(feature = "json")]
pub fn document(node: &str, report: &Report, language: Language) -> Json {
    let findings: Vec<Json> = report
        .findings
        .iter()
        .map(|finding| {
            let said = say(finding, language);
            let parameters = finding.parameters.iter().map(|it| {
                let (kind, value) = match &it.value {
                    Value::Text(text) => ("text", Json::from(text.as_str())),
                    Value::Count(count) => ("count", Json::from(*count)),
                    Value::Bytes(bytes) => ("bytes", Json::from(*bytes)),
                    Value::DurationMs(ms) => ("duration_ms", Json::from(*ms)),
                    Value::UnixS(seconds) => ("unix_s", Json::from(*seconds)),
                    Value::Millivolts(millivolts) => ("millivolts", Json::from(*millivolts)),
                };
                (it.name.to_string(), json!({"kind": kind, "value": value}))
            });
            let parameters: serde_json::Map<String, Json> = parameters.collect();
            json!({"code": finding.code, "id": finding.id.as_str(), "verdict": finding.verdict.text(),
                "follows": finding.follows, "parameters": parameters,
                "what": said.what, "why": said.why, "act": said.act})
        })
        .collect();
    json!({"node": node, "version": report.version.as_str(), "took_ms": report.took_ms,
        "verdict": report.worst().text(), "omitted": report.omitted, "language": language.code(), "findings": findings})
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::doctor::{Code, Value};

    fn report() -> Report {
        let cause = Code::NetworkNoRoute.finding(Verdict::Fail);
        let effect = Finding { follows: Some(83), ..Code::NameTimeout.finding(Verdict::Fail).with_text("name", "hub") };
        let well = Code::StorageGood.finding(Verdict::Ok).with("free", Value::Bytes(5_000_000_000));
        Report::clipped(None, "0.1.0".parse().unwrap(), 1_234, vec![cause, effect, well])
    }

    #[test]
    fn the_cause_comes_with_its_remedy_and_the_effect_names_it() {
        let text = text("a-1", &report(), Language::Indonesian);
        for part in [
            "Simpul a-1, agen 0.1.0, diperiksa dalam 1,2 dtk.",
            "GAGAL  Tidak ada jalan keluar dari jaringan lokal.  [network.no_route]\n    Sebab: ",
            "    Tindakan: Periksa: ip route",
            "    GAGAL  Server nama (DNS) tidak menjawab untuk hub.  [name.timeout]\n        Mungkin akibat dari: network.no_route",
            "BAIK  Kartu penyimpanan baik, tersisa 5 GB.  [storage.good]",
            "Gagal: 2. Perhatian: 0. Tidak diketahui: 0.",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    #[cfg(feature = "json")]
    #[test]
    fn the_document_has_codes_kinds_and_words() {
        let document = document("a-1", &report(), Language::English);
        assert_eq!((&document["verdict"], &document["took_ms"]), (&json!("fail"), &json!(1_234)));
        let effect = &document["findings"][1];
        assert_eq!((&effect["code"], &effect["follows"]), (&json!(92), &json!(83)));
        assert_eq!(effect["parameters"], json!({"name": {"kind": "text", "value": "hub"}}));
        assert_eq!(document["findings"][2]["act"], Json::Null);
    }
}
