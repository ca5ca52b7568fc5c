//! Telling dates again when a clock anchor has come: rows of that boot move to their new date, their hours are summed
//! anew, parked readings are rolled up. Bounded pieces; a boot is asked for until nothing newer was learnt meanwhile.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};
use simpul_wire::Stamp;
use simpul_wire::event::EventRecord;
use simpul_wire::image::ImageMeta;
use simpul_wire::service::ServiceRecord;

use super::dating;
use super::intervals::decode_epoch;
use super::pack::HOUR_MS;
use super::service::sum_again;
use crate::store::StoreError;

/// Rows told again in one piece.
const ROWS_MAX: usize = 500;

/// Parked batches looked at in one piece.
pub(super) const PARKED_MAX: usize = 256;

/// Readings wait a week for a date: an agent that has met no clock by then is broken, and its estimates stand.
pub(super) const PARKED_MS_MAX: i64 = 7 * 86_400_000;

/// Parked batches in one hub: reads decode those of their node each time.
pub(super) const PARKED_BATCHES_MAX: i64 = 20_000;

/// A boot to be told again. `asked` tells whether something was learnt while it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    pub node: i64,
    pub boot: u32,
    asked: i64,
}

/// The tables with records, in the order they are told again.
pub(super) const TABLES: [&str; 3] = ["service", "event", "snapshot"];

/// The next boot.
pub(super) fn next(connection: &Connection) -> Result<Option<Task>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT node, boot, asked FROM redate LIMIT 1")?;
    let task = |row: &rusqlite::Row<'_>| Ok(Task { node: row.get(0)?, boot: row.get(1)?, asked: row.get(2)? });
    Ok(statement.query_row([], task).optional()?)
}

/// Done, unless more was learnt meanwhile.
pub(super) fn done(connection: &Connection, task: &Task) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM redate WHERE node = ?1 AND boot = ?2 AND asked = ?3")?
        .execute(params![task.node, task.boot, task.asked])?;
    Ok(())
}

/// Tell the open rows of one table again, those after `after`; returns where to go on, `None` at the end.
pub(super) fn rows(connection: &Connection, task: &Task, table: &str, after: i64) -> Result<Option<i64>, StoreError> {
    let mut open = connection.prepare_cached(&format!(
        "SELECT {table}.id, stream.epoch, {table}.received_ms, {table}.at_ms, {table}.dating, {table}.body
         FROM {table} JOIN stream ON stream.id = {table}.stream
         WHERE {table}.node = ?1 AND {table}.boot = ?2 AND {table}.dating >= 2 AND {table}.id > ?3
         ORDER BY {table}.id LIMIT ?4"
    ))?;
    let mut put = connection
        .prepare_cached(&format!("UPDATE {table} SET at_ms = ?1, dating = ?2, error_ms = ?3 WHERE id = ?4"))?;
    let mut hours = BTreeSet::new();
    let mut changes = Vec::new();
    let (mut seen, mut last) = (0, after);
    let mut rows = open.query(params![task.node, task.boot, after, ROWS_MAX as i64])?;
    while let Some(row) = rows.next()? {
        (seen, last) = (seen + 1, row.get(0)?);
        let epoch = decode_epoch(row.get_ref(1)?.as_blob()?)?;
        let (received_ms, at_ms, was): (i64, i64, u8) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let stamp = stamp_of(table, row.get_ref(5)?.as_blob()?)?;
        let dated = dating::date(connection, task.node, epoch, &stamp, received_ms)?;
        let (dating, error_ms) = dated.columns();
        if dating < was || (dating == was && dated.at_ms != at_ms) {
            changes.push((dated.at_ms, dating, error_ms, last));
            hours.extend([at_ms.div_euclid(HOUR_MS), dated.at_ms.div_euclid(HOUR_MS)]);
        }
    }
    drop(rows);
    for (at_ms, dating, error_ms, id) in changes {
        put.execute(params![at_ms, dating, error_ms, id])?;
    }
    if table == "service" {
        for hour in hours {
            sum_again(connection, task.node, hour)?;
        }
    }
    Ok((seen == ROWS_MAX).then_some(last))
}

fn stamp_of(table: &str, body: &[u8]) -> Result<Stamp, StoreError> {
    Ok(match table {
        "service" => minicbor::decode::<ServiceRecord>(body)?.stamp,
        "event" => minicbor::decode::<EventRecord>(body)?.stamp,
        _ => minicbor::decode::<ImageMeta>(body)?.stamp,
    })
}

/// Parked batches of a boot, those after `after`.
pub(super) fn parked(connection: &Connection, task: &Task, after: i64) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT batch FROM parked WHERE node = ?1 AND boot = ?2 AND batch > ?3 ORDER BY batch LIMIT ?4",
    )?;
    let rows = statement.query_map(params![task.node, task.boot, after, PARKED_MAX as i64], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Parked batches for which waiting has no more sense: too old, or too many.
pub(super) fn expired(connection: &Connection, now_ms: i64) -> Result<Vec<i64>, StoreError> {
    let count: i64 = connection.query_row("SELECT count(*) FROM parked", [], |row| row.get(0))?;
    let over = (count - PARKED_BATCHES_MAX).clamp(0, PARKED_MAX as i64);
    let mut statement = connection.prepare_cached(
        "SELECT batch FROM parked WHERE since_ms < ?1 OR batch IN (SELECT batch FROM parked ORDER BY batch LIMIT ?2)
         ORDER BY batch LIMIT ?3",
    )?;
    let rows = statement.query_map(params![now_ms - PARKED_MS_MAX, over, PARKED_MAX as i64], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
