//! Programs that may be rolled out.

use rusqlite::{Connection, OptionalExtension, params};
use simpul_wire::update::{Part, SignedManifest};

use super::super::UpdateError;
use super::super::file::{Update, to_vec};
use super::{EventRow, Ledger, note};

/// Programs kept at most: a release has three or four.
const PROGRAMS_MAX: u32 = 1_000;

/// A program that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramRow {
    /// Agent or board.
    pub part: String,
    /// Its version.
    pub version: String,
    /// What it runs on.
    pub platform: String,
    /// SHA-256 of what nodes download.
    pub content: [u8; 32],
    /// Its bytes.
    pub content_bytes: u32,
    /// When it was added, Unix milliseconds.
    pub added_ms: i64,
}

impl Ledger {
    /// Keep a program, whose content is kept already. The same one again changes nothing.
    ///
    /// # Errors
    /// There is another one of this version and platform, or too many.
    pub fn add(&self, update: &Update, who: &str, now_ms: i64) -> Result<(), UpdateError> {
        let manifest = &update.manifest;
        let (part, version, platform) =
            (manifest.part.name(), manifest.version.to_string(), manifest.platform.to_string());
        let signed = to_vec(&update.signed)?;
        self.change(|transaction| {
            let known: Option<[u8; 32]> = transaction
                .query_row(
                    "SELECT content FROM program WHERE part = ? AND version = ? AND platform = ?",
                    params![part, version, platform],
                    |row| row.get(0),
                )
                .optional()?;
            if known.is_some_and(|known| known != manifest.content_sha256) {
                let text = format!(
                    "there is another {part} {version} for {platform} already: give what changed a version of its own"
                );
                return Err(UpdateError::refused(text).into());
            }
            let count: u32 = transaction.query_row("SELECT count(*) FROM program", [], |row| row.get(0))?;
            if known.is_none() && count >= PROGRAMS_MAX {
                return Err(UpdateError::refused(format!("there are {PROGRAMS_MAX} programs")).into());
            }
            // The same program signed again (with a new key, another floor) replaces the signature.
            transaction.execute(
                "INSERT INTO program (part, version, platform, signed, content, content_bytes, added_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (part, version, platform) DO UPDATE SET signed = excluded.signed",
                params![part, version, platform, signed, manifest.content_sha256, manifest.content_bytes, now_ms],
            )?;
            let what = format!(
                "added {part} {version} for {platform}, key {}, content {}",
                hex::encode(update.signed.key_id),
                hex::encode(manifest.content_sha256)
            );
            note(transaction, &EventRow { at_ms: now_ms, who: who.into(), rollout: None, alarm: false, what })?;
            Ok(())
        })
    }

    /// All programs, newest last.
    ///
    /// # Errors
    /// The database.
    pub fn programs(&self) -> Result<Vec<ProgramRow>, UpdateError> {
        self.look(|connection| {
            let mut statement = connection.prepare(
                "SELECT part, version, platform, content, content_bytes, added_ms FROM program ORDER BY added_ms, part, version, platform",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(ProgramRow {
                    part: row.get(0)?,
                    version: row.get(1)?,
                    platform: row.get(2)?,
                    content: row.get(3)?,
                    content_bytes: row.get(4)?,
                    added_ms: row.get(5)?,
                })
            })?;
            rows.collect()
        })
    }
}

/// What a program of this part and version there is for a platform: signed, its content's hash and bytes.
pub(super) fn program(
    connection: &Connection,
    part: Part,
    version: &str,
    platform: &str,
) -> rusqlite::Result<Option<(SignedManifest, [u8; 32], u32)>> {
    let row: Option<(Vec<u8>, [u8; 32], u32)> = connection
        .query_row(
            "SELECT signed, content, content_bytes FROM program WHERE part = ? AND version = ? AND platform = ?",
            params![part.name(), version, platform],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    // What was kept was decoded once already.
    Ok(row.and_then(|(signed, content, bytes)| Some((minicbor::decode(&signed).ok()?, content, bytes))))
}
