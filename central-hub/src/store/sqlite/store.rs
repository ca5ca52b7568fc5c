//! [`Store`] for [`SqliteStore`]: each call handed to the writer, the pool or the assembler.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use object_store::ObjectStoreExt;
use rusqlite::params;
use simpul_wire::{Epoch, Generation, NodeId, RangeSet, SeqRange, Stream};
use tokio::sync::oneshot;

use super::commit::Staged;
use super::images::{Assembled, Key};
use super::writer::Work;
use super::{SqliteStore, aside, backup, latest, readings, reads, rollup, schema, service, snapshots, space};
use crate::store::*;

impl Store for SqliteStore {
    fn commit(&self, group: Vec<Upload>) -> StoreResult<'_, Vec<Outcome>> {
        self.commit_group(group).boxed()
    }

    fn generation(&self) -> Generation {
        self.generation
    }

    fn backed_up(&self, node: NodeId) -> StoreResult<'_, Vec<(Epoch, Stream, RangeSet)>> {
        self.pool.read(move |connection| reads::backed_up(connection, &node)).boxed()
    }

    fn nodes(&self) -> StoreResult<'_, Vec<NodeRow>> {
        self.pool.read(reads::nodes).boxed()
    }

    fn streams(&self, node: Option<NodeId>) -> StoreResult<'_, Vec<StreamRow>> {
        self.pool.read(move |connection| reads::streams(connection, node.as_ref())).boxed()
    }

    fn service_totals(&self, from_ms: i64, to_ms: i64) -> StoreResult<'_, Vec<ServiceTotal>> {
        self.pool.read(move |connection| service::totals(connection, from_ms, to_ms)).boxed()
    }

    fn service_records(&self, page: Page) -> StoreResult<'_, Vec<ServiceRow>> {
        self.pool.read(move |connection| reads::service_records(connection, &page)).boxed()
    }

    fn events(&self, page: Page) -> StoreResult<'_, Vec<EventRow>> {
        self.pool.read(move |connection| reads::events(connection, &page)).boxed()
    }

    fn readings(
        &self,
        node: NodeId,
        metric: String,
        step: Step,
        from_ms: i64,
        to_ms: i64,
    ) -> StoreResult<'_, Vec<RollupPoint>> {
        self.pool.read(move |connection| readings::read(connection, &node, &metric, step, from_ms, to_ms)).boxed()
    }

    fn latest_readings(&self, node: Option<NodeId>) -> StoreResult<'_, Vec<LatestReading>> {
        self.pool.read(move |connection| latest::read(connection, node.as_ref())).boxed()
    }

    fn snapshots(&self, page: Page) -> StoreResult<'_, Vec<SnapshotRow>> {
        self.pool.read(move |connection| snapshots::page(connection, &page)).boxed()
    }

    fn latest_snapshots(&self) -> StoreResult<'_, Vec<SnapshotRow>> {
        self.pool.read(snapshots::latest).boxed()
    }

    fn snapshot_bytes(&self, id: i64) -> StoreResult<'_, Option<Bytes>> {
        async move {
            let object = self.pool.read(move |connection| snapshots::object_of(connection, id)).await?;
            let Some(object) = object else { return Ok(None) };
            match self.objects.get(&object_store::path::Path::from(object)).await {
                Ok(found) => Ok(Some(found.bytes().await?)),
                // Retired between the two reads.
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
        .boxed()
    }

    fn aside(&self, limit: usize) -> StoreResult<'_, Vec<AsideRow>> {
        self.pool.read(move |connection| aside::newest(connection, limit)).boxed()
    }

    fn usage(&self) -> StoreResult<'_, Usage> {
        async move {
            self.space.incoming_bytes.store(self.images.bytes(), Ordering::Relaxed);
            let (space, free_bytes) = (self.space.clone(), self.space.free_bytes()?);
            let (incoming_dropped, quarantined) = (self.images.dropped(), self.quarantined.clone());
            self.pool
                .read(move |connection| {
                    let used = space.used_bytes();
                    let can_have = space.budget_bytes().min(used.saturating_add(free_bytes));
                    let newest: i64 =
                        connection.query_row("SELECT coalesce(max(id), 0) FROM batch", [], |row| row.get(0))?;
                    let bytes = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
                    Ok(Usage {
                        database_bytes: bytes(&space.database_bytes) + bytes(&space.journal_bytes),
                        snapshot_bytes: bytes(&space.snapshot_bytes) + bytes(&space.incoming_bytes),
                        budget_bytes: space.budget_bytes(),
                        free_bytes,
                        days_left: space::days_left(connection, used, can_have)?,
                        aside_count: aside::count_ever(connection)?,
                        rollup_lag_batches: (newest - rollup::position(connection)?).max(0).unsigned_abs(),
                        withholding: space.is_withholding(),
                        last_backup_ms: schema::meta(connection, "last_backup_ms")?,
                        restored: backup::restored(connection)?,
                        incoming_dropped,
                        quarantined,
                    })
                })
                .await
        }
        .boxed()
    }

    fn log_look(&self, who: String, snapshot_id: i64, at_ms: i64) -> StoreResult<'_, ()> {
        self.write(move |writer| {
            writer.transact(|connection| {
                connection
                    .prepare_cached("INSERT INTO look (who, snapshot, at_ms) VALUES (?1, ?2, ?3)")?
                    .execute(params![who, snapshot_id, at_ms])?;
                Ok(())
            })
        })
        .boxed()
    }

    fn backup(&self, directory: PathBuf) -> StoreResult<'_, BackupReport> {
        self.backup_to(directory).boxed()
    }

    fn maintain(&self, now_ms: i64) -> StoreResult<'_, bool> {
        self.maintain_once(now_ms).boxed()
    }
}

