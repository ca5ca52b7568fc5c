//! Ids of commands that were begun, in a file: one line each, `<32 hex digits> begun|done`, the oldest first.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::replace_file;

/// Ids that are kept. A room gives a node a few commands a day; a hub repeats one within its time to live at most.
const IDS_MAX: usize = 256;

/// Largest file that is read: 256 lines of 38 bytes are 10 KiB.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Whether an id was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It was, and is on disk now.
    New,
    /// It was begun before.
    Before,
}

/// The ids.
#[derive(Debug)]
pub struct KnownIds {
    file: PathBuf,
    ids: VecDeque<([u8; 16], bool)>,
}

impl KnownIds {
    /// From the file in `directory`; a missing or unreadable one is an empty one (the worst that follows is a snapshot
    /// taken twice).
    pub fn open(directory: &Path) -> Self {
        let file = directory.join("commands");
        let text = match fs::metadata(&file) {
            Ok(metadata) if metadata.len() <= FILE_BYTES_MAX => fs::read_to_string(&file).unwrap_or_default(),
            _ => String::new(),
        };
        let ids = text.lines().filter_map(parse).collect();
        KnownIds { file, ids }
    }

    /// Ids that were begun and not finished.
    pub fn unfinished(&self) -> Vec<[u8; 16]> {
        self.ids.iter().filter(|(_, done)| !done).map(|(id, _)| *id).collect()
    }

    /// Remember an id; durable when this returns.
    pub fn remember(&mut self, id: [u8; 16]) -> io::Result<Known> {
        if self.ids.iter().any(|(known, _)| *known == id) {
            return Ok(Known::Before);
        }
        let before = self.ids.clone();
        self.ids.push_back((id, false));
        while self.ids.len() > IDS_MAX {
            self.ids.pop_front();
        }
        if let Err(error) = self.save() {
            self.ids = before;
            return Err(error);
        }
        Ok(Known::New)
    }

    /// The command's result is durable.
    pub fn finish(&mut self, id: [u8; 16]) -> io::Result<()> {
        for (known, done) in &mut self.ids {
            *done |= *known == id;
        }
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let mut text = String::new();
        for (id, done) in &self.ids {
            text.push_str(&hex::encode(id));
            text.push_str(if *done { " done\n" } else { " begun\n" });
        }
        replace_file(&self.file, text.as_bytes())
    }
}

fn parse(line: &str) -> Option<([u8; 16], bool)> {
    let (id, state) = line.split_once(' ')?;
    let mut bytes = [0; 16];
    hex::decode_to_slice(id, &mut bytes).ok()?;
    Some((bytes, state == "done"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_also_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let mut ids = KnownIds::open(directory.path());
        assert_eq!(ids.remember([1; 16]).unwrap(), Known::New);
        assert_eq!(ids.remember([2; 16]).unwrap(), Known::New);
        ids.finish([1; 16]).unwrap();
        let mut ids = KnownIds::open(directory.path());
        assert_eq!(ids.remember([1; 16]).unwrap(), Known::Before);
        assert_eq!(ids.unfinished(), [[2; 16]]);
    }

    #[test]
    fn the_file_stays_small_and_damage_is_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let mut ids = KnownIds::open(directory.path());
        for number in 0..300u16 {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            ids.remember(id).unwrap();
        }
        let text = fs::read_to_string(directory.path().join("commands")).unwrap();
        assert_eq!(text.lines().count(), IDS_MAX);
        fs::write(directory.path().join("commands"), format!("rubbish\n\u{0}\n{}", &text[..100])).unwrap();
        assert_eq!(KnownIds::open(directory.path()).ids.len(), 2, "two whole lines of 39 bytes");
    }

    #[test]
    fn an_id_that_cannot_be_written_is_not_known() {
        let directory = tempfile::tempdir().unwrap();
        let mut ids = KnownIds::open(&directory.path().join("missing"));
        assert!(ids.remember([1; 16]).is_err());
        assert!(ids.ids.is_empty());
    }
}
