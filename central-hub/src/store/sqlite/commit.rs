//! One group of uploads in one transaction: place each by its interval set, write what is new of it, and only then,
//! once, the changed sets. Whether the transaction becomes durable is the writer's matter.
//!
//! No work per reading happens here: a batch of readings is one row, as received.

use bytes::Bytes;
use rusqlite::{Connection, params};
use simpul_wire::ack::RejectReason;
use simpul_wire::event::{EventBody, EventRecord, Loss};
use simpul_wire::reading::ReadingBlock;
use simpul_wire::service::ServiceRecord;
use simpul_wire::state::AgentState;
use simpul_wire::{Epoch, NodeId, RangeSet, SeqRange, Stream};

use super::aside;
use super::dating::{self, Dated};
use super::images::WholeImage;
use super::intervals::{IntervalCache, Lost};
use super::rollup::Batch;
use super::service::HourSums;
use super::snapshots;
use crate::store::{Content, Outcome, Records, StoreError, Upload};

/// An upload on its way into the transaction: parts of images have become whole images or are settled already.
pub(super) enum Staged {
    /// As it came; never [`Content::Part`].
    Upload(Upload),
    /// An image that is whole, verified and in the object store.
    Image(WholeImage),
    /// Nothing to write.
    Settled(Outcome),
}

/// What a transaction changes outside of the database once it is durable.
#[derive(Default)]
pub(super) struct Effects {
    /// Bytes of images that came.
    pub snapshot_bytes: u64,
    /// Batches of readings that came, for the rollup to go on with.
    pub batches: Vec<Batch>,
}

/// The state of one transaction.
pub(super) struct Group<'w> {
    pub connection: &'w Connection,
    pub cache: &'w mut IntervalCache,
    pub next_batch_id: &'w mut i64,
    pub aside: &'w mut aside::Ring,
    changed: Vec<NodeId>,
    hours: HourSums,
    effects: Effects,
}

/// Where the numbers of a batch went.
enum Placed {
    /// These are new; the stream's row and the node's.
    New {
        node: i64,
        stream: i64,
        new: RangeSet,
    },
    Refused,
}

impl<'w> Group<'w> {
    pub(super) fn new(
        connection: &'w Connection,
        cache: &'w mut IntervalCache,
        next_batch_id: &'w mut i64,
        aside: &'w mut aside::Ring,
    ) -> Self {
        let (changed, hours, effects) = (Vec::new(), HourSums::default(), Effects::default());
        Group { connection, cache, next_batch_id, aside, changed, hours, effects }
    }

    /// Apply one upload. A refused one has changed nothing.
    pub(super) fn apply(&mut self, staged: Staged) -> Result<Outcome, StoreError> {
        match staged {
            Staged::Settled(outcome) => Ok(outcome),
            Staged::Image(image) => self.image(image),
            Staged::Upload(Upload { node, received_ms, content }) => match content {
                Content::Batch { epoch, range, raw, records } => {
                    self.batch(&node, received_ms, epoch, range, raw, records)
                }
                Content::State(state) => self.state(&node, received_ms, &state),
                Content::Aside { topic, placed, reason, detail, payload } => {
                    self.aside.keep(
                        self.connection,
                        &aside::Kept { node: &node, received_ms, topic: &topic, reason, detail: &detail, payload },
                    )?;
                    Ok(Outcome::Refused { placed, reason })
                }
                Content::Part { .. } => Err(StoreError::Backend("a part of an image came past the assembler".into())),
            },
        }
    }

    /// Write what belongs to the group as a whole.
    pub(super) fn finish(self) -> Result<Effects, StoreError> {
        self.cache.store(self.connection, &self.changed, *self.next_batch_id - 1)?;
        self.hours.store(self.connection)?;
        Ok(self.effects)
    }

    fn batch(
        &mut self,
        node: &NodeId,
        received_ms: i64,
        epoch: Epoch,
        range: SeqRange,
        raw: Bytes,
        records: Records,
    ) -> Result<Outcome, StoreError> {
        let (stream, count) = match &records {
            Records::Service(records) => (Stream::Service, records.len() as u64),
            Records::Event(records) => (Stream::Event, records.len() as u64),
            Records::Reading(blocks) => (Stream::Reading, blocks.iter().map(|block| block.count() as u64).sum()),
        };
        let refused = |reason| Outcome::Refused { placed: Some((epoch, stream, range)), reason };
        if count != range.count() {
            return Ok(refused(RejectReason::Malformed));
        }
        let place = match self.place(node, received_ms, epoch, stream, range)? {
            Placed::New { node, stream, new } => (node, stream, new),
            Placed::Refused => return Ok(refused(RejectReason::TooManyIntervals)),
        };
        let (node_id, stream_id, new) = place;
        let taken = match records {
            _ if new.is_empty() => true,
            Records::Service(records) => {
                self.service(node, (node_id, stream_id), epoch, received_ms, range, &new, &records)?;
                true
            }
            Records::Event(records) => {
                self.events(node, (node_id, stream_id), epoch, received_ms, range, &new, &records)?
            }
            Records::Reading(blocks) => {
                self.readings(node, (node_id, stream_id), epoch, received_ms, range, &new, &raw, blocks)?;
                true
            }
        };
        if !taken {
            self.take_back(node, epoch, stream, &new);
            return Ok(refused(RejectReason::TooManyIntervals));
        }
        Ok(Outcome::Committed { stream, epoch, range, new })
    }

