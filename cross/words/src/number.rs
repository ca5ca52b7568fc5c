//! Numbers, bytes and durations as people of the district write them: 1.234,56; in English 1,234.56. The same rules as
//! the room's page.

use std::time::Duration;

use crate::{Common, Language, Words};

const BYTE_UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];

impl Language {
    fn separators(self) -> (char, char) {
        match self {
            Language::Indonesian => ('.', ','),
            Language::English => (',', '.'),
        }
    }

    /// A whole number with its groups: 1.234.567.
    pub fn integer(self, value: impl Into<i128>) -> String {
        let value = value.into();
        let digits = value.unsigned_abs().to_string();
        let mut text = String::new();
        if value < 0 {
            text.push('−');
        }
        text.push_str(&self.grouped(&digits));
        text
    }

    /// A number with at most `decimals_max` decimals (trailing zeros left out) and a real minus sign. What is not a
    /// number is a dash: a missing value is no zero.
    pub fn number(self, value: f64, decimals_max: usize) -> String {
        if !value.is_finite() {
            return "–".to_owned();
        }
        let plain = format!("{:.decimals_max$}", value.abs());
        let (whole, decimals) = plain.split_once('.').unwrap_or((&plain, ""));
        let decimals = decimals.trim_end_matches('0');
        let mut text = String::new();
        if value < 0.0 && (whole != "0" || !decimals.is_empty()) {
            text.push('−');
        }
        text.push_str(&self.grouped(whole));
        if !decimals.is_empty() {
            text.push(self.separators().1);
            text.push_str(decimals);
        }
        text
    }

    /// Bytes in decimal units (1 kB = 1.000 B), as cards and disks are sold: 31,9 GB.
    pub fn bytes(self, value: u64) -> String {
        let mut unit = 0;
        let mut scaled = value as f64;
        while scaled >= 1_000.0 && unit + 1 < BYTE_UNITS.len() {
            scaled /= 1_000.0;
            unit += 1;
        }
        format!("{} {}", self.number(scaled, usize::from(unit > 0)), BYTE_UNITS[unit])
    }

    /// A share of 0 to 1 in percent; a little is never shown as nothing, and almost all never as all.
    pub fn percent(self, share: f64) -> String {
        let percent = share * 100.0;
        if percent > 0.0 && percent < 0.1 {
            return format!("<{}%", self.number(0.1, 1));
        }
        if percent < 100.0 && percent > 99.5 {
            return format!(">{}%", self.number(99.5, 1));
        }
        format!("{}%", self.number(percent, usize::from(percent < 10.0)))
    }

    /// A duration in its one or two leading units: 45 dtk; 12 mnt; 2 jam 5 mnt; 3 hari. Seconds end at 90.
    pub fn duration(self, duration: Duration) -> String {
        let seconds = duration.as_secs();
        let minutes = seconds / 60;
        let hours = minutes / 60;
        let days = hours / 24;
        let n = |value: u64| self.integer(value);
        let mut parts = Vec::with_capacity(2);
        if seconds < 90 {
            parts.push(Common::Seconds { n: &n(seconds) }.text(self));
        } else if minutes < 60 {
            parts.push(Common::Minutes { n: &n(minutes) }.text(self));
        } else if hours < 24 {
            parts.push(Common::Hours { n: &n(hours) }.text(self));
            if !minutes.is_multiple_of(60) {
                parts.push(Common::Minutes { n: &n(minutes % 60) }.text(self));
            }
        } else {
            parts.push(Common::Days { n: &n(days) }.text(self));
            if !hours.is_multiple_of(24) {
                parts.push(Common::Hours { n: &n(hours % 24) }.text(self));
            }
        }
        parts.join(" ")
    }

    fn grouped(self, digits: &str) -> String {
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index != 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(self.separators().0);
            }
            text.push(digit);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{English, Indonesian};

    #[test]
    fn numbers_are_grouped_as_the_language_does() {
        assert_eq!(Indonesian.number(1_234_567.891, 2), "1.234.567,89");
        assert_eq!(English.number(1_234_567.891, 2), "1,234,567.89");
        assert_eq!(Indonesian.number(-0.5, 1), "−0,5");
        assert_eq!(Indonesian.number(-0.01, 1), "0");
        assert_eq!(Indonesian.number(999.0, 2), "999");
        assert_eq!(Indonesian.number(f64::NAN, 2), "–");
        assert_eq!(
            (Indonesian.integer(-1_000), English.integer(u64::MAX)),
            ("−1.000".into(), "18,446,744,073,709,551,615".into())
        );
    }

    #[test]
    fn bytes_are_decimal() {
        let shown: Vec<_> =
            [0, 999, 1_000, 31_914_983_424, u64::MAX].into_iter().map(|bytes| Indonesian.bytes(bytes)).collect();
        assert_eq!(shown, ["0 B", "999 B", "1 kB", "31,9 GB", "18.446.744,1 TB"]);
    }

    #[test]
    fn a_little_is_not_nothing_and_almost_all_is_not_all() {
        let shown: Vec<_> = [0.0, 0.0001, 0.055, 0.42, 0.9999, 1.0].map(|share| Indonesian.percent(share)).into();
        assert_eq!(shown, ["0%", "<0,1%", "5,5%", "42%", ">99,5%", "100%"]);
    }

    #[test]
    fn durations_have_one_or_two_units() {
        let shown: Vec<_> = [0, 89, 90, 3_599, 7_500, 86_400, 97_200]
            .map(|seconds| Indonesian.duration(Duration::from_secs(seconds)))
            .into();
        assert_eq!(shown, ["0 dtk", "89 dtk", "1 mnt", "59 mnt", "2 jam 5 mnt", "1 hari", "1 hari 3 jam"]);
        assert_eq!(English.duration(Duration::from_secs(7_500)), "2 h 5 min");
    }
}
