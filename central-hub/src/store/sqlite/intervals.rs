//! What the hub has: interval sets per (node, epoch, stream), held in memory, stored in `stream` in the same
//! transaction as the records that they stand for. Sets of readings, which change with every batch, are stored every
//! [`UNSAVED_BATCHES_MAX`] batches: until then the rows of the batches are the proof, and a start, a read, and a
//! transaction after one that failed add what those rows say ([`for_each_unsaved`]).
//!
//! Terms: *have* is committed; *lost* was declared and has not arrived; `unused` numbers are declared too, but never
//! were records. Data that arrives turns lost into have, never the other way round.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use simpul_wire::event::{Loss, LossReason};
use simpul_wire::limits::{EPOCHS_MAX, INTERVALS_MAX};
use simpul_wire::{Epoch, NodeId, RangeSet, SeqRange, Stream};

use super::schema::{meta, set_meta};
use crate::store::StoreError;

/// Nodes held in memory. 10,000 nodes with four streams are about 10 MB; a larger fleet reloads on demand.
const NODES_MAX: usize = 20_000;

/// Batches of readings whose numbers only their own rows tell. A start and each read of the streams go through so many
/// rows (a millisecond); storing the sets with every commit instead is a row more for each of its batches.
pub(super) const UNSAVED_BATCHES_MAX: i64 = 1_024;

/// In `meta`: the batch up to which the stored sets know everything.
pub(super) const SETS_UP_TO: &str = "sets_up_to";

/// Lost ranges by reason; the sets of two reasons never overlap.
pub(super) type Lost = Vec<(LossReason, RangeSet)>;

/// A node with all its streams.
pub(super) struct NodeEntry {
    pub id: i64,
    pub streams: Vec<StreamEntry>,
    /// Boots whose start is stored already, with how well it is known: saves a write per batch.
    pub boots: HashMap<(Epoch, u32), u8>,
}

/// One (epoch, stream) of a node.
pub(super) struct StreamEntry {
    pub id: i64,
    pub epoch: Epoch,
    pub stream: Stream,
    pub have: RangeSet,
    pub lost: Lost,
    pub last_received_ms: i64,
    pub have_changed: bool,
    pub lost_changed: bool,
    /// Something came that has no row of its own to tell of it: a duplicate's time of arrival.
    heard_only: bool,
    /// The set is ahead of what is stored.
    unsaved: bool,
}

/// Too many intervals or epochs: the upload is refused, nothing of it was written.
pub(super) struct TooMany;

/// The sets in memory. A failed transaction must [`IntervalCache::clear`] it: the rows are the truth.
#[derive(Default)]
pub(super) struct IntervalCache {
    nodes: HashMap<NodeId, NodeEntry>,
    /// Nodes with a set that is ahead of what is stored.
    unsaved: Vec<NodeId>,
    /// As stored; `None` until [`IntervalCache::recover`] was here.
    saved_up_to: Option<i64>,
}

impl IntervalCache {
    pub(super) fn clear(&mut self) {
        *self = IntervalCache::default();
    }

    /// Make room between transactions; never within one, when entries hold changes that no row tells yet.
    pub(super) fn trim(&mut self) {
        if self.nodes.len() > NODES_MAX {
            self.clear();
        }
    }

    /// Add what only the batches' rows tell, at the start and whenever memory was cleared. Within the transaction, before
    /// anything is placed.
    pub(super) fn recover(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if self.saved_up_to.is_some() {
            return Ok(());
        }
        let saved_up_to = saved_up_to(connection)?;
        if meta::<i64>(connection, SETS_UP_TO)?.is_none() {
            set_meta(connection, SETS_UP_TO, saved_up_to)?;
        }
        let mut name = connection.prepare_cached("SELECT name FROM node WHERE id = ?1")?;
        for_each_unsaved(connection, |unsaved| {
            let node: NodeId = name.query_row([unsaved.node], |row| row.get::<_, String>(0))?.parse()?;
            let entry = self.node(connection, &node, unsaved.received_ms)?;
            let Some(held) = entry.streams.iter_mut().find(|held| held.id == unsaved.stream) else {
                return Err(StoreError::Backend("a batch's stream has no row".into()));
            };
            held.have.insert_all(&unsaved.new);
            held.last_received_ms = held.last_received_ms.max(unsaved.received_ms);
            if !std::mem::replace(&mut held.unsaved, true) {
                self.unsaved.push(node);
            }
            Ok(())
        })?;
        self.saved_up_to = Some(saved_up_to);
        Ok(())
    }

    /// Whether the stored sets know everything up to this batch.
    pub(super) fn is_saved(&self, batch: i64) -> bool {
        self.saved_up_to.is_some_and(|saved| saved >= batch)
    }

