//! What a fault run has to reach, and whether it did: the report and the closing line.

use simpul_testkit::report::Report;
use simpul_testkit::visitors::Comparison;

/// Kills of each from which on a run is the full one.
const FULL_KILLS: u32 = 200;
/// Accepted records of a full run.
const FULL_RECORDS: usize = 100_000;
/// Kills in the middle of a commit in a full run.
const FULL_KILLS_IN_COMMIT: u32 = 50;
/// Accepted records per kill in a small run: some seconds of a debug build.
const SMALL_RECORDS_PER_KILL: usize = 250;
/// Examples that are printed of each kind of fault.
const EXAMPLES: usize = 10;

/// What a run has to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goals {
    /// Kills of the hub, and of the agents together.
    pub kills: u32,
    /// Accepted records at least.
    pub accepted: usize,
    /// Kills in the middle of a commit at least.
    pub kills_in_commit: u32,
    /// Whether this is the full run.
    pub full: bool,
}

impl Goals {
    /// The goals of so many kills.
    pub fn for_rounds(rounds: u32) -> Goals {
        let full = rounds >= FULL_KILLS;
        Goals {
            kills: rounds,
            accepted: if full { FULL_RECORDS } else { SMALL_RECORDS_PER_KILL * rounds as usize },
            kills_in_commit: if full { FULL_KILLS_IN_COMMIT } else { 1 },
            full,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Kills of agents.
    pub agent_kills: u32,
    /// Of these, kills with an append in flight: sent and unanswered before and after the kill.
    pub kills_in_commit: u32,
    /// Kills of the hub.
    pub hub_kills: u32,
    /// Connections reset by the proxy.
    pub resets: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Records that were answered 200.
    pub accepted: usize,
    /// Records that the hub shows as lost in `service`.
    pub lost: u64,
    /// Ledger against hub.
    pub comparison: Comparison,
}

/// Report, table, closing line; whether everything was reached.
pub fn tell(goals: &Goals, facts: &Facts, seed: u64) -> anyhow::Result<bool> {
    let found = &facts.comparison;
    for (what, keys) in [("missing", &found.missing), ("doubled", &found.doubled), ("different", &found.different)] {
        for key in keys.iter().take(EXAMPLES) {
            println!("{what}: {key}");
        }
    }
    let command = format!("cargo xtask faults --rounds {} --seed {seed}", goals.kills);
    let mut report = Report::new("faults", &command, Some(seed));
    let n = facts.accepted as u64;
    let mut failed = 0;
    let mut passed = 0;
    let mut figure = |name: &str, value: u64, unit: &str, floor: Option<u64>| {
        let reached = floor.map_or(value == 0, |floor| value >= floor);
        let goal = floor.map_or("= 0".to_owned(), |floor| format!(">= {floor}"));
        report.figure(name, value as f64, unit, n).goal(&goal);
        if reached {
            passed += 1;
        } else {
            failed += 1;
            println!("FAILED: {name} is {value}, the goal is {goal}");
        }
    };
    figure("faults_records_missing", found.missing.len() as u64, "records", None);
    figure("faults_records_doubled", found.doubled.len() as u64, "records", None);
    figure("faults_records_different", found.different.len() as u64, "records", None);
    figure("faults_records_lost", facts.lost, "records", None);
    figure("faults_accepted", n, "records", Some(goals.accepted as u64));
    figure("faults_agent_kills", u64::from(facts.agent_kills), "kills", Some(u64::from(goals.kills)));
    figure("faults_hub_kills", u64::from(facts.hub_kills), "kills", Some(u64::from(goals.kills)));
    figure("faults_kills_in_commit", u64::from(facts.kills_in_commit), "kills", Some(u64::from(goals.kills_in_commit)));
    figure("faults_connection_resets", facts.resets, "resets", Some(1));
    println!(
        "{} requests had to be sent again; {} records are at the hub whose answer the caller never got",
        facts.retries, found.unanswered
    );
    report.finish()?;
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_kills_make_a_full_run_with_its_floors() {
        assert_eq!(Goals::for_rounds(200), Goals { kills: 200, accepted: 100_000, kills_in_commit: 50, full: true });
        assert_eq!(Goals::for_rounds(8), Goals { kills: 8, accepted: 2_000, kills_in_commit: 1, full: false });
    }

    #[test]
    fn one_missing_record_fails_a_run_that_reached_all_else() {
        let goals = Goals::for_rounds(8);
        let mut facts =
            Facts { agent_kills: 9, kills_in_commit: 2, hub_kills: 8, resets: 5, accepted: 2_000, ..Facts::default() };
        assert!(tell(&goals, &facts, 1).unwrap());
        facts.comparison.missing.push("k".to_owned());
        assert!(!tell(&goals, &facts, 1).unwrap());
    }
}
