//! Rolling up under load: a thread that the writer wakes when enough batches wait, so that rollups keep up with a busy
//! intake by themselves. What it leaves, and everything else of maintenance, comes with the next
//! [`crate::store::Store::maintain`].

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use simpul_clock::Clock;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::handover::Handover;
use super::maintain::State;
use super::pool::Pool;
use super::rollup;
use super::writer::Work;
use crate::store::StoreError;

/// Batches that wait when the writer wakes the thread: few enough to leave little for the end of a burst, enough that
/// a node's minute is written about once.
pub(super) const WAKE_BATCHES: i64 = 1_024;

pub(super) struct Roller {
    pub clock: Clock,
    pub pool: Arc<Pool>,
    pub handover: Arc<Handover>,
    /// The lock that makes maintenance one at a time.
    pub maintenance: Arc<Mutex<State>>,
    /// Weak: the writer ends when the store lets go of its queue, whatever happens here.
    pub queue: mpsc::WeakSender<Work>,
}

impl Roller {
    /// One piece each time it is woken, until the writer is gone.
    pub(super) fn run(self, woken: Receiver<()>) {
        while woken.recv().is_ok() {
            if let Err(error) = self.roll_up() {
                // Maintenance meets the same, says it and looks after it.
                tracing::debug!(%error, "no rollup between two calls of maintenance");
            }
        }
    }

    fn roll_up(&self) -> Result<(), StoreError> {
        let mut state = self.maintenance.blocking_lock();
        let metrics = &mut state.metrics;
        let piece = self.pool.read_here(|connection| rollup::prepare_next(connection, metrics, &self.handover));
        let applied = piece.and_then(|piece| self.apply(piece));
        if applied.is_err() {
            metrics.reset();
        }
        applied
    }

    fn apply(&self, piece: rollup::Piece) -> Result<(), StoreError> {
        if piece.is_empty() {
            return Ok(());
        }
        let queue = self.queue.upgrade().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let now_ms = self.clock.wall_ms();
        let run = move |writer: &mut super::Writer| {
            let _gone = reply.send(writer.transact(|connection| piece.apply(connection, now_ms)));
        };
        queue.blocking_send(Work::Run(Box::new(run))).map_err(|_| StoreError::Closed)?;
        drop(queue);
        answer.blocking_recv().map_err(|_| StoreError::Closed)?
    }
}
