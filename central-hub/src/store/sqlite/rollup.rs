//! From batches of readings to minutes, after the commit, from a durable position.
//!
//! A piece is prepared on a reader's connection (decoding, dating, adding up: the bulk of the work) and applied by the
//! writer (a few rows per node and minute). The position moves in the transaction that writes the minutes, so each
//! batch counts once, whatever is cut off where. Batches whose date may still be told better are *parked*: reads
//! overlay them at their estimate, and they are rolled up when a clock anchor has come.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, Row, params};
use simpul_wire::compress::decompress;
use simpul_wire::reading::{ReadingBlock, Value};
use simpul_wire::{Epoch, Label, RangeSet, Unit};

use super::dating::{self, Dated};
use super::intervals::decode_epoch;
use super::latest::{self, Latest};
use super::pack::{Cell, DAY_MINUTES, MINUTE_MS, decode_minute, encode_minute, merge_into};
use super::schema::{meta, set_meta};
use crate::store::StoreError;

/// Batches in one piece: the writer applies it in some milliseconds, so that acknowledgements do not wait for it.
const PIECE_BATCHES_MAX: usize = 2_048;

/// Readings in one piece, over all its batches: bounds memory and time when batches are large.
const PIECE_READINGS_MAX: usize = 200_000;

/// Different metrics in one hub. A node has about twenty; more than this is a fault that invents names.
const METRICS_MAX: usize = 16_384;

/// First bytes of a zstd frame (RFC 8878). A plain body is a CBOR array and begins with 0x80 or more.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A stored batch.
pub(super) struct Batch {
    pub id: i64,
    pub node: i64,
    epoch: Epoch,
    pub received_ms: i64,
    first_seq: u64,
    new: Option<RangeSet>,
    body: Vec<u8>,
}

/// A block of a batch with its base's date.
pub(super) type DatedBlock = (ReadingBlock, Dated);

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
pub(super) fn prepare_next(connection: &Connection, metrics: &mut Metrics) -> Result<Piece, StoreError> {
    metrics.load(connection)?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {BATCH_COLUMNS} FROM batch JOIN stream ON stream.id = batch.stream
         WHERE batch.id > ?1 ORDER BY batch.id LIMIT ?2"
    ))?;
    let mut rows = statement.query(params![position(connection)?, PIECE_BATCHES_MAX as i64])?;
    let mut piece = Piece::default();
    let (mut batches, mut readings) = (0, 0);
    while let Some(row) = rows.next()? {
        let batch = Batch::from_row(row)?;
        piece.position = Some(batch.id);
        let blocks = batch.blocks(connection)?;
        match blocks.iter().find(|(_, dated)| dated.is_open()) {
            Some((block, _)) => piece.parked.push((batch.id, batch.node, block.base.boot, batch.received_ms)),
            None => readings += piece.add(&batch, &blocks, metrics),
        }
        batches += 1;
        if readings > PIECE_READINGS_MAX {
            break;
        }
    }
    piece.more = batches == PIECE_BATCHES_MAX || readings > PIECE_READINGS_MAX;
    piece.metrics = std::mem::take(&mut metrics.fresh);
    Ok(piece)
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
        let blocks = batch.blocks(connection)?;
        if at_estimate || !blocks.iter().any(|(_, dated)| dated.is_open()) {
            piece.add(&batch, &blocks, metrics);
            piece.released.push(batch.id);
        }
    }
    piece.metrics = std::mem::take(&mut metrics.fresh);
    Ok(piece)
}

