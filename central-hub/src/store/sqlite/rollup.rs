//! From batches of readings to minutes, after the commit, from a durable position.
//!
//! A piece is prepared on a reader's connection (dating, adding up, merging with what is stored: the bulk of the work)
//! and applied by the writer (a row per node and minute). The position moves in the transaction that writes the
//! minutes, so each batch counts once, whatever is cut off where. Batches come decoded from the commit where
//! [`super::handover`] has them, else they are read and decoded. Batches whose date may still be told better are
//! *parked*: reads overlay them at their estimate, and they are rolled up when a clock anchor has come.
//!
//! What a piece merges with (tail, dirty days, newest readings) is written by maintenance alone, one piece at a time,
//! so it cannot change between preparing and applying.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, Row, params};
use simpul_wire::compress::decompress;
use simpul_wire::reading::{ReadingBlock, Value};
use simpul_wire::{Epoch, Label, RangeSet, Unit};

use super::dating::{self, Dated};
use super::handover::Handover;
use super::intervals::decode_epoch;
use super::latest::{self, Latest};
use super::pack::{Cell, DAY_MINUTES, MINUTE_MS, decode_minute, encode_minute, merge_into};
use super::schema::{meta, set_meta};
use crate::store::StoreError;

/// Batches in one piece: the writer applies it in some milliseconds, so that acknowledgements do not wait for it.
pub(super) const PIECE_BATCHES_MAX: usize = 2_048;

/// Readings in one piece, over all its batches: bounds memory and time when batches are large.
pub(super) const PIECE_READINGS_MAX: usize = 200_000;

/// Different metrics in one hub. A node has about twenty; more than this is a fault that invents names.
const METRICS_MAX: usize = 16_384;

/// First bytes of a zstd frame (RFC 8878). A plain body is a CBOR array and begins with 0x80 or more.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A stored batch, decoded.
pub(super) struct Batch {
    pub id: i64,
    pub node: i64,
    pub epoch: Epoch,
    pub received_ms: i64,
    pub first_seq: u64,
    /// Which of its numbers it brought first, if not all.
    pub new: Option<RangeSet>,
    pub blocks: Vec<ReadingBlock>,
}

const BATCH_COLUMNS: &str =
    "batch.id, batch.node, stream.epoch, batch.received_ms, batch.first_seq, batch.new, batch.body";

/// Ids of metrics by name. Only maintenance gives new ones, and there is one at a time.
#[derive(Default)]
pub(super) struct Metrics {
    ids: HashMap<Label, u32>,
    fresh: Vec<(u32, Label)>,
    loaded: bool,
}

/// A piece that is ready to be applied.
#[derive(Default)]
pub(super) struct Piece {
    /// The position after it; `None` for parked batches.
    position: Option<i64>,
    minutes: BTreeMap<(i64, i64), Vec<(u32, Cell)>>,
    latest: HashMap<i64, Latest>,
    /// Rows of `tail`, `dirty` and `latest` to be put: what is above, merged with what is stored.
    tail: Vec<(i64, i64, Vec<u8>)>,
    dirty: BTreeSet<(i64, i64)>,
    newest: Vec<(i64, Vec<u8>)>,
    metrics: Vec<(u32, Label)>,
    parked: Vec<(i64, i64, u32, i64)>,
    released: Vec<i64>,
    /// Whether there is probably more to do.
    pub more: bool,
}

impl Piece {
    pub(super) fn is_empty(&self) -> bool {
        self.position.is_none() && self.released.is_empty()
    }
}

impl Metrics {
    fn load(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if self.loaded {
            return Ok(());
        }
        let mut statement = connection.prepare_cached("SELECT id, name FROM metric")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            self.ids.insert(row.get::<_, String>(1)?.parse()?, row.get(0)?);
        }
        self.loaded = true;
        Ok(())
    }

    /// Forget what was not stored, after a piece failed.
    pub(super) fn reset(&mut self) {
        *self = Metrics::default();
    }

    fn id(&mut self, name: &Label) -> Option<u32> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        let id = u32::try_from(self.ids.len() + 1).ok().filter(|id| *id as usize <= METRICS_MAX)?;
        self.ids.insert(name.clone(), id);
        self.fresh.push((id, name.clone()));
        Some(id)
    }
}

