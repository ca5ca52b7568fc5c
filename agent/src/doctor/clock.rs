//! The clock: set by anyone, before a time that has been, years ahead.

use std::path::Path;

use simpul_wire::doctor::{Code, Finding, Verdict};

use super::{Patient, Word, moment};
use crate::config::ClockTrust;
use crate::{run, stamper};

/// A clock this far behind a time that was seen was not set since; less is a saved time's own error.
const BEHIND_MS: i64 = 24 * 3_600_000;
/// A program older than this is not in the field any more: the clock is wrong.
const AHEAD_MS: i64 = 15 * 365 * 24 * 3_600_000;

/// What was seen of the clock, in Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub now_ms: i64,
    pub built_ms: i64,
    pub saved_ms: i64,
    /// Something set it, or the configuration says that it is to be believed, or it agrees with the hub's.
    pub believed: bool,
}

pub(super) fn gather(patient: &Patient, word: Option<&Word>) -> Facts {
    let time = run::clock::judging_time(&patient.config.state_directory, patient.clock.clone(), patient.config.clock);
    Facts {
        now_ms: patient.clock.wall_ms(),
        built_ms: crate::uplink::tls::built_ms(),
        saved_ms: time.seen_ms().unwrap_or_default(),
        believed: patient.config.clock == ClockTrust::Trust
            || Path::new(stamper::SYNCHRONISED_FILE).exists()
            || word.and_then(|word| word.clock_believed) == Some(true),
    }
}

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let seen_ms = facts.saved_ms.max(facts.built_ms);
    let with_now = |finding: Finding| finding.with("now", moment(facts.now_ms));
    vec![if facts.now_ms < seen_ms - BEHIND_MS {
        with_now(Code::ClockBehind.finding(Verdict::Fail)).with("seen", moment(seen_ms))
    } else if facts.now_ms > facts.built_ms.saturating_add(AHEAD_MS) {
        with_now(Code::ClockAhead.finding(Verdict::Fail))
    } else if facts.believed {
        with_now(Code::ClockGood.finding(Verdict::Ok))
    } else {
        with_now(Code::ClockUnsynchronised.finding(Verdict::Warn))
    }]
}

#[cfg(test)]
mod tests {
    use super::super::testing::told;
    use super::*;

    #[test]
    fn a_clock_is_judged_by_what_has_been_seen_before() {
        let built_ms = 1_795_000_000_000;
        let year_ms = 365 * 86_400_000;
        let facts = |now_ms, saved_ms, believed| Facts { now_ms, built_ms, saved_ms, believed };
        for (facts, expected) in [
            (facts(built_ms + 1, 0, true), "clock.good ok"),
            (facts(built_ms + 1, 0, false), "clock.unsynchronised warn"),
            (facts(0, 0, true), "clock.behind fail"),
            (facts(built_ms + year_ms, built_ms + 2 * year_ms, true), "clock.behind fail"),
            (facts(built_ms + year_ms, built_ms + year_ms + 3_600_000, true), "clock.good ok"),
            (facts(built_ms + 16 * year_ms, 0, true), "clock.ahead fail"),
        ] {
            assert_eq!(told(&judge(&facts)), [expected], "{facts:?}");
        }
    }
}