impl SqliteStore {
    async fn commit_group(&self, group: Vec<Upload>) -> Result<Vec<Outcome>, StoreError> {
        let group = self.stage(group).await?;
        let images: Vec<Key> = group
            .iter()
            .filter_map(|staged| match staged {
                Staged::Image(image) => Some((image.node.clone(), image.epoch, image.seq)),
                _ => None,
            })
            .collect();
        // Parts of incomplete images only: nothing for the writer, nothing to wait for.
        if group.iter().all(|staged| matches!(staged, Staged::Settled(_))) {
            let settled = group.into_iter().filter_map(|staged| match staged {
                Staged::Settled(outcome) => Some(outcome),
                _ => None,
            });
            return Ok(settled.collect());
        }
        let (reply, answer) = oneshot::channel();
        self.queue()?.send(Work::Commit { group, reply }).await.map_err(|_| StoreError::Closed)?;
        let outcomes = answer.await.map_err(|_| StoreError::Closed)??;
        for key in &images {
            self.images.forget(key);
        }
        Ok(outcomes)
    }

    /// Put the parts of images where they belong; everything else passes through. Order is kept.
    async fn stage(&self, group: Vec<Upload>) -> Result<Vec<Staged>, StoreError> {
        let mut staged: Vec<Option<Staged>> = Vec::with_capacity(group.len());
        let mut images: HashMap<Key, Vec<(usize, i64, simpul_wire::image::ImagePart)>> = HashMap::new();
        for (index, upload) in group.into_iter().enumerate() {
            let Upload { node, received_ms, content } = upload;
            match content {
                Content::Part { epoch, seq, part } => {
                    images.entry((node, epoch, seq)).or_default().push((index, received_ms, part));
                    staged.push(None);
                }
                content => staged.push(Some(Staged::Upload(Upload { node, received_ms, content }))),
            }
        }
        if !images.is_empty() {
            self.space.incoming_bytes.store(self.images.bytes(), Ordering::Relaxed);
            self.space.check()?;
            let each = images.into_iter().map(|(key, parts)| self.stage_image(key, parts));
            for done in join_all(each).await {
                for (index, one) in done? {
                    staged[index] = Some(one);
                }
            }
        }
        let missing = || StoreError::Backend("an upload was not staged".into());
        staged.into_iter().map(|one| one.ok_or_else(missing)).collect()
    }

    async fn stage_image(
        &self,
        key: Key,
        parts: Vec<(usize, i64, simpul_wire::image::ImagePart)>,
    ) -> Result<Vec<(usize, Staged)>, StoreError> {
        if !self.images.knows(&key) {
            let (node, epoch, seq) = key.clone();
            let there =
                self.pool.read(move |connection| reads::has(connection, &node, epoch, Stream::Snapshot, seq)).await?;
            if there {
                let duplicate = || {
                    let (stream, range) = (Stream::Snapshot, SeqRange::one(key.2));
                    Staged::Settled(Outcome::Committed { stream, epoch: key.1, range, new: RangeSet::new() })
                };
                return Ok(parts.into_iter().map(|(index, ..)| (index, duplicate())).collect());
            }
        }
        let mut staged = Vec::with_capacity(parts.len());
        for (index, received_ms, part) in parts {
            staged.push(match self.images.add(key.clone(), received_ms, part).await? {
                Assembled::Whole(image) => (index, Staged::Image(*image)),
                Assembled::Settled(outcome) => (index, Staged::Settled(outcome)),
            });
        }
        Ok(staged)
    }
}
