//! The judgement of received optical power: class B+ (ITU-T G.984.2) or the module's own limits, with hysteresis. Pure.
//!
//! **Which limits.** The module's own (SFF-8472, page A2h), if it gave some and they are in order: it knows its receiver.
//! Its low alarm then is "critical below", its low warning "weak below", its high alarm "overload above"; its high
//! warning is not judged. Without them, or when they contradict themselves, class B+.
//!
//! **What is judged.** Minutes, by their extremes: one reading below a limit is enough to enter a level, and a level is
//! left only when every reading of a minute is beyond the hysteresis. A minute that fills up can only look worse, and
//! minutes are what the store keeps, so the judgement is the same after a restart. Missing readings change nothing:
//! a fibre that comes back is judged from where it was.

use simpul_wire::event::OpticsLimits;

/// How far back across a limit the power must be to leave a level, in dB.
pub const HYSTERESIS_DB: f64 = 1.0;

/// The three limits of received power, in dBm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Below: critical.
    pub critical_below_dbm: f64,
    /// Below: weak.
    pub weak_below_dbm: f64,
    /// Above: overload.
    pub overload_above_dbm: f64,
    /// Whether they are the module's own.
    pub own: bool,
}

impl Limits {
    /// Class B+ of ITU-T G.984.2: sensitivity -27 dBm, overload -8 dBm; weak from 2 dB above the sensitivity, which is
    /// what a connector that gets dirty takes.
    pub const CLASS_B_PLUS: Limits =
        Limits { critical_below_dbm: -27.0, weak_below_dbm: -25.0, overload_above_dbm: -8.0, own: false };

    /// The limits to judge by.
    pub fn of(module: Option<&OpticsLimits>) -> Limits {
        let dbm = |hundredths: i16| f64::from(hundredths) / 100.0;
        match module {
            // SFF-8472: low alarm <= low warning < high warning <= high alarm; anything else is not believed.
            Some(own)
                if own.low_alarm_cdbm <= own.low_warning_cdbm
                    && own.low_warning_cdbm < own.high_warning_cdbm
                    && own.high_warning_cdbm <= own.high_alarm_cdbm =>
            {
                Limits {
                    critical_below_dbm: dbm(own.low_alarm_cdbm),
                    weak_below_dbm: dbm(own.low_warning_cdbm),
                    overload_above_dbm: dbm(own.high_alarm_cdbm),
                    own: true,
                }
            }
            _ => Limits::CLASS_B_PLUS,
        }
    }
}

/// What received power is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Between the limits.
    Good,
    /// Weak: still works.
    Weak,
    /// Below what the receiver is made for.
    Critical,
    /// Too strong for the receiver.
    Overload,
}

/// The level after readings between `lowest_dbm` and `highest_dbm`, coming from `before` (`None`: nothing was judged
/// yet). For one reading both are the same.
pub fn judge(before: Option<Level>, lowest_dbm: f64, highest_dbm: f64, limits: &Limits) -> Level {
    let was_weak = matches!(before, Some(Level::Weak | Level::Critical));
    let stays_below = |limit: f64| lowest_dbm <= limit + HYSTERESIS_DB;
    if lowest_dbm < limits.critical_below_dbm
        || (before == Some(Level::Critical) && stays_below(limits.critical_below_dbm))
    {
        Level::Critical
    } else if lowest_dbm < limits.weak_below_dbm || (was_weak && stays_below(limits.weak_below_dbm)) {
        Level::Weak
    } else if highest_dbm > limits.overload_above_dbm
        || (before == Some(Level::Overload) && highest_dbm >= limits.overload_above_dbm - HYSTERESIS_DB)
    {
        Level::Overload
    } else {
        Level::Good
    }
}

/// One minute of readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Minute {
    /// Its start, Unix milliseconds.
    pub at_ms: i64,
    /// Lowest and highest power in dBm; `None` when every reading was missing.
    pub power_dbm: Option<(f64, f64)>,
}

/// A receiver as judged so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Judged {
    /// The level by the last power that was measured; `None` before the first.
    pub level: Option<Level>,
    /// The level before that, if it ever changed.
    pub before: Option<Level>,
    /// Start of the minute in which the level began (or in which judging began).
    pub since_ms: i64,
    /// Start of the first of the minutes in a row, up to the newest, that brought no power.
    pub dark_since_ms: Option<i64>,
}

