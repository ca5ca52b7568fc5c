//! What intake has done since the hub started, for `/metrics`. Counters only grow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use simpul_wire::ack::RejectReason;

use crate::store::Outcome;

/// Counters of intake; shared between its task and the metrics page.
#[derive(Debug, Default)]
pub struct Counters {
    publishes: AtomicU64,
    ignored: AtomicU64,
    commits: AtomicU64,
    records_new: AtomicU64,
    records_duplicate: AtomicU64,
    refused: [AtomicU64; RejectReason::ALL.len()],
    commit_microseconds: AtomicU64,
    commit_failures: AtomicU64,
    withholding: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountersView {
    /// Publishes that came from the transport.
    pub publishes: u64,
    /// Publishes on topics that carry nothing to the hub.
    pub ignored: u64,
    /// Group commits.
    pub commits: u64,
    /// Records (readings, images) that a commit brought.
    pub records_new: u64,
    /// Records that were there already.
    pub records_duplicate: u64,
    /// Refused uploads by reason.
    pub refused: Vec<(RejectReason, u64)>,
    /// Time spent in commits, in microseconds.
    pub commit_microseconds: u64,
    /// Commits that failed and were tried again.
    pub commit_failures: u64,
    /// Whether acknowledgements are withheld now because the store cannot commit.
    pub withholding: bool,
}

impl Counters {
    /// The counters now.
    pub fn view(&self) -> CountersView {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CountersView {
            publishes: get(&self.publishes),
            ignored: get(&self.ignored),
            commits: get(&self.commits),
            records_new: get(&self.records_new),
            records_duplicate: get(&self.records_duplicate),
            refused: RejectReason::ALL.iter().copied().zip(self.refused.iter().map(get)).collect(),
            commit_microseconds: get(&self.commit_microseconds),
            commit_failures: get(&self.commit_failures),
            withholding: get(&self.withholding) != 0,
        }
    }

    pub(super) fn publish(&self) {
        self.publishes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ignored(&self) {
        self.ignored.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn committed(&self, took: Duration, outcomes: &[Outcome]) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.withholding.store(0, Ordering::Relaxed);
        self.commit_microseconds.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        for outcome in outcomes {
            match outcome {
                Outcome::Committed { range, new, .. } => {
                    self.records_new.fetch_add(new.count(), Ordering::Relaxed);
                    self.records_duplicate.fetch_add(range.count() - new.count(), Ordering::Relaxed);
                }
                Outcome::Refused { reason, .. } => {
                    if let Some(at) = RejectReason::ALL.iter().position(|known| known == reason) {
                        self.refused[at].fetch_add(1, Ordering::Relaxed);
                    }
                }
                Outcome::Partial(..) | Outcome::Noted => {}
            }
        }
    }

    pub(super) fn failed(&self) {
        self.commit_failures.fetch_add(1, Ordering::Relaxed);
        self.withholding.store(1, Ordering::Relaxed);
    }
}
