//! The registry's tables.

/// What makes version 1 out of nothing, and 2 out of that.
pub(super) const STEPS: [&str; 2] = [TABLES, TECHNICIANS];

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

/// Version 2: technicians.
const TECHNICIANS: &str = "
-- Which laptop asked for it; none: the command line did.
ALTER TABLE token ADD COLUMN laptop TEXT;
-- Withdrawn because that laptop was revoked.
ALTER TABLE token ADD COLUMN laptop_revoked INTEGER NOT NULL DEFAULT 0;
-- Made before its node is there, and lying on this laptop with its key.
ALTER TABLE certificate ADD COLUMN laptop TEXT;
-- Such a one has been renewed, to this key: it is good for nothing else.
ALTER TABLE certificate ADD COLUMN spent_key BLOB;
ALTER TABLE certificate ADD COLUMN spent_ms INTEGER;
CREATE INDEX certificate_spent ON certificate (spent_ms) WHERE spent_ms IS NOT NULL;
CREATE INDEX certificate_laptop ON certificate (laptop) WHERE laptop IS NOT NULL;
CREATE INDEX token_laptop ON token (laptop) WHERE laptop IS NOT NULL;
CREATE TABLE login_token (
    hash BLOB PRIMARY KEY,
    technician TEXT NOT NULL,
    authority INTEGER NOT NULL REFERENCES authority (number),
    made_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    withdrawn_ms INTEGER,
    used_ms INTEGER,
    used_key BLOB
) STRICT, WITHOUT ROWID;
-- A laptop's certificates; a laptop is technician/name.
CREATE TABLE laptop (
    serial BLOB PRIMARY KEY,
    laptop TEXT NOT NULL,
    authority INTEGER NOT NULL REFERENCES authority (number),
    key BLOB NOT NULL,
    der BLOB NOT NULL,
    from_s INTEGER NOT NULL,
    to_s INTEGER NOT NULL,
    made_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX laptop_name ON laptop (laptop);
CREATE TABLE deed (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    laptop TEXT NOT NULL,
    peer TEXT NOT NULL,
    what TEXT NOT NULL,
    node TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TABLE acceptance (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    node TEXT NOT NULL,
    laptop TEXT NOT NULL,
    serial BLOB NOT NULL,
    record BLOB NOT NULL UNIQUE,
    signature BLOB NOT NULL
) STRICT;
CREATE TABLE acceptance_picture (
    number INTEGER NOT NULL REFERENCES acceptance (number),
    sha256 BLOB NOT NULL,
    jpeg BLOB NOT NULL,
    PRIMARY KEY (number, sha256)
) STRICT;
";

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::database::prepare;

    #[test]
    fn the_first_versions_database_is_taken_over_with_what_is_in_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection
            .execute("INSERT INTO node (id, village, ordinal, name, made_ms) VALUES ('a', 'v', 1, 'n', 1)", [])
            .unwrap();
        connection
            .execute("INSERT INTO authority (number, state, certificate, fingerprint, made_ms) VALUES (1, 'current', x'01', x'02', 1)", [])
            .unwrap();
        connection
            .execute("INSERT INTO token (hash, node, authority, made_ms, expires_ms) VALUES (x'03', 'a', 1, 1, 2)", [])
            .unwrap();
        prepare(&mut connection, &STEPS).unwrap();
        prepare(&mut connection, &STEPS).unwrap();
        let kept: (String, Option<String>, i64) = connection
            .query_row("SELECT node, laptop, laptop_revoked FROM token", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        assert_eq!(kept, ("a".into(), None, 0));
        connection.pragma_update(None, "user_version", STEPS.len() as u32 + 1).unwrap();
        assert!(prepare(&mut connection, &STEPS).unwrap_err().to_string().contains("newer program's"));
    }
}
