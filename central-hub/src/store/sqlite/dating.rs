//! When something happened, on machines without a clock battery.
//!
//! In order of trust: the record's own synchronised clock; the nearest clock anchor of the same (epoch, boot); the
//! start of that boot as other records or the agent's state showed it; the same boot number of another epoch; the
//! boots before and after. What comes by the last three is an estimate; without any of them a record has no date and
//! stands at its arrival. Terms: the *start* of a boot is the wall time at which its uptime was 0.

use rusqlite::{Connection, OptionalExtension, params};
use simpul_wire::{Epoch, Stamp};

use super::intervals::NodeEntry;
use crate::store::{Dating, StoreError};

/// 2024-01-01T00:00:00Z: no agent is older, so an earlier wall time is a clock that was never set.
const WALL_MS_MIN: i64 = 1_704_067_200_000;

/// A clock more than a day ahead of the arrival is wrong, whatever it says of itself.
const AHEAD_MS_MAX: i64 = 86_400_000;

/// Drift of a machine's own clock against an anchor: 100 ppm, the worst that cheap crystals are sold with.
const DRIFT_DIVISOR: u64 = 10_000;

/// How a boot's start is known: from a record's synchronised clock.
const BY_CLOCK: u8 = 1;

/// How a boot's start is known: from the arrival of a live state message.
const BY_ARRIVAL: u8 = 2;

/// A date and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dated {
    pub at_ms: i64,
    pub dating: Dating,
}

impl Dated {
    /// The numbers of the columns `dating` and `error_ms`.
    pub(super) fn columns(&self) -> (u8, u32) {
        match self.dating {
            Dating::Clock => (0, 0),
            Dating::Anchor(error_ms) => (1, error_ms),
            Dating::Estimated => (2, 0),
            Dating::Undated => (3, 0),
        }
    }

    /// Whether a later anchor could still tell better.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.dating, Dating::Estimated | Dating::Undated)
    }
}

/// The inverse of [`Dated::columns`].
pub(super) fn dating_from(number: u8, error_ms: u32) -> Dating {
    match number {
        0 => Dating::Clock,
        1 => Dating::Anchor(error_ms),
        2 => Dating::Estimated,
        _ => Dating::Undated,
    }
}

/// Whether a wall time can be true for something that has arrived at `received_ms`.
pub(super) fn plausible(wall_ms: i64, received_ms: i64) -> bool {
    wall_ms >= WALL_MS_MIN && wall_ms <= received_ms.saturating_add(AHEAD_MS_MAX)
}

/// `start + uptime` on clocks that may say anything.
fn at(start_ms: i64, uptime_ms: u64) -> i64 {
    start_ms.saturating_add(i64::try_from(uptime_ms).unwrap_or(i64::MAX))
}

/// Date a stamp. Reads the database only when the stamp has no wall time of its own.
pub(super) fn date(
    connection: &Connection,
    node: i64,
    epoch: Epoch,
    stamp: &Stamp,
    received_ms: i64,
) -> Result<Dated, StoreError> {
    if let Some(wall_ms) = stamp.wall_ms.filter(|wall| plausible(*wall, received_ms)) {
        return Ok(Dated { at_ms: wall_ms, dating: Dating::Clock });
    }
    let found = match anchored(connection, node, epoch, stamp)? {
        Some(dated) => Some(dated),
        None => estimated(connection, node, epoch, stamp, received_ms)?,
    };
    let undated = Dated { at_ms: received_ms, dating: Dating::Undated };
    Ok(found.filter(|dated| plausible(dated.at_ms, received_ms)).unwrap_or(undated))
}

fn anchored(connection: &Connection, node: i64, epoch: Epoch, stamp: &Stamp) -> Result<Option<Dated>, StoreError> {
    let uptime = i64::try_from(stamp.uptime_ms).unwrap_or(i64::MAX);
    let key = params![node, stamp.boot, epoch.as_bytes().as_slice(), uptime];
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, u32>(2)?));
    let before = connection
        .prepare_cached(
            "SELECT uptime_ms, wall_ms, error_ms FROM anchor
             WHERE node = ?1 AND boot = ?2 AND epoch = ?3 AND uptime_ms <= ?4 ORDER BY uptime_ms DESC LIMIT 1",
        )?
        .query_row(key, read)
        .optional()?;
    let after = connection
        .prepare_cached(
            "SELECT uptime_ms, wall_ms, error_ms FROM anchor
             WHERE node = ?1 AND boot = ?2 AND epoch = ?3 AND uptime_ms > ?4 ORDER BY uptime_ms LIMIT 1",
        )?
        .query_row(key, read)
        .optional()?;
    let nearest = [before, after].into_iter().flatten().min_by_key(|(anchor, ..)| anchor.abs_diff(uptime));
    Ok(nearest.map(|(anchor, wall_ms, error_ms)| {
        let drift_ms = u32::try_from(anchor.abs_diff(uptime) / DRIFT_DIVISOR).unwrap_or(u32::MAX);
        let at_ms = wall_ms.saturating_add(uptime.saturating_sub(anchor));
        Dated { at_ms, dating: Dating::Anchor(error_ms.saturating_add(drift_ms)) }
    }))
}

