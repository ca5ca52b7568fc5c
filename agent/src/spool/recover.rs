//! Opening: whatever the last run, a power cut, a copier of cards or a dying card left behind, the spool boots.
//!
//! 1. The witness says which databases exist and which numbers they hold; heads are read whole, sealed ones when they
//!    are first needed.
//! 2. A number that was committed and is neither here nor acknowledged nor lost is declared `damaged`; one that was
//!    only reserved is declared `unused`.
//! 3. A new epoch begins when numbers could be used twice: no whole witness beside databases, a database newer than
//!    the witness (the witness was rolled back), another hardware serial (the card was cloned), or, later, a hub that
//!    has numbers that were never given here (the whole card was rolled back). What the older epoch owes is still sent
//!    under that epoch: a record is immutable, so the hub drops what it has from the original. Holes of the older
//!    epoch are then *not* declared: the original may yet fill them.
//! 4. Otherwise the run's numbers begin behind a gap of random width, `unused` too. A copy of this card that nothing
//!    tells apart (the same serial, or this card put back later) begins elsewhere, so the two never give one number to
//!    two records before the hub tells them apart. A hub remembers a bounded number of intervals of an epoch, so after
//!    some thousand runs a new epoch begins.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use simpul_clock::Clock;
use simpul_wire::event::{LossReason, SpoolCondition};
use simpul_wire::{Epoch, RangeSet, SeqRange, Stream};

use super::OpenReport;
use super::core::{Core, Era, STREAMS, at};
use super::disk::{Disk, StoreError};
use super::keys::Keys;
use super::row::{Row, Shelf, parse_database_name, parse_image_name};
use super::stock::{Stock, take_stock};
use super::witness::{Mark, Witness};
use crate::config::SpoolConfig;

/// Older epochs kept: a store is replaced a few times a year at worst; beyond it the oldest one is given up.
const ERAS_MAX: usize = 8;

/// Widest gap before a run's first number. Two runs from one copied card meet by chance once in so many starts divided
/// by the records of a run: 1 in 70,000 for a million. The numbers stay exact in JSON (2^53) for 200,000 starts.
const GAP_MAX: u64 = 1 << 36;

impl Core {
    /// Open or create the spool.
    pub fn open(disk: Box<dyn Disk>, config: SpoolConfig, clock: Clock) -> Result<(Core, OpenReport), StoreError> {
        let mut core = Core::blank(disk, config, clock);
        let mut recovered = core.recover();
        if let Err(StoreError::Full(text)) = &recovered {
            // sled refuses to open without space; this is what the ballast is for.
            tracing::warn!(error = text, "the disk is full: opening with the ballast's space");
            core.disk.set_ballast(0)?;
            core.reset();
            core.note_disk_full();
            recovered = core.recover();
        }
        let (new_boot, clean) = match recovered {
            Ok(found) => {
                core.settle_in();
                found
            }
            Err(StoreError::Full(_)) => core.see_only_the_witness()?,
            Err(other) => return Err(other),
        };
        let report = OpenReport { boot: core.boot, new_boot, clean, notes: std::mem::take(&mut core.notes) };
        Ok((core, report))
    }

    /// A core that knows nothing yet.
    fn blank(disk: Box<dyn Disk>, config: SpoolConfig, clock: Clock) -> Core {
        let serial = config.hardware_serial.clone().or_else(|| disk.hardware_serial());
        Core {
            boot_id: disk.boot_id(),
            disk,
            config,
            clock,
            boot: 1,
            serial: serial.map(|serial| Sha256::digest(serial.as_bytes()).into()),
            generation: None,
            next_database: 1,
            witness_count: 0,
            eras: Vec::new(),
            keys: Keys::default(),
            open: Default::default(),
            in_doubt: Default::default(),
            burnt: false,
            unopened: false,
            image_bytes: 0,
            unlink: Vec::new(),
            events: Default::default(),
            notes: Vec::new(),
            disk_full: false,
            at_limit: [false; 4],
            dirty: None,
            doubt_until: None,
            meta: None,
            new_epoch_begun: false,
            tended: simpul_clock::Moment::ZERO,
        }
    }

