//! Acceptances: that a node was seen to work at its place, signed by the laptop that saw it; kept for good, with the
//! pictures, which the store forgets after two weeks.

use rusqlite::{OptionalExtension, params};

use super::super::IdentityError;
use super::Ledger;

/// The nation's villages once over, at some 100 kB each with their pictures: a district has a few hundred.
const ACCEPTANCES_MAX: u32 = 100_000;

/// An acceptance to keep: its signature and its pictures fit.
#[derive(Debug, Clone)]
pub struct NewAcceptance<'a> {
    /// The node.
    pub node: &'a str,
    /// `technician/laptop`.
    pub laptop: &'a str,
    /// The laptop's certificate.
    pub serial: &'a [u8],
    /// What was signed.
    pub record: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
    /// SHA-256 and JPEG of each picture.
    pub pictures: &'a [([u8; 32], bytes::Bytes)],
}

/// An acceptance, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptanceRow {
    /// Its number.
    pub number: u64,
    /// When it came, Unix milliseconds.
    pub at_ms: i64,
    /// The node.
    pub node: String,
    /// `technician/laptop`.
    pub laptop: String,
    /// What was signed (`simpul_wire::technician::Acceptance`).
    pub record: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The certificate whose key signed it (DER).
    pub certificate: Vec<u8>,
}

const ROW: &str = "SELECT number, at_ms, node, acceptance.laptop, record, signature, laptop.der
                   FROM acceptance JOIN laptop USING (serial)";

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<AcceptanceRow> {
    let number: i64 = row.get(0)?;
    Ok(AcceptanceRow {
        number: number.cast_unsigned(),
        at_ms: row.get(1)?,
        node: row.get(2)?,
        laptop: row.get(3)?,
        record: row.get(4)?,
        signature: row.get(5)?,
        certificate: row.get(6)?,
    })
}

impl Ledger {
    /// Keep an acceptance; its number and when it came. The same once more, after an answer that was lost, is the same.
    pub fn keep_acceptance(&self, new: &NewAcceptance<'_>, now_ms: i64) -> Result<(u64, i64), IdentityError> {
        self.change(|transaction| {
            let known: Option<(i64, i64)> = transaction
                .query_row("SELECT number, at_ms FROM acceptance WHERE record = ?", [new.record], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            if let Some((number, at_ms)) = known {
                return Ok((number.cast_unsigned(), at_ms));
            }
            let count: u32 = transaction.query_row("SELECT count(*) FROM acceptance", [], |row| row.get(0))?;
            if count >= ACCEPTANCES_MAX {
                return Err(IdentityError::refused(format!("there are {ACCEPTANCES_MAX} acceptances")).into());
            }
            transaction.execute(
                "INSERT INTO acceptance (at_ms, node, laptop, serial, record, signature) VALUES (?, ?, ?, ?, ?, ?)",
                params![now_ms, new.node, new.laptop, new.serial, new.record, new.signature],
            )?;
            let number = transaction.last_insert_rowid();
            for (sha256, jpeg) in new.pictures {
                transaction.execute(
                    "INSERT OR IGNORE INTO acceptance_picture (number, sha256, jpeg) VALUES (?, ?, ?)",
                    params![number, sha256, jpeg.as_ref()],
                )?;
            }
            Ok((number.cast_unsigned(), now_ms))
        })
    }

    /// All acceptances, newest first, of one node or of all.
    pub fn acceptances(&self, node: Option<&str>) -> Result<Vec<AcceptanceRow>, IdentityError> {
        self.look(|connection| {
            let query = format!("{ROW} WHERE ?1 IS NULL OR node = ?1 ORDER BY number DESC");
            connection.prepare(&query)?.query_map([node], row)?.collect()
        })
    }

    /// One acceptance with its pictures (SHA-256, JPEG).
    #[allow(clippy::type_complexity, reason = "a row and its pictures")]
    pub fn acceptance(&self, number: u64) -> Result<Option<(AcceptanceRow, Vec<([u8; 32], Vec<u8>)>)>, IdentityError> {
        self.look(|connection| {
            let number = number.cast_signed();
            let found = connection.query_row(&format!("{ROW} WHERE number = ?"), [number], row).optional()?;
            let Some(found) = found else { return Ok(None) };
            let mut statement = connection.prepare("SELECT sha256, jpeg FROM acceptance_picture WHERE number = ?")?;
            let pictures = statement.query_map([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(Some((found, pictures.collect::<rusqlite::Result<_>>()?)))
        })
    }
}
