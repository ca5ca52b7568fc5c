//! Whether what is on trial has proved itself: pure.

use std::time::Duration;

use simpul_clock::Moment;
use simpul_wire::Label;

/// A program that reaches the hub and falls over a moment later has proved nothing; a minute brings every source about.
const SETTLES: Duration = Duration::from_secs(60);

/// As far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The hub has acknowledged a record that was made on trial.
    pub acknowledged: bool,
    /// Parts that do not work, and did before.
    pub ailing: &'a [Label],
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not known yet.
    Wait,
    /// It stays.
    Confirm,
    /// It goes, because.
    RollBack(String),
}

/// A trial that runs.
#[derive(Debug, Clone, Copy)]
pub struct Proof {
    /// Since.
    pub since: Moment,
    /// So long at most.
    pub limit: Duration,
}

impl Proof {
    /// Look at it.
    pub fn poll(&self, now: Moment, seen: Seen<'_>) -> Verdict {
        let runs = now.since(self.since);
        let settled = runs >= SETTLES.min(self.limit / 4);
        if settled && seen.acknowledged && seen.ailing.is_empty() {
            return Verdict::Confirm;
        }
        if runs < self.limit {
            return Verdict::Wait;
        }
        let names: Vec<&str> = seen.ailing.iter().map(Label::as_str).collect();
        let limit_s = self.limit.as_secs();
        Verdict::RollBack(match seen.acknowledged {
            false => format!("no acknowledgement of the hub within {limit_s} s"),
            true => format!("does not work with it after {limit_s} s: {}", names.join(", ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hubs_word_and_every_source_within_the_limit_or_back() {
        let proof = Proof { since: Moment::from_millis(5_000), limit: Duration::from_secs(900) };
        let api: [Label; 1] = ["the local API".parse().unwrap()];
        let at = |seconds: u64, acknowledged, ailing: &[Label]| {
            proof.poll(Moment::from_millis(5_000 + seconds * 1_000), Seen { acknowledged, ailing })
        };
        assert_eq!(at(59, true, &[]), Verdict::Wait, "it may yet fall over");
        assert_eq!(at(60, true, &[]), Verdict::Confirm);
        assert_eq!(at(899, false, &[]), Verdict::Wait);
        assert_eq!(at(899, true, &api), Verdict::Wait);
        let back = |why: &str| Verdict::RollBack(why.to_owned());
        assert_eq!(at(900, false, &[]), back("no acknowledgement of the hub within 900 s"));
        assert_eq!(at(900, true, &api), back("does not work with it after 900 s: the local API"));
        assert_eq!(at(900, true, &[]), Verdict::Confirm, "the last moment");
    }
}
