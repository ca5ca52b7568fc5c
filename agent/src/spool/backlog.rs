//! What a card that no agent runs on still owes its hub, read without writing to it: databases are opened as copies.
//!
//! The books (the witness) may be older than the head databases: a record that is in a database, and that the books do
//! not call acknowledged or lost, is owed.

use std::fs;
use std::io::Read;
use std::path::Path;

use simpul_wire::{Epoch, RangeSet, Stream};

use super::core::at;
use super::inspect::{Copies, Looked};
use super::packet::walk;
use super::row::{Row, image_name};
use super::{SpoolError, Stored};

/// A card's backlog.
pub struct Backlog {
    looked: Looked,
    rows: Vec<(Epoch, Vec<Row>)>,
    copies: Copies,
}

impl Backlog {
    /// Look into a spool's folder.
    ///
    /// # Errors
    /// It is none, its books are gone, or an agent runs on it.
    pub fn open(directory: &Path) -> Result<Backlog, SpoolError> {
        let looked = Looked::at(directory)?;
        looked.refuse_running()?;
        let rows = looked.rows();
        if rows.is_empty() {
            let why = "its books (witness.a, witness.b) cannot be read: start the agent on it once, it mends them";
            return Err(SpoolError::Storage(format!("{}: {why}", directory.display())));
        }
        Ok(Backlog { looked, rows, copies: Copies::new()? })
    }

    /// The store's own epoch.
    ///
    /// # Errors
    /// None: there is one, or it was not opened.
    pub fn epoch(&self) -> Result<Epoch, SpoolError> {
        self.rows.last().map(|(epoch, _)| *epoch).ok_or(SpoolError::Closed)
    }

    /// What the books call owed.
    pub fn owed(&self, streams: &[Stream]) -> Vec<(Epoch, Stream, RangeSet)> {
        let mut all = Vec::new();
        for stream in streams {
            for (epoch, rows) in self.rows.iter().rev() {
                let row = &rows[at(*stream)];
                if !row.owed.is_empty() {
                    all.push((*epoch, *stream, (*row.owed).clone()));
                }
            }
        }
        all
    }

    /// Bytes that wait, about.
    pub fn waiting_bytes(&self, images: bool) -> u64 {
        let rows = self.rows.iter().flat_map(|(_, rows)| rows);
        // A head may hold more than its books say.
        let records: u64 = rows.map(|row| row.waiting_bytes() + super::core::SEAL_BYTES_MAX).sum();
        let files = || fs::read_dir(self.looked.directory.join("image")).into_iter().flatten().flatten();
        let jpegs = || files().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
        records + if images { jpegs() } else { 0 }
    }

    /// Visit what is owed of a stream, epoch by epoch, ascending, until `visit` returns false. How many databases could
    /// not be read.
    pub fn walk(&mut self, stream: Stream, visit: &mut dyn FnMut(Epoch, Stored) -> bool) -> u64 {
        let (looked, copies) = (&self.looked, &mut self.copies);
        let mut unreadable = 0;
        for (epoch, rows) in &self.rows {
            let row = &rows[at(stream)];
            for shelf in &row.shelves {
                let mut go_on = true;
                let opened = copies.with(&looked.directory, &row.database(shelf.number), &mut |database| {
                    walk(database, 0, &mut |item| {
                        let gone = row.lost.contains_range(item.range) || row.acked.contains_range(item.range);
                        go_on = gone || visit(*epoch, Stored { range: item.range, bytes: item.bytes });
                        go_on
                    })
                });
                if !go_on {
                    return unreadable;
                }
                if let Err(error) = opened {
                    tracing::warn!(%error, database = row.database(shelf.number), "not carried");
                    unreadable += 1;
                }
            }
        }
        unreadable
    }

    /// An image's bytes; `None`: they are not all there.
    ///
    /// # Errors
    /// The card cannot be read.
    pub fn image(&self, epoch: Epoch, seq: u64, length: u32) -> Result<Option<Vec<u8>>, SpoolError> {
        let path = self.looked.directory.join("image").join(image_name(epoch, seq));
        let Ok(file) = fs::File::open(&path) else { return Ok(None) };
        let mut bytes = Vec::new();
        match file.take(u64::from(length) + 1).read_to_end(&mut bytes) {
            Ok(found) if found == length as usize => Ok(Some(bytes)),
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "an image cannot be read");
                Ok(None)
            }
        }
    }
}
