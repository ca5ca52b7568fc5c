//! Totals of service records: sums per (hour, node, service) kept in the same transaction as the records, so that a
//! total is exact at any moment and costs a few rows, whatever the span. Hours that a span cuts are read record by
//! record. Counts that buttons made are summed beside them: the column `simulated` holds [`SIMULATED`] and [`BUTTON`] as
//! bits, so that rows from before there were buttons mean what they meant.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, params};
use simpul_wire::NodeId;
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord, VisitOutcome};

use super::dating::Dated;
use super::pack::HOUR_MS;
use crate::store::{ServiceTotal, StoreError};

/// Bits of the column `simulated`: made by a simulator, made by a board's button.
const SIMULATED: i64 = 1;
const BUTTON: i64 = 2;

/// The bits of a record.
fn kind(record: &ServiceRecord) -> i64 {
    let button = match record.origin {
        Origin::Board => BUTTON,
        Origin::Api => 0,
    };
    button | if record.simulated { SIMULATED } else { 0 }
}

/// Sums of one service at one node over some span.
#[derive(Debug, Clone, Copy)]
struct Sums {
    counted: i64,
    /// The part of `counted` that buttons made.
    by_button: i64,
    served: u64,
    other: u64,
    last_at_ms: i64,
    estimated: u64,
}

impl Sums {
    const NONE: Sums = Sums { counted: 0, by_button: 0, served: 0, other: 0, last_at_ms: i64::MIN, estimated: 0 };

    fn of(record: &ServiceRecord, at_ms: i64, estimated: bool) -> Self {
        let mut sums = Sums { last_at_ms: at_ms, estimated: u64::from(estimated), ..Sums::NONE };
        match &record.body {
            ServiceBody::Count { delta, .. } => {
                sums.counted = *delta;
                sums.by_button = if record.origin == Origin::Board { *delta } else { 0 };
            }
            ServiceBody::Visit { outcome: VisitOutcome::Served, .. } => sums.served = 1,
            ServiceBody::Visit { .. } => sums.other = 1,
        }
        sums
    }

    fn add(&mut self, other: Sums) {
        self.counted = self.counted.saturating_add(other.counted);
        self.by_button = self.by_button.saturating_add(other.by_button);
        self.served += other.served;
        self.other += other.other;
        self.last_at_ms = self.last_at_ms.max(other.last_at_ms);
        self.estimated += other.estimated;
    }
}

/// What one transaction adds to the hours.
#[derive(Default)]
pub(super) struct HourSums(HashMap<(i64, i64, String, i64), Sums>);

impl HourSums {
    pub(super) fn add(&mut self, node: i64, record: &ServiceRecord, dated: Dated) {
        let hour = dated.at_ms.div_euclid(HOUR_MS);
        let key = (hour, node, record.body.service().as_str().to_owned(), kind(record));
        self.0.entry(key).or_insert(Sums::NONE).add(Sums::of(record, dated.at_ms, dated.is_open()));
    }

    pub(super) fn store(self, connection: &Connection) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO service_hour VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (hour, node, service, simulated) DO UPDATE SET
             counted = counted + excluded.counted, served = served + excluded.served, other = other + excluded.other,
             last_at_ms = max(last_at_ms, excluded.last_at_ms), estimated = estimated + excluded.estimated",
        )?;
        for ((hour, node, service, kind), sums) in self.0 {
            // What buttons made stands in rows of their own: their `counted` is it.
            let Sums { counted, served, other, last_at_ms, estimated, by_button: _ } = sums;
            statement.execute(params![
                hour,
                node,
                service,
                kind,
                counted,
                served as i64,
                other as i64,
                last_at_ms,
                estimated as i64
            ])?;
        }
        Ok(())
    }
}

/// Sum an hour of a node anew from its records, after dates moved.
pub(super) fn sum_again(connection: &Connection, node: i64, hour: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM service_hour WHERE hour = ?1 AND node = ?2")?
        .execute(params![hour, node])?;
    let mut sums = HourSums::default();
    for_each(connection, hour * HOUR_MS, (hour + 1) * HOUR_MS, Some(node), |node, record, at_ms, estimated| {
        let key = (hour, node, record.body.service().as_str().to_owned(), kind(record));
        sums.0.entry(key).or_insert(Sums::NONE).add(Sums::of(record, at_ms, estimated));
    })?;
    sums.store(connection)
}

