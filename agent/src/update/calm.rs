//! Whether now is a moment for a restart: pure. People who queue at the desks come first; an update does not wait for
//! ever either.

use std::time::Duration;

/// A time of the day, in minutes from midnight where the node is: from, to. It may go over midnight.
pub type Window = (u16, u16);

/// Nobody was served for so long: no queue.
const QUIET: Duration = Duration::from_secs(600);

/// After waiting so long, a gap between two people is enough, and the configured times no longer hold it back: a node
/// that is only switched on in office hours would never be mended.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// That gap.
const GAP: Duration = Duration::from_secs(60);

/// After waiting so long nothing holds it back: a restart takes seconds, and the queue software tries again.
const AT_LAST: Duration = Duration::from_secs(48 * 3600);

/// What it is decided by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment {
    /// It has waited for so long in this run.
    pub waited: Duration,
    /// The last service record was made so long ago; nothing: none in this run.
    pub quiet_for: Option<Duration>,
    /// The time of day where the node is; nothing: the clock is not believed.
    pub minute_of_day: Option<u16>,
}

/// Why not now; nothing: now.
pub fn holds(windows: &[Window], moment: Moment) -> Option<&'static str> {
    let served_within = |time| moment.quiet_for.is_some_and(|quiet| quiet < time);
    if moment.waited >= AT_LAST {
        return None;
    }
    if moment.waited >= PATIENCE {
        return served_within(GAP).then_some("somebody is being served; it has waited for a day");
    }
    let within = |(from, to): &Window, minute: u16| {
        if from <= to { (*from..*to).contains(&minute) } else { minute >= *from || minute < *to }
    };
    if moment.minute_of_day.is_some_and(|minute| windows.iter().any(|window| within(window, minute))) {
        return Some("update.not_between: people queue at this time of day");
    }
    served_within(QUIET).then_some("people are being served")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_holds_it_for_a_day_a_person_for_two_and_then_nothing() {
        let morning: &[Window] = &[(450, 720), (1_380, 60)];
        let at = |waited_h: u64, quiet_s: Option<u64>, minute_of_day| {
            let moment = Moment {
                waited: Duration::from_secs(waited_h * 3_600),
                quiet_for: quiet_s.map(Duration::from_secs),
                minute_of_day,
            };
            holds(morning, moment).is_none()
        };
        assert!(at(0, None, None), "nobody, and no clock");
        assert!(at(0, Some(600), Some(900)));
        assert!(!at(0, Some(599), Some(900)), "somebody was served");
        assert!(!at(0, None, Some(450)) && !at(0, None, Some(719)) && at(0, None, Some(720)));
        assert!(!at(0, None, Some(1_400)) && !at(0, None, Some(59)) && at(0, None, Some(60)), "over midnight");
        assert!(at(24, Some(61), Some(500)) && !at(24, Some(59), Some(500)), "a gap between two people");
        assert!(at(48, Some(0), Some(500)), "at last");
    }
}
