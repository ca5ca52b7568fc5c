//! Rollouts as the room sees them. Pure.

use super::model::{RolloutCountsView, RolloutDetailView, RolloutNodeView, RolloutView};
use crate::updates::ledger::RolloutRow;
use crate::updates::plan::Progress;

/// A rollout.
pub fn view(row: &RolloutRow) -> RolloutView {
    let it = &row.rollout;
    RolloutView {
        number: row.number,
        part: it.part.name().into(),
        version: (!it.version.is_empty()).then(|| it.version.clone()),
        state: it.state.name().into(),
        reason: it.reason.clone(),
        ring: it.ring() + 1,
        rings: it.rings.to_string(),
        rings_total: it.rings.count(),
        nodes_total: u32::try_from(it.nodes.len()).unwrap_or(u32::MAX),
        counts: counts(it.nodes.values()),
        made_ms: it.made_ms,
        made_by: row.made_by.clone(),
    }
}

/// A rollout, node by node.
pub fn detail(row: &RolloutRow) -> RolloutDetailView {
    let nodes = row.rollout.nodes.iter().map(|(node, progress)| RolloutNodeView {
        id: node.to_string(),
        platform: progress.platform.clone().filter(|platform| !platform.is_empty()),
        ring: progress.ring.map(|ring| ring + 1),
        step: progress.standing().into(),
        since_ms: progress.since_ms,
        detail: progress.detail.clone(),
    });
    RolloutDetailView { rollout: view(row), nodes: nodes.collect() }
}

fn counts<'a>(nodes: impl Iterator<Item = &'a Progress>) -> RolloutCountsView {
    let mut counts = RolloutCountsView::default();
    for progress in nodes {
        let count = match progress.standing() {
            "planned" => &mut counts.planned,
            "trial" => &mut counts.trial,
            "confirmed" | "already" => &mut counts.confirmed,
            "rolled_back" => &mut counts.rolled_back,
            "refused" => &mut counts.refused,
            "silent" => &mut counts.silent,
            "behind" => &mut counts.behind,
            // offered, fetch_failed, fetched, waiting.
            _ => &mut counts.waiting,
        };
        *count += 1;
    }
    counts
}