    /// Forget what a failed recovery found.
    fn reset(&mut self) {
        (self.boot, self.generation, self.next_database, self.witness_count) = (1, None, 1, 0);
        (self.keys, self.in_doubt, self.burnt, self.image_bytes) = (Keys::default(), Default::default(), false, 0);
        (self.meta, self.new_epoch_begun) = (None, false);
        self.eras.clear();
        self.open.clear();
        self.unlink.clear();
        self.events.clear();
        self.notes.clear();
    }

    /// Not a byte is left, and the ballast is spent: the spool boots all the same, refuses everything, and opens as soon
    /// as there is space.
    fn see_only_the_witness(&mut self) -> Result<(bool, bool), StoreError> {
        tracing::error!("the disk is full to the last byte: the spool waits for space");
        self.reset();
        self.unopened = true;
        self.note_disk_full();
        match Witness::load(self.disk.as_ref())? {
            Some(witness) => Ok((self.take_witness(&witness), witness.clean)),
            None => {
                self.eras.push(Era::new(random_epoch()?));
                Ok((true, true))
            }
        }
    }

    /// Try again to open what could not be opened for want of space.
    pub(super) fn try_to_open(&mut self) -> Result<(), StoreError> {
        self.reset();
        if let Err(error) = self.recover() {
            self.see_only_the_witness()?;
            return Err(error);
        }
        self.unopened = false;
        self.say(SpoolCondition::DiskFull, None, "the disk was full to the last byte at the start".to_string());
        self.settle_in();
        Ok(())
    }

    /// What follows a recovery, and may fail: nothing new is accepted before the witness can be written.
    fn settle_in(&mut self) {
        let ballast = self.config.ballast_bytes;
        if self.disk.ballast_bytes() != ballast
            && let Err(error) = self.disk.set_ballast(ballast)
        {
            tracing::warn!(%error, "no room for the ballast");
            self.note_disk_full();
        }
        self.retell();
        if let Err(error) = self.save_witness(false).and_then(|()| self.declare()).and_then(|()| self.reclaim()) {
            tracing::error!(%error, "the spool opened, but cannot write");
        }
    }

    /// If events were damaged that may have told of losses: everything that the hub may not know of is declared again.
    pub(super) fn retell(&mut self) {
        let damaged = |era: &mut Era| std::mem::take(&mut era.rows[at(Stream::Event)].retell);
        if self.eras.iter_mut().map(damaged).fold(false, |any, damaged| any | damaged) {
            self.eras.iter_mut().flat_map(|era| &mut era.rows).for_each(Row::tell_again);
        }
    }

    /// Take over what the witness says. Returns whether the machine booted since.
    fn take_witness(&mut self, witness: &Witness) -> bool {
        self.witness_count = witness.count;
        self.generation = witness.generation;
        self.next_database = witness.next_database;
        let new_boot = witness.boot_id != self.boot_id || self.boot_id.is_empty();
        self.boot = if new_boot { witness.boot.saturating_add(1) } else { witness.boot };
        for book in &witness.epochs {
            let mut rows = STREAMS.iter().zip(&book.rows).map(|(stream, row)| Row::from_book(book.epoch, *stream, row));
            let mut next = |stream| rows.next().unwrap_or_else(|| Row::new(book.epoch, stream));
            self.eras.push(Era { epoch: book.epoch, rows: STREAMS.map(&mut next) });
        }
        new_boot
    }

