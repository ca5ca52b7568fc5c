//! From the commit to the rollup without a second decoding: batches of readings that were just committed, decoded, in
//! the order of their ids. Only a short cut: what is missing here is read from its row, and the durable position alone
//! says what is rolled up.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rollup::Batch;

/// Most memory of what waits here: two to three pieces of usual batches. Beyond it batches are not taken, and the
/// rollup reads them from their rows.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// A series with its name, as decoded: three allocations and what points to them, rounded up.
const SERIES_BYTES: usize = 160;

/// A point, as decoded.
const POINT_BYTES: usize = 24;

#[derive(Default)]
pub(super) struct Handover(Mutex<Held>);

#[derive(Default)]
struct Held {
    batches: VecDeque<Batch>,
    bytes: usize,
}

impl Handover {
    /// Give what has just become durable, in the order of ids.
    pub(super) fn give(&self, batches: Vec<Batch>) {
        if batches.is_empty() {
            return;
        }
        let mut held = self.held();
        for batch in batches {
            let bytes = bytes(&batch);
            if held.bytes + bytes > BYTES_MAX {
                // This one leaves a gap; those behind it may fit again.
                continue;
            }
            held.bytes += bytes;
            held.batches.push_back(batch);
        }
    }

    /// Take the first batches, as far as their ids follow on each other.
    pub(super) fn take(&self, batches_max: usize, readings_max: usize) -> Vec<Batch> {
        let mut held = self.held();
        let mut taken: Vec<Batch> = Vec::new();
        let mut readings = 0;
        while taken.len() < batches_max && readings <= readings_max {
            let follows =
                held.batches.front().is_some_and(|next| taken.last().is_none_or(|last| last.id + 1 == next.id));
            if !follows {
                break;
            }
            let Some(batch) = held.batches.pop_front() else { break };
            held.bytes = held.bytes.saturating_sub(bytes(&batch));
            readings += batch.blocks.iter().map(|block| block.count()).sum::<usize>();
            taken.push(batch);
        }
        taken
    }

    /// Put what was taken back to the front.
    pub(super) fn give_back(&self, batches: Vec<Batch>) {
        let mut held = self.held();
        for batch in batches.into_iter().rev() {
            held.bytes += bytes(&batch);
            held.batches.push_front(batch);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(batch: &Batch) -> usize {
    let series = batch.blocks.iter().flat_map(|block| &block.series);
    let sizes = series.map(|series| SERIES_BYTES + POINT_BYTES * series.points.len());
    // The batch itself and its blocks: as much as a series.
    sizes.sum::<usize>() + SERIES_BYTES * (1 + batch.blocks.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::Epoch;

    fn batch(id: i64) -> Batch {
        let epoch = Epoch::from_bytes([1; 16]);
        Batch { id, node: 1, epoch, received_ms: 0, first_seq: 1, new: None, blocks: Vec::new() }
    }

    fn give(handover: &Handover, ids: &[i64]) {
        handover.give(ids.iter().copied().map(batch).collect());
    }

    fn take(handover: &Handover, batches_max: usize) -> Vec<i64> {
        handover.take(batches_max, 1_000).iter().map(|batch| batch.id).collect()
    }

    #[test]
    fn a_gap_ends_what_is_taken() {
        let handover = Handover::default();
        give(&handover, &[3, 4]);
        give(&handover, &[6]);
        assert_eq!(take(&handover, 9), [3, 4]);
        let taken = handover.take(9, 1_000);
        handover.give_back(taken);
        give(&handover, &[7, 8]);
        assert_eq!(take(&handover, 2), [6, 7]);
        assert_eq!(take(&handover, 9), [8]);
        assert!(take(&handover, 9).is_empty());
        assert_eq!(handover.held().bytes, 0);
    }

    #[test]
    fn what_does_not_fit_is_left_to_its_row() {
        let handover = Handover::default();
        let fit = (BYTES_MAX / SERIES_BYTES) as i64;
        give(&handover, &(1..=fit + 5).collect::<Vec<_>>());
        assert_eq!(take(&handover, 2), [1, 2]);
        give(&handover, &[fit + 6]);
        let taken = take(&handover, usize::MAX);
        assert_eq!((taken.first(), taken.last()), (Some(&3), Some(&fit)));
        assert_eq!(take(&handover, 9), [fit + 6]);
    }
}
