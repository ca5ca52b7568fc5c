//! What must be remembered of boards over a restart: which numbered message was handled last, which gasp, what was in
//! the cages, which condition was told. Small, and bounded; totals are kept apart (`keeper`).
//!
//! A record is appended first and noted here after: a power cut in between makes the board send its message again, and
//! an event may then be told twice. Counts are not events: they have keys.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use simpul_wire::board::CAGES;
use simpul_wire::board::host::Tried;

use crate::files::replace_file;

/// Boards of one node that are remembered: the one that is there and its spares.
pub(super) const BOARDS_MAX: usize = 8;

/// A board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KnownBoard {
    serial: String,
    boot: u32,
    /// Number of the last message of that boot that was handled; nothing: none yet.
    seq: Option<u32>,
    /// The board's uptime when it was sent.
    sent_ms: u64,
    /// Events of that boot that the board dropped, as told.
    #[serde(default)]
    dropped: u32,
    /// The board said in that boot that its journal cannot be written.
    #[serde(default)]
    journal_failed: bool,
    /// The image that went on trial there last, until it was confirmed.
    #[serde(default)]
    tried: Option<Tried>,
}

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Known {
    /// The one that started last comes last.
    boards: Vec<KnownBoard>,
    gasp: Option<(u32, u64)>,
    /// What was told of each cage.
    cages: [Option<String>; CAGES],
    /// Number of the condition that was told last.
    condition: Option<u8>,
}

/// Something to remember, once it is durable elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// A board started.
    Started { serial: String, boot: u32 },
    /// A numbered message was handled.
    Handled { serial: String, boot: u32, seq: u32, sent_ms: u64, journal_failed: bool },
    /// That a board dropped events was told.
    Dropped { serial: String, dropped: u32 },
    /// A gasp was told.
    Gasp { boot: u32, at_ms: u64 },
    /// What is in a cage was told.
    Cage { cage: usize, told: String },
    /// A condition was told.
    Condition(u8),
    /// An image went on trial, or came off it.
    Tried { serial: String, tried: Option<Tried> },
    /// Nothing.
    Nothing,
}

impl Known {
    pub(super) fn apply(&mut self, note: &Note) {
        match note {
            Note::Started { serial, boot } => {
                let tried = self.tried(serial);
                self.boards.retain(|board| board.serial != *serial);
                if self.boards.len() >= BOARDS_MAX {
                    self.boards.remove(0);
                }
                let (serial, boot) = (serial.clone(), *boot);
                self.boards.push(KnownBoard {
                    serial,
                    boot,
                    seq: None,
                    sent_ms: 0,
                    dropped: 0,
                    journal_failed: false,
                    tried,
                });
            }
            Note::Handled { serial, boot, seq, sent_ms, journal_failed } => {
                if let Some(board) = self.boards.iter_mut().find(|board| board.serial == *serial) {
                    (board.boot, board.seq, board.sent_ms) = (*boot, Some(*seq), *sent_ms);
                    board.journal_failed |= journal_failed;
                }
            }
            Note::Dropped { serial, dropped } => {
                if let Some(board) = self.boards.iter_mut().find(|board| board.serial == *serial) {
                    board.dropped = *dropped;
                }
            }
            Note::Gasp { boot, at_ms } => self.gasp = Some((*boot, *at_ms)),
            Note::Cage { cage, told } => {
                if let Some(known) = self.cages.get_mut(*cage) {
                    *known = Some(told.clone());
                }
            }
            Note::Condition(number) => self.condition = Some(*number),
            Note::Tried { serial, tried } => {
                if let Some(board) = self.boards.iter_mut().find(|board| board.serial == *serial) {
                    board.tried = *tried;
                }
            }
            Note::Nothing => {}
        }
    }

    /// Whether a board that says hello started since it was heard last. A board whose journal does not work may have
    /// the same boot number again: its uptime went back then.
    pub(super) fn is_new_start(&self, serial: &str, boot: u32, uptime_ms: u64) -> bool {
        let known = self.boards.iter().find(|board| board.serial == serial);
        known.is_none_or(|known| known.boot != boot || uptime_ms < known.sent_ms)
    }

