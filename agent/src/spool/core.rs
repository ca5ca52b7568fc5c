//! The spool without its thread: databases, witness, and the group commit.
//!
//! A group is written whole, synced, and only then answered. After any error nothing of it is acknowledged: the numbers
//! it took stay *in doubt*, the databases are closed, and before the next commit they are opened anew, read, and the
//! numbers are declared unused: what may be left under them is passed over by every read.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use simpul_clock::{Clock, Moment};
use simpul_wire::event::{EventBody, EventRecord, Loss, LossReason};
use simpul_wire::image::ImageMeta;
use simpul_wire::{Epoch, Generation, SeqRange, Stream};

use super::disk::{Database, Disk, StoreError};
use super::keys::{Keys, Known};
use super::packet::pack;
use super::prepare::Prepared;
use super::row::{Row, Shelf};
use super::witness::Mark;
use super::{AppendError, Appended, EpochStatus, SpoolState};
use crate::config::{ClockTrust, SpoolConfig};
use crate::stamper::Stamper;

/// Numbers reserved at a time, by `Stream::number() - 1`, at least: one witness a quarter of a day under the load that is
/// budgeted for, and a hole of about as many after a power cut. A burst reserves more ([`Row::raise_ceiling`]).
const RESERVED: [u64; 4] = [256, 256, 200_000, 256];

/// A database is sealed at this size (of 1 to 4 MB measured, 1 MB opens in milliseconds and costs the least memory).
pub(super) const SEAL_BYTES_MAX: u64 = 1024 * 1024;

/// A stream's limit spans at least this many databases, so that dropping the oldest frees a small share.
const SEALS_PER_LIMIT: u64 = 8;

/// Below this sled's own files outweigh their content.
const SEAL_BYTES_MIN: u64 = 16 * 1024;

/// The spool's own events that wait to be written; beyond it the oldest is dropped (and logged).
pub(super) const EVENTS_MAX: usize = 64;

/// Losses made into records at a time, so that a commit stays short.
const DECLARED_AT_ONCE_MAX: usize = 64;

/// One epoch's rows, by `Stream::number() - 1`.
pub(crate) struct Era {
    pub epoch: Epoch,
    pub rows: [Row; 4],
}

/// The spool without its thread.
pub(crate) struct Core {
    pub(super) disk: Box<dyn Disk>,
    pub(super) config: SpoolConfig,
    pub(super) clock: Clock,
    pub(super) boot: u32,
    pub(super) boot_id: String,
    pub(super) serial: Option<[u8; 32]>,
    pub(super) generation: Option<Generation>,
    pub(super) next_database: u32,
    pub(super) witness_count: u64,
    /// The last one is the store's own; never empty.
    pub(super) eras: Vec<Era>,
    pub(super) keys: Keys,
    pub(super) open: VecDeque<(u32, Box<dyn Database>)>,
    pub(super) in_doubt: [Option<SeqRange>; 4],
    /// Numbers of a failed group were given up, and the witness does not say so yet. The mark must not pass them before
    /// it does: they would be taken for damage.
    pub(super) burnt: bool,
    /// There was not a byte of space to open it with: only the witness was read, and everything is refused.
    pub(super) unopened: bool,
    pub(super) image_bytes: u64,
    /// Image files whose numbers are acknowledged or lost; deleted after the witness says so.
    pub(super) unlink: Vec<String>,
    pub(super) events: VecDeque<EventBody>,
    pub(super) notes: Vec<String>,
    pub(super) disk_full: bool,
    pub(super) at_limit: [bool; 4],
    /// Since when the witness lags behind.
    pub(super) dirty: Option<Moment>,
    /// When what the hub has not confirmed by then is declared lost.
    pub(super) doubt_until: Option<Moment>,
    pub(super) meta: Option<(Epoch, u64, ImageMeta)>,
    pub(super) new_epoch_begun: bool,
    /// When rows were last looked after.
    pub(super) tended: Moment,
}

/// Why an unopened spool refuses.
pub(super) fn unopened() -> StoreError {
    StoreError::Full("the spool waits for space to open".to_string())
}

/// Where a stream stands in arrays.
pub(crate) fn at(stream: Stream) -> usize {
    usize::from(stream.number()) - 1
}

/// The streams in the order of their numbers.
pub(crate) const STREAMS: [Stream; 4] = [Stream::Service, Stream::Event, Stream::Reading, Stream::Snapshot];