    fn place(
        &mut self,
        node: &NodeId,
        received_ms: i64,
        epoch: Epoch,
        stream: Stream,
        range: SeqRange,
    ) -> Result<Placed, StoreError> {
        let entry = self.cache.node(self.connection, node, received_ms)?;
        let Ok(at) = entry.stream(self.connection, epoch, stream, received_ms)? else { return Ok(Placed::Refused) };
        let held = &mut entry.streams[at];
        let was_clean = !held.have_changed && !held.lost_changed;
        let Ok(new) = held.arrive(range, received_ms) else { return Ok(Placed::Refused) };
        let placed = Placed::New { node: entry.id, stream: held.id, new };
        if was_clean {
            self.changed.push(node.clone());
        }
        Ok(placed)
    }

    /// Undo [`Group::place`] for an upload that is refused after all.
    fn take_back(&mut self, node: &NodeId, epoch: Epoch, stream: Stream, new: &RangeSet) {
        if let Ok(entry) = self.cache.node(self.connection, node, 0)
            && let Some(held) = entry.streams.iter_mut().find(|held| held.epoch == epoch && held.stream == stream)
        {
            held.have.remove_all(new);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the place of a batch has many parts and one caller")]
    fn service(
        &mut self,
        node: &NodeId,
        (node_id, stream_id): (i64, i64),
        epoch: Epoch,
        received_ms: i64,
        range: SeqRange,
        new: &RangeSet,
        records: &[ServiceRecord],
    ) -> Result<(), StoreError> {
        for (seq, record) in numbered(range, new, records) {
            let entry = self.cache.node(self.connection, node, received_ms)?;
            dating::learn_from_stamp(self.connection, entry, epoch, &record.stamp, received_ms)?;
            let dated = dating::date(self.connection, node_id, epoch, &record.stamp, received_ms)?;
            let place = Place { node: node_id, stream: stream_id, seq, boot: record.stamp.boot, received_ms };
            insert_record(self.connection, INSERT_SERVICE, &place, dated, &simpul_wire::error::to_vec(record))?;
            self.hours.add(node_id, record, dated);
        }
        Ok(())
    }

    /// False when a loss among the records does not fit the limits: then nothing was written.
    #[expect(clippy::too_many_arguments, reason = "the place of a batch has many parts and one caller")]
    fn events(
        &mut self,
        node: &NodeId,
        (node_id, stream_id): (i64, i64),
        epoch: Epoch,
        received_ms: i64,
        range: SeqRange,
        new: &RangeSet,
        records: &[EventRecord],
    ) -> Result<bool, StoreError> {
        let losses = numbered(range, new, records).filter_map(|(_, record)| match &record.body {
            EventBody::Loss(loss) => Some(*loss),
            _ => None,
        });
        if !self.lose(node, received_ms, &losses.collect::<Vec<_>>())? {
            return Ok(false);
        }
        for (seq, record) in numbered(range, new, records) {
            let stamp = &record.stamp;
            if let EventBody::ClockAnchor { wall_ms, error_ms } = record.body {
                dating::add_anchor(self.connection, node_id, epoch, stamp, (wall_ms, error_ms), received_ms)?;
            }
            let entry = self.cache.node(self.connection, node, received_ms)?;
            dating::learn_from_stamp(self.connection, entry, epoch, stamp, received_ms)?;
            let dated = dating::date(self.connection, node_id, epoch, stamp, received_ms)?;
            let place = Place { node: node_id, stream: stream_id, seq, boot: stamp.boot, received_ms };
            insert_record(self.connection, INSERT_EVENT, &place, dated, &simpul_wire::error::to_vec(record))?;
        }
        Ok(true)
    }

    fn lose(&mut self, node: &NodeId, received_ms: i64, losses: &[Loss]) -> Result<bool, StoreError> {
        let mut before: Vec<(usize, Lost)> = Vec::new();
        for loss in losses {
            let entry = self.cache.node(self.connection, node, received_ms)?;
            let at = entry.stream(self.connection, loss.epoch, loss.stream, received_ms)?;
            let lost = match at {
                Ok(at) => {
                    before.push((at, entry.streams[at].lost.clone()));
                    entry.streams[at].lose(loss.range, loss.reason).is_ok()
                }
                Err(_) => false,
            };
            if !lost {
                for (at, lost) in before.into_iter().rev() {
                    entry.streams[at].lost = lost;
                }
                return Ok(false);
            }
        }
        // The node is in `changed` already: its event stream was placed just before.
        Ok(true)
    }

    #[expect(clippy::too_many_arguments, reason = "the place of a batch has many parts and one caller")]
    fn readings(
        &mut self,
        node: &NodeId,
        (node_id, stream_id): (i64, i64),
        epoch: Epoch,
        received_ms: i64,
        range: SeqRange,
        new: &RangeSet,
        raw: &[u8],
        blocks: Vec<ReadingBlock>,
    ) -> Result<(), StoreError> {
        let entry = self.cache.node(self.connection, node, received_ms)?;
        for block in &blocks {
            dating::learn_from_stamp(self.connection, entry, epoch, &block.base, received_ms)?;
        }
        let part = (new.count() != range.count()).then(|| new.clone());
        let (id, first_seq) = (*self.next_batch_id, range.first());
        self.connection.prepare_cached("INSERT INTO batch VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
            id,
            node_id,
            stream_id,
            received_ms,
            first_seq as i64,
            simpul_wire::error::to_vec(new),
            raw
        ])?;
        self.effects.batches.push(Batch { id, node: node_id, epoch, received_ms, first_seq, new: part, blocks });
        *self.next_batch_id += 1;
        Ok(())
    }

    fn image(&mut self, image: WholeImage) -> Result<Outcome, StoreError> {
        let (epoch, range) = (image.epoch, SeqRange::one(image.seq));
        let stream = Stream::Snapshot;
        match self.place(&image.node, image.received_ms, epoch, stream, range)? {
            Placed::Refused => {
                Ok(Outcome::Refused { placed: Some((epoch, stream, range)), reason: RejectReason::TooManyIntervals })
            }
            Placed::New { node, stream: stream_id, new } => {
                if !new.is_empty() {
                    let entry = self.cache.node(self.connection, &image.node, image.received_ms)?;
                    dating::learn_from_stamp(self.connection, entry, epoch, &image.meta.stamp, image.received_ms)?;
                    snapshots::insert(self.connection, node, stream_id, &image)?;
                    self.effects.snapshot_bytes += u64::from(image.meta.length);
                }
                Ok(Outcome::Committed { stream, epoch, range, new })
            }
        }
    }

    fn state(&mut self, node: &NodeId, received_ms: i64, state: &AgentState) -> Result<Outcome, StoreError> {
        let entry = self.cache.node(self.connection, node, received_ms)?;
        self.connection
            .prepare_cached("UPDATE node SET state = ?1, state_received_ms = ?2 WHERE id = ?3")?
            .execute(params![state.to_vec(), received_ms, entry.id])?;
        // A last will carries the stamp of the connecting, not of now.
        if state.online {
            dating::learn_from_stamp(self.connection, entry, state.epoch, &state.stamp, received_ms)?;
            dating::learn_from_arrival(self.connection, entry, state.epoch, &state.stamp, received_ms)?;
        }
        Ok(Outcome::Noted)
    }
}

/// The records of a batch whose numbers are new, with their numbers.
fn numbered<'r, T>(range: SeqRange, new: &'r RangeSet, records: &'r [T]) -> impl Iterator<Item = (u64, &'r T)> {
    let seqs = range.first()..=range.last();
    seqs.zip(records).filter(|(seq, _)| new.contains(*seq))
}

const INSERT_SERVICE: &str = "INSERT INTO service (node, stream, seq, boot, at_ms, dating, error_ms, received_ms, body)
                              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const INSERT_EVENT: &str = "INSERT INTO event (node, stream, seq, boot, at_ms, dating, error_ms, received_ms, body)
                            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

struct Place {
    node: i64,
    stream: i64,
    seq: u64,
    boot: u32,
    received_ms: i64,
}

fn insert_record(
    connection: &Connection,
    sql: &str,
    place: &Place,
    dated: Dated,
    body: &[u8],
) -> Result<(), StoreError> {
    let (dating, error_ms) = dated.columns();
    // Sequence numbers are kept bit by bit in SQLite's signed integers: they identify, nothing is sorted by them.
    connection.prepare_cached(sql)?.execute(params![
        place.node,
        place.stream,
        place.seq as i64,
        place.boot,
        dated.at_ms,
        dating,
        error_ms,
        place.received_ms,
        body
    ])?;
    Ok(())
}
