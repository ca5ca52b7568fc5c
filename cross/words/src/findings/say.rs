//! A finding in words.

use std::fmt::Display;
use std::time::Duration;

use simpul_wire::doctor::{Finding, Value, Verdict};

use super::of;
use crate::entry::fill;
use crate::{Doctor, Language, Words};

/// What a finding says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What is so.
    pub what: String,
    /// Why that probably is.
    pub why: Option<String>,
    /// What to do.
    pub act: Option<String>,
}

/// A finding in words; one that this program does not know by its number, its id and its values.
pub fn say(finding: &Finding, language: Language) -> Said {
    let values: Vec<(&str, String)> =
        finding.parameters.iter().map(|it| (it.name.as_str(), value(&it.value, language))).collect();
    let Some(texts) = of(&finding.id) else {
        let values: Vec<String> = values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let stranger = Doctor::Stranger { code: &finding.code, id: &finding.id, values: &values.join(", ") };
        let act = Some(Doctor::StrangerAct.text(language));
        return Said { what: stranger.text(language).trim_end().to_owned(), why: None, act };
    };
    // A finding of another version may lack a value: a dash stands for it.
    let places: Vec<(&str, &dyn Display)> = texts
        .places
        .iter()
        .map(|place| match values.iter().find(|(name, _)| name == place) {
            Some((_, value)) => (*place, value as &dyn Display),
            None => (*place, &"–" as &dyn Display),
        })
        .collect();
    let filled = |text: &'static str| {
        let mut out = String::new();
        // Writing into a String does not fail.
        let _ = fill(text, &places, &mut out);
        out
    };
    Said {
        what: filled(texts.what(language)),
        why: texts.why(language).map(filled),
        act: texts.act(language).map(filled),
    }
}

/// A verdict in words.
pub fn say_verdict(verdict: Verdict, language: Language) -> String {
    match verdict {
        Verdict::Ok => Doctor::Ok,
        Verdict::Warn => Doctor::Warn,
        Verdict::Fail => Doctor::Fail,
        Verdict::Unknown => Doctor::Unknown,
        Verdict::Absent => Doctor::Absent,
    }
    .text(language)
}

fn value(value: &Value, language: Language) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Count(count) => language.integer(*count),
        Value::Bytes(bytes) => language.bytes(*bytes),
        // What takes less than a few seconds is told in its fractions.
        Value::DurationMs(ms @ ..10_000) => {
            crate::Common::Seconds { n: &language.number(*ms as f64 / 1_000.0, 1) }.text(language)
        }
        Value::DurationMs(ms) => language.duration(Duration::from_millis(*ms)),
        Value::UnixS(seconds) => language.moment(*seconds),
        Value::Millivolts(millivolts) => {
            Doctor::Volts { n: &language.number(*millivolts as f64 / 1_000.0, 2) }.text(language)
        }
    }
}

impl Language {
    /// Unix seconds as `2026-11-24 16:05 UTC`.
    pub fn moment(self, unix_s: i64) -> String {
        moment(unix_s, self)
    }
}

fn moment(unix_s: i64, language: Language) -> String {
    let (days, second) = (unix_s.div_euclid(86_400), unix_s.rem_euclid(86_400));
    // Days to a civil date, counted from 0000-03-01 in eras of 400 years, so that leap days come last in their year.
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let day = format!("{year:04}-{month:02}-{day:02}");
    let time = format!("{:02}:{:02}", second / 3_600, second / 60 % 60);
    Doctor::Moment { day: &day, time: &time }.text(language)
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::doctor::Code;

    #[test]
    fn values_are_written_as_each_language_does() {
        let finding = Code::HubBacklog
            .finding(Verdict::Warn)
            .with("records", Value::Count(12_345))
            .with("bytes", Value::Bytes(1_500_000))
            .with("drain", Value::DurationMs(7_500_000));
        let said = say(&finding, Language::Indonesian);
        assert_eq!(said.what, "Menunggu pusat: 12.345 catatan, 1,5 MB; perkiraan habis dalam 2 jam 5 mnt.");
        let said = say(&finding, Language::English);
        assert_eq!(said.what, "Waiting for the hub: records 12,345, 1.5 MB; sent in about 2 h 5 min.");
        let lacking = Finding { parameters: Default::default(), ..finding };
        assert!(say(&lacking, Language::English).what.contains("records –, –"));
    }

    #[test]
    fn dates_are_the_calendars() {
        for (unix_s, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_795_000_000, "2026-11-18 11:06 UTC"),
            (4_102_444_799, "2099-12-31 23:59 UTC"),
            (-1, "1969-12-31 23:59 UTC"),
        ] {
            assert_eq!(moment(unix_s, Language::English), text);
        }
        moment(i64::MAX, Language::English);
        moment(i64::MIN, Language::English);
    }

    #[test]
    fn what_only_a_newer_agent_finds_is_said_by_number_and_id() {
        let known = Code::StorageGood.finding(Verdict::Warn).with_text("place", "{roof}");
        let newer = Finding { code: 999, id: "roof.leaks".parse().expect("a label"), ..known };
        let said = say(&newer, Language::English);
        assert_eq!(said.what, "Finding 999 (roof.leaks), which this program does not know yet. place = {roof}");
        assert!(said.act.is_some_and(|act| act.contains("Update")));
    }
}