/// The position up to which batches are rolled up.
pub(super) fn position(connection: &Connection) -> Result<i64, StoreError> {
    Ok(meta(connection, "rolled_up_to")?.unwrap_or(0))
}

/// Prepare the next batches behind the position.
pub(super) fn prepare_next(
    connection: &Connection,
    metrics: &mut Metrics,
    handover: &Handover,
) -> Result<Piece, StoreError> {
    // Before the first read: what the transaction then sees is at least as new as every batch taken here.
    let mut given = handover.take(PIECE_BATCHES_MAX, PIECE_READINGS_MAX);
    metrics.load(connection)?;
    let position = position(connection)?;
    given.retain(|batch| batch.id > position);
    let mut piece = Piece::default();
    match given.first().map(|batch| batch.id) {
        Some(first) if first == position + 1 => {
            for batch in &given {
                piece.take_in(connection, batch, metrics)?;
            }
            piece.more = true;
        }
        first => {
            // Not handed over (a start, a full handover): as stored, up to where the handover goes on.
            handover.give_back(given);
            let end = first.unwrap_or(i64::MAX);
            piece.more = prepare_stored(connection, metrics, &mut piece, position..end)? || first.is_some();
        }
    }
    piece.finish(connection, metrics)?;
    Ok(piece)
}

/// Batches between two ids from their rows. Whether there are probably more of them.
fn prepare_stored(
    connection: &Connection,
    metrics: &mut Metrics,
    piece: &mut Piece,
    ids: std::ops::Range<i64>,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {BATCH_COLUMNS} FROM batch JOIN stream ON stream.id = batch.stream
         WHERE batch.id > ?1 AND batch.id < ?2 ORDER BY batch.id LIMIT ?3"
    ))?;
    let mut rows = statement.query(params![ids.start, ids.end, PIECE_BATCHES_MAX as i64])?;
    let (mut batches, mut readings) = (0, 0);
    while let Some(row) = rows.next()? {
        let batch = Batch::from_row(row)?;
        readings += piece.take_in(connection, &batch, metrics)?;
        batches += 1;
        if readings > PIECE_READINGS_MAX {
            break;
        }
    }
    Ok(batches == PIECE_BATCHES_MAX || readings > PIECE_READINGS_MAX)
}

/// Prepare parked batches: those that are dated by now, or all of them (`at_estimate`), when waiting has no more sense.
pub(super) fn prepare_parked(
    connection: &Connection,
    metrics: &mut Metrics,
    batches: &[i64],
    at_estimate: bool,
) -> Result<Piece, StoreError> {
    metrics.load(connection)?;
    let mut piece = Piece::default();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {BATCH_COLUMNS} FROM batch JOIN stream ON stream.id = batch.stream WHERE batch.id = ?1"
    ))?;
    for id in batches {
        let Some(batch) = statement.query_row([id], |row| Ok(Batch::from_row(row))).optional()?.transpose()? else {
            continue;
        };
        let dates = batch.dates(connection)?;
        if at_estimate || !dates.iter().any(Dated::is_open) {
            piece.add(&batch, &dates, metrics);
            piece.released.push(batch.id);
        }
    }
    piece.finish(connection, metrics)?;
    Ok(piece)
}

