//! Maintenance, one bounded piece a call: roll up, tell dates again, seal, retire, thin, tidy up. What is heavy is
//! prepared on a reader; what the writer applies keeps to some milliseconds, so that acknowledgements do not wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use object_store::ObjectStoreExt;
use rusqlite::{Connection, params};

use super::pack::DAY_MS;
use super::rollup::{self, Metrics, Piece};
use super::{SqliteStore, redate, seal, snapshots, space};
use crate::store::StoreError;

/// Raw batches removed in one piece.
const BATCHES_RETIRED_MAX: i64 = 1_000;

/// Between two samples of the usage, which are kept by day: an idle hub shall not write for them.
const SAMPLE_MS: i64 = 10 * 60_000;

/// What maintenance remembers between pieces; also the lock that makes it one at a time.
#[derive(Default)]
pub(super) struct State {
    pub(super) metrics: Metrics,
    sampled_ms: i64,
}

impl SqliteStore {
    pub(super) async fn maintain_once(&self, now_ms: i64) -> Result<bool, StoreError> {
        let mut state = self.maintenance.lock().await;
        let mut more = self.make_room(now_ms).await?;
        more |= self.roll_up(&mut state.metrics, now_ms).await?;
        more |= self.redate(&mut state.metrics, now_ms).await?;
        more |= self.seal(now_ms).await?;
        more |= self.retire_batches(now_ms).await?;
        if now_ms.abs_diff(state.sampled_ms) >= SAMPLE_MS.unsigned_abs() {
            let space = self.space.clone();
            self.write(move |writer| {
                writer.measure()?;
                let used = space.used_bytes();
                writer.transact(|connection| space::sample(connection, now_ms, used))
            })
            .await?;
            state.sampled_ms = now_ms;
        }
        Ok(more)
    }

    /// Apply a piece; whatever becomes of it, the ids of metrics in memory stay those of the database.
    async fn apply(&self, metrics: &mut Metrics, piece: Piece, now_ms: i64) -> Result<(), StoreError> {
        if piece.is_empty() {
            return Ok(());
        }
        let applied = self.write(move |writer| writer.transact(|connection| piece.apply(connection, now_ms))).await;
        if applied.is_err() {
            metrics.reset();
        }
        applied
    }

    /// Run a preparation that needs the metrics on a reader.
    async fn prepare(
        &self,
        metrics: &mut Metrics,
        prepare: impl FnOnce(&Connection, &mut Metrics) -> Result<Piece, StoreError> + Send + 'static,
    ) -> Result<Piece, StoreError> {
        let mut taken = std::mem::take(metrics);
        let (piece, taken) = self
            .pool
            .read(move |connection| {
                let piece = prepare(connection, &mut taken)?;
                Ok((piece, taken))
            })
            .await?;
        *metrics = taken;
        Ok(piece)
    }

    async fn roll_up(&self, metrics: &mut Metrics, now_ms: i64) -> Result<bool, StoreError> {
        let handover = Arc::clone(&self.handover);
        let next =
            move |connection: &Connection, metrics: &mut Metrics| rollup::prepare_next(connection, metrics, &handover);
        let piece = self.prepare(metrics, next).await?;
        let more = piece.more;
        self.apply(metrics, piece, now_ms).await?;
        let expired = self.pool.read(move |connection| redate::expired(connection, now_ms)).await?;
        if expired.is_empty() {
            return Ok(more);
        }
        let full = expired.len() == redate::PARKED_MAX;
        let prepare = move |connection: &Connection, metrics: &mut Metrics| {
            rollup::prepare_parked(connection, metrics, &expired, true)
        };
        let piece = self.prepare(metrics, prepare).await?;
        self.apply(metrics, piece, now_ms).await?;
        Ok(more || full)
    }

    /// One boot, all of it, in transactions of a bounded number of rows.
    async fn redate(&self, metrics: &mut Metrics, now_ms: i64) -> Result<bool, StoreError> {
        let Some(task) = self.pool.read(redate::next).await? else { return Ok(false) };
        for table in redate::TABLES {
            let mut after = Some(0);
            while let Some(from) = after {
                after = self
                    .write(move |writer| writer.transact(|connection| redate::rows(connection, &task, table, from)))
                    .await?;
            }
        }
        let mut after = 0;
        loop {
            let batches = self.pool.read(move |connection| redate::parked(connection, &task, after)).await?;
            let Some(last) = batches.last() else { break };
            after = *last;
            let prepare = move |connection: &Connection, metrics: &mut Metrics| {
                rollup::prepare_parked(connection, metrics, &batches, false)
            };
            let piece = self.prepare(metrics, prepare).await?;
            self.apply(metrics, piece, now_ms).await?;
        }
        self.write(move |writer| writer.transact(|connection| redate::done(connection, &task))).await?;
        Ok(true)
    }

    async fn seal(&self, now_ms: i64) -> Result<bool, StoreError> {
        let sealed = self.pool.read(move |connection| seal::prepare(connection, now_ms)).await?;
        let more = !sealed.is_empty();
        for day in sealed {
            self.write(move |writer| writer.transact(|connection| day.apply(connection))).await?;
        }
        Ok(more)
    }

    /// Retire images that are old enough, thin them under pressure, and remove the objects of both.
    async fn make_room(&self, now_ms: i64) -> Result<bool, StoreError> {
        let cutoff_ms = now_ms - i64::from(self.config.snapshot_days) * DAY_MS;
        if self.space.is_pressed()? {
            // The journal first: it gives room without taking anything from anyone.
            self.write(|writer| writer.fold_journal()).await?;
        }
        let pressed = self.space.is_pressed()?;
        let (freed, looked) = self
            .write(move |writer| {
                writer.transact(|connection| {
                    let retired = snapshots::retire(connection, cutoff_ms)?;
                    let (thinned, looked) = if pressed { snapshots::thin(connection)? } else { (0, false) };
                    Ok((retired + thinned, looked || retired > 0))
                })
            })
            .await?;
        self.space.snapshot_bytes.fetch_sub(freed, Ordering::Relaxed);
        let doomed = self.pool.read(snapshots::doomed).await?;
        if !doomed.is_empty() {
            for object in &doomed {
                match self.objects.delete(&object_store::path::Path::from(object.as_str())).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            self.write(move |writer| writer.transact(|connection| snapshots::redeemed(connection, &doomed))).await?;
        }
        Ok(looked)
    }

    async fn retire_batches(&self, now_ms: i64) -> Result<bool, StoreError> {
        let cutoff_ms = now_ms - i64::from(self.config.batch_days) * DAY_MS;
        let last = self.pool.read(move |connection| {
            let position = rollup::position(connection)?;
            let mut oldest = connection.prepare_cached(
                "SELECT id, received_ms FROM batch WHERE id <= ?1 AND id NOT IN (SELECT batch FROM parked)
                 ORDER BY id LIMIT ?2",
            )?;
            let mut rows = oldest.query(params![position, BATCHES_RETIRED_MAX])?;
            let mut last = None;
            while let Some(row) = rows.next()? {
                if row.get::<_, i64>(1)? >= cutoff_ms {
                    break;
                }
                last = Some(row.get::<_, i64>(0)?);
            }
            Ok(last)
        });
        let Some(last) = last.await? else { return Ok(false) };
        self.write(move |writer| writer.retire_batches(last)).await?;
        Ok(true)
    }
}
