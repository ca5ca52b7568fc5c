//! Reading rollups: sealed blocks, then the tail, then what is not rolled up yet, merged into one series.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use simpul_wire::NodeId;

use super::pack::{Cell, DAY_MINUTES, DAY_MS, HOUR_MS, MINUTE_MS, decode_cell, decode_cells, decode_minute};
use super::reads::node_id;
use super::rollup::{not_rolled_up, sum};
use crate::store::{RollupPoint, Step, StoreError};

/// Most points of one answer: 90 days of minutes, with room. More wants a coarser step.
const POINTS_MAX: i64 = 150_000;

/// Rollups of one metric at one node, `from_ms <= at < to_ms`.
pub(super) fn read(
    connection: &Connection,
    node: &NodeId,
    metric: &str,
    step: Step,
    from_ms: i64,
    to_ms: i64,
) -> Result<Vec<RollupPoint>, StoreError> {
    let width_ms = step.width_ms();
    // Spans are whole: the first begins at or after `from_ms`, the last begins before `to_ms`.
    let from_ms = round_up(from_ms, width_ms);
    let to_ms = round_up(to_ms, width_ms);
    if from_ms >= to_ms {
        return Ok(Vec::new());
    }
    let Some(node) = node_id(connection, node)? else { return Ok(Vec::new()) };
    let mut spans = Spans { width_ms, from_ms, to_ms, cells: BTreeMap::new() };
    let id: Option<u32> = connection
        .prepare_cached("SELECT id FROM metric WHERE name = ?1")?
        .query_row([metric], |row| row.get(0))
        .optional()?;
    if let Some(id) = id {
        sealed(connection, node, id, step, &mut spans)?;
        tail(connection, node, id, &mut spans)?;
    }
    not_rolled_up(connection, Some(node), |batch, dates| {
        batch.for_each_series(dates, |name, _, points| {
            if name.as_str() == metric {
                for (at_ms, value) in points {
                    spans.add(*at_ms, &sum(std::iter::once(*value)));
                }
            }
        });
    })?;
    if spans.cells.len() as i64 > POINTS_MAX {
        return Err(StoreError::Backend(format!(
            "more than {POINTS_MAX} points: ask for a shorter span or a wider step"
        )));
    }
    Ok(spans.cells.into_iter().map(|(at_ms, cell)| point(at_ms, &cell)).collect())
}

fn round_up(ms: i64, width_ms: i64) -> i64 {
    // Saturates for the "everything" that callers ask with the ends of `i64`.
    let rest = ms.rem_euclid(width_ms);
    if rest == 0 { ms } else { ms.saturating_add(width_ms - rest) }
}

fn point(at_ms: i64, cell: &Cell) -> RollupPoint {
    let Cell { min, max, sum, count, missing } = *cell;
    RollupPoint { at_ms, min, max, sum, count, missing }
}

struct Spans {
    width_ms: i64,
    from_ms: i64,
    to_ms: i64,
    cells: BTreeMap<i64, Cell>,
}

impl Spans {
    fn add(&mut self, at_ms: i64, cell: &Cell) {
        if self.from_ms <= at_ms && at_ms < self.to_ms {
            let start = at_ms.div_euclid(self.width_ms) * self.width_ms;
            self.cells.entry(start).or_insert(Cell::EMPTY).merge(cell);
        }
    }
}

fn sealed(connection: &Connection, node: i64, metric: u32, step: Step, spans: &mut Spans) -> Result<(), StoreError> {
    let column = match step {
        Step::Minute => "minutes",
        Step::Hour => "hours",
        Step::Day => "whole",
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT day, {column} FROM block WHERE node = ?1 AND metric = ?2 AND day >= ?3 AND day <= ?4 ORDER BY day"
    ))?;
    let (first, last) = (spans.from_ms.div_euclid(DAY_MS), spans.to_ms.div_euclid(DAY_MS));
    let mut rows = statement.query(params![node, metric, first, last])?;
    while let Some(row) = rows.next()? {
        let start_ms = row.get::<_, i64>(0)? * DAY_MS;
        let body = row.get_ref(1)?.as_blob()?;
        let unit_ms = match step {
            Step::Day => {
                spans.add(start_ms, &decode_cell(body)?);
                continue;
            }
            Step::Hour => HOUR_MS,
            Step::Minute => MINUTE_MS,
        };
        for (index, cell) in decode_cells(body)? {
            spans.add(start_ms + i64::from(index) * unit_ms, &cell);
        }
    }
    Ok(())
}

fn tail(connection: &Connection, node: i64, metric: u32, spans: &mut Spans) -> Result<(), StoreError> {
    let mut days = connection.prepare_cached("SELECT day FROM dirty WHERE node = ?1 AND day >= ?2 AND day <= ?3")?;
    let (first, last) = (spans.from_ms.div_euclid(DAY_MS), spans.to_ms.div_euclid(DAY_MS));
    let days = days.query_map(params![node, first, last], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    let (first, end) = (spans.from_ms.div_euclid(MINUTE_MS), spans.to_ms.div_euclid(MINUTE_MS));
    for day in days {
        for_each_minute(connection, node, day, (first, end), |minute, body| {
            let cells = decode_minute(body)?;
            if let Ok(at) = cells.binary_search_by_key(&metric, |(metric, _)| *metric) {
                spans.add(minute * MINUTE_MS, &cells[at].1);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Every minute of a node's day that is in the tail. The tail is sorted by minute for the writer's sake, so a day is
/// up to 1,440 look-ups of a microsecond or two.
pub(super) fn for_each_minute(
    connection: &Connection,
    node: i64,
    day: i64,
    (first, end): (i64, i64),
    mut each: impl FnMut(i64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("SELECT body FROM tail WHERE minute = ?1 AND node = ?2")?;
    for minute in (day * DAY_MINUTES).max(first)..((day + 1) * DAY_MINUTES).min(end) {
        let mut rows = statement.query(params![minute, node])?;
        if let Some(row) = rows.next()? {
            each(minute, row.get_ref(0)?.as_blob()?)?;
        }
    }
    Ok(())
}