/// Totals for `from_ms <= at < to_ms`: whole hours from the sums, the cut hours at both ends from the records.
pub(super) fn totals(connection: &Connection, from_ms: i64, to_ms: i64) -> Result<Vec<ServiceTotal>, StoreError> {
    if from_ms >= to_ms {
        return Ok(Vec::new());
    }
    let first_hour = from_ms.div_euclid(HOUR_MS) + i64::from(from_ms.rem_euclid(HOUR_MS) != 0);
    let end_hour = to_ms.div_euclid(HOUR_MS);
    let mut totals: HashMap<(i64, String, bool), Sums> = HashMap::new();
    let mut single = |node: i64, record: &ServiceRecord, at_ms: i64, estimated: bool| {
        let key = (node, record.body.service().as_str().to_owned(), record.simulated);
        totals.entry(key).or_insert(Sums::NONE).add(Sums::of(record, at_ms, estimated));
    };
    if first_hour > end_hour {
        for_each(connection, from_ms, to_ms, None, &mut single)?;
    } else {
        for_each(connection, from_ms, first_hour * HOUR_MS, None, &mut single)?;
        for_each(connection, end_hour * HOUR_MS, to_ms, None, &mut single)?;
        let mut statement = connection.prepare_cached(
            "SELECT node, service, simulated & 1, sum(counted), sum(served), sum(other), max(last_at_ms), sum(estimated),
                    sum(CASE WHEN simulated & 2 THEN counted ELSE 0 END)
             FROM service_hour WHERE hour >= ?1 AND hour < ?2 GROUP BY node, service, simulated & 1",
        )?;
        let mut rows = statement.query([first_hour, end_hour])?;
        while let Some(row) = rows.next()? {
            let sums = Sums {
                counted: row.get(3)?,
                served: row.get::<_, i64>(4)?.unsigned_abs(),
                other: row.get::<_, i64>(5)?.unsigned_abs(),
                last_at_ms: row.get(6)?,
                estimated: row.get::<_, i64>(7)?.unsigned_abs(),
                by_button: row.get(8)?,
            };
            match totals.entry((row.get(0)?, row.get(1)?, row.get(2)?)) {
                Entry::Occupied(mut held) => held.get_mut().add(sums),
                Entry::Vacant(free) => {
                    free.insert(sums);
                }
            }
        }
    }
    named(connection, totals)
}

fn named(connection: &Connection, totals: HashMap<(i64, String, bool), Sums>) -> Result<Vec<ServiceTotal>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name FROM node WHERE id = ?1")?;
    let mut out = Vec::with_capacity(totals.len());
    for ((node, service, simulated), sums) in totals {
        let name: String = statement.query_row([node], |row| row.get(0))?;
        let node: NodeId = name.parse()?;
        out.push(ServiceTotal {
            node,
            service,
            simulated,
            counted: sums.counted,
            counted_by_button: sums.by_button,
            visits_served: sums.served,
            visits_other: sums.other,
            last_at_ms: sums.last_at_ms,
            estimated: sums.estimated,
        });
    }
    out.sort_by(|a, b| (&a.node, &a.service, a.simulated).cmp(&(&b.node, &b.service, b.simulated)));
    Ok(out)
}

fn for_each(
    connection: &Connection,
    from_ms: i64,
    to_ms: i64,
    node: Option<i64>,
    mut each: impl FnMut(i64, &ServiceRecord, i64, bool),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT node, at_ms, dating, body FROM service INDEXED BY service_at
         WHERE at_ms >= ?1 AND at_ms < ?2 AND (?3 IS NULL OR node = ?3)",
    )?;
    let mut rows = statement.query(params![from_ms, to_ms, node])?;
    while let Some(row) = rows.next()? {
        let record: ServiceRecord = minicbor::decode(row.get_ref(3)?.as_blob()?)?;
        each(row.get(0)?, &record, row.get(1)?, row.get::<_, u8>(2)? >= 2);
    }
    Ok(())
}
