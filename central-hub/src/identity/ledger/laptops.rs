//! Technicians' tokens, their laptops, what these did, and how all of it ends in one action.

use rusqlite::{Connection, OptionalExtension, params};
use simpul_wire::enrolment::{Laptop, Name};

use super::super::villages::nearest;
use super::super::{IdentityError, sha256};
use super::ca::{CaState, in_state};
use super::nodes::ROWS_MAX;
use super::{Change, Ledger, there};

/// What laptops did is kept for people: at ten a day for each of ten technicians, more than a year of it.
const DEEDS_MAX: u32 = 50_000;

/// A laptop, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaptopRow {
    /// `technician/laptop`.
    pub laptop: String,
    /// When its last certificate that was not revoked ends, Unix seconds; nothing: it was revoked.
    pub certificate_to_s: Option<u64>,
    /// Tokens that it asked for and that no node has used yet.
    pub tokens: u32,
    /// Bundles on it that no node has used yet.
    pub bundles: u32,
}

/// What ended with a laptop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// `technician/laptop`.
    pub laptop: String,
    /// Its certificates.
    pub certificates: usize,
    /// Nodes whose unused tokens were withdrawn.
    pub tokens: Vec<String>,
    /// Nodes whose unused bundles were revoked.
    pub bundles: Vec<String>,
    /// Nodes that used a bundle of it before, and when (Unix milliseconds): whoever had the laptop by then may be them.
    pub used: Vec<(String, i64)>,
}

/// Something that a laptop did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeedRow {
    /// When, Unix milliseconds by the hub's clock.
    pub at_ms: i64,
    /// `technician/laptop`.
    pub laptop: String,
    /// From which address.
    pub peer: String,
    /// What: login, examine, token, bundle, picture, acceptance, revoked.
    pub what: String,
    /// The node that it was about, if it was about one.
    pub node: String,
    /// More, for people.
    pub detail: String,
}

impl Ledger {
    /// Keep the hash of a technician's new token; an older unused one is withdrawn. The CA's fingerprint, for the token.
    /// What is got with it ends at `expires_ms` too.
    pub fn issue_login_token(
        &self,
        technician: &Name,
        secret: &[u8; 16],
        now_ms: i64,
        expires_ms: i64,
    ) -> Result<[u8; 32], IdentityError> {
        self.change(|transaction| {
            let Some(current) = in_state(transaction, CaState::Current)? else {
                return Err(IdentityError::NoAuthority.into());
            };
            // Used or not, what has expired tells nothing that the deeds do not.
            transaction.execute("DELETE FROM login_token WHERE expires_ms < ?", [now_ms - 30 * 86_400_000])?;
            let tokens: u32 = transaction.query_row("SELECT count(*) FROM login_token", [], |row| row.get(0))?;
            if tokens >= ROWS_MAX {
                return Err(IdentityError::refused(format!("there are {ROWS_MAX} tokens of technicians")).into());
            }
            transaction.execute(
                "UPDATE login_token SET withdrawn_ms = ?
                 WHERE technician = ? AND used_ms IS NULL AND withdrawn_ms IS NULL",
                params![now_ms, technician.as_str()],
            )?;
            transaction.execute(
                "INSERT INTO login_token (hash, technician, authority, made_ms, expires_ms) VALUES (?, ?, ?, ?, ?)",
                params![sha256(secret), technician.as_str(), current.number, now_ms, expires_ms],
            )?;
            Ok(current.fingerprint)
        })
    }

    /// All laptops.
    pub fn laptops(&self) -> Result<Vec<LaptopRow>, IdentityError> {
        self.look(|connection| {
            let mut statement = connection.prepare(
                "SELECT laptop, max(CASE WHEN revoked_ms IS NULL THEN to_s END),
                   (SELECT count(*) FROM token WHERE token.laptop = laptop.laptop
                      AND used_ms IS NULL AND withdrawn_ms IS NULL),
                   (SELECT count(*) FROM certificate WHERE certificate.laptop = laptop.laptop
                      AND certificate.revoked_ms IS NULL AND spent_ms IS NULL)
                 FROM laptop GROUP BY laptop ORDER BY laptop",
            )?;
            let rows = statement.query_map([], |row| {
                let to_s: Option<i64> = row.get(1)?;
                Ok(LaptopRow {
                    laptop: row.get(0)?,
                    certificate_to_s: to_s.and_then(|to_s| u64::try_from(to_s).ok()),
                    tokens: row.get(2)?,
                    bundles: row.get(3)?,
                })
            })?;
            rows.collect()
        })
    }