impl Batch {
    /// A body that cannot be read any more counts as empty: it must not stop all others.
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let id = row.get(0)?;
        let blocks = decode(row.get_ref(6)?.as_blob()?).unwrap_or_else(|error| {
            tracing::error!(batch = id, %error, "a stored batch of readings cannot be read: it is passed over");
            Vec::new()
        });
        Ok(Batch {
            id,
            node: row.get(1)?,
            epoch: decode_epoch(row.get_ref(2)?.as_blob()?)?,
            received_ms: row.get(3)?,
            first_seq: row.get::<_, i64>(4)? as u64,
            new: row.get_ref(5)?.as_blob_or_null()?.map(minicbor::decode).transpose()?,
            blocks,
        })
    }

    /// The dates of the blocks' bases.
    pub(super) fn dates(&self, connection: &Connection) -> Result<Vec<Dated>, StoreError> {
        let date =
            |block: &ReadingBlock| dating::date(connection, self.node, self.epoch, &block.base, self.received_ms);
        self.blocks.iter().map(date).collect()
    }

    /// Every series with the readings that this batch brought first, dated.
    pub(super) fn for_each_series(&self, dates: &[Dated], mut each: impl FnMut(&Label, Unit, &[(i64, Value)])) {
        let mut seq = self.first_seq;
        let mut points = Vec::new();
        for (block, dated) in self.blocks.iter().zip(dates) {
            for series in &block.series {
                points.clear();
                for point in &series.points {
                    if self.new.as_ref().is_none_or(|new| new.contains(seq)) {
                        let offset = point.uptime_ms.wrapping_sub(block.base.uptime_ms) as i64;
                        let at_ms = dated.at_ms.saturating_add(offset);
                        // An uptime that leads nowhere: the reading counts, at its arrival.
                        let at_ms = if dating::plausible(at_ms, self.received_ms) { at_ms } else { self.received_ms };
                        points.push((at_ms, point.value));
                    }
                    seq = seq.wrapping_add(1);
                }
                if !points.is_empty() {
                    each(&series.metric, series.unit, &points);
                }
            }
        }
    }
}

fn decode(body: &[u8]) -> Result<Vec<ReadingBlock>, StoreError> {
    if body.starts_with(&ZSTD_MAGIC) { Ok(minicbor::decode(&decompress(body)?)?) } else { Ok(minicbor::decode(body)?) }
}

impl Piece {
    /// Add the batch behind the position up, or park it. Returns how many readings were added.
    fn take_in(&mut self, connection: &Connection, batch: &Batch, metrics: &mut Metrics) -> Result<usize, StoreError> {
        self.position = Some(batch.id);
        let dates = batch.dates(connection)?;
        let open = batch.blocks.iter().zip(&dates).find(|(_, dated)| dated.is_open());
        if let Some((block, _)) = open {
            self.parked.push((batch.id, batch.node, block.base.boot, batch.received_ms));
            return Ok(0);
        }
        Ok(self.add(batch, &dates, metrics))
    }

    /// Add a batch up. Returns how many readings it had.
    fn add(&mut self, batch: &Batch, dates: &[Dated], metrics: &mut Metrics) -> usize {
        let mut readings = 0;
        // A batch spans few minutes and has many metrics: gathered by minute first, each minute is looked up once.
        let mut minutes: Vec<(i64, Vec<(u32, Cell)>)> = Vec::new();
        let latest = self.latest.entry(batch.node).or_default();
        batch.for_each_series(dates, |name, unit, points| {
            readings += points.len();
            let Some(metric) = metrics.id(name) else {
                tracing::error!(metric = %name, "too many different metrics: this one is not rolled up");
                return;
            };
            let newest = points.iter().max_by_key(|(at_ms, _)| *at_ms);
            if let Some((at_ms, value)) = newest {
                latest::keep_newer(latest, metric, (unit, *at_ms, *value));
            }
            for run in points.chunk_by(|a, b| a.0.div_euclid(MINUTE_MS) == b.0.div_euclid(MINUTE_MS)) {
                let cell = sum(run.iter().map(|(_, value)| *value));
                let minute = run[0].0.div_euclid(MINUTE_MS);
                match minutes.iter_mut().find(|(known, _)| *known == minute) {
                    Some((_, cells)) => cells.push((metric, cell)),
                    None => minutes.push((minute, vec![(metric, cell)])),
                }
            }
        });
        for (minute, cells) in minutes {
            let held = match self.minutes.entry((minute, batch.node)) {
                Entry::Vacant(vacant) => vacant.insert(Vec::with_capacity(cells.len())),
                Entry::Occupied(occupied) => occupied.into_mut(),
            };
            for (metric, cell) in &cells {
                merge_into(held, *metric, cell);
            }
        }
        readings
    }

