//! The tables of updates.

/// What makes version 1 out of nothing.
pub(super) const STEPS: [&str; 1] = [TABLES];

const TABLES: &str = "
CREATE TABLE program (
    part TEXT NOT NULL CHECK (part IN ('agent', 'board')),
    version TEXT NOT NULL,
    platform TEXT NOT NULL,
    signed BLOB NOT NULL,
    content BLOB NOT NULL,
    content_bytes INTEGER NOT NULL,
    added_ms INTEGER NOT NULL,
    PRIMARY KEY (part, version, platform)
) STRICT, WITHOUT ROWID;
CREATE TABLE rollout (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    part TEXT NOT NULL CHECK (part IN ('agent', 'board', 'configuration')),
    version TEXT NOT NULL,
    platforms TEXT,
    rings TEXT NOT NULL,
    soak_ms INTEGER NOT NULL,
    pause_on INTEGER NOT NULL,
    made_ms INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'finished', 'cancelled')),
    reason TEXT NOT NULL DEFAULT '',
    forgiven_first INTEGER NOT NULL DEFAULT 0,
    forgiven_later INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX rollout_open ON rollout (state) WHERE state IN ('running', 'paused');
CREATE TABLE lane (
    rollout INTEGER NOT NULL REFERENCES rollout (number),
    platform TEXT NOT NULL,
    ring INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (rollout, platform)
) STRICT, WITHOUT ROWID;
CREATE TABLE progress (
    rollout INTEGER NOT NULL REFERENCES rollout (number),
    node TEXT NOT NULL,
    platform TEXT,
    ring INTEGER,
    reported TEXT,
    since_ms INTEGER NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    aside TEXT NOT NULL DEFAULT 'no',
    tries INTEGER NOT NULL DEFAULT 0,
    -- Of a configuration alone.
    revision INTEGER,
    content BLOB,
    content_bytes INTEGER,
    PRIMARY KEY (rollout, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX progress_node ON progress (node);
-- Never counts down: a node takes a configuration only with a higher revision than the last that it judged.
CREATE TABLE revision (node TEXT PRIMARY KEY, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- Never deleted from by the program.
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    rollout INTEGER,
    alarm INTEGER NOT NULL,
    what TEXT NOT NULL
) STRICT;
-- How far the hub's store was read: its generation, and the last event's position.
CREATE TABLE place (one INTEGER PRIMARY KEY CHECK (one = 1), generation BLOB NOT NULL, position INTEGER NOT NULL) STRICT;
";
