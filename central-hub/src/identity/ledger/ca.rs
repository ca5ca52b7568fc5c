//! CAs and their states: made as current, or as next; next becomes current and current old; old is retired.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::authority::{self, Authority};
use super::super::{IdentityError, Places, sha256};
use super::{Change, Ledger, there};

/// What a CA is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaState {
    /// It signs.
    Current,
    /// It will sign: nodes are told of it.
    Next,
    /// It signed; what it signed is still good.
    Old,
    /// Nobody trusts it any more.
    Retired,
}

impl CaState {
    /// As the database and people have it.
    pub fn name(self) -> &'static str {
        match self {
            CaState::Current => "current",
            CaState::Next => "next",
            CaState::Old => "old",
            CaState::Retired => "retired",
        }
    }

    fn parse(name: &str) -> CaState {
        match name {
            "current" => CaState::Current,
            "next" => CaState::Next,
            "old" => CaState::Old,
            // The database allows one more.
            _ => CaState::Retired,
        }
    }
}

/// A CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaRow {
    /// From 1.
    pub number: u32,
    /// What it is used for.
    pub state: CaState,
    /// Its certificate (DER).
    pub certificate: Vec<u8>,
    /// SHA-256 of that.
    pub fingerprint: [u8; 32],
    /// When it was made, Unix milliseconds.
    pub made_ms: i64,
    /// The hub's certificate from it (PEM), once it signed one.
    pub hub_pem: Option<String>,
}

/// Whom a step would leave behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stranded {
    /// Nodes, in order.
    pub nodes: Vec<String>,
    /// Tokens that are still good and name the CA that goes.
    pub tokens: u32,
}

impl Stranded {
    fn nobody(&self) -> bool {
        self.nodes.is_empty() && self.tokens == 0
    }

    fn text(&self) -> String {
        let shown: Vec<&str> = self.nodes.iter().take(10).map(String::as_str).collect();
        let more = if self.nodes.len() > shown.len() { ", ..." } else { "" };
        match (self.nodes.len(), self.tokens) {
            (0, tokens) => format!("{tokens} unused tokens"),
            (nodes, 0) => format!("{nodes} nodes ({}{more})", shown.join(", ")),
            (nodes, tokens) => format!("{nodes} nodes ({}{more}) and {tokens} unused tokens", shown.join(", ")),
        }
    }
}

const COLUMNS: &str = "number, state, certificate, fingerprint, made_ms, hub_pem";

fn ca_row(row: &Row<'_>) -> rusqlite::Result<CaRow> {
    let state: String = row.get(1)?;
    Ok(CaRow {
        number: row.get(0)?,
        state: CaState::parse(&state),
        certificate: row.get(2)?,
        fingerprint: row.get(3)?,
        made_ms: row.get(4)?,
        hub_pem: row.get(5)?,
    })
}

/// The CA in a state of which there is at most one.
pub(in super::super) fn in_state(connection: &Connection, state: CaState) -> rusqlite::Result<Option<CaRow>> {
    let query = format!("SELECT {COLUMNS} FROM authority WHERE state = ? ORDER BY number DESC LIMIT 1");
    connection.query_row(&query, [state.name()], ca_row).optional()
}

/// The CAs that are trusted, the current one first.
pub(in super::super) fn trusted(connection: &Connection) -> rusqlite::Result<Vec<CaRow>> {
    let query = format!(
        "SELECT {COLUMNS} FROM authority WHERE state <> 'retired'
         ORDER BY CASE state WHEN 'current' THEN 0 WHEN 'next' THEN 1 ELSE 2 END, number DESC"
    );
    connection.prepare(&query)?.query_map([], ca_row)?.collect()
}

impl Ledger {
    /// All CAs, in order.
    pub fn authorities(&self) -> Result<Vec<CaRow>, IdentityError> {
        let query = format!("SELECT {COLUMNS} FROM authority ORDER BY number");
        self.look(|connection| connection.prepare(&query)?.query_map([], ca_row)?.collect())
    }

    /// The CAs that are trusted, the current one first.
    pub fn trusted(&self) -> Result<Vec<CaRow>, IdentityError> {
        self.look(trusted)
    }

    /// Make the first CA and the hub's certificate.
    pub fn make_first(
        &self,
        places: &Places,
        district: &str,
        hosts: &[String],
        now_ms: i64,
    ) -> Result<CaRow, IdentityError> {
        authority::prepare(&places.pki)?;
        let foreign = places.pki.join("ca.pem").exists();
        self.change(|transaction| {
            if there(transaction, "SELECT 1 FROM authority", [])? {
                return Err(IdentityError::refused(
                    "there is a CA already: `simpul-hub ca show`; `ca rotate` makes the next one",
                )
                .into());
            }
            if foreign {
                return Err(IdentityError::refused(format!(
                    "{} is there already and is not ours: move it aside, with what belongs to it, if the nodes that it \
                     knows are to be enrolled anew",
                    places.pki.join("ca.pem").display()
                ))
                .into());
            }
            make(transaction, &places.pki, (district, hosts), CaState::Current, now_ms)
        })
    }