    /// Store every set that is ahead, in the transaction whose newest batch is `newest`.
    pub(super) fn save(&mut self, connection: &Connection, newest: i64) -> Result<(), StoreError> {
        for node in std::mem::take(&mut self.unsaved) {
            let Some(entry) = self.nodes.get_mut(&node) else { continue };
            for stream in &mut entry.streams {
                if std::mem::take(&mut stream.unsaved) {
                    stream.store(connection)?;
                }
            }
        }
        set_meta(connection, SETS_UP_TO, newest)?;
        self.saved_up_to = Some(newest);
        Ok(())
    }

    /// The node, loaded or made.
    pub(super) fn node(
        &mut self,
        connection: &Connection,
        node: &NodeId,
        now_ms: i64,
    ) -> Result<&mut NodeEntry, StoreError> {
        if !self.nodes.contains_key(node) {
            let entry = load(connection, node, now_ms)?;
            self.nodes.insert(node.clone(), entry);
        }
        self.nodes.get_mut(node).ok_or_else(|| StoreError::Backend("a node vanished from memory".into()))
    }

    /// Store the changed sets of these nodes, or remember that they are to be stored.
    pub(super) fn store(&mut self, connection: &Connection, changed: &[NodeId], newest: i64) -> Result<(), StoreError> {
        let mut lost = connection.prepare_cached("UPDATE stream SET lost = ?1 WHERE id = ?2")?;
        for node in changed {
            let Some(entry) = self.nodes.get_mut(node) else { continue };
            for stream in &mut entry.streams {
                if std::mem::take(&mut stream.have_changed) {
                    let heard_only = std::mem::take(&mut stream.heard_only);
                    if stream.stream != Stream::Reading || heard_only {
                        stream.store(connection)?;
                    } else if !std::mem::replace(&mut stream.unsaved, true) {
                        self.unsaved.push(node.clone());
                    }
                }
                if std::mem::take(&mut stream.lost_changed) {
                    lost.execute(params![encode_lost(&stream.lost), stream.id])?;
                }
            }
        }
        if self.is_saved(newest - UNSAVED_BATCHES_MAX) { Ok(()) } else { self.save(connection, newest) }
    }
}

impl NodeEntry {
    /// The stream's place in [`NodeEntry::streams`], made if this is its first record.
    pub(super) fn stream(
        &mut self,
        connection: &Connection,
        epoch: Epoch,
        stream: Stream,
        now_ms: i64,
    ) -> Result<Result<usize, TooMany>, StoreError> {
        if let Some(at) = self.streams.iter().position(|held| held.epoch == epoch && held.stream == stream) {
            return Ok(Ok(at));
        }
        let known = self.streams.iter().any(|held| held.epoch == epoch);
        if !known {
            let mut epochs: Vec<Epoch> = self.streams.iter().map(|held| held.epoch).collect();
            epochs.sort_unstable();
            epochs.dedup();
            if epochs.len() >= EPOCHS_MAX {
                return Ok(Err(TooMany));
            }
        }
        let empty = simpul_wire::error::to_vec(&RangeSet::new());
        connection
            .prepare_cached(
                "INSERT INTO stream (node, epoch, stream, last_received_ms, have) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![self.id, epoch.as_bytes().as_slice(), stream.number(), now_ms, empty])?;
        self.streams.push(StreamEntry {
            id: connection.last_insert_rowid(),
            epoch,
            stream,
            have: RangeSet::new(),
            lost: Vec::new(),
            last_received_ms: now_ms,
            have_changed: false,
            lost_changed: false,
            heard_only: false,
            unsaved: false,
        });
        Ok(Ok(self.streams.len() - 1))
    }
}

impl StreamEntry {
    /// Add arrived numbers: which of them are new. What was lost and arrives after all is lost no more.
    pub(super) fn arrive(&mut self, range: SeqRange, received_ms: i64) -> Result<RangeSet, TooMany> {
        let new = self.have.insert(range);
        if self.have.range_count() > INTERVALS_MAX {
            self.take_back(&new);
            return Err(TooMany);
        }
        if !self.lost.is_empty() {
            let mut lost = self.lost.clone();
            let mut found = false;
            for (_, set) in &mut lost {
                for part in &new {
                    found |= !set.remove(*part).is_empty();
                }
            }
            if lost.iter().any(|(_, set)| set.range_count() > INTERVALS_MAX) {
                self.take_back(&new);
                return Err(TooMany);
            }
            if found {
                lost.retain(|(_, set)| !set.is_empty());
                self.lost = lost;
                self.lost_changed = true;
            }
        }
        self.have_changed = true;
        self.heard_only |= new.is_empty();
        self.last_received_ms = received_ms;
        Ok(new.into_iter().collect())
    }

    fn store(&self, connection: &Connection) -> Result<(), StoreError> {
        let set = simpul_wire::error::to_vec(&self.have);
        connection
            .prepare_cached("UPDATE stream SET have = ?1, last_received_ms = ?2 WHERE id = ?3")?
            .execute(params![set, self.last_received_ms, self.id])?;
        Ok(())
    }

