//! One stream of one epoch: its row of databases and what became of each number. Pure bookkeeping, no storage.
//!
//! Every number below `next` is exactly one of: held and owed; held and acknowledged (kept); acknowledged and gone;
//! lost (or never used); in doubt since the hub was rewound.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use simpul_clock::Moment;
use simpul_wire::event::LossReason;
use simpul_wire::{Epoch, RangeSet, SeqRange, Stream};

use super::StreamStatus;
use super::witness::{DatabaseBook, Ranges, RowBook, Undeclared};

/// Most intervals of acknowledged numbers: as many as a hub keeps. An acknowledgement that would scatter more is left
/// for later; the hub repeats it when the records come again.
const ACKED_INTERVALS_MAX: usize = simpul_wire::limits::INTERVALS_MAX;

/// Samples of (number, boot, uptime) kept to tell the oldest owed record's age: to within a 64th of the backlog.
const SAMPLES_MAX: usize = 128;

/// A block of reserved numbers that was used up sooner is followed by one of twice the size: a witness costs several
/// fsyncs, and in a burst it shall not cost them each few commits.
const BLOCK_LASTS: Duration = Duration::from_secs(10);

/// The largest block that doubling leads to: what a power cut leaves unused.
const BLOCK_MAX: u64 = 16_384;

/// A database in a row.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    pub number: u32,
    pub sealed: bool,
    pub held: RangeSet,
    pub bytes: u64,
    pub acked_wall_ms: Option<i64>,
    pub oldest: Option<(u32, u64)>,
    /// It was opened and read in this run, and holds what it should.
    pub checked: bool,
}

/// One stream of one epoch.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub epoch: Epoch,
    pub stream: Stream,
    pub next: u64,
    pub ceiling: u64,
    pub acked: RangeSet,
    pub lost: RangeSet,
    pub doubtful: RangeSet,
    pub lost_records: u64,
    pub undeclared: Vec<(LossReason, RangeSet)>,
    /// Losses that became records which the hub may not have: declared again if those are damaged.
    pub told: Vec<(LossReason, RangeSet)>,
    /// Of events: some were damaged, and may have told of losses.
    pub retell: bool,
    pub shelves: Vec<Shelf>,
    pub owed: Arc<RangeSet>,
    /// Refused as unsupported: held back until the hub changes or a session begins.
    pub refused: RangeSet,
    /// What the hub's backup holds.
    pub backed_up: RangeSet,
    /// What this run left out before its first number: nobody but a copy of this card can have used it.
    pub gap: Option<SeqRange>,
    samples: VecDeque<(u64, u32, u64)>,
    /// How many numbers were reserved last, and when.
    block: Option<(u64, Moment)>,
}

impl Row {
    pub fn new(epoch: Epoch, stream: Stream) -> Row {
        Row::from_book(epoch, stream, &RowBook::default())
    }

    pub fn from_book(epoch: Epoch, stream: Stream, book: &RowBook) -> Row {
        let shelf = |database: &DatabaseBook| Shelf {
            number: database.number,
            sealed: database.sealed,
            held: database.held.0.clone(),
            bytes: database.bytes,
            acked_wall_ms: database.acked_wall_ms,
            oldest: database.oldest,
            checked: false,
        };
        let mut row = Row {
            epoch,
            stream,
            next: book.ceiling,
            ceiling: book.ceiling,
            acked: book.acked.0.clone(),
            lost: book.lost.0.clone(),
            doubtful: book.doubtful.0.clone(),
            lost_records: book.lost_records,
            undeclared: book.undeclared.iter().map(|losses| (losses.reason, losses.ranges.0.clone())).collect(),
            told: book.told.iter().map(|losses| (losses.reason, losses.ranges.0.clone())).collect(),
            retell: false,
            shelves: book.databases.iter().map(shelf).collect(),
            owed: Arc::default(),
            refused: RangeSet::new(),
            backed_up: RangeSet::new(),
            gap: None,
            samples: VecDeque::new(),
            block: None,
        };
        row.recount();
        row
    }

