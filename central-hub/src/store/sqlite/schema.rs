//! The database file: its tables, its settings, and what is known of it under a name (`meta`).
//!
//! Terms: a *stream row* is one (node, epoch, stream); a *batch* is a body of readings as received; the *tail* holds
//! minutes that are rolled up but not sealed; a *block* is one sealed (node, metric, day).
//!
//! Indexes are few on purpose: the commit path writes `stream` and `batch` and neither has a secondary index that a
//! batch touches. Whoever adds one here measures the intake bench before and after.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::intervals::SETS_UP_TO;
use crate::store::StoreError;

/// Version of the tables below, kept in `user_version`.
pub(super) const VERSION: i64 = 2;

/// 64 MiB for the writer: streams of 10,000 nodes and the hot ends of every table stay in memory.
const WRITER_CACHE_KIB: i64 = 64 * 1024;

/// 8 MiB for each reader: a page of rows or 90 sealed days of one metric.
const READER_CACHE_KIB: i64 = 8 * 1024;

/// Backstop of the journal, in pages (16 MiB): the checkpointer beside the writer does most of the folding, but under
/// steady writing only the writer itself can finish it, so that the journal begins again from its start.
const AUTOCHECKPOINT_PAGES: i64 = 4_096;

/// The backstop on a small disk: below this every other commit would pay for a checkpoint.
const AUTOCHECKPOINT_PAGES_MIN: i64 = 128;

/// Bytes of a page: SQLite's default, and the block size of common file systems.
pub(super) const PAGE_BYTES: u64 = 4_096;

/// The journal may take a sixteenth of what the store can have.
fn autocheckpoint_pages(can_have_bytes: u64) -> i64 {
    let pages = i64::try_from(can_have_bytes / 16 / PAGE_BYTES).unwrap_or(i64::MAX);
    pages.clamp(AUTOCHECKPOINT_PAGES_MIN, AUTOCHECKPOINT_PAGES)
}

/// A journal that grew beyond this (a long backup holds it open) is cut back when it is used again from the start.
const JOURNAL_BYTES_MAX: i64 = 32 * 1024 * 1024;

/// Statements kept prepared per connection: more than there are in this module.
const STATEMENTS_MAX: usize = 96;

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE node (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first_heard_ms INTEGER NOT NULL,
    state BLOB, state_received_ms INTEGER);
CREATE TABLE stream (
    id INTEGER PRIMARY KEY, node INTEGER NOT NULL, epoch BLOB NOT NULL, stream INTEGER NOT NULL,
    last_received_ms INTEGER NOT NULL, have BLOB NOT NULL, lost BLOB,
    UNIQUE (node, epoch, stream));
CREATE TABLE backed_up (stream INTEGER PRIMARY KEY, have BLOB NOT NULL);

CREATE TABLE anchor (
    node INTEGER NOT NULL, epoch BLOB NOT NULL, boot INTEGER NOT NULL, uptime_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL, error_ms INTEGER NOT NULL,
    PRIMARY KEY (node, boot, epoch, uptime_ms)) WITHOUT ROWID;
CREATE TABLE boot (
    node INTEGER NOT NULL, boot INTEGER NOT NULL, epoch BLOB NOT NULL, start_ms INTEGER NOT NULL,
    quality INTEGER NOT NULL, PRIMARY KEY (node, boot, epoch)) WITHOUT ROWID;
CREATE TABLE redate (
    node INTEGER NOT NULL, boot INTEGER NOT NULL, asked INTEGER NOT NULL, PRIMARY KEY (node, boot)) WITHOUT ROWID;