    fn take_back(&mut self, new: &[SeqRange]) {
        for part in new {
            self.have.remove(*part);
        }
    }

    /// Mark numbers as lost, less what is here or was declared before.
    pub(super) fn lose(&mut self, range: SeqRange, reason: LossReason) -> Result<(), TooMany> {
        let mut open: RangeSet = self.have.missing_in(range).into_iter().collect();
        for (_, set) in &self.lost {
            for known in set.present_in(range) {
                open.remove(known);
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let at = match self.lost.iter().position(|(known, _)| *known == reason) {
            Some(at) => at,
            None => {
                self.lost.push((reason, RangeSet::new()));
                self.lost.len() - 1
            }
        };
        let mut set = self.lost[at].1.clone();
        set.insert_all(&open);
        if set.range_count() > INTERVALS_MAX {
            return Err(TooMany);
        }
        self.lost[at].1 = set;
        self.lost_changed = true;
        Ok(())
    }
}

/// A batch that the stored sets may not know.
pub(super) struct Unsaved {
    pub node: i64,
    pub stream: i64,
    pub received_ms: i64,
    /// The numbers that it brought.
    pub new: RangeSet,
}

/// The batches behind the stored sets, in the order they came.
pub(super) fn for_each_unsaved(
    connection: &Connection,
    mut each: impl FnMut(Unsaved) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT node, stream, received_ms, new FROM batch WHERE id > ?1 ORDER BY id")?;
    let mut rows = statement.query([saved_up_to(connection)?])?;
    while let Some(row) = rows.next()? {
        let new = minicbor::decode(row.get_ref(3)?.as_blob()?)?;
        each(Unsaved { node: row.get(0)?, stream: row.get(1)?, received_ms: row.get(2)?, new })?;
    }
    Ok(())
}

fn saved_up_to(connection: &Connection) -> Result<i64, StoreError> {
    match meta(connection, SETS_UP_TO)? {
        Some(saved) => Ok(saved),
        // A store from before there was such a position: its sets were stored with every commit.
        None => Ok(connection.query_row("SELECT coalesce(max(id), 0) FROM batch", [], |row| row.get(0))?),
    }
}

/// The losses of a stream for people: `unused` numbers were never records and are left out.
pub(super) fn losses(epoch: Epoch, stream: Stream, lost: &Lost) -> Vec<Loss> {
    let real = lost.iter().filter(|(reason, _)| *reason != LossReason::Unused);
    real.flat_map(|(reason, set)| set.iter().map(|range| Loss { epoch, stream, range, reason: *reason })).collect()
}

pub(super) fn encode_lost(lost: &Lost) -> Option<Vec<u8>> {
    if lost.is_empty() { None } else { Some(simpul_wire::error::to_vec(lost)) }
}

pub(super) fn decode_lost(bytes: Option<&[u8]>) -> Result<Lost, StoreError> {
    Ok(bytes.map(minicbor::decode).transpose()?.unwrap_or_default())
}

pub(super) fn decode_epoch(bytes: &[u8]) -> Result<Epoch, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Backend("a stored epoch has another length".into()))?;
    Ok(Epoch::from_bytes(bytes))
}

pub(super) fn decode_stream(number: u8) -> Result<Stream, StoreError> {
    Stream::from_number(number).ok_or_else(|| StoreError::Backend(format!("stored stream number {number}")))
}

fn load(connection: &Connection, node: &NodeId, now_ms: i64) -> Result<NodeEntry, StoreError> {
    let known: Option<i64> = connection
        .prepare_cached("SELECT id FROM node WHERE name = ?1")?
        .query_row([node.as_str()], |row| row.get(0))
        .optional()?;
    let Some(id) = known else {
        connection
            .prepare_cached("INSERT INTO node (name, first_heard_ms) VALUES (?1, ?2)")?
            .execute(params![node.as_str(), now_ms])?;
        let id = connection.last_insert_rowid();
        return Ok(NodeEntry { id, streams: Vec::new(), boots: HashMap::new() });
    };
    let mut streams = Vec::new();
    let mut statement = connection
        .prepare_cached("SELECT id, epoch, stream, last_received_ms, have, lost FROM stream WHERE node = ?1")?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        streams.push(StreamEntry {
            id: row.get(0)?,
            epoch: decode_epoch(row.get_ref(1)?.as_blob()?)?,
            stream: decode_stream(row.get(2)?)?,
            last_received_ms: row.get(3)?,
            have: minicbor::decode(row.get_ref(4)?.as_blob()?)?,
            lost: decode_lost(row.get_ref(5)?.as_blob_or_null()?)?,
            have_changed: false,
            lost_changed: false,
            heard_only: false,
            unsaved: false,
        });
    }
    Ok(NodeEntry { id, streams, boots: HashMap::new() })
}