    pub fn to_book(&self) -> RowBook {
        let database = |shelf: &Shelf| DatabaseBook {
            number: shelf.number,
            sealed: shelf.sealed,
            held: Ranges(shelf.held.clone()),
            bytes: shelf.bytes,
            acked_wall_ms: shelf.acked_wall_ms,
            oldest: shelf.oldest,
        };
        let undeclared =
            |(reason, ranges): &(LossReason, RangeSet)| Undeclared { reason: *reason, ranges: Ranges(ranges.clone()) };
        RowBook {
            ceiling: self.ceiling,
            acked: Ranges(self.acked.clone()),
            lost: Ranges(self.lost.clone()),
            doubtful: Ranges(self.doubtful.clone()),
            undeclared: self.undeclared.iter().map(undeclared).collect(),
            lost_records: self.lost_records,
            databases: self.shelves.iter().map(database).collect(),
            told: self.told.iter().map(undeclared).collect(),
        }
    }

    /// The database's name.
    pub fn database(&self, number: u32) -> String {
        database_name(self.stream, number, self.epoch)
    }

    /// The image file's name.
    pub fn image(&self, seq: u64) -> String {
        format!("image/{}", image_name(self.epoch, seq))
    }

    /// Where the shelf with this number stands.
    pub fn position(&self, number: u32) -> Option<usize> {
        self.shelves.iter().position(|shelf| shelf.number == number)
    }

    /// The open database at the end, if there is one.
    pub fn head(&self) -> Option<&Shelf> {
        self.shelves.last().filter(|shelf| !shelf.sealed)
    }

    /// Work out anew what is owed.
    pub fn recount(&mut self) {
        let mut owed = RangeSet::new();
        self.shelves.iter().for_each(|shelf| owed.insert_all(&shelf.held));
        owed.remove_all(&self.acked);
        owed.remove_all(&self.lost);
        owed.remove_all(&self.refused);
        self.owed = Arc::new(owed);
    }

    /// A group's numbers were committed to the head; the first of them was made at `stamp`.
    pub fn committed(&mut self, range: SeqRange, bytes: u64, stamp: (u32, u64)) {
        Arc::make_mut(&mut self.owed).insert(range);
        self.sample(range.first(), stamp);
        if let Some(head) = self.shelves.last_mut() {
            head.held.insert(range);
            head.bytes += bytes;
            head.oldest.get_or_insert(stamp);
        }
    }

    /// Raise the ceiling so that `count` more numbers may be used, and a block of at least `least` behind them.
    pub fn raise_ceiling(&mut self, count: u64, least: u64, now: Moment) {
        let size = match self.block {
            Some((size, since)) if now.since(since) < BLOCK_LASTS => (size * 2).min(BLOCK_MAX).max(least),
            _ => least,
        };
        self.block = Some((size, now));
        self.ceiling = self.next + count + size;
    }

