//! What one node is offered, and may download.

use rusqlite::{Connection, params};
use simpul_wire::NodeId;
use simpul_wire::update::{ConfigurationOffer, Offers, Part, ProgramOffer};

use super::super::UpdateError;
use super::super::plan::{Aside, Progress, State};
use super::Ledger;
use super::programs::program;
use super::rollouts::{part, step};

/// Something that a node may download now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// SHA-256.
    pub sha256: [u8; 32],
    /// Bytes.
    pub bytes: u32,
}

impl Ledger {
    /// What a node should run, and what it may download for that.
    ///
    /// # Errors
    /// The database.
    pub fn offers(&self, node: &NodeId) -> Result<(Offers, Vec<Content>), UpdateError> {
        self.look(|connection| offers(connection, node))
    }
}

fn offers(connection: &Connection, node: &NodeId) -> rusqlite::Result<(Offers, Vec<Content>)> {
    let mut statement = connection.prepare_cached(
        "SELECT id, part, version, state, platform, ring, reported, aside, revision, content, content_bytes
         FROM progress JOIN rollout ON rollout.number = progress.rollout
         WHERE node = ? AND state IN ('running', 'paused') ORDER BY rollout.number",
    )?;
    let mut rows = statement.query(params![node.as_str()])?;
    let (mut offers, mut contents) = (Offers::default(), Vec::new());
    while let Some(row) = rows.next()? {
        let (rollout, which, version): ([u8; 16], String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (state, reported, aside): (String, Option<String>, String) = (row.get(3)?, row.get(6)?, row.get(7)?);
        let progress = Progress {
            platform: row.get(4)?,
            ring: row.get(5)?,
            reported: reported.and_then(|name| step(&name)),
            aside: Aside::parse(&aside).unwrap_or_default(),
            ..Progress::default()
        };
        let (Some(state), Some(part)) = (State::parse(&state), part(&which)) else { continue };
        if !progress.is_offered(state) {
            continue;
        }
        if part == Part::Configuration {
            let (revision, content, bytes): (i64, [u8; 32], u32) = (row.get(8)?, row.get(9)?, row.get(10)?);
            let revision = u64::try_from(revision).unwrap_or_default();
            offers.configuration =
                Some(ConfigurationOffer { rollout, revision, content_bytes: bytes, content_sha256: content });
            contents.push(Content { sha256: content, bytes });
            continue;
        }
        let Some((signed, sha256, bytes)) =
            program(connection, part, &version, progress.platform.as_deref().unwrap_or_default())?
        else {
            continue;
        };
        let offer = Some(ProgramOffer { rollout, signed });
        *(if part == Part::Agent { &mut offers.agent } else { &mut offers.board }) = offer;
        contents.push(Content { sha256, bytes });
    }
    Ok((offers, contents))
}
