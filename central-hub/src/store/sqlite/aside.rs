//! Payloads that could not be read: a ring bounded by bytes, oldest dropped. How many there ever were stays known,
//! because ids are never given twice: the newest always stays.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use simpul_wire::NodeId;
use simpul_wire::ack::RejectReason;

use crate::store::{AsideRow, StoreError};

/// Bytes that a row costs beside its payload and texts, roughly: rows of empty payloads are bounded too.
const ROW_BYTES: i64 = 64;

/// One payload to keep.
pub(super) struct Kept<'k> {
    pub node: &'k NodeId,
    pub received_ms: i64,
    pub topic: &'k str,
    pub reason: RejectReason,
    pub detail: &'k str,
    pub payload: Bytes,
}

/// How full the ring is, in memory; a failed transaction must [`Ring::measure`] it again.
pub(super) struct Ring {
    bytes: i64,
    bytes_max: i64,
}

impl Ring {
    pub(super) fn new(bytes_max: u64) -> Self {
        Ring { bytes: 0, bytes_max: i64::try_from(bytes_max).unwrap_or(i64::MAX) }
    }

    pub(super) fn measure(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "SELECT coalesce(sum(length(payload) + length(topic) + length(detail)), 0), count(*) FROM aside";
        let (bytes, rows): (i64, i64) = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.bytes = bytes + rows * ROW_BYTES;
        Ok(())
    }

    pub(super) fn keep(&mut self, connection: &Connection, kept: &Kept<'_>) -> Result<(), StoreError> {
        let Kept { node, received_ms, topic, reason, detail, payload } = kept;
        connection
            .prepare_cached(
                "INSERT INTO aside (node, received_ms, topic, reason, detail, payload_bytes, payload)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                node.as_str(),
                received_ms,
                topic,
                reason.number(),
                detail,
                payload.len() as i64,
                payload.as_ref()
            ])?;
        let newest = connection.last_insert_rowid();
        self.bytes += (payload.len() + topic.len() + detail.len()) as i64 + ROW_BYTES;
        while self.bytes > self.bytes_max {
            let oldest: Option<(i64, i64)> = connection
                .prepare_cached(
                    "SELECT id, length(payload) + length(topic) + length(detail) FROM aside
                     WHERE id < ?1 ORDER BY id LIMIT 1",
                )?
                .query_row([newest], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((id, bytes)) = oldest else { break };
            connection.prepare_cached("DELETE FROM aside WHERE id = ?1")?.execute([id])?;
            self.bytes -= bytes + ROW_BYTES;
        }
        Ok(())
    }
}

/// How many payloads were ever kept aside.
pub(super) fn count_ever(connection: &Connection) -> Result<u64, StoreError> {
    let newest: i64 = connection.query_row("SELECT coalesce(max(id), 0) FROM aside", [], |row| row.get(0))?;
    Ok(newest.unsigned_abs())
}

/// The newest, at most `limit`.
pub(super) fn newest(connection: &Connection, limit: usize) -> Result<Vec<AsideRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, node, received_ms, topic, reason, detail, payload_bytes FROM aside ORDER BY id DESC LIMIT ?1",
    )?;
    let mut rows = statement.query([limit as i64])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let number: u8 = row.get(4)?;
        out.push(AsideRow {
            id: row.get(0)?,
            node: row.get::<_, String>(1)?.parse()?,
            received_ms: row.get(2)?,
            topic: row.get(3)?,
            reason: RejectReason::from_number(number)
                .ok_or_else(|| StoreError::Backend(format!("stored reason {number}")))?,
            detail: row.get(5)?,
            payload_bytes: row.get::<_, i64>(6)?.unsigned_abs(),
        });
    }
    Ok(out)
}
