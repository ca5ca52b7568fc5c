//! The buffer: its books, what was set aside, its limits, what was lost.

use std::path::PathBuf;

use simpul_wire::doctor::{Code, Finding, Value, Verdict};

use super::{Patient, Word};
use crate::spool;

/// From this share of its limit on a stream is told of: what follows is thinned, rolled up or refused.
const LIMIT_PERCENT: u64 = 90;

/// What was seen of the buffer.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub path: PathBuf,
    pub books: Books,
}

#[derive(Debug, Clone)]
pub(super) enum Books {
    Missing,
    Unreadable(String),
    Read { witness: bool, quarantined: u64, owed_records: u64, lost_records: u64 },
}

pub(super) fn gather(patient: &Patient) -> Facts {
    let path = patient.config.spool.directory.clone();
    let books = match path.join("db").try_exists() {
        Ok(false) => Books::Missing,
        Err(error) => Books::Unreadable(error.to_string()),
        Ok(true) => match spool::inspect(&path) {
            Err(error) => Books::Unreadable(error.to_string()),
            Ok(report) => {
                let rows = || report.epochs.iter().flat_map(|epoch| &epoch.rows);
                Books::Read {
                    witness: report.witness,
                    quarantined: report.quarantined.len() as u64,
                    owed_records: rows().map(|row| row.owed_records).sum(),
                    lost_records: rows().map(|row| row.lost_records).sum(),
                }
            }
        },
    };
    Facts { path, books }
}

pub(super) fn judge(facts: &Facts, word: Option<&Word>) -> Vec<Finding> {
    let path = facts.path.display();
    let damaged = |error: &str| {
        vec![Code::SpoolDamaged.finding(Verdict::Fail).with_text("path", path.to_string()).with_text("error", error)]
    };
    let (quarantined, owed, lost) = match &facts.books {
        Books::Missing => return vec![Code::SpoolMissing.finding(Verdict::Warn).with_text("path", path)],
        Books::Unreadable(error) => return damaged(error),
        Books::Read { witness: false, .. } => return damaged("no whole witness"),
        Books::Read { quarantined, owed_records, lost_records, .. } => (*quarantined, *owed_records, *lost_records),
    };
    let streams = word.map(|word| word.streams.as_slice()).unwrap_or_default();
    let mut findings = Vec::new();
    for stream in streams {
        if stream.backlog_bytes.saturating_mul(100) >= stream.limit_bytes.saturating_mul(LIMIT_PERCENT) {
            let at_limit = Code::SpoolAtLimit.finding(Verdict::Warn).with_text("stream", &stream.stream);
            let at_limit = at_limit.with("used", Value::Bytes(stream.backlog_bytes));
            findings.push(at_limit.with("limit", Value::Bytes(stream.limit_bytes)));
        }
    }
    if quarantined > 0 {
        findings.push(Code::SpoolQuarantined.finding(Verdict::Warn).with("count", Value::Count(quarantined)));
    }
    // A running agent knows better than the books on the card, which follow it.
    let said = word.map(|_| streams.iter().map(|stream| stream.lost_records).sum());
    let lost = said.unwrap_or(lost);
    if lost > 0 {
        findings.push(Code::SpoolLost.finding(Verdict::Warn).with("records", Value::Count(lost)));
    }
    if findings.is_empty() {
        let waiting = word.map(|_| streams.iter().map(|stream| stream.backlog_records).sum()).unwrap_or(owed);
        findings.push(Code::SpoolGood.finding(Verdict::Ok).with("records", Value::Count(waiting)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::testing::{told, word};
    use super::*;

    fn facts(quarantined: u64, lost_records: u64) -> Facts {
        let books = Books::Read { witness: true, quarantined, owed_records: 3, lost_records };
        Facts { path: "/spool".into(), books }
    }

    #[test]
    fn a_buffer_is_judged_by_its_books_and_the_agents_word() {
        let at = |bytes: u64| word(|word| word["streams"][0]["backlog_bytes"] = bytes.into());
        let lost = word(|word| word["streams"][0]["lost_records"] = 4.into());
        let other = |books| Facts { path: "/spool".into(), books };
        let none = Books::Read { witness: false, quarantined: 0, owed_records: 0, lost_records: 0 };
        for (facts, word, expected) in [
            (facts(0, 0), None, vec!["spool.good ok"]),
            (facts(0, 0), Some(at(899_999)), vec!["spool.good ok"]),
            (facts(0, 0), Some(at(900_000)), vec!["spool.at_limit warn"]),
            (facts(2, 0), None, vec!["spool.quarantined warn"]),
            (facts(0, 7), None, vec!["spool.lost warn"]),
            (facts(0, 0), Some(lost), vec!["spool.lost warn"]),
            (other(Books::Missing), None, vec!["spool.missing warn"]),
            (other(Books::Unreadable("denied".into())), None, vec!["spool.damaged fail"]),
            (other(none), None, vec!["spool.damaged fail"]),
        ] {
            assert_eq!(told(&judge(&facts, word.as_ref())), expected, "{facts:?}");
        }
    }
}
