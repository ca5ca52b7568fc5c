//! Reads of rows: nodes, streams, service records, events. Each is a function of a connection within a read
//! transaction; rollups have a file of their own.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use simpul_wire::{Epoch, NodeId, RangeSet, Stream};

use super::dating::dating_from;
use super::intervals::{decode_epoch, decode_lost, decode_stream, for_each_unsaved, losses};
use crate::store::{EventRow, NodeRow, Page, ServiceRow, StoreError, StreamRow};

/// Most rows of one page: at some 300 bytes a row, 3 MB.
const PAGE_ROWS_MAX: usize = 10_000;

const RECORD_COLUMNS: &str = "node.name, stream.epoch";

/// The id of a node's row.
pub(super) fn node_id(connection: &Connection, node: &NodeId) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM node WHERE name = ?1")?;
    Ok(statement.query_row([node.as_str()], |row| row.get(0)).optional()?)
}

/// Whether an image is committed already.
pub(super) fn has(
    connection: &Connection,
    node: &NodeId,
    epoch: Epoch,
    stream: Stream,
    seq: u64,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT stream.have FROM node JOIN stream ON stream.node = node.id
         WHERE node.name = ?1 AND stream.epoch = ?2 AND stream.stream = ?3",
    )?;
    let mut rows = statement.query(params![node.as_str(), epoch.as_bytes().as_slice(), stream.number()])?;
    let Some(row) = rows.next()? else { return Ok(false) };
    let have: RangeSet = minicbor::decode(row.get_ref(0)?.as_blob()?)?;
    Ok(have.contains(seq))
}

/// All nodes, by id.
pub(super) fn nodes(connection: &Connection) -> Result<Vec<NodeRow>, StoreError> {
    let mut heard_ms: HashMap<i64, i64> = HashMap::new();
    for_each_unsaved(connection, |unsaved| {
        let newest = heard_ms.entry(unsaved.node).or_insert(unsaved.received_ms);
        *newest = unsaved.received_ms.max(*newest);
        Ok(())
    })?;
    let mut statement = connection.prepare_cached(
        "SELECT node.name, node.first_heard_ms, node.state, node.state_received_ms,
                (SELECT max(last_received_ms) FROM stream WHERE stream.node = node.id), node.id
         FROM node ORDER BY node.name",
    )?;
    let mut rows = statement.query([])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let first_heard_ms: i64 = row.get(1)?;
        let state_received_ms: Option<i64> = row.get(3)?;
        let records_received_ms: Option<i64> = row.get(4)?;
        let records_received_ms = records_received_ms.max(heard_ms.get(&row.get(5)?).copied());
        let state = row.get_ref(2)?.as_blob_or_null()?;
        out.push(NodeRow {
            node: row.get::<_, String>(0)?.parse()?,
            first_heard_ms,
            last_heard_ms: state_received_ms.max(records_received_ms).unwrap_or(first_heard_ms),
            state: state.map(simpul_wire::state::AgentState::from_slice).transpose()?,
            state_received_ms,
        });
    }
    Ok(out)
}

/// Streams of one node or of all.
pub(super) fn streams(connection: &Connection, node: Option<&NodeId>) -> Result<Vec<StreamRow>, StoreError> {
    let mut behind: HashMap<i64, (RangeSet, i64)> = HashMap::new();
    for_each_unsaved(connection, |unsaved| {
        let (new, received_ms) = behind.entry(unsaved.stream).or_default();
        new.insert_all(&unsaved.new);
        *received_ms = unsaved.received_ms.max(*received_ms);
        Ok(())
    })?;
    let mut statement = connection.prepare_cached(
        "SELECT node.name, stream.epoch, stream.stream, stream.have, stream.lost, stream.last_received_ms, stream.id
         FROM stream JOIN node ON node.id = stream.node
         WHERE ?1 IS NULL OR stream.node = (SELECT id FROM node WHERE name = ?1)
         ORDER BY node.name, stream.epoch, stream.stream",
    )?;
    let mut rows = statement.query([node.map(NodeId::as_str)])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let epoch = decode_epoch(row.get_ref(1)?.as_blob()?)?;
        let stream = decode_stream(row.get(2)?)?;
        let lost = decode_lost(row.get_ref(4)?.as_blob_or_null()?)?;
        let mut have: RangeSet = minicbor::decode(row.get_ref(3)?.as_blob()?)?;
        let mut last_received_ms: i64 = row.get(5)?;
        if let Some((new, received_ms)) = behind.get(&row.get(6)?) {
            have.insert_all(new);
            last_received_ms = last_received_ms.max(*received_ms);
        }
        out.push(StreamRow {
            node: row.get::<_, String>(0)?.parse()?,
            epoch,
            stream,
            have,
            lost: losses(epoch, stream, &lost),
            last_received_ms,
        });
    }
    Ok(out)
}