    /// Whether a numbered message was handled before. One that happened after the last handled one was sent is new,
    /// whatever its number says.
    pub(super) fn is_handled(&self, serial: &str, boot: u32, seq: u32, at_ms: u64) -> bool {
        let known = self.boards.iter().find(|board| board.serial == serial && board.boot == boot);
        known.is_some_and(|known| known.seq.is_some_and(|last| seq <= last) && at_ms <= known.sent_ms)
    }

    /// Events of this boot that a board dropped, as told; and whether it said that its journal cannot be written.
    pub(super) fn of_boot(&self, serial: &str) -> (u32, bool) {
        let known = self.boards.iter().find(|board| board.serial == serial);
        known.map_or((0, false), |known| (known.dropped, known.journal_failed))
    }

    /// The image that went on trial on a board last, until it was confirmed.
    pub(super) fn tried(&self, serial: &str) -> Option<Tried> {
        self.boards.iter().find(|board| board.serial == serial)?.tried
    }

    pub(super) fn is_told_gasp(&self, boot: u32, at_ms: u64) -> bool {
        self.gasp == Some((boot, at_ms))
    }

    pub(super) fn is_told_cage(&self, cage: usize, told: &str) -> bool {
        self.cages.get(cage).is_some_and(|known| known.as_deref() == Some(told))
    }

    pub(super) fn condition(&self) -> Option<u8> {
        self.condition
    }

    pub(super) fn serials(&self) -> Vec<String> {
        self.boards.iter().map(|board| board.serial.clone()).collect()
    }
}

/// The file that keeps [`Known`].
#[derive(Debug, Clone)]
pub(super) struct KnownFile {
    path: PathBuf,
}

impl KnownFile {
    /// Open, or begin anew. A damaged file is an empty one: an event or two are told again.
    pub(super) fn open(directory: &Path) -> io::Result<(KnownFile, Known)> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join("board.json");
        let known = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %path.display(), %error, "what was known of the board is unreadable; beginning anew");
                Known::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Known::default(),
            Err(error) => return Err(error),
        };
        Ok((KnownFile { path }, known))
    }

    /// Blocking: two fsyncs.
    pub(super) fn save(&self, known: &Known) -> io::Result<()> {
        replace_file(&self.path, &serde_json::to_vec(known)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(known: &mut Known, serial: &str, boot: u32) {
        known.apply(&Note::Started { serial: serial.to_owned(), boot });
    }

    fn handled(known: &mut Known, boot: u32, seq: u32, sent_ms: u64) {
        known.apply(&Note::Handled { serial: "a".to_owned(), boot, seq, sent_ms, journal_failed: false });
    }

    #[test]
    fn a_message_is_handled_once_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (file, mut known) = KnownFile::open(folder.path()).unwrap();
        started(&mut known, "a", 3);
        assert!(!known.is_handled("a", 3, 0, 5));
        handled(&mut known, 3, 0, 900);
        file.save(&known).unwrap();
        let (_, known) = KnownFile::open(folder.path()).unwrap();
        assert!(known.is_handled("a", 3, 0, 5), "sent again");
        assert!(!known.is_handled("a", 3, 1, 5), "the next");
        assert!(!known.is_handled("a", 4, 0, 5), "of another boot");
        assert!(!known.is_handled("b", 3, 0, 5), "of another board");
        std::fs::write(folder.path().join("board.json"), b"{\"boards\":[").unwrap();
        assert_eq!(KnownFile::open(folder.path()).unwrap().1, Known::default());
    }

    #[test]
    fn a_start_with_the_same_boot_number_is_noticed_by_its_uptime() {
        let mut known = Known::default();
        assert!(known.is_new_start("a", 1, 50));
        started(&mut known, "a", 1);
        handled(&mut known, 1, 9, 60_000);
        assert!(!known.is_new_start("a", 1, 61_000));
        assert!(known.is_new_start("a", 1, 2_000), "a journal that does not work");
        assert!(!known.is_handled("a", 1, 2, 70_000), "it happened after the last one was sent");
    }

    #[test]
    fn spares_are_remembered_up_to_a_limit_the_oldest_goes() {
        let mut known = Known::default();
        for number in 0..=BOARDS_MAX {
            started(&mut known, &format!("{number}"), 1);
        }
        assert_eq!(known.serials().len(), BOARDS_MAX);
        assert!(known.is_new_start("0", 1, 0) && !known.is_new_start("8", 1, 0));
    }
}
