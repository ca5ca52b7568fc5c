//! When to poll, and when not to. Pure: `(now, outcome) -> next`.
//!
//! Polls of many cameras are spread: a random phase at the start, a little jitter each time. Hikvision locks an account
//! for about 30 minutes after a few bad passwords, so after three refusals in a row there is a pause that outlasts it.
//! Dahua also says 401 when it runs out of connections, so the first two refusals are only waited out.

use std::time::Duration;

use simpul_clock::Moment;

/// Refusals in a row that stop the asking.
pub const REFUSALS_MAX: u32 = 3;
/// The pause: longer than Hikvision's lock-out of 30 minutes.
pub const PAUSE: Duration = Duration::from_secs(35 * 60);
/// Waits after the first and second refusal: time for a camera to get its connections back.
const AFTER_REFUSAL: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(120)];
/// Jitter of a poll, as a share of the interval: a twentieth.
const JITTER_SHARE: u32 = 20;
/// Its most: enough to spread cameras, and a pause stays what it says.
const JITTER_MAX: Duration = Duration::from_secs(30);

/// How a poll ended, as far as the schedule cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The camera let us in.
    Admitted,
    /// It could not be asked (no connection, no answer): says nothing about the password.
    NoAnswer,
    /// It refused the password, so many times in this poll.
    Refused(u32),
    /// It cannot be asked until someone changes something (no password configured, only clear-text passwords offered).
    Impossible,
}

/// One camera's schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval: Duration,
    /// The moment that the next poll is planned from, without jitter, so that jitter does not add up.
    grid: Moment,
    next: Moment,
    refusals: u32,
    paused: bool,
}

impl Schedule {
    /// The first poll comes within the first interval, at `random`.
    pub fn new(now: Moment, interval: Duration, random: u32) -> Self {
        let next = now + share(interval, random);
        Schedule { interval, grid: next, next, refusals: 0, paused: false }
    }

    /// When to poll next.
    pub fn next(&self) -> Moment {
        self.next
    }

    /// Time left of a pause, if someone asks for a picture now.
    pub fn paused_for(&self, now: Moment) -> Option<Duration> {
        let left = self.next.since(now);
        (self.paused && !left.is_zero()).then_some(left)
    }

    /// A poll ended. True: this is the refusal that starts a pause (or the pause goes on).
    pub fn ended(&mut self, now: Moment, ended: Ended, random: u32) -> bool {
        match ended {
            Ended::Admitted => self.refusals = 0,
            Ended::NoAnswer => {}
            Ended::Refused(times) => self.refusals = self.refusals.saturating_add(times),
            Ended::Impossible => self.refusals = REFUSALS_MAX,
        }
        self.paused = self.refusals >= REFUSALS_MAX;
        if self.paused {
            // After the pause the count begins anew.
            self.refusals = 0;
            self.plan(now + PAUSE, random);
        } else if self.refusals > 0 && ended != Ended::NoAnswer {
            let wait = AFTER_REFUSAL[usize::from(self.refusals > 1)];
            self.plan(now + wait.max(self.interval), random);
        } else {
            // The next point of the grid that is not past: a slow poll does not make two follow at once.
            let mut grid = self.grid + self.interval;
            if grid <= now {
                grid = now + self.interval;
            }
            self.plan(grid, random);
        }
        self.paused
    }

    fn plan(&mut self, grid: Moment, random: u32) {
        self.grid = grid;
        self.next = grid + share((self.interval / JITTER_SHARE).min(JITTER_MAX), random);
    }
}

/// `random` of 2^32 parts of a duration.
fn share(duration: Duration, random: u32) -> Duration {
    let nanoseconds = (duration.as_nanos() * u128::from(random)) >> 32;
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Poll whenever due, for so long; `answer(poll number)`. Returns the moments of polls in milliseconds.
    fn polls(mut schedule: Schedule, total: Duration, mut answer: impl FnMut(usize) -> Ended) -> Vec<u64> {
        let mut polls = Vec::new();
        while schedule.next() <= Moment::ZERO + total {
            let now = schedule.next();
            polls.push(now.as_millis());
            schedule.ended(now, answer(polls.len()), 0);
        }
        polls
    }

    #[test]
    fn a_wrong_password_is_tried_three_times_in_any_35_minutes() {
        for interval in [Duration::from_secs(1), MINUTE, Duration::from_secs(600)] {
            let schedule = Schedule::new(Moment::ZERO, interval, 0);
            let polls = polls(schedule, Duration::from_secs(6 * 3_600), |_| Ended::Refused(1));
            assert!(polls.len() >= 15, "it goes on trying: {polls:?}");
            for (index, at) in polls.iter().enumerate() {
                let within = polls[index..].iter().filter(|other| **other - at < 35 * 60_000).count();
                assert!(within <= 3, "{within} tries within 35 minutes: {polls:?}");
            }
        }
    }

    #[test]
    fn one_refusal_between_successes_is_waited_out_without_a_pause() {
        let mut schedule = Schedule::new(Moment::ZERO, MINUTE, 0);
        let now = Moment::from_millis(1_000);
        assert!(!schedule.ended(now, Ended::Refused(1), 0));
        assert_eq!(schedule.next().since(now), MINUTE);
        assert!(!schedule.ended(now, Ended::Refused(1), 0));
        assert_eq!(schedule.next().since(now), Duration::from_secs(120));
        assert!(!schedule.ended(now, Ended::Admitted, 0));
        assert!(!schedule.ended(now, Ended::Refused(1), 0), "success starts the count anew");
        assert_eq!(schedule.paused_for(now), None);
    }

    #[test]
    fn no_answer_neither_counts_as_refusal_nor_clears_it() {
        let mut schedule = Schedule::new(Moment::ZERO, MINUTE, 0);
        schedule.ended(Moment::ZERO, Ended::Refused(2), 0);
        schedule.ended(Moment::ZERO, Ended::NoAnswer, 0);
        assert!(schedule.ended(Moment::ZERO, Ended::Refused(1), 0));
        assert_eq!(schedule.paused_for(Moment::ZERO), Some(PAUSE));
    }

    #[test]
    fn polls_are_spread_and_keep_their_average() {
        let first: Vec<u64> =
            (0..4_u32).map(|part| Schedule::new(Moment::ZERO, MINUTE, part << 30).next().as_millis()).collect();
        assert_eq!(first, [0, 15_000, 30_000, 45_000]);
        let mut schedule = Schedule::new(Moment::ZERO, MINUTE, 0);
        for _ in 0..100 {
            let now = schedule.next();
            schedule.ended(now, Ended::Admitted, u32::MAX);
        }
        assert!((6_000_000..=6_003_000).contains(&schedule.next().as_millis()), "jitter does not add up");
    }

    #[test]
    fn a_slow_poll_is_not_followed_by_two_at_once() {
        let mut schedule = Schedule::new(Moment::ZERO, MINUTE, 0);
        schedule.ended(Moment::from_millis(150_000), Ended::Admitted, 0);
        assert_eq!(schedule.next().as_millis(), 210_000);
    }
}
