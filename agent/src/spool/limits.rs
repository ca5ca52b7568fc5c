//! What happens at a limit: of a stream in bytes, and of the disk.
//!
//! | stream | at its limit |
//! |---|---|
//! | `service` | refused: nothing is ever dropped for it or from it |
//! | `event` | oldest database dropped, counted; losses that it declared and the hub has not seen are declared again |
//! | `reading` | oldest database rolled up to one mean a series and 10 minutes; what is rolled up already is dropped |
//! | `snapshot` | every second unchanged image of the older half dropped; then the oldest |
//!
//! On a full disk the ballast goes first, so that everything here can still be read, sent and deleted; then what the hub
//! has already, images, readings. Service records and events stay.

use std::time::Duration;

use simpul_wire::Stream;
use simpul_wire::event::{EventBody, EventRecord, Loss, LossReason, SpoolCondition};
use simpul_wire::image::ImageMeta;

use super::core::{Core, STREAMS, at, unopened};
use super::disk::StoreError;
use super::packet::walk;
use super::prepare::Prepared;
use super::rollup::RollUp;
use super::{AppendError, Appended};

/// Free space beyond the ballast that counts as room again: a few segments of each head and a large image.
const ROOM_BYTES: u64 = 2 * 1024 * 1024;

/// Most images looked at in one thinning: bounds its memory to 100 KiB; the oldest come first.
const THINNED_AT_ONCE_MAX: usize = 4_096;

/// Past so many intervals of lost images thinning gives way to dropping the oldest: a hub keeps 4,096 a stream.
const LOST_INTERVALS_MAX: usize = 2_048;

/// A witness may lag so long: what it forgets is sent again, and the hub drops what it has.
const WITNESS_LAG_MAX: Duration = Duration::from_secs(600);

/// How often the spool looks after itself when nothing happens, and when something is wrong.
const IDLE: Duration = Duration::from_secs(60);
const UNEASY: Duration = Duration::from_secs(1);

impl Core {
    /// Make a group fit its stream's limit, or refuse what does not fit.
    pub(super) fn keep_to_limit(
        &mut self,
        stream: Stream,
        records: &[Prepared],
        chosen: &mut Vec<usize>,
        answers: &mut [Option<Result<Appended, AppendError>>],
    ) -> Result<(), StoreError> {
        if chosen.is_empty() {
            return Ok(());
        }
        if self.disk_full && self.disk.free_bytes() < self.config.ballast_bytes / 2 {
            // The rest of what the ballast gave is for reading, sending and deleting.
            return Err(StoreError::Full("the ballast is spent".to_string()));
        }
        let limit_bytes = self.limit_bytes(stream);
        let incoming: u64 = chosen.iter().map(|&index| records[index].cost_bytes()).sum();
        while stream != Stream::Service && self.used_bytes(stream) + incoming > limit_bytes {
            self.note_at_limit(stream);
            if !self.free_some(stream, incoming)? {
                break;
            }
        }
        let used_bytes = self.used_bytes(stream);
        let mut sum = used_bytes;
        chosen.retain(|&index| {
            sum += records[index].cost_bytes();
            let fits = sum <= limit_bytes;
            if !fits {
                sum -= records[index].cost_bytes();
                answers[index] = Some(Err(AppendError::AtLimit { stream, used_bytes, limit_bytes }));
            }
            fits
        });
        if answers.iter().any(|answer| matches!(answer, Some(Err(AppendError::AtLimit { .. })))) {
            self.note_at_limit(stream);
        } else if used_bytes < limit_bytes / 2 {
            self.at_limit[at(stream)] = false;
        }
        Ok(())
    }

    fn note_at_limit(&mut self, stream: Stream) {
        if !std::mem::replace(&mut self.at_limit[at(stream)], true) {
            let detail = format!("{stream} reached its limit of {} bytes", self.limit_bytes(stream));
            tracing::warn!("{detail}");
            self.say(SpoolCondition::AtLimit, Some(stream), detail);
        }
    }

    pub(super) fn note_disk_full(&mut self) {
        if !std::mem::replace(&mut self.disk_full, true) {
            tracing::error!("the disk is full and the ballast is spent: free space for the spool");
            self.say(SpoolCondition::DiskFull, None, "the disk is full, the ballast is spent".to_string());
        }
    }

    /// Free some of a stream's bytes. Returns whether anything went.
    fn free_some(&mut self, stream: Stream, incoming: u64) -> Result<bool, StoreError> {
        if stream == Stream::Snapshot {
            let target = self.limit_bytes(stream) / 8 + incoming;
            return self.drop_images(target.min(self.limit_bytes(stream)));
        }
        let Some((era, number)) = self.oldest_waiting(stream)? else { return Ok(false) };
        if stream == Stream::Reading && self.roll_up(era, number)? {
            return Ok(true);
        }
        self.evict(era, stream, number)?;
        Ok(true)
    }

