//! Villages, nodes and their tokens.

use rusqlite::{Connection, OptionalExtension, params};
use simpul_wire::NodeId;
use simpul_wire::enrolment::Laptop;

use super::super::villages::{Villages, nearest};
use super::super::{IdentityError, sha256};
use super::ca::{CaState, in_state};
use super::{Change, Ledger, there};

/// Nodes and tokens of one hub: the nation has 83,762 villages.
pub(super) const ROWS_MAX: u32 = 100_000;

/// A node, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its id.
    pub id: String,
    /// What it stands in.
    pub name: String,
    /// Its village's code.
    pub village: String,
    /// Its village's name.
    pub village_name: String,
    /// When its last certificate that was not revoked ends, Unix seconds.
    pub certificate_to_s: Option<u64>,
    /// It has certificates, and all of them were revoked.
    pub revoked: bool,
    /// When its unused token expires, Unix milliseconds.
    pub token_expires_ms: Option<i64>,
    /// The newest CA that it was told of.
    pub knows: u32,
    /// The laptop that holds a bundle made ahead for it, which has not been used.
    pub bundle_on: Option<String>,
}

/// What `add` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The new node.
    pub id: NodeId,
    /// Its village's name.
    pub village_name: String,
}

const NODES: &str = "
    SELECT id, node.name, village, coalesce(village.name, ''), knows,
      (SELECT max(to_s) FROM certificate WHERE node = id AND revoked_ms IS NULL AND laptop IS NULL),
      EXISTS (SELECT 1 FROM certificate WHERE node = id AND laptop IS NULL),
      (SELECT max(expires_ms) FROM token WHERE node = id AND used_ms IS NULL AND withdrawn_ms IS NULL),
      (SELECT laptop FROM certificate WHERE node = id AND revoked_ms IS NULL AND spent_ms IS NULL
         AND laptop IS NOT NULL ORDER BY to_s DESC LIMIT 1)
    FROM node LEFT JOIN village ON village.code = node.village";

fn node_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<NodeRow> {
    let to_s: Option<i64> = row.get(5)?;
    let any: bool = row.get(6)?;
    Ok(NodeRow {
        id: row.get(0)?,
        name: row.get(1)?,
        village: row.get(2)?,
        village_name: row.get(3)?,
        knows: row.get(4)?,
        certificate_to_s: to_s.and_then(|to_s| u64::try_from(to_s).ok()),
        revoked: any && to_s.is_none(),
        token_expires_ms: row.get(7)?,
        bundle_on: row.get(8)?,
    })
}

impl Ledger {
    /// Take a list of villages in: new ones are added, names follow the list, and nobody is forgotten (a node may stand
    /// there). With `register` each village of the list that has no node gets its first one. All of it, or nothing.
    pub fn import(&self, villages: &Villages, register: bool, now_ms: i64) -> Result<Vec<Added>, IdentityError> {
        self.change(|transaction| {
            let mut added = Vec::new();
            for (code, name) in villages {
                transaction.execute(
                    "INSERT INTO village (code, name) VALUES (?, ?) ON CONFLICT (code) DO UPDATE SET name = excluded.name",
                    params![code, name],
                )?;
                if register && !there(transaction, "SELECT 1 FROM node WHERE village = ?", [code])? {
                    added.push(add(transaction, code, "", now_ms)?);
                }
            }
            Ok(added)
        })
    }

    /// Register one more node of a village.
    pub fn add(&self, code: &str, name: &str, now_ms: i64) -> Result<Added, IdentityError> {
        if name.len() > 120 || name.chars().any(char::is_control) {
            return Err(IdentityError::refused("a name has at most 120 bytes and no control characters"));
        }
        self.change(|transaction| add(transaction, code, name, now_ms))
    }

    /// All nodes.
    pub fn nodes(&self) -> Result<Vec<NodeRow>, IdentityError> {
        self.look(|connection| {
            let mut statement = connection.prepare(&format!("{NODES} ORDER BY id"))?;
            statement.query_map([], node_row)?.collect()
        })
    }

    /// One node.
    pub fn node(&self, id: &str) -> Result<Option<NodeRow>, IdentityError> {
        self.look(|connection| connection.query_row(&format!("{NODES} WHERE id = ?"), [id], node_row).optional())
    }

