//! Which condition the board is in, and when a change of it is told. Pure.
//!
//! Several things may be wrong at once: the worst is told, and told again when another becomes the worst. A change must
//! have stood for [`SETTLES_MS`], and a board that changes all the time (a loose plug) is told ever more seldom.

use simpul_wire::event::BoardCondition;

/// A condition must stand for so long: a re-plugged cable is not worth an event.
const SETTLES_MS: u64 = 1_000;

/// The shortest pause between two told changes; it doubles with each that follows, up to the longest.
const PAUSE_MS_MIN: u64 = 1_000;

/// The longest: a plug that is loose for a day makes 288 events and not 40,000.
const PAUSE_MS_MAX: u64 = 300_000;

/// Without a change for so long the pause is the shortest again.
const CALM_MS: u64 = 600_000;

/// A fault of frames is one when it came so often within [`FAULT_WINDOW_MS`]: one frame is lost at every opening.
const FAULTS: usize = 3;

/// Also, without one for so long the fault is over.
const FAULT_WINDOW_MS: u64 = 60_000;

/// An impossible value is over after so long without one: thirty readings.
const IMPOSSIBLE_MS: u64 = 300_000;

/// Worst first. `Good` is the absence of all others.
const WORST: [BoardCondition; 10] = [
    BoardCondition::BootLoader,
    BoardCondition::Unplugged,
    BoardCondition::Silent,
    BoardCondition::WrongProtocol,
    BoardCondition::JournalFailed,
    BoardCondition::JournalDamaged,
    BoardCondition::FrameTooLong,
    BoardCondition::BadFrame,
    BoardCondition::UnknownMessage,
    BoardCondition::ImpossibleValue,
];

/// A fault that counts only when it repeats, or that fades.
#[derive(Debug, Clone, Default)]
struct Fault {
    times_ms: Vec<u64>,
}

/// The conditions.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    active: [Option<String>; WORST.len()],
    faults: [Fault; WORST.len()],
    /// The board was understood since the start: nothing wrong means good.
    heard: bool,
    /// What was told last.
    told: Option<BoardCondition>,
    told_at_ms: u64,
    pause_ms: u64,
    candidate: Option<(BoardCondition, u64)>,
}

fn place(condition: BoardCondition) -> Option<usize> {
    WORST.iter().position(|other| *other == condition)
}

impl Conditions {
    pub(super) fn new(told: Option<BoardCondition>) -> Self {
        Conditions { told, pause_ms: PAUSE_MS_MIN, ..Conditions::default() }
    }

    /// Something is wrong until it is cleared.
    pub(super) fn set(&mut self, condition: BoardCondition, detail: impl Into<String>) {
        if let Some(place) = place(condition) {
            self.active[place] = Some(detail.into());
        }
    }

    pub(super) fn clear(&mut self, condition: BoardCondition) {
        if let Some(place) = place(condition) {
            self.active[place] = None;
            self.faults[place].times_ms.clear();
        }
    }

    /// A frame was bad: wrong only when it happens again and again.
    pub(super) fn fault(&mut self, now_ms: u64, condition: BoardCondition, detail: impl Into<String>) {
        let Some(place) = place(condition) else { return };
        let times_ms = &mut self.faults[place].times_ms;
        times_ms.retain(|at| now_ms.saturating_sub(*at) < FAULT_WINDOW_MS);
        if times_ms.len() >= FAULTS {
            times_ms.remove(0);
        }
        times_ms.push(now_ms);
        if times_ms.len() >= FAULTS && self.active[place].is_none() {
            self.active[place] = Some(detail.into());
        }
    }

    /// A value was impossible.
    pub(super) fn impossible(&mut self, now_ms: u64, detail: impl Into<String>) {
        let Some(place) = place(BoardCondition::ImpossibleValue) else { return };
        self.faults[place].times_ms = vec![now_ms];
        if self.active[place].is_none() {
            self.active[place] = Some(detail.into());
        }
    }

    /// The board was understood.
    pub(super) fn heard(&mut self) {
        self.heard = true;
        for condition in [
            BoardCondition::BootLoader,
            BoardCondition::Unplugged,
            BoardCondition::Silent,
            BoardCondition::WrongProtocol,
        ] {
            self.clear(condition);
        }
    }

    /// An event outside of here told this condition.
    pub(super) fn told(&mut self, now_ms: u64, condition: BoardCondition) {
        self.told = Some(condition);
        self.told_at_ms = now_ms;
    }

    /// The condition now; nothing: not known yet.
    pub(super) fn worst(&self) -> Option<(BoardCondition, &str)> {
        let active =
            WORST.iter().zip(&self.active).find_map(|(condition, detail)| Some((*condition, detail.as_deref()?)));
        active.or(self.heard.then_some((BoardCondition::Good, "")))
    }

