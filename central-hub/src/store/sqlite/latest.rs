//! The newest reading of every metric, packed in one row per node: written with the minutes, read for the room's page.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};
use simpul_wire::reading::Value;
use simpul_wire::{Missing, NodeId, Unit};

use super::pack::{Reader, put_number, put_signed, put_varint};
use super::reads::node_id;
use super::rollup::not_rolled_up;
use crate::store::{LatestReading, StoreError};

/// Unit, date, value.
pub(super) type Newest = (Unit, i64, Value);

/// By metric.
pub(super) type Latest = HashMap<u32, Newest>;

/// Keep the newer of two; of the same moment the one that came later.
pub(super) fn keep_newer<K: Eq + std::hash::Hash>(held: &mut HashMap<K, Newest>, key: K, fresh: Newest) {
    let entry = held.entry(key).or_insert(fresh);
    if fresh.1 >= entry.1 {
        *entry = fresh;
    }
}

/// The node's row, with these merged into it.
pub(super) fn merged(connection: &Connection, node: i64, fresh: &Latest) -> Result<Vec<u8>, StoreError> {
    let old: Option<Vec<u8>> = connection
        .prepare_cached("SELECT body FROM latest WHERE node = ?1")?
        .query_row([node], |row| row.get(0))
        .optional()?;
    let mut merged = old.map(|body| decode(&body)).transpose()?.unwrap_or_default();
    for (metric, newest) in fresh {
        keep_newer(&mut merged, *metric, *newest);
    }
    Ok(encode(&merged))
}

/// The newest readings of one node or of all, with what is not rolled up yet.
pub(super) fn read(connection: &Connection, node: Option<&NodeId>) -> Result<Vec<LatestReading>, StoreError> {
    let only = match node {
        Some(node) => match node_id(connection, node)? {
            Some(id) => Some(id),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    let mut held: HashMap<(i64, String), Newest> = HashMap::new();
    let mut metrics: HashMap<u32, String> = HashMap::new();
    let mut statement = connection.prepare_cached("SELECT id, name FROM metric")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        metrics.insert(row.get(0)?, row.get(1)?);
    }
    let mut statement = connection.prepare_cached("SELECT node, body FROM latest WHERE ?1 IS NULL OR node = ?1")?;
    let mut rows = statement.query([only])?;
    while let Some(row) = rows.next()? {
        let node: i64 = row.get(0)?;
        for (metric, newest) in decode(row.get_ref(1)?.as_blob()?)? {
            if let Some(name) = metrics.get(&metric) {
                held.insert((node, name.clone()), newest);
            }
        }
    }
    not_rolled_up(connection, only, |batch, dates| {
        batch.for_each_series(dates, |name, unit, points| {
            for (at_ms, value) in points {
                keep_newer(&mut held, (batch.node, name.as_str().to_owned()), (unit, *at_ms, *value));
            }
        });
    })?;
    let mut names: HashMap<i64, NodeId> = HashMap::new();
    let mut statement = connection.prepare_cached("SELECT name FROM node WHERE id = ?1")?;
    let mut out = Vec::with_capacity(held.len());
    for ((node, metric), (unit, at_ms, value)) in held {
        let name = match names.get(&node) {
            Some(name) => name.clone(),
            None => {
                let name: NodeId = statement.query_row([node], |row| row.get::<_, String>(0))?.parse()?;
                names.insert(node, name.clone());
                name
            }
        };
        out.push(LatestReading { node: name, metric, unit, at_ms, value });
    }
    out.sort_by(|a, b| (&a.node, &a.metric).cmp(&(&b.node, &b.metric)));
    Ok(out)
}

fn encode(latest: &Latest) -> Vec<u8> {
    let mut out = Vec::with_capacity(latest.len() * 12);
    for (metric, (unit, at_ms, value)) in latest {
        put_varint(&mut out, u64::from(*metric));
        out.push(unit.number());
        put_signed(&mut out, *at_ms);
        match value {
            Value::Missing(reason) => out.push(reason.number()),
            Value::Number(number) => {
                // 0 is no reason's number.
                out.push(0);
                put_number(&mut out, *number);
            }
        }
    }
    out
}

fn decode(bytes: &[u8]) -> Result<Latest, StoreError> {
    let damaged = || StoreError::Backend("a stored newest reading cannot be read".into());
    let mut reader = Reader(bytes);
    let mut latest = Latest::new();
    while !reader.0.is_empty() {
        let metric = u32::try_from(reader.varint()?).map_err(|_| damaged())?;
        let unit = Unit::from_number(reader.byte()?).ok_or_else(damaged)?;
        let at_ms = reader.signed()?;
        let value = match reader.byte()? {
            0 => Value::Number(reader.number()?),
            reason => Value::Missing(Missing::from_number(reason).ok_or_else(damaged)?),
        };
        latest.insert(metric, (unit, at_ms, value));
    }
    Ok(latest)
}