/// What the latest backup holds of a node.
pub(super) fn backed_up(connection: &Connection, node: &NodeId) -> Result<Vec<(Epoch, Stream, RangeSet)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT stream.epoch, stream.stream, backed_up.have FROM node
         JOIN stream ON stream.node = node.id JOIN backed_up ON backed_up.stream = stream.id
         WHERE node.name = ?1 ORDER BY stream.epoch, stream.stream",
    )?;
    let mut rows = statement.query([node.as_str()])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let epoch = decode_epoch(row.get_ref(0)?.as_blob()?)?;
        out.push((epoch, decode_stream(row.get(1)?)?, minicbor::decode(row.get_ref(2)?.as_blob()?)?));
    }
    Ok(out)
}

/// A page of `table`, joined with its node and stream; `row` reads what `columns` names.
pub(super) fn paged<T>(
    connection: &Connection,
    table: &str,
    columns: &str,
    page: &Page,
    row: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let (compare, order) = if page.newest_first { ("<", "DESC") } else { (">", "ASC") };
    let one_node = if page.node.is_some() { "= (SELECT id FROM node WHERE name = ?1)" } else { "IS NOT ?1" };
    let sql = format!(
        "SELECT {columns} FROM {table} JOIN node ON node.id = {table}.node JOIN stream ON stream.id = {table}.stream
         WHERE {table}.node {one_node} AND {table}.id {compare} ?2
         ORDER BY {table}.id {order} LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    // Without a cursor a page begins at its end of the table: then the comparison is with that end.
    let end = if page.newest_first { i64::MAX } else { i64::MIN };
    let mut rows = statement.query(params![
        page.node.as_ref().map(NodeId::as_str),
        page.cursor.unwrap_or(end),
        page.limit.min(PAGE_ROWS_MAX) as i64
    ])?;
    let mut out = Vec::new();
    while let Some(one) = rows.next()? {
        out.push(row(one)?);
    }
    Ok(out)
}

/// Service records by id.
pub(super) fn service_records(connection: &Connection, page: &Page) -> Result<Vec<ServiceRow>, StoreError> {
    let columns = format!(
        "service.id, {RECORD_COLUMNS}, service.seq, service.at_ms, service.dating, service.error_ms,
         service.received_ms, service.body"
    );
    paged(connection, "service", &columns, page, |row| {
        Ok(ServiceRow {
            id: row.get(0)?,
            node: row.get::<_, String>(1)?.parse()?,
            epoch: decode_epoch(row.get_ref(2)?.as_blob()?)?,
            seq: row.get::<_, i64>(3)? as u64,
            at_ms: row.get(4)?,
            dating: dating_from(row.get(5)?, row.get(6)?),
            received_ms: row.get(7)?,
            record: minicbor::decode(row.get_ref(8)?.as_blob()?)?,
        })
    })
}

/// Events by id.
pub(super) fn events(connection: &Connection, page: &Page) -> Result<Vec<EventRow>, StoreError> {
    let columns = format!(
        "event.id, {RECORD_COLUMNS}, event.seq, event.at_ms, event.dating, event.error_ms,
         event.received_ms, event.body"
    );
    paged(connection, "event", &columns, page, |row| {
        Ok(EventRow {
            id: row.get(0)?,
            node: row.get::<_, String>(1)?.parse()?,
            epoch: decode_epoch(row.get_ref(2)?.as_blob()?)?,
            seq: row.get::<_, i64>(3)? as u64,
            at_ms: row.get(4)?,
            dating: dating_from(row.get(5)?, row.get(6)?),
            received_ms: row.get(7)?,
            record: minicbor::decode(row.get_ref(8)?.as_blob()?)?,
        })
    })
}