fn estimated(
    connection: &Connection,
    node: i64,
    epoch: Epoch,
    stamp: &Stamp,
    received_ms: i64,
) -> Result<Option<Dated>, StoreError> {
    // The own epoch's first: a cloned card counts boots on from the same number on another machine.
    let start: Option<i64> = connection
        .prepare_cached(
            "SELECT start_ms FROM boot WHERE node = ?1 AND boot = ?2 ORDER BY epoch = ?3 DESC, quality LIMIT 1",
        )?
        .query_row(params![node, stamp.boot, epoch.as_bytes().as_slice()], |row| row.get(0))
        .optional()?;
    if let Some(start_ms) = start {
        return Ok(Some(Dated { at_ms: at(start_ms, stamp.uptime_ms), dating: Dating::Estimated }));
    }
    let neighbour = |sql: &str| -> Result<Option<i64>, StoreError> {
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![node, stamp.boot], |row| row.get(0)).optional()?)
    };
    let before = neighbour("SELECT start_ms FROM boot WHERE node = ?1 AND boot < ?2 ORDER BY boot DESC LIMIT 1")?;
    let after = neighbour("SELECT start_ms FROM boot WHERE node = ?1 AND boot > ?2 ORDER BY boot LIMIT 1")?;
    let (Some(before), Some(after)) = (before, after) else { return Ok(None) };
    // It began after the boot before began, and was over when the next one began.
    let at_ms = at(before, stamp.uptime_ms).min(after).min(received_ms);
    Ok(Some(Dated { at_ms, dating: Dating::Estimated }))
}

/// Remember a clock anchor, and that open dates of its boot are to be told again. An impossible one is passed over.
pub(super) fn add_anchor(
    connection: &Connection,
    node: i64,
    epoch: Epoch,
    stamp: &Stamp,
    (wall_ms, error_ms): (i64, u32),
    received_ms: i64,
) -> Result<(), StoreError> {
    if !plausible(wall_ms, received_ms) {
        return Ok(());
    }
    let uptime = i64::try_from(stamp.uptime_ms).unwrap_or(i64::MAX);
    connection.prepare_cached("INSERT OR REPLACE INTO anchor VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        node,
        epoch.as_bytes().as_slice(),
        stamp.boot,
        uptime,
        wall_ms,
        error_ms
    ])?;
    ask_again(connection, node, Some(stamp.boot))
}

/// Learn when a boot began from a stamp with a good clock. One write per boot, not per record.
pub(super) fn learn_from_stamp(
    connection: &Connection,
    entry: &mut NodeEntry,
    epoch: Epoch,
    stamp: &Stamp,
    received_ms: i64,
) -> Result<(), StoreError> {
    let Some(wall_ms) = stamp.wall_ms.filter(|wall| plausible(*wall, received_ms)) else { return Ok(()) };
    let start_ms = wall_ms.saturating_sub(i64::try_from(stamp.uptime_ms).unwrap_or(i64::MAX));
    learn(connection, entry, epoch, stamp.boot, start_ms, BY_CLOCK)
}

/// Learn when a boot began from the arrival of a state that was said just now.
pub(super) fn learn_from_arrival(
    connection: &Connection,
    entry: &mut NodeEntry,
    epoch: Epoch,
    stamp: &Stamp,
    received_ms: i64,
) -> Result<(), StoreError> {
    let start_ms = received_ms.saturating_sub(i64::try_from(stamp.uptime_ms).unwrap_or(i64::MAX));
    learn(connection, entry, epoch, stamp.boot, start_ms, BY_ARRIVAL)
}

/// Boots remembered per node in memory: older ones only cost a write that changes nothing.
const BOOTS_IN_MEMORY_MAX: usize = 64;

fn learn(
    connection: &Connection,
    entry: &mut NodeEntry,
    epoch: Epoch,
    boot: u32,
    start_ms: i64,
    quality: u8,
) -> Result<(), StoreError> {
    if entry.boots.get(&(epoch, boot)).is_some_and(|known| *known <= quality) {
        return Ok(());
    }
    if entry.boots.len() >= BOOTS_IN_MEMORY_MAX {
        entry.boots.clear();
    }
    entry.boots.insert((epoch, boot), quality);
    let changed = connection
        .prepare_cached(
            "INSERT INTO boot VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (node, boot, epoch)
             DO UPDATE SET start_ms = excluded.start_ms, quality = excluded.quality
             WHERE excluded.quality < quality",
        )?
        .execute(params![entry.id, boot, epoch.as_bytes().as_slice(), start_ms, quality])?;
    // A new boot is also a neighbour: every open date of the node may be told better now.
    if changed > 0 { ask_again(connection, entry.id, None) } else { Ok(()) }
}

/// Note boots whose open dates are to be told again by maintenance: one boot, or all of the node.
fn ask_again(connection: &Connection, node: i64, boot: Option<u32>) -> Result<(), StoreError> {
    for (table, open) in
        [("service", "dating >= 2"), ("event", "dating >= 2"), ("snapshot", "dating >= 2"), ("parked", "1")]
    {
        let sql = format!(
            "INSERT INTO redate SELECT DISTINCT node, boot, 1 FROM {table}
             WHERE node = ?1 AND {open} AND (?2 IS NULL OR boot = ?2)
             ON CONFLICT (node, boot) DO UPDATE SET asked = asked + 1"
        );
        connection.prepare_cached(&sql)?.execute(params![node, boot])?;
    }
    Ok(())
}