    /// The oldest database in which something waits for the hub, sealed if it was the head.
    fn oldest_waiting(&mut self, stream: Stream) -> Result<Option<(usize, u32)>, StoreError> {
        let mut oldest: Option<(usize, u32, bool)> = None;
        for (index, era) in self.eras.iter().enumerate() {
            let row = &era.rows[at(stream)];
            for shelf in row.shelves.iter().filter(|shelf| row.waiting_in(shelf) > 0) {
                if oldest.is_none_or(|(_, number, _)| shelf.number < number) {
                    oldest = Some((index, shelf.number, shelf.sealed));
                }
            }
        }
        if let Some((_, _, false)) = oldest {
            self.seal(stream)?;
        }
        Ok(oldest.map(|(era, number, _)| (era, number)))
    }

    /// Drop a database whole; what the hub lacks of it is lost.
    fn evict(&mut self, era: usize, stream: Stream, number: u32) -> Result<(), StoreError> {
        let mut losses: Vec<Loss> = Vec::new();
        if stream == Stream::Event {
            let owed = self.owed(era, stream);
            let whole = self.with_shelf(era, stream, number, &mut |database| {
                walk(database, 0, &mut |item| {
                    if owed.contains(item.range.first())
                        && let Ok(EventRecord { body: EventBody::Loss(loss), .. }) = minicbor::decode(&item.bytes)
                    {
                        losses.push(loss);
                    }
                    true
                })
            })?;
            if !whole {
                return Ok(());
            }
        }
        let row = &mut self.eras[era].rows[at(stream)];
        let held = row.position(number).map(|position| row.shelves[position].held.clone()).unwrap_or_default();
        held.iter().for_each(|range| drop(row.lose(range, LossReason::Evicted)));
        for loss in losses {
            for era in self.eras.iter_mut().filter(|era| era.epoch == loss.epoch) {
                era.rows[at(loss.stream)].undeclare(loss.range, loss.reason);
            }
        }
        self.delete_shelves(&[(era, stream, number)], self.clock.now())
    }

    /// Roll a database of readings up. Returns false if that would not make it much smaller.
    fn roll_up(&mut self, era: usize, number: u32) -> Result<bool, StoreError> {
        let owed = self.owed(era, Stream::Reading);
        let mut means = RollUp::default();
        let whole = self.with_shelf(era, Stream::Reading, number, &mut |database| {
            walk(database, 0, &mut |item| {
                means.add(&item, &owed);
                true
            })
        })?;
        if !whole {
            return Ok(true);
        }
        if !means.is_worth_it() {
            return Ok(false);
        }
        let records: Vec<Prepared> = means
            .blocks()
            .into_iter()
            .filter_map(|block| Prepared::new(super::NewRecord::Readings(block)).ok())
            .collect();
        let mut answers = records.iter().map(|_| None).collect::<Vec<_>>();
        self.try_commit(&records, &mut answers, false)?;
        let row = &mut self.eras[era].rows[at(Stream::Reading)];
        let held = row.position(number).map(|position| row.shelves[position].held.clone()).unwrap_or_default();
        held.iter().for_each(|range| drop(row.lose(range, LossReason::RolledUp)));
        self.delete_shelves(&[(era, Stream::Reading, number)], self.clock.now())?;
        Ok(true)
    }

    /// Thin images, then drop the oldest, until `target` bytes are free. Returns whether anything went.
    fn drop_images(&mut self, target: u64) -> Result<bool, StoreError> {
        let mut oldest: Vec<(usize, u64, u64, bool)> = Vec::new();
        for era in 0..self.eras.len() {
            let owed = self.owed(era, Stream::Snapshot);
            let numbers: Vec<u32> =
                self.eras[era].rows[at(Stream::Snapshot)].shelves.iter().map(|s| s.number).collect();
            for number in numbers {
                self.with_shelf(era, Stream::Snapshot, number, &mut |database| {
                    walk(database, 0, &mut |item| {
                        if owed.contains(item.range.first()) {
                            let meta = minicbor::decode::<ImageMeta>(&item.bytes).ok();
                            let (length, changed) = meta.map_or((0, false), |meta| (meta.length, meta.changed));
                            oldest.push((era, item.range.first(), u64::from(length), changed));
                        }
                        oldest.len() < THINNED_AT_ONCE_MAX
                    })
                })?;
            }
        }
        let mut freed = 0;
        let scattered =
            self.eras.iter().any(|era| era.rows[at(Stream::Snapshot)].lost.range_count() > LOST_INTERVALS_MAX);
        if !scattered {
            let mut keep = true;
            for &(era, seq, length, changed) in &oldest[..oldest.len() / 2] {
                if freed >= target {
                    break;
                }
                keep = changed || !keep;
                if !keep {
                    self.lose_images(era, simpul_wire::SeqRange::one(seq), LossReason::Thinned);
                    freed += length;
                }
            }
        }
        if freed == 0 {
            for &(era, seq, length, _) in &oldest {
                if freed >= target {
                    break;
                }
                self.lose_images(era, simpul_wire::SeqRange::one(seq), LossReason::Evicted);
                freed += length;
            }
        }
        self.save_witness(false)?;
        Ok(freed > 0)
    }