    /// Keep the hash of a new token for `node`, which `laptop` asked for (none: the command line); its older unused ones
    /// are withdrawn. The CA's fingerprint, for the token.
    pub fn issue_token(
        &self,
        node: &NodeId,
        laptop: Option<&Laptop>,
        secret: &[u8; 16],
        now_ms: i64,
        expires_ms: i64,
    ) -> Result<[u8; 32], IdentityError> {
        self.change(|transaction| {
            known(transaction, node)?;
            let Some(current) = in_state(transaction, CaState::Current)? else {
                return Err(IdentityError::NoAuthority.into());
            };
            let tokens: u32 = transaction.query_row("SELECT count(*) FROM token", [], |row| row.get(0))?;
            if tokens >= ROWS_MAX {
                // Those that never became a certificate tell nothing that the log does not.
                transaction.execute("DELETE FROM token WHERE used_ms IS NULL AND expires_ms < ?", [now_ms])?;
                if transaction.changes() == 0 {
                    return Err(IdentityError::refused(format!("there are {ROWS_MAX} tokens")).into());
                }
            }
            transaction.execute(
                "UPDATE token SET withdrawn_ms = ? WHERE node = ? AND used_ms IS NULL AND withdrawn_ms IS NULL",
                params![now_ms, node.as_str()],
            )?;
            transaction.execute(
                "INSERT INTO token (hash, node, authority, made_ms, expires_ms, laptop) VALUES (?, ?, ?, ?, ?, ?)",
                params![
                    sha256(secret),
                    node.as_str(),
                    current.number,
                    now_ms,
                    expires_ms,
                    laptop.map(Laptop::to_string)
                ],
            )?;
            Ok(current.fingerprint)
        })
    }

    /// Revoke every certificate of a node and withdraw its tokens. How many of each.
    pub fn revoke(&self, node: &NodeId, now_ms: i64) -> Result<(usize, usize), IdentityError> {
        self.change(|transaction| {
            known(transaction, node)?;
            let certificates = transaction.execute(
                "UPDATE certificate SET revoked_ms = ? WHERE node = ? AND revoked_ms IS NULL",
                params![now_ms, node.as_str()],
            )?;
            let tokens = transaction.execute(
                "UPDATE token SET withdrawn_ms = ? WHERE node = ? AND withdrawn_ms IS NULL",
                params![now_ms, node.as_str()],
            )?;
            Ok((certificates, tokens))
        })
    }
}

pub(in super::super) fn known(connection: &Connection, node: &NodeId) -> Result<(), Change> {
    if there(connection, "SELECT 1 FROM node WHERE id = ?", [node.as_str()])? {
        return Ok(());
    }
    let mut statement = connection.prepare("SELECT id FROM node")?;
    let ids: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let hint = nearest(node.as_str(), ids.iter().map(String::as_str));
    let hint = hint.map_or("`simpul-hub nodes list` shows all".into(), |near| format!("did you mean {near}?"));
    Err(IdentityError::refused(format!("there is no node {node}: {hint}")).into())
}

fn add(connection: &Connection, code: &str, name: &str, now_ms: i64) -> Result<Added, Change> {
    let village: Option<String> =
        connection.query_row("SELECT name FROM village WHERE code = ?", [code], |row| row.get(0)).optional()?;
    let Some(village_name) = village else {
        let mut statement = connection.prepare("SELECT code FROM village")?;
        let codes: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let hint = match nearest(code, codes.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None if codes.is_empty() => "import the list of villages first: `simpul-hub nodes import FILE`".into(),
            None => "correct the code, or import a list that has it: `simpul-hub nodes import FILE`".into(),
        };
        return Err(IdentityError::refused(format!("{code} is no village of this district: {hint}")).into());
    };
    let nodes: u32 = connection.query_row("SELECT count(*) FROM node", [], |row| row.get(0))?;
    if nodes >= ROWS_MAX {
        return Err(IdentityError::refused(format!("there are {ROWS_MAX} nodes")).into());
    }
    let ordinal: u32 =
        connection
            .query_row("SELECT coalesce(max(ordinal), 0) + 1 FROM node WHERE village = ?", [code], |row| row.get(0))?;
    let text = format!("{code}-{ordinal:02}");
    let id: NodeId = text
        .parse()
        .map_err(|_| IdentityError::refused(format!("{text} would be no node id: correct the village's code")))?;
    let name = if name.is_empty() { village_name.as_str() } else { name };
    connection.execute(
        "INSERT INTO node (id, village, ordinal, name, made_ms) VALUES (?, ?, ?, ?, ?)",
        params![id.as_str(), code, ordinal, name, now_ms],
    )?;
    Ok(Added { id, village_name })
}