    /// Merge with what is stored, so that the writer only has to put rows.
    fn finish(&mut self, connection: &Connection, metrics: &mut Metrics) -> Result<(), StoreError> {
        self.metrics = std::mem::take(&mut metrics.fresh);
        let newest: Option<i64> = connection.query_row("SELECT max(minute) FROM tail", [], |row| row.get(0))?;
        let mut held = connection.prepare_cached("SELECT body FROM tail WHERE minute = ?1 AND node = ?2")?;
        for ((minute, node), cells) in std::mem::take(&mut self.minutes) {
            let mut old = None;
            // Most minutes are newer than any that is stored.
            if newest.is_some_and(|newest| minute <= newest) {
                old = held.query_row(params![minute, node], |row| row.get::<_, Vec<u8>>(0)).optional()?;
            }
            let body = match old {
                None => encode_minute(&cells),
                Some(old) => {
                    let mut merged = decode_minute(&old)?;
                    for (metric, cell) in &cells {
                        merge_into(&mut merged, *metric, cell);
                    }
                    encode_minute(&merged)
                }
            };
            self.tail.push((minute, node, body));
            self.dirty.insert((node, minute.div_euclid(DAY_MINUTES)));
        }
        let mut known = connection.prepare_cached("SELECT 1 FROM dirty WHERE node = ?1 AND day = ?2")?;
        let mut fresh = BTreeSet::new();
        for (node, day) in std::mem::take(&mut self.dirty) {
            if !known.exists(params![node, day])? {
                fresh.insert((node, day));
            }
        }
        self.dirty = fresh;
        for (node, fresh) in std::mem::take(&mut self.latest) {
            self.newest.push((node, latest::merged(connection, node, &fresh)?));
        }
        Ok(())
    }

    /// Write it. The caller's transaction makes position and minutes one.
    pub(super) fn apply(&self, connection: &Connection, now_ms: i64) -> Result<(), StoreError> {
        for (id, name) in &self.metrics {
            connection.prepare_cached("INSERT INTO metric VALUES (?1, ?2)")?.execute(params![id, name.as_str()])?;
        }
        let mut put = connection.prepare_cached("INSERT OR REPLACE INTO tail VALUES (?1, ?2, ?3)")?;
        for (minute, node, body) in &self.tail {
            put.execute(params![minute, node, body])?;
        }
        let mut mark = connection.prepare_cached("INSERT OR IGNORE INTO dirty VALUES (?1, ?2, ?3)")?;
        for (node, day) in &self.dirty {
            mark.execute(params![node, day, now_ms])?;
        }
        let mut put = connection.prepare_cached("INSERT OR REPLACE INTO latest VALUES (?1, ?2)")?;
        for (node, body) in &self.newest {
            put.execute(params![node, body])?;
        }
        for (batch, node, boot, received_ms) in &self.parked {
            connection.prepare_cached("INSERT OR IGNORE INTO parked VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                batch,
                node,
                boot,
                received_ms
            ])?;
        }
        for batch in &self.released {
            connection.prepare_cached("DELETE FROM parked WHERE batch = ?1")?.execute([batch])?;
        }
        match self.position {
            Some(position) => set_meta(connection, "rolled_up_to", position),
            None => Ok(()),
        }
    }
}

/// One cell of some values.
pub(super) fn sum(values: impl Iterator<Item = Value>) -> Cell {
    let mut cell = Cell::EMPTY;
    for value in values {
        match value {
            Value::Number(number) => cell.add(number),
            Value::Missing(_) => cell.missing += 1,
        }
    }
    cell
}

/// Batches that no minute holds yet, of one node or of all: what reads overlay.
pub(super) fn not_rolled_up(
    connection: &Connection,
    node: Option<i64>,
    mut each: impl FnMut(&Batch, &[Dated]),
) -> Result<(), StoreError> {
    let behind = format!(
        "SELECT {BATCH_COLUMNS} FROM batch JOIN stream ON stream.id = batch.stream
         WHERE batch.id > ?1 AND (?2 IS NULL OR batch.node = ?2)"
    );
    let parked = format!(
        "SELECT {BATCH_COLUMNS} FROM parked JOIN batch ON batch.id = parked.batch JOIN stream ON stream.id = batch.stream
         WHERE batch.id <= ?1 AND (?2 IS NULL OR parked.node = ?2)"
    );
    let position = position(connection)?;
    for sql in [behind, parked] {
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![position, node])?;
        while let Some(row) = rows.next()? {
            let batch = Batch::from_row(row)?;
            each(&batch, &batch.dates(connection)?);
        }
    }
    Ok(())
}
