//! Tables, and how the database is opened.

use rusqlite::{Connection, TransactionBehavior};

/// Of the tables below; a newer program's database is refused, not guessed at.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE authority (
    number INTEGER PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('current', 'next', 'old', 'retired')),
    certificate BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    made_ms INTEGER NOT NULL,
    hub_pem TEXT
) STRICT;
CREATE UNIQUE INDEX one_current ON authority (state) WHERE state IN ('current', 'next');
CREATE TABLE village (code TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT, WITHOUT ROWID;
-- Never deleted from: an ordinal is never given twice.
CREATE TABLE node (
    id TEXT PRIMARY KEY,
    village TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    name TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    knows INTEGER NOT NULL DEFAULT 0,
    UNIQUE (village, ordinal)
) STRICT, WITHOUT ROWID;
CREATE TABLE token (
    hash BLOB PRIMARY KEY,
    node TEXT NOT NULL REFERENCES node (id),
    authority INTEGER NOT NULL REFERENCES authority (number),
    made_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    withdrawn_ms INTEGER,
    used_ms INTEGER,
    used_key BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX token_node ON token (node);
CREATE TABLE certificate (
    serial BLOB PRIMARY KEY,
    node TEXT NOT NULL REFERENCES node (id),
    authority INTEGER NOT NULL REFERENCES authority (number),
    key BLOB NOT NULL,
    der BLOB NOT NULL,
    from_s INTEGER NOT NULL,
    to_s INTEGER NOT NULL,
    made_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX certificate_node ON certificate (node, key);
CREATE INDEX certificate_revoked ON certificate (revoked_ms) WHERE revoked_ms IS NOT NULL;
CREATE TABLE refusal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    node TEXT NOT NULL,
    peer TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
";

pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // NORMAL loses commits in a power cut: a token would be good twice.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        VERSION => {}
        0 => {
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        _ => return Err(rusqlite::Error::InvalidParameterName(format!("version {version} is a newer program's"))),
    }
    transaction.commit()
}