    /// End a laptop, in one transaction: its certificates, the tokens that it asked for and nobody has used, the bundles
    /// on it. `named` is `technician/laptop`, or the laptop alone where only one technician has one of that name.
    pub fn revoke_laptop(&self, named: &str, now_ms: i64) -> Result<Ended, IdentityError> {
        self.change(|transaction| {
            let laptop = find(transaction, named)?;
            let certificates = transaction.execute(
                "UPDATE laptop SET revoked_ms = ? WHERE laptop = ? AND revoked_ms IS NULL",
                params![now_ms, laptop],
            )?;
            let names = |query: &str| -> rusqlite::Result<Vec<String>> {
                transaction.prepare(query)?.query_map(params![now_ms, laptop], |row| row.get(0))?.collect()
            };
            let mut tokens = names(
                "UPDATE token SET withdrawn_ms = ?, laptop_revoked = 1
                 WHERE laptop = ? AND used_ms IS NULL AND withdrawn_ms IS NULL RETURNING node",
            )?;
            let mut bundles = names(
                "UPDATE certificate SET revoked_ms = ?
                 WHERE laptop = ? AND spent_ms IS NULL AND revoked_ms IS NULL RETURNING node",
            )?;
            tokens.sort();
            bundles.sort();
            let used = transaction
                .prepare(
                    "SELECT node, spent_ms FROM certificate WHERE laptop = ? AND spent_ms IS NOT NULL ORDER BY node",
                )?
                .query_map([&laptop], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let ended = Ended { laptop, certificates, tokens, bundles, used };
            let detail = format!(
                "certificates {}, tokens {}, bundles {}",
                ended.certificates,
                ended.tokens.len(),
                ended.bundles.len()
            );
            note(
                transaction,
                &DeedRow {
                    at_ms: now_ms,
                    laptop: ended.laptop.clone(),
                    peer: String::new(),
                    what: "revoked".into(),
                    node: String::new(),
                    detail,
                },
            )?;
            Ok(ended)
        })
    }

    /// A laptop's certificate (DER) by its serial number.
    pub fn laptop_certificate(&self, serial: &[u8]) -> Result<Option<Vec<u8>>, IdentityError> {
        self.look(|connection| {
            connection.query_row("SELECT der FROM laptop WHERE serial = ?", [serial], |row| row.get(0)).optional()
        })
    }

    /// Keep what a laptop did; the oldest go.
    pub fn note_deed(&self, row: &DeedRow) -> Result<(), IdentityError> {
        self.change(|transaction| Ok(note(transaction, row)?))
    }

    /// What laptops did, newest first, at most `limit`.
    pub fn deeds(&self, limit: u32) -> Result<Vec<DeedRow>, IdentityError> {
        self.look(|connection| {
            let mut statement = connection
                .prepare("SELECT at_ms, laptop, peer, what, node, detail FROM deed ORDER BY id DESC LIMIT ?")?;
            let rows = statement.query_map([limit], |row| {
                Ok(DeedRow {
                    at_ms: row.get(0)?,
                    laptop: row.get(1)?,
                    peer: row.get(2)?,
                    what: row.get(3)?,
                    node: row.get(4)?,
                    detail: row.get(5)?,
                })
            })?;
            rows.collect()
        })
    }
}

pub(in super::super) fn note(connection: &Connection, row: &DeedRow) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO deed (at_ms, laptop, peer, what, node, detail) VALUES (?, ?, ?, ?, ?, ?)",
        params![row.at_ms, row.laptop, row.peer, row.what, row.node, row.detail],
    )?;
    connection.execute("DELETE FROM deed WHERE id <= (SELECT max(id) FROM deed) - ?", params![DEEDS_MAX])?;
    Ok(())
}

/// The laptop of this name.
fn find(connection: &Connection, named: &str) -> Result<String, Change> {
    if let Ok(laptop) = named.parse::<Laptop>()
        && there(connection, "SELECT 1 FROM laptop WHERE laptop = ?", [laptop.to_string()])?
    {
        return Ok(laptop.to_string());
    }
    let mut statement = connection.prepare("SELECT DISTINCT laptop FROM laptop ORDER BY laptop")?;
    let all: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let own = |full: &&String| full.split_once('/').is_some_and(|(_, name)| name == named);
    let found: Vec<&String> = all.iter().filter(own).collect();
    match found[..] {
        [one] => Ok(one.clone()),
        [] => {
            let hint = nearest(named, all.iter().map(String::as_str));
            let hint =
                hint.map_or("`simpul-hub technicians list` shows all".into(), |near| format!("did you mean {near}?"));
            Err(IdentityError::refused(format!("there is no laptop {named}: {hint}")).into())
        }
        [..] => {
            let found: Vec<&str> = found.into_iter().map(String::as_str).collect();
            let text = format!("{named} is the name of several laptops: say which: {}", found.join(", "));
            Err(IdentityError::refused(text).into())
        }
    }
}