    /// Remember when a number was made.
    pub fn sample(&mut self, seq: u64, stamp: (u32, u64)) {
        self.samples.push_back((seq, stamp.0, stamp.1));
        if self.samples.len() > SAMPLES_MAX {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// Numbers are gone for ever (or were never used). Acknowledged and already lost ones are left alone. Returns the
    /// parts that are newly lost.
    pub fn lose(&mut self, range: SeqRange, reason: LossReason) -> Vec<SeqRange> {
        let mut new = Vec::new();
        for part in self.acked.missing_in(range) {
            for part in self.lost.insert(part) {
                Arc::make_mut(&mut self.owed).remove(part);
                self.refused.remove(part);
                self.doubtful.remove(part);
                if reason != LossReason::Unused {
                    self.lost_records += part.count();
                }
                self.undeclare(part, reason);
                new.push(part);
            }
        }
        self.retell |= self.stream == Stream::Event && reason == LossReason::Damaged && !new.is_empty();
        new
    }

    /// Go on above everything that may have been used, and so many numbers further.
    pub fn leave_gap(&mut self, width: u64) {
        self.gap = SeqRange::with_count(self.ceiling, width);
        if let Some(gap) = self.gap {
            self.lose(gap, LossReason::Unused);
            self.ceiling = gap.last() + 1;
        }
        self.next = self.ceiling;
    }

    /// Whether its numbers are in so many pieces that the hub, which keeps twice as many, may soon take no more of them.
    pub fn is_crowded(&self) -> bool {
        let sets = [&self.acked, self.owed.as_ref(), &self.lost];
        sets.into_iter().any(|set| set.range_count() > ACKED_INTERVALS_MAX / 2)
    }

    /// Whether the hub has numbers that this card never gave: another card has this one's books.
    pub fn is_foreign(&self, have: &RangeSet) -> bool {
        have.last().is_some_and(|last| last >= self.next)
            || self.gap.is_some_and(|gap| !have.present_in(gap).is_empty())
    }

    /// A loss has to be declared (again). Neighbours melt into one range, so they stay few.
    pub fn undeclare(&mut self, range: SeqRange, reason: LossReason) {
        add(&mut self.undeclared, range, reason);
    }

    /// Events that told of losses are gone: whatever the hub may not know has to be declared again.
    pub fn tell_again(&mut self) {
        for (reason, ranges) in std::mem::take(&mut self.told) {
            ranges.iter().for_each(|range| self.undeclare(range, reason));
        }
    }

    /// A loss became a record.
    pub fn declared(&mut self, range: SeqRange, reason: LossReason) {
        for (known, ranges) in &mut self.undeclared {
            if *known == reason {
                ranges.remove(range);
            }
        }
        self.undeclared.retain(|(_, ranges)| !ranges.is_empty());
        // Numbers that were never used are nobody's loss: it does not matter who hears of them.
        if reason != LossReason::Unused {
            add(&mut self.told, range, reason);
        }
    }

    /// The hub has these. Returns the parts that were held and owed until now.
    pub fn acknowledge(&mut self, have: &RangeSet) -> Vec<SeqRange> {
        let mut freed = Vec::new();
        let Some(last) = self.next.checked_sub(1) else { return freed };
        for range in have.iter() {
            let Some(range) = SeqRange::new(0, last).and_then(|given| given.intersection(&range)) else { continue };
            if self.acked.range_count() >= ACKED_INTERVALS_MAX && self.acked.present_in(range).is_empty() {
                continue;
            }
            self.doubtful.remove(range);
            self.refused.remove(range);
            // A loss that is not declared yet and turns out to have arrived is none.
            for (reason, ranges) in &mut self.undeclared {
                for part in ranges.remove(range) {
                    self.lost.remove(part);
                    if *reason != LossReason::Unused {
                        self.lost_records = self.lost_records.saturating_sub(part.count());
                    }
                }
            }
            self.undeclared.retain(|(_, ranges)| !ranges.is_empty());
            for part in self.lost.missing_in(range) {
                self.acked.insert(part);
            }
            freed.extend(Arc::make_mut(&mut self.owed).remove(range));
        }
        freed
    }

    /// The hub was rewound: what is still held is owed again, the rest in doubt until the hub says what it has.
    pub fn rewind(&mut self) {
        let mut doubtful = std::mem::take(&mut self.acked);
        self.shelves.iter().for_each(|shelf| doubtful.remove_all(&shelf.held));
        self.doubtful.insert_all(&doubtful);
        self.doubtful.remove_all(&self.lost);
        self.backed_up = RangeSet::new();
        self.shelves.iter_mut().for_each(|shelf| shelf.acked_wall_ms = None);
        self.recount();
    }

    /// Numbers below `upper` that should be here and are not.
    pub fn missing_below(&self, upper: u64) -> Vec<SeqRange> {
        let mut accounted = RangeSet::new();
        self.shelves.iter().for_each(|shelf| accounted.insert_all(&shelf.held));
        for set in [&self.acked, &self.lost, &self.doubtful] {
            accounted.insert_all(set);
        }
        upper.checked_sub(1).and_then(|last| SeqRange::new(0, last)).map_or(Vec::new(), |all| accounted.missing_in(all))
    }

    /// Numbers of a shelf that the hub has not confirmed: owed, or held back.
    pub fn waiting_in(&self, shelf: &Shelf) -> u64 {
        let count = |set: &RangeSet| -> u64 {
            shelf.held.iter().flat_map(|range| set.present_in(range)).map(|range| range.count()).sum()
        };
        count(&self.owed) + count(&self.refused)
    }

    /// A shelf's bytes that wait for the hub: its share by numbers, since no index by record is kept.
    pub fn waiting_bytes_in(&self, shelf: &Shelf) -> u64 {
        let all = shelf.held.count();
        let waiting = self.waiting_in(shelf);
        match (waiting, all) {
            (_, 0) => 0,
            (waiting, all) if waiting == all => shelf.bytes,
            _ => u64::try_from(u128::from(shelf.bytes) * u128::from(waiting) / u128::from(all)).unwrap_or(u64::MAX),
        }
    }

    /// Bytes in databases that wait for the hub.
    pub fn waiting_bytes(&self) -> u64 {
        self.shelves.iter().map(|shelf| self.waiting_bytes_in(shelf)).sum()
    }

    /// Uptime at which the oldest owed record was made, if in this boot; never later than the truth.
    fn oldest_uptime_ms(&self, boot: u32) -> Option<u64> {
        let first = self.owed.first()?;
        let sampled = self.samples.iter().rev().find(|(seq, ..)| *seq <= first).map(|(_, boot, at)| (*boot, *at));
        let shelf = || self.shelves.iter().find(|shelf| shelf.held.contains(first)).and_then(|shelf| shelf.oldest);
        sampled.or_else(shelf).filter(|(made_in, _)| *made_in == boot).map(|(_, at)| at)
    }

    /// The status for others.
    pub fn status(&self, boot: u32, image_bytes: u64, limit_bytes: u64) -> StreamStatus {
        StreamStatus {
            next_seq: self.next,
            owed: Arc::clone(&self.owed),
            backlog_records: self.owed.count(),
            backlog_bytes: self.waiting_bytes() + image_bytes,
            limit_bytes,
            lost_records: self.lost_records,
            oldest_uptime_ms: self.oldest_uptime_ms(boot),
        }
    }
}

/// Neighbours melt into one range.
fn add(losses: &mut Vec<(LossReason, RangeSet)>, range: SeqRange, reason: LossReason) {
    match losses.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, ranges)) => drop(ranges.insert(range)),
        None => losses.push((reason, RangeSet::from_iter([range]))),
    }
}