    fn recover(&mut self) -> Result<(bool, bool), StoreError> {
        let witness = Witness::load(self.disk.as_ref())?;
        let mark = Mark::load(self.disk.as_ref())?;
        let names = self.disk.databases()?;
        let Some(witness) = witness else {
            let fresh = names.is_empty() && !Witness::exists(self.disk.as_ref());
            self.adopt_strays(&names, 0)?;
            self.finish_epochs(if fresh { None } else { Some("no whole witness was found beside the databases") })?;
            return Ok((true, fresh));
        };
        let new_boot = self.take_witness(&witness);
        let cloned = matches!((witness.serial, self.serial), (Some(then), Some(now)) if then != now);
        let mut head_keys = Vec::new();
        for era in 0..self.eras.len() {
            for stream in STREAMS {
                head_keys.extend(self.recover_row(era, stream)?);
            }
        }
        let newer = self.adopt_strays(&names, witness.next_database)?;
        let own = self.eras.len().saturating_sub(1);
        let above =
            |row: &Row| row.shelves.iter().any(|shelf| shelf.held.last().is_some_and(|last| last >= row.ceiling));
        let witness_is_old = newer || self.eras.get(own).is_some_and(|era| era.rows.iter().any(above));
        if !(cloned || witness_is_old) {
            for stream in STREAMS {
                let gap = random_gap()?;
                self.account(own, stream, witness.clean, new_boot, mark, gap);
            }
        }
        self.load_keys(head_keys)?;
        let crowded = self.eras.get(own).is_some_and(|era| era.rows.iter().any(Row::is_crowded));
        let reason = match (cloned, witness_is_old) {
            (true, _) => Some("the card was cloned: it is in another machine"),
            (_, true) => Some("the card was rolled back: its databases are newer than its witness"),
            _ if crowded => Some("the last epoch's numbers have half as many gaps as a hub remembers"),
            _ => None,
        };
        self.finish_epochs(reason)?;
        Ok((new_boot, witness.clean))
    }

    /// Look at a row's databases: heads are read whole, sealed ones must exist. Returns the head's keys.
    fn recover_row(&mut self, era: usize, stream: Stream) -> Result<Vec<(super::keys::KeyHash, u64)>, StoreError> {
        let mut keys = Vec::new();
        let shelves: Vec<Shelf> = self.eras[era].rows[at(stream)].shelves.clone();
        for shelf in shelves {
            let name = self.eras[era].rows[at(stream)].database(shelf.number);
            if !self.disk.database_exists(&name) {
                if shelf.held.is_empty() {
                    // It was announced and not made yet; or its content is missed by number, below.
                    self.drop_shelf(era, stream, shelf.number, &name)?;
                } else {
                    self.set_aside(era, stream, shelf.number, "its file is missing")?;
                }
                continue;
            }
            if shelf.sealed {
                continue;
            }
            match self.stock(&name, shelf.number, stream) {
                Ok(stock) => {
                    let row = &mut self.eras[era].rows[at(stream)];
                    let mut missing = shelf.held.clone();
                    missing.remove_all(&stock.held);
                    let lost = missing.iter().map(|range| row.lose(range, LossReason::Damaged).len()).sum::<usize>();
                    if let Some(position) = row.position(shelf.number) {
                        row.shelves[position].held = stock.held;
                        row.shelves[position].bytes = stock.bytes;
                        row.shelves[position].checked = true;
                        row.shelves[position].oldest = stock.made.first().map(|(_, boot, uptime)| (*boot, *uptime));
                    }
                    stock.made.iter().for_each(|(seq, boot, uptime)| row.sample(*seq, (*boot, *uptime)));
                    keys.extend(stock.keys);
                    if lost > 0 {
                        self.say(SpoolCondition::Quarantined, Some(stream), format!("{name} lacks records it held"));
                    }
                }
                Err(StoreError::Damaged(why)) => self.set_aside(era, stream, shelf.number, &why)?,
                Err(other) => return Err(other),
            }
        }
        self.eras[era].rows[at(stream)].recount();
        Ok(keys)
    }

    /// Open a database, read it whole, and make sure that what was read is on the card.
    fn stock(&mut self, name: &str, number: u32, stream: Stream) -> Result<Stock, StoreError> {
        let mut database = self.disk.open(name)?;
        let stock = take_stock(database.as_ref(), stream)?;
        // A killed run may have left records that are readable and not durable; from now on they count as accepted.
        database.sync()?;
        self.open.push_back((number, database));
        Ok(stock)
    }

    fn drop_shelf(&mut self, era: usize, stream: Stream, number: u32, name: &str) -> Result<(), StoreError> {
        let row = &mut self.eras[era].rows[at(stream)];
        if let Some(position) = row.position(number) {
            row.shelves.remove(position);
        }
        self.disk.delete(name)
    }