    /// Make the next CA.
    pub fn rotate(&self, pki: &Path, district: &str, hosts: &[String], now_ms: i64) -> Result<CaRow, IdentityError> {
        self.change(|transaction| {
            if in_state(transaction, CaState::Current)?.is_none() {
                return Err(IdentityError::NoAuthority.into());
            }
            for (state, advice) in
                [(CaState::Next, "`simpul-hub ca activate`"), (CaState::Old, "`simpul-hub ca retire`")]
            {
                if let Some(row) = in_state(transaction, state)? {
                    let text = format!("CA {} is the {} one: {advice} comes first", row.number, state.name());
                    return Err(IdentityError::refused(text).into());
                }
            }
            make(transaction, pki, (district, hosts), CaState::Next, now_ms)
        })
    }

    /// Let the next CA sign. Refused while a node that has a certificate does not know of it, unless forced.
    pub fn activate(&self, now_ms: i64, force: bool) -> Result<CaRow, IdentityError> {
        self.change(|transaction| {
            let Some(next) = in_state(transaction, CaState::Next)? else {
                return Err(IdentityError::refused("there is no next CA: `simpul-hub ca rotate` makes one").into());
            };
            let mut statement = transaction.prepare(
                "SELECT id FROM node WHERE knows < ?1 AND EXISTS
                 (SELECT 1 FROM certificate WHERE node = id AND revoked_ms IS NULL) ORDER BY id",
            )?;
            let nodes = statement.query_map([next.number], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let tokens = good_tokens(transaction, next.number, now_ms)?;
            let stranded = Stranded { nodes, tokens };
            if !force && !stranded.nobody() {
                return Err(IdentityError::refused(format!(
                    "{} do not know CA {} yet and would not trust the hub; nodes ask once a day, tokens are made anew \
                     with `nodes token`; --force goes on without them",
                    stranded.text(),
                    next.number
                ))
                .into());
            }
            transaction.execute("UPDATE authority SET state = 'old' WHERE state = 'current'", [])?;
            transaction.execute("UPDATE authority SET state = 'current' WHERE number = ?", [next.number])?;
            Ok(CaRow { state: CaState::Current, ..next })
        })
    }

    /// Trust the old CA no longer. Refused while a node has no certificate of another one, unless forced.
    pub fn retire(&self, force: bool) -> Result<CaRow, IdentityError> {
        self.change(|transaction| {
            let Some(old) = in_state(transaction, CaState::Old)? else {
                return Err(
                    IdentityError::refused("there is no old CA: `simpul-hub ca show` says which there are").into()
                );
            };
            let mut statement = transaction.prepare(
                "SELECT id FROM node WHERE EXISTS
                   (SELECT 1 FROM certificate WHERE node = id AND revoked_ms IS NULL AND authority = ?1)
                 AND NOT EXISTS
                   (SELECT 1 FROM certificate WHERE node = id AND revoked_ms IS NULL AND authority > ?1) ORDER BY id",
            )?;
            let nodes = statement.query_map([old.number], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let stranded = Stranded { nodes, tokens: 0 };
            if !force && !stranded.nobody() {
                return Err(IdentityError::refused(format!(
                    "{} have no certificate of the current CA yet and would be refused; they renew by themselves when \
                     they are there; --force means that they need new tokens",
                    stranded.text()
                ))
                .into());
            }
            transaction.execute("UPDATE authority SET state = 'retired' WHERE number = ?", [old.number])?;
            Ok(CaRow { state: CaState::Retired, ..old })
        })
    }
}

/// Tokens that are still good and pin a CA before `number`.
fn good_tokens(connection: &Connection, number: u32, now_ms: i64) -> rusqlite::Result<u32> {
    connection.query_row(
        "SELECT (SELECT count(*) FROM token
                   WHERE authority < ?1 AND used_ms IS NULL AND withdrawn_ms IS NULL AND expires_ms > ?2)
              + (SELECT count(*) FROM login_token
                   WHERE authority < ?1 AND used_ms IS NULL AND withdrawn_ms IS NULL AND expires_ms > ?2)",
        params![number, now_ms],
        |row| row.get(0),
    )
}

fn make(
    connection: &Connection,
    pki: &Path,
    (district, hosts): (&str, &[String]),
    state: CaState,
    now_ms: i64,
) -> Result<CaRow, Change> {
    let number: u32 =
        connection.query_row("SELECT coalesce(max(number), 0) + 1 FROM authority", [], |row| row.get(0))?;
    let now_s = u64::try_from(now_ms / 1_000).unwrap_or_default();
    let certificate = authority::make(pki, number, district, now_s)?;
    let hub_pem = Authority::open(pki, number, &certificate)?.sign_hub(pki, hosts, now_s)?;
    let fingerprint = sha256(&certificate);
    connection.execute(
        "INSERT INTO authority (number, state, certificate, fingerprint, made_ms, hub_pem) VALUES (?, ?, ?, ?, ?, ?)",
        params![number, state.name(), certificate, fingerprint, now_ms, hub_pem],
    )?;
    Ok(CaRow { number, state, certificate, fingerprint, made_ms: now_ms, hub_pem: Some(hub_pem) })
}