impl Era {
    pub fn new(epoch: Epoch) -> Era {
        Era { epoch, rows: STREAMS.map(|stream| Row::new(epoch, stream)) }
    }
}

impl Core {
    pub(super) fn era(&self) -> usize {
        self.eras.len() - 1
    }

    pub(super) fn row(&self, stream: Stream) -> &Row {
        &self.eras[self.eras.len() - 1].rows[at(stream)]
    }

    pub(super) fn row_mut(&mut self, stream: Stream) -> &mut Row {
        let era = self.era();
        &mut self.eras[era].rows[at(stream)]
    }

    pub(super) fn limit_bytes(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Service => self.config.service_bytes_max,
            Stream::Event => self.config.event_bytes_max,
            Stream::Reading => self.config.reading_bytes_max,
            Stream::Snapshot => self.config.snapshot_bytes_max,
        }
    }

    pub(super) fn seal_bytes(&self, stream: Stream) -> u64 {
        (self.limit_bytes(stream) / SEALS_PER_LIMIT).clamp(SEAL_BYTES_MIN, SEAL_BYTES_MAX)
    }

    /// Bytes of a stream that wait for the hub, over all epochs.
    pub(super) fn used_bytes(&self, stream: Stream) -> u64 {
        let databases: u64 = self.eras.iter().map(|era| era.rows[at(stream)].waiting_bytes()).sum();
        databases + if stream == Stream::Snapshot { self.image_bytes } else { 0 }
    }

    /// Commit a group; one answer for each record, in order.
    pub fn commit(&mut self, records: &[Prepared]) -> Vec<Result<Appended, AppendError>> {
        let mut answers: Vec<Option<Result<Appended, AppendError>>> = records.iter().map(|_| None).collect();
        let mut outcome = if self.unopened { Err(unopened()) } else { self.try_commit(records, &mut answers, true) };
        if let Err(StoreError::Full(text)) = &outcome
            && !self.unopened
        {
            tracing::warn!(error = text, "the disk is full: making room");
            outcome = self.make_room().and_then(|()| self.try_commit(records, &mut answers, true));
        }
        let refusal = match outcome {
            Ok(()) => AppendError::Closed,
            Err(StoreError::Full(_)) => {
                self.note_disk_full();
                AppendError::DiskFull(self.config.directory.display().to_string())
            }
            Err(StoreError::Damaged(text) | StoreError::Failed(text)) => {
                tracing::error!(error = text, "a commit failed: nothing of it was accepted");
                AppendError::Storage(text)
            }
        };
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(refusal.clone()))).collect()
    }

    /// One attempt. Answers are filled in for what was decided; a failed attempt decides nothing but refusals.
    pub(super) fn try_commit(
        &mut self,
        records: &[Prepared],
        answers: &mut [Option<Result<Appended, AppendError>>],
        limited: bool,
    ) -> Result<(), StoreError> {
        self.mend()?;
        let mut chosen: [Vec<usize>; 4] = Default::default();
        let mut first_with_key: HashMap<u64, usize> = HashMap::new();
        let mut aliases = Vec::new();
        for (index, record) in records.iter().enumerate() {
            if answers[index].is_some() {
                continue;
            }
            if let Some(hash) = record.key {
                if let Some(known) = self.known(hash.key)? {
                    let same = known.content == hash.content;
                    let first = Appended { range: SeqRange::one(known.seq), duplicate: true };
                    answers[index] = Some(if same { Ok(first) } else { Err(AppendError::KeyReused) });
                    continue;
                }
                if let Some(&first) = first_with_key.get(&hash.key) {
                    if records[first].key == record.key {
                        aliases.push((index, first));
                    } else {
                        answers[index] = Some(Err(AppendError::KeyReused));
                    }
                    continue;
                }
                first_with_key.insert(hash.key, index);
            }
            chosen[at(record.stream)].push(index);
        }
        if limited {
            for stream in STREAMS {
                self.keep_to_limit(stream, records, &mut chosen[at(stream)], answers)?;
            }
        }
        let counts = std::array::from_fn(|row| chosen[row].iter().map(|&index| records[index].count).sum::<u64>());
        self.reserve(counts)?;
        let written = self.write(records, &chosen);
        if let Err(error) = written {
            // Whatever became of these databases is found out by reading them anew.
            for stream in STREAMS.into_iter().filter(|stream| self.in_doubt[at(*stream)].is_some()).collect::<Vec<_>>()
            {
                self.close_head(stream);
                // One that opens and reads well and cannot be written to would fail for ever: the next head is another.
                if matches!(error, StoreError::Damaged(_))
                    && let Err(error) = self.seal(stream)
                {
                    tracing::warn!(%error, %stream, "the damaged head could not be sealed yet");
                }
            }
            return Err(error);
        }
        for stream in STREAMS {
            self.settle(stream, records, &chosen[at(stream)], answers);
        }
        for (index, first) in aliases {
            let answer = answers[first].clone();
            answers[index] = answer.map(|answer| answer.map(|first| Appended { duplicate: true, ..first }));
        }
        self.scribble_mark();
        self.seal_full_heads();
        Ok(())
    }

    /// A key that was seen, unless its record was lost since.
    fn known(&self, key: u64) -> Result<Option<Known>, StoreError> {
        let known = self.keys.find(self.disk.as_ref(), self.eras[self.era()].epoch, key)?;
        Ok(known.filter(|known| {
            let era = self.eras.iter().find(|era| era.epoch == known.epoch);
            !era.is_some_and(|era| era.rows[at(Stream::Service)].lost.contains(known.seq))
        }))
    }

    /// Reserve numbers and make sure of heads; durable when this returns.
    fn reserve(&mut self, counts: [u64; 4]) -> Result<(), StoreError> {
        let era = self.era();
        let (mut undo, next_database, now) = (Vec::new(), self.next_database, self.clock.now());
        for stream in STREAMS {
            let row = &mut self.eras[era].rows[at(stream)];
            let count = counts[at(stream)];
            if count == 0 {
                continue;
            }
            let (ceiling, headless) = (row.ceiling, row.head().is_none());
            if row.next + count > ceiling {
                row.raise_ceiling(count, RESERVED[at(stream)], now);
            }
            if headless {
                let number = self.next_database;
                self.next_database += 1;
                row.shelves.push(Shelf {
                    number,
                    sealed: false,
                    held: Default::default(),
                    bytes: 0,
                    acked_wall_ms: None,
                    oldest: None,
                    checked: true,
                });
            }
            if headless || row.ceiling != ceiling {
                undo.push((stream, ceiling, headless));
            }
        }
        if undo.is_empty() && !self.burnt {
            return Ok(());
        }
        self.save_witness(false).inspect_err(|_| {
            // What is not durable must not be used.
            self.next_database = next_database;
            for (stream, ceiling, headless) in undo {
                let row = &mut self.eras[era].rows[at(stream)];
                row.ceiling = ceiling;
                if headless {
                    row.shelves.pop();
                }
            }
        })
    }

    /// Put everything, then sync every database that was touched.
    fn write(&mut self, records: &[Prepared], chosen: &[Vec<usize>; 4]) -> Result<(), StoreError> {
        let era = self.era();
        for stream in STREAMS {
            let indexes = &chosen[at(stream)];
            let count = indexes.iter().map(|&index| records[index].count).sum();
            let row = &mut self.eras[era].rows[at(stream)];
            let Some(range) = SeqRange::with_count(row.next, count) else { continue };
            self.in_doubt[at(stream)] = Some(range);
            row.next = range.last() + 1;
            let mut next = range.first();
            let mut items = Vec::with_capacity(indexes.len());
            for &index in indexes {
                let record = &records[index];
                if let Some(jpeg) = &record.image {
                    let file = self.eras[era].rows[at(stream)].image(next);
                    self.disk.create(&file, jpeg)?;
                }
                items.extend(SeqRange::with_count(next, record.count).map(|range| (range, record.bytes.as_slice())));
                next += record.count;
            }
            let head = self.open_head(stream)?;
            for packet in pack(&items) {
                for (key, value) in &packet.entries {
                    head.put(key, value)?;
                }
            }
        }
        for stream in STREAMS {
            if self.in_doubt[at(stream)].is_some() {
                self.open_head(stream)?.sync()?;
            }
        }
        Ok(())
    }

    /// The group is durable: count it in and answer.
    fn settle(
        &mut self,
        stream: Stream,
        records: &[Prepared],
        indexes: &[usize],
        answers: &mut [Option<Result<Appended, AppendError>>],
    ) {
        let Some(whole) = self.in_doubt[at(stream)].take() else { return };
        let Some(made) = indexes.first().map(|&first| records[first].made) else { return };
        let stored =
            indexes.iter().map(|&index| records[index].bytes.len() as u64 + super::packet::VALUE_OVERHEAD_BYTES).sum();
        self.row_mut(stream).committed(whole, stored, made);
        let mut next = whole.first();
        for &index in indexes {
            let record = &records[index];
            let Some(range) = SeqRange::with_count(next, record.count) else { continue };
            next += record.count;
            if let Some(hash) = record.key {
                self.keys.insert(hash, range.first());
            }
            self.image_bytes += record.image.as_ref().map_or(0, |jpeg| jpeg.len() as u64);
            answers[index] = Some(Ok(Appended { range, duplicate: false }));
        }
    }

    pub(super) fn scribble_mark(&mut self) {
        let era = &self.eras[self.eras.len() - 1];
        let mark = Mark { epoch: era.epoch, next: std::array::from_fn(|row| era.rows[row].next) };
        if let Err(error) = mark.scribble(self.disk.as_mut()) {
            tracing::warn!(%error, "the mark could not be written");
        }
    }

    /// Open anew what failed, and give up the numbers of the failed group: whatever it left under them is never sent. The
    /// witness says so before another number is used, so a client that tries again is not stored twice.
    pub(super) fn mend(&mut self) -> Result<(), StoreError> {
        for stream in STREAMS {
            let Some(range) = self.in_doubt[at(stream)] else { continue };
            // Without a head its database was dropped meanwhile, and what it may have held of the group with it.
            if let Some(number) = self.row(stream).head().map(|head| head.number) {
                let era = self.era();
                self.with_shelf(era, stream, number, &mut |_| Ok(()))?;
            }
            if stream == Stream::Snapshot {
                for seq in range.first()..=range.last() {
                    let file = self.row(stream).image(seq);
                    self.disk.remove(&file)?;
                }
            }
            self.row_mut(stream).lose(range, LossReason::Unused);
            self.in_doubt[at(stream)] = None;
            self.burnt = true;
            self.mark_dirty();
        }
        Ok(())
    }

    /// Make losses and the spool's own events into records.
    pub(super) fn declare(&mut self) -> Result<(), StoreError> {
        loop {
            let mut losses = Vec::new();
            for era in &self.eras {
                for row in &era.rows {
                    for (reason, ranges) in &row.undeclared {
                        let whole = |range| Loss { epoch: row.epoch, stream: row.stream, range, reason: *reason };
                        losses.extend(ranges.iter().take(DECLARED_AT_ONCE_MAX).map(whole));
                    }
                }
            }
            losses.truncate(DECLARED_AT_ONCE_MAX);
            if losses.is_empty() && self.events.is_empty() {
                return Ok(());
            }
            let stamp = Stamper::machine(self.boot, self.clock.clone(), ClockTrust::Auto).now();
            let bodies = self.events.iter().cloned().chain(losses.iter().copied().map(EventBody::Loss));
            let records: Vec<Prepared> = bodies.map(|body| Prepared::event(&EventRecord { stamp, body })).collect();
            let mut answers = records.iter().map(|_| None).collect::<Vec<_>>();
            let said = self.events.len();
            self.try_commit(&records, &mut answers, false)?;
            self.events.drain(..said);
            for loss in losses {
                for era in self.eras.iter_mut().filter(|era| era.epoch == loss.epoch) {
                    era.rows[at(loss.stream)].declared(loss.range, loss.reason);
                }
            }
            self.save_witness(false)?;
        }
    }

    /// What is published.
    pub fn state(&self) -> SpoolState {
        let status = |era: &Era, own: bool| {
            STREAMS.map(|stream| {
                let images = if own && stream == Stream::Snapshot { self.image_bytes } else { 0 };
                era.rows[at(stream)].status(self.boot, images, self.limit_bytes(stream))
            })
        };
        let own = &self.eras[self.era()];
        let owes = |era: &&Era| era.rows.iter().any(|row| !row.owed.is_empty());
        SpoolState {
            epoch: own.epoch,
            generation: self.generation,
            streams: status(own, true),
            disk_full: self.disk_full,
            previous: self.eras[..self.era()]
                .iter()
                .filter(owes)
                .map(|era| EpochStatus { epoch: era.epoch, streams: status(era, false) })
                .collect(),
        }
    }

    /// The owed numbers of a row, shared.
    pub(super) fn owed(&self, era: usize, stream: Stream) -> Arc<simpul_wire::RangeSet> {
        Arc::clone(&self.eras[era].rows[at(stream)].owed)
    }
}
