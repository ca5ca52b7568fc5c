//! The databases of all rows as open handles: opening and checking them, setting damaged ones aside, sealing heads; and
//! the witness that says which there are.

use simpul_wire::event::{EventBody, LossReason, SpoolCondition};
use simpul_wire::{Stream, Text};

use super::core::{Core, EVENTS_MAX, STREAMS, at};
use super::disk::{Database, StoreError};
use super::row::Row;
use super::stock::take_stock;
use super::witness::{EpochBook, Witness};

/// Sealed databases kept open for reading: the tail of the stream being drained, and one more.
const READERS_MAX: usize = 2;

impl Core {
    pub(super) fn open_head(&mut self, stream: Stream) -> Result<&mut Box<dyn Database>, StoreError> {
        let era = self.era();
        let number = self.row(stream).head().map(|head| head.number);
        let number = number.ok_or_else(|| StoreError::Failed("no head was reserved".to_string()))?;
        let position = self.open_shelf(era, stream, number)?;
        self.open
            .get_mut(position)
            .map(|(_, database)| database)
            .ok_or_else(|| StoreError::Failed("closed".to_string()))
    }

    pub(super) fn close_head(&mut self, stream: Stream) {
        if let Some(number) = self.row(stream).head().map(|head| head.number) {
            self.close(number);
            if let Some(head) = self.row_mut(stream).shelves.last_mut() {
                head.checked = false;
            }
        }
    }

    pub(super) fn close(&mut self, number: u32) {
        self.open.retain(|(open, _)| *open != number);
    }

    /// Open a database and, the first time, compare what it holds with what it should.
    fn open_shelf(&mut self, era: usize, stream: Stream, number: u32) -> Result<usize, StoreError> {
        if let Some(position) = self.open.iter().position(|(open, _)| *open == number) {
            return Ok(position);
        }
        let name = self.eras[era].rows[at(stream)].database(number);
        let database = self.disk.open(&name)?;
        let row = &mut self.eras[era].rows[at(stream)];
        let in_doubt = self.in_doubt[at(stream)];
        if let Some(position) = row.position(number).filter(|&position| !row.shelves[position].checked) {
            let mut found = take_stock(database.as_ref(), stream)?.held;
            in_doubt.iter().for_each(|range| drop(found.remove(*range)));
            let mut missing = row.shelves[position].held.clone();
            missing.remove_all(&found);
            let mut owed = Vec::new();
            missing.iter().for_each(|range| owed.extend(row.lose(range, LossReason::Damaged)));
            row.shelves[position].held = found;
            row.shelves[position].checked = true;
            if !owed.is_empty() {
                let detail = format!("{name} lacks {} records it should hold", missing.count());
                self.say(SpoolCondition::Quarantined, Some(stream), detail);
            }
        }
        self.open.push_back((number, database));
        Ok(self.open.len() - 1)
    }

    /// Run `use_it` on a database. `Ok(false)`: it is damaged, was set aside, and its losses are noted.
    pub(super) fn with_shelf(
        &mut self,
        era: usize,
        stream: Stream,
        number: u32,
        use_it: &mut dyn FnMut(&mut dyn Database) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let used = self.open_shelf(era, stream, number).and_then(|position| match self.open.get_mut(position) {
            Some((_, database)) => use_it(database.as_mut()),
            None => Err(StoreError::Failed("closed".to_string())),
        });
        match used {
            Ok(()) => Ok(true),
            Err(StoreError::Damaged(detail)) => {
                self.set_aside(era, stream, number, &detail)?;
                Ok(false)
            }
            Err(other) => {
                self.close(number);
                Err(other)
            }
        }
    }