/// A database's name.
pub(crate) fn database_name(stream: Stream, number: u32, epoch: Epoch) -> String {
    format!("{stream}-{number:08}-{epoch}")
}

/// A database's name, taken apart.
pub(crate) fn parse_database_name(name: &str) -> Option<(Stream, u32, Epoch)> {
    let mut parts = name.splitn(3, '-');
    let (stream, number, epoch) = (parts.next()?, parts.next()?, parts.next()?);
    Some((stream.parse().ok()?, number.parse().ok()?, epoch.parse().ok()?))
}

/// An image file's name, without its folder.
pub(crate) fn image_name(epoch: Epoch, seq: u64) -> String {
    format!("{epoch}-{seq:020}.jpg")
}

/// An image file's name, taken apart.
pub(crate) fn parse_image_name(name: &str) -> Option<(Epoch, u64)> {
    let (epoch, seq) = name.strip_suffix(".jpg")?.split_once('-')?;
    Some((epoch.parse().ok()?, seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use simpul_clock::Clock;

    use super::*;

    #[test]
    fn blocks_grow_in_a_burst_and_shrink_behind_it() {
        let (clock, mut row) = (Clock::held(0), Row::new(Epoch::from_bytes([1; 16]), Stream::Service));
        let mut raise = |clock: &Clock| {
            row.next = row.ceiling;
            row.raise_ceiling(10, 256, clock.now());
            row.ceiling - row.next
        };
        assert_eq!([raise(&clock), raise(&clock), raise(&clock)], [266, 522, 1_034]);
        assert_eq!((0..20).map(|_| raise(&clock)).last(), Some(10 + BLOCK_MAX));
        clock.advance(BLOCK_LASTS);
        assert_eq!(raise(&clock), 266);
    }
}