impl Batch {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Batch {
            id: row.get(0)?,
            node: row.get(1)?,
            epoch: decode_epoch(row.get_ref(2)?.as_blob()?)?,
            received_ms: row.get(3)?,
            first_seq: row.get::<_, i64>(4)? as u64,
            new: row.get_ref(5)?.as_blob_or_null()?.map(minicbor::decode).transpose()?,
            body: row.get(6)?,
        })
    }

    /// Decode and date the blocks. A body that cannot be read any more counts as empty: it must not stop all others.
    pub(super) fn blocks(&self, connection: &Connection) -> Result<Vec<DatedBlock>, StoreError> {
        let blocks = match self.decode() {
            Ok(blocks) => blocks,
            Err(error) => {
                tracing::error!(batch = self.id, %error, "a stored batch of readings cannot be read: it is passed over");
                return Ok(Vec::new());
            }
        };
        let date = |block: ReadingBlock| {
            let dated = dating::date(connection, self.node, self.epoch, &block.base, self.received_ms)?;
            Ok((block, dated))
        };
        blocks.into_iter().map(date).collect()
    }

    fn decode(&self) -> Result<Vec<ReadingBlock>, StoreError> {
        if self.body.starts_with(&ZSTD_MAGIC) {
            Ok(minicbor::decode(&decompress(&self.body)?)?)
        } else {
            Ok(minicbor::decode(&self.body)?)
        }
    }

    /// Every series with the readings that this batch brought first, dated.
    pub(super) fn for_each_series(&self, blocks: &[DatedBlock], mut each: impl FnMut(&Label, Unit, &[(i64, Value)])) {
        let mut seq = self.first_seq;
        let mut points = Vec::new();
        for (block, dated) in blocks {
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

impl Piece {
    /// Add a batch up. Returns how many readings it had.
    fn add(&mut self, batch: &Batch, blocks: &[DatedBlock], metrics: &mut Metrics) -> usize {
        let mut readings = 0;
        batch.for_each_series(blocks, |name, unit, points| {
            readings += points.len();
            let Some(metric) = metrics.id(name) else {
                tracing::error!(metric = %name, "too many different metrics: this one is not rolled up");
                return;
            };
            let newest = points.iter().max_by_key(|(at_ms, _)| *at_ms);
            if let Some((at_ms, value)) = newest {
                latest::keep_newer(self.latest.entry(batch.node).or_default(), metric, (unit, *at_ms, *value));
            }
            for run in points.chunk_by(|a, b| a.0.div_euclid(MINUTE_MS) == b.0.div_euclid(MINUTE_MS)) {
                let cell = sum(run.iter().map(|(_, value)| *value));
                let minute = run[0].0.div_euclid(MINUTE_MS);
                merge_into(self.minutes.entry((minute, batch.node)).or_default(), metric, &cell);
            }
        });
        readings
    }

    /// Write it. The caller's transaction makes position and minutes one.
    pub(super) fn apply(&self, connection: &Connection, now_ms: i64) -> Result<(), StoreError> {
        for (id, name) in &self.metrics {
            connection.prepare_cached("INSERT INTO metric VALUES (?1, ?2)")?.execute(params![id, name.as_str()])?;
        }
        let mut days = BTreeSet::new();
        let mut held = connection.prepare_cached("SELECT body FROM tail WHERE minute = ?1 AND node = ?2")?;
        let mut put = connection.prepare_cached("INSERT OR REPLACE INTO tail VALUES (?1, ?2, ?3)")?;
        for ((minute, node), cells) in &self.minutes {
            let old: Option<Vec<u8>> = held.query_row(params![minute, node], |row| row.get(0)).optional()?;
            let body = match old {
                None => encode_minute(cells),
                Some(old) => {
                    let mut merged = decode_minute(&old)?;
                    for (metric, cell) in cells {
                        merge_into(&mut merged, *metric, cell);
                    }
                    encode_minute(&merged)
                }
            };
            put.execute(params![minute, node, body])?;
            days.insert((*node, minute.div_euclid(DAY_MINUTES)));
        }
        for (node, day) in days {
            connection
                .prepare_cached("INSERT OR IGNORE INTO dirty VALUES (?1, ?2, ?3)")?
                .execute(params![node, day, now_ms])?;
        }
        for (node, fresh) in &self.latest {
            latest::store(connection, *node, fresh)?;
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
    mut each: impl FnMut(&Batch, &[DatedBlock]),
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
            each(&batch, &batch.blocks(connection)?);
        }
    }
    Ok(())
}