    /// The change to tell now, if any.
    pub(super) fn due(&mut self, now_ms: u64) -> Option<(BoardCondition, String)> {
        self.fade(now_ms);
        let (worst, detail) = self.worst()?;
        if self.told == Some(worst) {
            self.candidate = None;
            return None;
        }
        let since_ms = match self.candidate {
            Some((candidate, since_ms)) if candidate == worst => since_ms,
            _ => now_ms,
        };
        let detail = detail.to_owned();
        self.candidate = Some((worst, since_ms));
        let quiet_ms = now_ms.saturating_sub(self.told_at_ms);
        if now_ms.saturating_sub(since_ms) < SETTLES_MS || (self.told.is_some() && quiet_ms < self.pause_ms) {
            return None;
        }
        self.pause_ms = if quiet_ms >= CALM_MS { PAUSE_MS_MIN } else { (self.pause_ms * 2).min(PAUSE_MS_MAX) };
        self.candidate = None;
        self.told(now_ms, worst);
        Some((worst, detail))
    }

    fn fade(&mut self, now_ms: u64) {
        for ((condition, fault), active) in WORST.iter().zip(&mut self.faults).zip(&mut self.active) {
            let lasts_ms = if *condition == BoardCondition::ImpossibleValue { IMPOSSIBLE_MS } else { FAULT_WINDOW_MS };
            if fault.times_ms.last().is_some_and(|at| now_ms.saturating_sub(*at) >= lasts_ms) {
                fault.times_ms.clear();
                *active = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BoardCondition::*;

    /// What is told, looked at twice a second from `from_ms` on.
    fn told(conditions: &mut Conditions, from_ms: u64, to_ms: u64) -> Vec<BoardCondition> {
        let looks = (from_ms..to_ms).step_by(500);
        looks.filter_map(|now_ms| conditions.due(now_ms)).map(|(condition, _)| condition).collect()
    }

    #[test]
    fn the_worst_is_told_once_it_stands_and_what_is_left_after_it() {
        let mut conditions = Conditions::new(None);
        assert_eq!(told(&mut conditions, 0, 60_000), [], "nothing is known yet");
        conditions.heard();
        conditions.set(JournalDamaged, "");
        conditions.set(Silent, "");
        assert_eq!(told(&mut conditions, 60_000, 90_000), [Silent]);
        conditions.clear(Silent);
        assert_eq!(told(&mut conditions, 90_000, 120_000), [JournalDamaged]);
        conditions.clear(JournalDamaged);
        assert_eq!(told(&mut conditions, 120_000, 150_000), [Good]);
        assert_eq!(told(&mut conditions, 150_000, 900_000), []);
    }

    #[test]
    fn a_cable_that_is_plugged_in_again_at_once_is_no_event() {
        let mut conditions = Conditions::new(Some(Good));
        conditions.heard();
        conditions.set(Unplugged, "");
        assert_eq!(conditions.due(5_000), None);
        conditions.heard();
        assert_eq!(told(&mut conditions, 5_500, 60_000), []);
    }

    #[test]
    fn a_loose_plug_is_told_ever_more_seldom() {
        let mut conditions = Conditions::new(Some(Good));
        conditions.heard();
        let mut count = 0;
        for now_ms in (0..86_400_000).step_by(500) {
            if now_ms % 6_000 == 0 {
                conditions.set(Unplugged, "");
            } else if now_ms % 6_000 == 3_000 {
                conditions.heard();
            }
            count += usize::from(conditions.due(now_ms).is_some());
        }
        assert!((100..400).contains(&count), "{count} events in a day");
    }

    #[test]
    fn one_bad_frame_is_noise_and_three_in_a_minute_are_a_fault_that_ends() {
        let mut conditions = Conditions::new(Some(Good));
        conditions.heard();
        for at_ms in [0, 40_000, 80_000, 120_000] {
            conditions.fault(at_ms, BadFrame, "noise");
            assert_eq!(told(&mut conditions, at_ms, at_ms + 40_000), []);
        }
        conditions.fault(161_000, BadFrame, "noise");
        conditions.fault(162_000, BadFrame, "noise");
        conditions.fault(163_000, BadFrame, "noise");
        assert_eq!(told(&mut conditions, 163_000, 200_000), [BadFrame]);
        assert_eq!(told(&mut conditions, 200_000, 300_000), [Good]);
    }

    #[test]
    fn impossible_values_are_one_event_until_they_have_been_gone_for_five_minutes() {
        let mut conditions = Conditions::new(Some(Good));
        conditions.heard();
        let mut events = Vec::new();
        for now_ms in (0..1_200_000).step_by(10_000) {
            if now_ms < 600_000 {
                conditions.impossible(now_ms, "supply_voltage: 61.000 V");
            }
            events.extend(told(&mut conditions, now_ms, now_ms + 10_000));
        }
        assert_eq!(events, [ImpossibleValue, Good]);
    }
}