impl Judged {
    /// After one more minute.
    #[must_use]
    pub fn then(self, minute: Minute, limits: &Limits) -> Judged {
        let Some((lowest_dbm, highest_dbm)) = minute.power_dbm else {
            return Judged { dark_since_ms: self.dark_since_ms.or(Some(minute.at_ms)), ..self };
        };
        let level = judge(self.level, lowest_dbm, highest_dbm, limits);
        if self.level == Some(level) {
            return Judged { dark_since_ms: None, ..self };
        }
        Judged { level: Some(level), before: self.level, since_ms: minute.at_ms, dark_since_ms: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Level::{Critical, Good, Overload, Weak};

    /// Levels after each of these readings.
    fn levels(readings: &[f64], limits: &Limits) -> Vec<Level> {
        let mut level = None;
        let each = readings.iter().map(|reading| {
            let next = judge(level, *reading, *reading, limits);
            level = Some(next);
            next
        });
        each.collect()
    }

    #[test]
    fn class_b_plus_has_one_decibel_of_hysteresis_in_both_directions() {
        let table: &[(&[(f64, Level)], &str)] = &[
            (&[(-20.0, Good), (-25.0, Good), (-25.01, Weak)], "weak begins below -25, not at it"),
            (&[(-25.5, Weak), (-24.5, Weak), (-24.0, Weak), (-23.99, Good)], "weak ends above -24, not at it"),
            (&[(-24.5, Good), (-25.5, Weak), (-24.5, Weak)], "the same power is what it was"),
            (&[(-27.0, Weak), (-27.01, Critical)], "critical begins below -27, not at it"),
            (&[(-28.0, Critical), (-26.5, Critical), (-26.0, Critical), (-25.99, Weak)], "critical ends above -26"),
            (&[(-28.0, Critical), (-24.5, Weak), (-23.9, Good)], "critical goes by weak while it is weak"),
            (&[(-28.0, Critical), (-20.0, Good)], "a repaired fibre is good at once"),
            (&[(-20.0, Good), (-28.0, Critical)], "a bent fibre is critical at once"),
            (&[(-8.0, Good), (-7.99, Overload)], "overload begins above -8, not at it"),
            (&[(-7.0, Overload), (-8.5, Overload), (-9.0, Overload), (-9.01, Good)], "overload ends below -9"),
            (&[(-8.5, Good), (-7.5, Overload), (-8.5, Overload)], "near -8 the same power is what it was"),
            (&[(-7.0, Overload), (-28.0, Critical), (-7.0, Overload)], "from one end to the other"),
            (&[(-26.5, Weak)], "the first reading has no past"),
        ];
        for (steps, why) in table {
            let readings: Vec<f64> = steps.iter().map(|(reading, _)| *reading).collect();
            let expected: Vec<Level> = steps.iter().map(|(_, level)| *level).collect();
            assert_eq!(levels(&readings, &Limits::CLASS_B_PLUS), expected, "{why}");
        }
    }

    #[test]
    fn noise_around_a_limit_does_not_flap() {
        let noise: Vec<f64> = (0..100).map(|index| -25.0 + if index % 2 == 0 { -0.4 } else { 0.4 }).collect();
        assert!(levels(&noise, &Limits::CLASS_B_PLUS).iter().all(|level| *level == Weak));
    }

    fn own(low_alarm: i16, low_warning: i16, high_warning: i16, high_alarm: i16) -> OpticsLimits {
        OpticsLimits {
            low_alarm_cdbm: low_alarm,
            low_warning_cdbm: low_warning,
            high_warning_cdbm: high_warning,
            high_alarm_cdbm: high_alarm,
        }
    }

    #[test]
    fn a_modules_own_limits_come_first_and_only_when_they_are_in_order() {
        let limits = Limits::of(Some(&own(-3_000, -2_850, -900, -700)));
        assert_eq!((limits.critical_below_dbm, limits.weak_below_dbm, limits.overload_above_dbm), (-30.0, -28.5, -7.0));
        assert!(limits.own);
        let readings = [-28.0, -28.6, -27.6, -27.4, -30.1, -29.0, -28.9, -7.5, -6.9, -7.9, -8.1];
        let expected = [Good, Weak, Weak, Good, Critical, Critical, Weak, Good, Overload, Overload, Good];
        assert_eq!(levels(&readings, &limits), expected);
        for contradiction in
            [own(-2_000, -2_850, -900, -700), own(-3_000, -900, -900, -700), own(-3_000, -2_850, -600, -700)]
        {
            assert_eq!(Limits::of(Some(&contradiction)), Limits::CLASS_B_PLUS, "{contradiction:?}");
        }
        assert_eq!(Limits::of(None), Limits::CLASS_B_PLUS);
    }

    fn minutes(minutes: &[Option<(f64, f64)>]) -> Judged {
        let mut judged = Judged::default();
        for (minute, power_dbm) in (0..).zip(minutes) {
            let minute = Minute { at_ms: minute * 60_000, power_dbm: *power_dbm };
            judged = judged.then(minute, &Limits::CLASS_B_PLUS);
        }
        judged
    }

    #[test]
    fn a_minute_counts_by_its_worst_reading_and_clears_by_its_worst_too() {
        assert_eq!(minutes(&[Some((-25.2, -20.0))]).level, Some(Weak));
        assert_eq!(minutes(&[Some((-25.2, -20.0)), Some((-24.1, -20.0))]).level, Some(Weak));
        assert_eq!(minutes(&[Some((-25.2, -20.0)), Some((-23.9, -20.0))]).level, Some(Good));
        assert_eq!(minutes(&[Some((-20.0, -7.9)), Some((-20.0, -8.9))]).level, Some(Overload));
    }

    #[test]
    fn a_minute_that_fills_up_never_looks_better_than_before() {
        let began = minutes(&[Some((-28.0, -28.0)), Some((-25.5, -25.5))]);
        let filled = minutes(&[Some((-28.0, -28.0)), Some((-26.5, -25.5))]);
        assert_eq!((began.level, filled.level), (Some(Weak), Some(Critical)));
    }

    #[test]
    fn darkness_is_no_number_and_leaves_the_judgement_where_it_was() {
        let dark = minutes(&[Some((-28.0, -28.0)), None, None]);
        assert_eq!((dark.level, dark.dark_since_ms), (Some(Critical), Some(60_000)));
        let back = minutes(&[Some((-28.0, -28.0)), None, None, Some((-26.5, -26.5))]);
        assert_eq!((back.level, back.dark_since_ms, back.since_ms), (Some(Critical), None, 0));
        assert_eq!(minutes(&[None]).level, None);
    }

    #[test]
    fn a_change_says_when_it_came_and_from_where() {
        let changed = minutes(&[Some((-20.0, -20.0)), Some((-20.0, -20.0)), Some((-26.0, -26.0))]);
        assert_eq!(changed, Judged { level: Some(Weak), before: Some(Good), since_ms: 120_000, dark_since_ms: None });
    }
}
