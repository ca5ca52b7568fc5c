//! Sealing: when a day is over, a node's minutes become one block per metric (minutes, hours and the day), and leave
//! the tail. Late data waits in the tail, where reads see it, and the day is sealed once more.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::pack::{
    Cell, DAY_MINUTES, DAY_MS, HOUR_MS, MINUTE_MS, decode_cells, decode_minute, encode_cell, encode_cells, merge_into,
};
use super::readings::for_each_minute;
use crate::store::StoreError;

/// A day is sealed two hours after it ended: most stragglers are in by then.
const GRACE_MS: i64 = 2 * HOUR_MS;

/// Late data gathers for ten minutes before its day is sealed again: a draining backlog would else rewrite the same
/// blocks with every batch.
const LATE_MS: i64 = 10 * MINUTE_MS;

/// Node-days in one piece: some milliseconds each to prepare, one to apply.
const PIECE_DAYS_MAX: i64 = 4;

/// One metric's block: minutes, hours, the day.
struct Block {
    metric: u32,
    whole: Vec<u8>,
    hours: Vec<u8>,
    minutes: Vec<u8>,
}

/// A node's day that is ready to be written.
pub(super) struct Sealed {
    node: i64,
    day: i64,
    blocks: Vec<Block>,
}

/// Prepare the oldest days that are over.
pub(super) fn prepare(connection: &Connection, now_ms: i64) -> Result<Vec<Sealed>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT node, day FROM dirty WHERE day < ?1 AND since_ms <= ?2 ORDER BY day LIMIT ?3")?;
    // A day is over when the day that `now - grace` falls into is a later one.
    let today = (now_ms - GRACE_MS).div_euclid(DAY_MS);
    let due = statement
        .query_map(params![today, now_ms - LATE_MS, PIECE_DAYS_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(i64, i64)>, _>>()?;
    due.into_iter().map(|(node, day)| prepare_day(connection, node, day)).collect()
}

fn prepare_day(connection: &Connection, node: i64, day: i64) -> Result<Sealed, StoreError> {
    let first = day * DAY_MINUTES;
    let mut metrics: BTreeMap<u32, Vec<(u16, Cell)>> = BTreeMap::new();
    for_each_minute(connection, node, day, (first, first + DAY_MINUTES), |minute, body| {
        // Within a day: 0 to 1,439.
        let index = u16::try_from(minute - first).unwrap_or(u16::MAX);
        for (metric, cell) in decode_minute(body)? {
            metrics.entry(metric).or_default().push((index, cell));
        }
        Ok(())
    })?;
    let mut blocks = Vec::with_capacity(metrics.len());
    let mut statement =
        connection.prepare_cached("SELECT minutes FROM block WHERE node = ?1 AND metric = ?2 AND day = ?3")?;
    for (metric, mut minutes) in metrics {
        let sealed: Option<Vec<u8>> = statement.query_row(params![node, metric, day], |row| row.get(0)).optional()?;
        if let Some(sealed) = sealed {
            for (index, cell) in decode_cells(&sealed)? {
                merge_into(&mut minutes, index, &cell);
            }
        }
        let mut hours: Vec<(u16, Cell)> = Vec::with_capacity(24);
        let mut whole = Cell::EMPTY;
        for (index, cell) in &minutes {
            merge_into(&mut hours, index / 60, cell);
            whole.merge(cell);
        }
        blocks.push(Block {
            metric,
            whole: encode_cell(&whole),
            hours: encode_cells(&hours),
            minutes: encode_cells(&minutes),
        });
    }
    Ok(Sealed { node, day, blocks })
}

impl Sealed {
    /// Write the blocks and take the minutes out of the tail, in the caller's transaction.
    pub(super) fn apply(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut put = connection.prepare_cached(
            "INSERT INTO block (node, metric, day, whole, hours, minutes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (node, metric, day) DO UPDATE SET
             whole = excluded.whole, hours = excluded.hours, minutes = excluded.minutes",
        )?;
        for block in &self.blocks {
            put.execute(params![self.node, block.metric, self.day, block.whole, block.hours, block.minutes])?;
        }
        let mut take = connection.prepare_cached("DELETE FROM tail WHERE minute = ?1 AND node = ?2")?;
        for minute in self.day * DAY_MINUTES..(self.day + 1) * DAY_MINUTES {
            take.execute(params![minute, self.node])?;
        }
        connection
            .prepare_cached("DELETE FROM dirty WHERE node = ?1 AND day = ?2")?
            .execute(params![self.node, self.day])?;
        Ok(())
    }
}