CREATE TABLE service (
    id INTEGER PRIMARY KEY, node INTEGER NOT NULL, stream INTEGER NOT NULL, seq INTEGER NOT NULL,
    boot INTEGER NOT NULL, at_ms INTEGER NOT NULL, dating INTEGER NOT NULL, error_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX service_node ON service (node);
CREATE INDEX service_at ON service (at_ms);
CREATE INDEX service_undated ON service (node, boot) WHERE dating >= 2;
CREATE TABLE service_hour (
    hour INTEGER NOT NULL, node INTEGER NOT NULL, service TEXT NOT NULL, simulated INTEGER NOT NULL,
    counted INTEGER NOT NULL, served INTEGER NOT NULL, other INTEGER NOT NULL, last_at_ms INTEGER NOT NULL,
    estimated INTEGER NOT NULL, PRIMARY KEY (hour, node, service, simulated)) WITHOUT ROWID;

CREATE TABLE event (
    id INTEGER PRIMARY KEY, node INTEGER NOT NULL, stream INTEGER NOT NULL, seq INTEGER NOT NULL,
    boot INTEGER NOT NULL, at_ms INTEGER NOT NULL, dating INTEGER NOT NULL, error_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX event_node ON event (node);
CREATE INDEX event_undated ON event (node, boot) WHERE dating >= 2;

CREATE TABLE batch (
    id INTEGER PRIMARY KEY, node INTEGER NOT NULL, stream INTEGER NOT NULL, received_ms INTEGER NOT NULL,
    first_seq INTEGER NOT NULL, new BLOB, body BLOB NOT NULL);
CREATE TABLE parked (
    batch INTEGER PRIMARY KEY, node INTEGER NOT NULL, boot INTEGER NOT NULL, since_ms INTEGER NOT NULL);
CREATE INDEX parked_node ON parked (node, boot);
CREATE TABLE metric (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE tail (
    minute INTEGER NOT NULL, node INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (minute, node)) WITHOUT ROWID;
CREATE TABLE dirty (
    node INTEGER NOT NULL, day INTEGER NOT NULL, since_ms INTEGER NOT NULL, PRIMARY KEY (node, day)) WITHOUT ROWID;
CREATE INDEX dirty_day ON dirty (day);
CREATE TABLE block (
    id INTEGER PRIMARY KEY, node INTEGER NOT NULL, metric INTEGER NOT NULL, day INTEGER NOT NULL,
    whole BLOB NOT NULL, hours BLOB NOT NULL, minutes BLOB NOT NULL, UNIQUE (node, metric, day));
CREATE TABLE latest (node INTEGER PRIMARY KEY, body BLOB NOT NULL);

CREATE TABLE snapshot (
    id INTEGER PRIMARY KEY AUTOINCREMENT, node INTEGER NOT NULL, stream INTEGER NOT NULL, seq INTEGER NOT NULL,
    boot INTEGER NOT NULL, at_ms INTEGER NOT NULL, dating INTEGER NOT NULL, error_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL, camera TEXT NOT NULL, length INTEGER NOT NULL, changed INTEGER NOT NULL,
    thinned INTEGER NOT NULL DEFAULT 0, object TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX snapshot_camera ON snapshot (node, camera, at_ms);
CREATE INDEX snapshot_at ON snapshot (at_ms);
CREATE INDEX snapshot_unthinned ON snapshot (at_ms) WHERE thinned = 0;
CREATE INDEX snapshot_undated ON snapshot (node, boot) WHERE dating >= 2;
CREATE TABLE camera (node INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (node, name)) WITHOUT ROWID;
CREATE TABLE doomed (object TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE aside (
    id INTEGER PRIMARY KEY, node TEXT NOT NULL, received_ms INTEGER NOT NULL, topic TEXT NOT NULL,
    reason INTEGER NOT NULL, detail TEXT NOT NULL, payload_bytes INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE look (id INTEGER PRIMARY KEY, who TEXT NOT NULL, snapshot INTEGER NOT NULL, at_ms INTEGER NOT NULL);
CREATE TABLE usage_day (day INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
";

/// Open the writer's connection, making the tables if the file is new. `generation` is stored in a new file.
/// `can_have_bytes` is what budget and disk leave to the store; the journal's bound goes by it.
pub(super) fn open_writer(
    path: &Path,
    generation: [u8; 16],
    now_ms: i64,
    can_have_bytes: u64,
) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: NORMAL lost acknowledged records in simulated power cuts, FULL lost none.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", autocheckpoint_pages(can_have_bytes))?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        0 => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            set_meta(&transaction, "generation", generation.as_slice())?;
            set_meta(&transaction, "created_ms", now_ms)?;
            set_meta(&transaction, SETS_UP_TO, 0)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        // The tables are the same. A program of version 1 would believe that the stored sets of readings know everything,
        // and take batches twice: it must refuse this file from now on.
        1 => connection.pragma_update(None, "user_version", VERSION)?,
        VERSION => {}
        newer => {
            return Err(StoreError::Backend(format!(
                "the database is of version {newer}, this program knows {VERSION}: start a newer simpul-hub"
            )));
        }
    }
    Ok(connection)
}

/// Open one more connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// A value of `meta`, if it was ever set.
pub(super) fn meta<T: rusqlite::types::FromSql>(connection: &Connection, key: &str) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

/// Set a value of `meta`.
pub(super) fn set_meta(
    connection: &Connection,
    key: &str,
    value: impl rusqlite::types::ToSql,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")?
        .execute(rusqlite::params![key, value])?;
    Ok(())
}