    /// The disk is full: give the ballast back and drop what is worth least until there is room.
    pub(super) fn make_room(&mut self) -> Result<(), StoreError> {
        self.disk.set_ballast(0)?;
        // A store that met the full disk refuses everything from then on: all are opened anew.
        self.open.clear();
        let wanted = self.config.ballast_bytes + ROOM_BYTES;
        while self.disk.free_bytes() < wanted {
            let free = self.disk.free_bytes();
            let went = self.drop_acknowledged()?
                || self.drop_images((wanted - free).max(1))?
                || match self.oldest_waiting(Stream::Reading)? {
                    Some((era, number)) => self.evict(era, Stream::Reading, number).map(|()| true)?,
                    None => false,
                };
            if !went {
                break;
            }
        }
        self.restore_ballast();
        Ok(())
    }

    /// Make the ballast again once there is room for it and for work beside it.
    pub(super) fn restore_ballast(&mut self) {
        let ballast = self.config.ballast_bytes;
        if self.disk.free_bytes() < ballast + ROOM_BYTES / 2 {
            self.note_disk_full();
            return;
        }
        match self.disk.set_ballast(ballast) {
            Ok(()) if std::mem::replace(&mut self.disk_full, false) => {
                tracing::info!("the disk has room again");
                self.say(SpoolCondition::Good, None, "the disk has room again".to_string());
            }
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "no room for the ballast");
                self.note_disk_full();
            }
        }
    }

    /// Delete the oldest database that is kept only for a rewound hub.
    fn drop_acknowledged(&mut self) -> Result<bool, StoreError> {
        let mut oldest: Option<(u32, usize, Stream)> = None;
        for (index, era) in self.eras.iter().enumerate() {
            for stream in STREAMS {
                let row = &era.rows[at(stream)];
                let done = row.shelves.iter().filter(|shelf| shelf.sealed && row.waiting_in(shelf) == 0);
                for shelf in done {
                    if oldest.is_none_or(|(number, ..)| shelf.number < number) {
                        oldest = Some((shelf.number, index, stream));
                    }
                }
            }
        }
        let Some((number, index, stream)) = oldest else { return Ok(false) };
        self.delete_shelves(&[(index, stream, number)], self.clock.now())?;
        Ok(true)
    }

    /// Look after everything that need not happen at once. Returns when to come again at the latest, and whether
    /// something changed that others see.
    pub fn tick(&mut self) -> (Duration, bool) {
        self.retell();
        let told = self.events.len();
        let undeclared = self.undeclared();
        match self.look_after() {
            Ok(()) => {}
            Err(StoreError::Full(_)) => self.note_disk_full(),
            Err(error) => tracing::warn!(%error, "the spool could not look after itself; it tries again"),
        }
        self.close_readers();
        let uneasy = self.disk_full || self.undeclared() || self.in_doubt.iter().any(Option::is_some);
        let changed = told > 0 || undeclared || uneasy;
        let wait = match self.doubt_until {
            Some(until) => until.since(self.clock.now()).clamp(UNEASY, IDLE),
            None => IDLE,
        };
        (if uneasy { UNEASY } else { wait }, changed)
    }

    fn undeclared(&self) -> bool {
        !self.events.is_empty() || self.eras.iter().flat_map(|era| &era.rows).any(|row| !row.undeclared.is_empty())
    }

    fn look_after(&mut self) -> Result<(), StoreError> {
        if self.unopened {
            let now = self.clock.now();
            if now.since(self.tended) < UNEASY {
                return Ok(());
            }
            self.tended = now;
            self.try_to_open()?;
        }
        self.mend()?;
        if self.disk_full {
            self.restore_ballast();
        }
        self.settle_doubt()?;
        if !self.disk_full || self.disk.free_bytes() >= self.config.ballast_bytes / 2 {
            self.declare()?;
        }
        let now = self.clock.now();
        if now.since(self.tended) >= IDLE {
            self.tended = now;
            self.keys.expire(self.disk.as_mut(), now)?;
            while self.used_bytes(Stream::Event) > self.config.event_bytes_max && self.free_some(Stream::Event, 0)? {}
            self.drop_empty_eras();
            self.reclaim()?;
        }
        if self.dirty.is_some_and(|since| now.since(since) >= WITNESS_LAG_MAX) {
            self.save_witness(false)?;
        }
        Ok(())
    }

    /// Older epochs that hold nothing and owe nothing are forgotten.
    fn drop_empty_eras(&mut self) {
        let own = self.eras[self.era()].epoch;
        self.eras.retain(|era| {
            let empty =
                |row: &super::row::Row| row.shelves.is_empty() && row.undeclared.is_empty() && row.doubtful.is_empty();
            era.epoch == own || !era.rows.iter().all(empty)
        });
    }

    /// Close in order. Nothing may be asked of the core afterwards.
    pub fn close_in_order(&mut self) -> Result<(), StoreError> {
        if self.unopened {
            return Err(unopened());
        }
        self.mend()?;
        self.declare()?;
        self.open.clear();
        self.save_witness(true)?;
        self.scribble_mark();
        Ok(())
    }
}