    /// Quarantine a database; what it held and the hub lacks is lost.
    pub(super) fn set_aside(&mut self, era: usize, stream: Stream, number: u32, why: &str) -> Result<(), StoreError> {
        self.close(number);
        let row = &mut self.eras[era].rows[at(stream)];
        let name = row.database(number);
        let Some(position) = row.position(number) else { return Ok(()) };
        let shelf = row.shelves.remove(position);
        let lost: u64 =
            shelf.held.iter().flat_map(|range| row.lose(range, LossReason::Damaged)).map(|r| r.count()).sum();
        self.disk.quarantine(&name)?;
        if stream == Stream::Service {
            self.keys.forget(self.disk.as_mut(), number)?;
            if !shelf.sealed {
                self.keys.clear_head();
            }
        }
        tracing::error!(database = name, lost, error = why, "a damaged database was set aside");
        self.say(
            SpoolCondition::Quarantined,
            Some(stream),
            format!("{name} was set aside, {lost} records lost: {why}"),
        );
        self.mark_dirty();
        Ok(())
    }

    /// Note something for people, and as an event.
    pub(super) fn say(&mut self, condition: SpoolCondition, stream: Option<Stream>, detail: String) {
        self.events.push_back(EventBody::Spool { condition, stream, detail: Text::clipped(&detail) });
        self.notes.push(detail);
        if self.events.len() > EVENTS_MAX {
            tracing::warn!("too many events of the spool's own: the oldest is dropped");
            self.events.pop_front();
        }
        self.notes.truncate(EVENTS_MAX);
    }

    pub(super) fn mark_dirty(&mut self) {
        self.dirty.get_or_insert(self.clock.now());
    }

    pub(super) fn seal_full_heads(&mut self) {
        for stream in STREAMS {
            let full = self.row(stream).head().is_some_and(|head| head.bytes >= self.seal_bytes(stream));
            if full && let Err(error) = self.seal(stream) {
                tracing::warn!(%error, %stream, "the head could not be sealed yet");
            }
        }
    }

    /// Seal a stream's head; the witness learns of it with the next head.
    pub(super) fn seal(&mut self, stream: Stream) -> Result<(), StoreError> {
        let epoch = self.eras[self.era()].epoch;
        let Some(number) = self.row(stream).head().map(|head| head.number) else { return Ok(()) };
        if stream == Stream::Service {
            self.keys.seal(self.disk.as_mut(), epoch, number)?;
        }
        if let Some(head) = self.row_mut(stream).shelves.last_mut() {
            head.sealed = true;
        }
        self.mark_dirty();
        Ok(())
    }

    /// Keep heads and the latest readers open.
    pub(super) fn close_readers(&mut self) {
        let heads: Vec<u32> = STREAMS.iter().filter_map(|s| self.row(*s).head().map(|head| head.number)).collect();
        while self.open.iter().filter(|(number, _)| !heads.contains(number)).count() > READERS_MAX {
            let Some(oldest) = self.open.iter().position(|(number, _)| !heads.contains(number)) else { break };
            self.open.remove(oldest);
        }
    }

    /// Write the witness, then delete the image files that nothing refers to any more.
    pub(super) fn save_witness(&mut self, clean: bool) -> Result<(), StoreError> {
        let books = self.eras.iter().map(|era| {
            let mut rows: Vec<_> = era.rows.iter().map(Row::to_book).collect();
            if clean {
                rows.iter_mut().zip(&era.rows).for_each(|(book, row)| book.ceiling = row.next);
            }
            EpochBook { epoch: era.epoch, rows }
        });
        let mut witness = Witness {
            count: self.witness_count,
            serial: self.serial,
            boot: self.boot,
            boot_id: self.boot_id.clone(),
            clean,
            generation: self.generation,
            next_database: self.next_database,
            epochs: books.collect(),
        };
        let saved = witness.save(self.disk.as_mut());
        // Even a failed write may have replaced one copy.
        self.witness_count = witness.count;
        saved?;
        (self.dirty, self.burnt) = (None, false);
        for file in std::mem::take(&mut self.unlink) {
            self.disk.remove(&file)?;
        }
        Ok(())
    }
}