    /// Databases that the witness does not know: leftovers of a deletion, or newer than the witness (returns true).
    fn adopt_strays(&mut self, names: &[String], next_database: u32) -> Result<bool, StoreError> {
        let mut newer = BTreeMap::new();
        for name in names {
            let Some((stream, number, epoch)) = parse_database_name(name) else {
                tracing::warn!(name, "not a database of this spool: left alone");
                continue;
            };
            let known =
                self.eras.iter().any(|era| era.epoch == epoch && era.rows[at(stream)].position(number).is_some());
            if number >= next_database {
                newer.insert(number, (stream, epoch, name));
            } else if !known {
                self.disk.delete(name)?;
            }
        }
        for (&number, &(stream, epoch, name)) in &newer {
            self.next_database = self.next_database.max(number + 1);
            let era = match self.eras.iter().position(|era| era.epoch == epoch) {
                Some(era) => era,
                None => {
                    self.eras.insert(0, Era::new(epoch));
                    0
                }
            };
            let stock = match self.stock(name, number, stream) {
                Ok(stock) => stock,
                Err(StoreError::Damaged(why)) => {
                    self.disk.quarantine(name)?;
                    self.say(SpoolCondition::Quarantined, Some(stream), format!("{name} was set aside: {why}"));
                    continue;
                }
                Err(other) => return Err(other),
            };
            let boot = stock.made.iter().map(|(_, boot, _)| *boot).max().unwrap_or(0);
            self.boot = self.boot.max(boot.saturating_add(1));
            if stream == Stream::Service {
                let entries = stock.keys.iter().map(|(hash, seq)| (hash.key, *seq, hash.content)).collect();
                self.keys.write(self.disk.as_mut(), epoch, number, entries)?;
            }
            let row = &mut self.eras[era].rows[at(stream)];
            row.next = row.next.max(stock.held.last().map_or(0, |last| last + 1));
            row.shelves.push(Shelf {
                number,
                sealed: true,
                held: stock.held,
                bytes: stock.bytes,
                acked_wall_ms: None,
                oldest: stock.made.first().map(|(_, boot, uptime)| (*boot, *uptime)),
                checked: true,
            });
            row.recount();
        }
        Ok(!newer.is_empty())
    }

    /// Declare what should be here and is not, and go on above everything that may have been used.
    fn account(&mut self, era: usize, stream: Stream, clean: bool, new_boot: bool, mark: Option<Mark>, gap: u64) {
        let epoch = self.eras[era].epoch;
        let row = &mut self.eras[era].rows[at(stream)];
        let found = [&row.acked, &row.lost, &row.doubtful].into_iter().filter_map(|set| set.last());
        let found = found.chain(row.shelves.iter().filter_map(|shelf| shelf.held.last()));
        let found = found.max().map_or(0, |last| last + 1);
        let marked = mark.filter(|mark| mark.epoch == epoch).map_or(0, |mark| mark.next[at(stream)]);
        let committed = if clean { row.ceiling } else { found.max(marked.min(row.ceiling)) };
        let missing = row.missing_below(committed);
        let lost: u64 = missing.iter().flat_map(|range| row.lose(*range, LossReason::Damaged)).map(|r| r.count()).sum();
        if let Some(hole) = row.ceiling.checked_sub(1).and_then(|last| SeqRange::new(committed, last)) {
            // The mark is exact unless the power went. Then, beside damage, nobody knows whether these were used.
            let reason = if new_boot && lost > 0 { LossReason::Damaged } else { LossReason::Unused };
            row.lose(hole, reason);
        }
        row.leave_gap(gap);
        // Like numbers that were given up: if the witness cannot be written now, it is before the mark passes the gap.
        self.burnt = true;
        if lost > 0 {
            self.say(SpoolCondition::Quarantined, Some(stream), format!("{lost} records of {stream} are missing"));
        }
    }

    fn load_keys(&mut self, head_keys: Vec<(super::keys::KeyHash, u64)>) -> Result<(), StoreError> {
        let mut here: Vec<(usize, u32, bool)> = Vec::new();
        for (era, book) in self.eras.iter().enumerate() {
            here.extend(book.rows[at(Stream::Service)].shelves.iter().map(|shelf| (era, shelf.number, shelf.sealed)));
        }
        let keys =
            Keys::load(self.disk.as_mut(), self.clock.now(), |number| here.iter().any(|(_, here, _)| *here == number))?;
        self.keys = keys;
        head_keys.into_iter().for_each(|(hash, seq)| self.keys.insert(hash, seq));
        for (era, number, _) in here
            .iter()
            .filter(|(_, number, sealed)| *sealed && !self.keys.has_file(*number))
            .copied()
            .collect::<Vec<_>>()
        {
            let epoch = self.eras[era].epoch;
            let mut entries = Vec::new();
            let whole = self.with_shelf(era, Stream::Service, number, &mut |database| {
                let stock = take_stock(database, Stream::Service)?;
                entries = stock.keys.iter().map(|(hash, seq)| (hash.key, *seq, hash.content)).collect();
                Ok(())
            })?;
            if whole {
                self.keys.write(self.disk.as_mut(), epoch, number, std::mem::take(&mut entries))?;
            }
        }
        Ok(())
    }

    /// Begin a new epoch where there must be one, look after the images, and drop epochs that hold nothing.
    fn finish_epochs(&mut self, new_epoch: Option<&str>) -> Result<(), StoreError> {
        if self.eras.is_empty() && new_epoch.is_none() {
            self.eras.push(Era::new(random_epoch()?));
        } else if let Some(why) = new_epoch {
            self.push_epoch(why)?;
        }
        self.sweep_images()?;
        Ok(())
    }

    /// A new epoch in a running spool.
    pub(super) fn begin_epoch(&mut self, why: &str) -> Result<(), StoreError> {
        if self.new_epoch_begun {
            // One a run: a hub that is wrong about every epoch must not make the spool churn.
            return Ok(());
        }
        self.mend()?;
        self.push_epoch(why)?;
        self.save_witness(false)
    }

    fn push_epoch(&mut self, why: &str) -> Result<(), StoreError> {
        for stream in STREAMS {
            if !self.eras.is_empty() {
                self.seal(stream)?;
            }
        }
        self.keys.clear_head();
        self.eras.push(Era::new(random_epoch()?));
        self.new_epoch_begun = true;
        let own = self.era();
        while self.eras.len() > ERAS_MAX + 1 {
            let oldest = self.eras.remove(0);
            for row in &oldest.rows {
                for shelf in &row.shelves {
                    self.close(shelf.number);
                    self.disk.delete(&row.database(shelf.number))?;
                }
            }
            tracing::error!(epoch = %oldest.epoch, "too many older epochs: the oldest is given up");
        }
        tracing::error!(epoch = %self.eras[own.min(self.eras.len() - 1)].epoch, why, "a new epoch begins");
        self.say(SpoolCondition::NewEpoch, None, why.to_string());
        Ok(())
    }

    /// Count the image files; delete those that nothing refers to; miss those that are owed.
    fn sweep_images(&mut self) -> Result<(), StoreError> {
        let mut present: BTreeMap<Epoch, RangeSet> = BTreeMap::new();
        for (name, length) in self.disk.list("image")? {
            let wanted = parse_image_name(&name).filter(|(epoch, seq)| {
                let era = self.eras.iter().find(|era| era.epoch == *epoch);
                era.is_some_and(|era| {
                    let row = &era.rows[at(Stream::Snapshot)];
                    row.owed.contains(*seq) || row.refused.contains(*seq)
                })
            });
            match wanted {
                Some((epoch, seq)) => {
                    self.image_bytes += length;
                    present.entry(epoch).or_default().insert(SeqRange::one(seq));
                }
                None => self.disk.remove(&format!("image/{name}"))?,
            }
        }
        for era in 0..self.eras.len() {
            let mut missing = self.eras[era].rows[at(Stream::Snapshot)].owed.as_ref().clone();
            if let Some(present) = present.get(&self.eras[era].epoch) {
                missing.remove_all(present);
            }
            for range in missing.iter() {
                self.lose_images(era, range, LossReason::Damaged);
            }
            if !missing.is_empty() {
                let detail = format!("{} image files are missing", missing.count());
                self.say(SpoolCondition::Quarantined, Some(Stream::Snapshot), detail);
            }
        }
        Ok(())
    }
}

/// Between 1 and [`GAP_MAX`].
fn random_gap() -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Failed(format!("no random numbers: {error}")))?;
    Ok(u64::from_le_bytes(bytes) % GAP_MAX + 1)
}

fn random_epoch() -> Result<Epoch, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Failed(format!("no random numbers: {error}")))?;
    Ok(Epoch::from_bytes(bytes))
}
