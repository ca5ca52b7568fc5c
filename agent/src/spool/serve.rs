//! What the uplink asks for: records to send, parts of images, and what its acknowledgements change.

use std::time::Duration;

use sha2::{Digest, Sha256};
use simpul_wire::ack::{Ack, HubState, RejectReason};
use simpul_wire::event::{LossReason, SpoolCondition};
use simpul_wire::image::{ImageMeta, ImagePart};
use simpul_wire::limits::{IMAGE_BYTES_MAX, IMAGE_PART_BYTES_MAX};
use simpul_wire::{Epoch, SeqRange, Stream};

use super::Stored;
use super::core::{Core, STREAMS, at};
use super::disk::StoreError;
use super::packet::walk;

/// After a rewind the hub sends its intervals at once; what it has not named a minute later it lacks.
const DOUBT_SETTLES_AFTER: Duration = Duration::from_secs(60);

/// Image files gathered before a witness is written for their sake, which is what lets them be deleted.
pub(crate) const UNLINK_MAX: usize = 32;

impl Core {
    fn era_of(&self, epoch: Epoch) -> Option<usize> {
        self.eras.iter().position(|era| era.epoch == epoch)
    }

    /// Owed records of `range`, ascending, within limits but for the first.
    pub fn read(
        &mut self,
        epoch: Epoch,
        stream: Stream,
        range: SeqRange,
        bytes_max: usize,
        records_max: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let Some(era) = self.era_of(epoch) else { return Ok(Vec::new()) };
        let mut found: Vec<Stored> = Vec::new();
        let (mut bytes, mut full) = (0, records_max == 0);
        while !full {
            // A database may be found damaged on the way: what is owed is looked up anew for each.
            let owed = self.owed(era, stream);
            let from = found.last().map_or(range.first(), |last| last.range.last() + 1);
            let Some(left) = SeqRange::new(from, range.last()) else { break };
            let Some(next) = owed.present_in(left).first().map(SeqRange::first) else { break };
            let row = &self.eras[era].rows[at(stream)];
            let shelf = row.shelves.iter().find(|shelf| shelf.held.contains(next));
            let Some((number, end)) = shelf.and_then(|shelf| Some((shelf.number, shelf.held.last()?))) else { break };
            let before = found.len();
            let whole = self.with_shelf(era, stream, number, &mut |database| {
                walk(database, next, &mut |item| {
                    if item.range.first() > range.last() {
                        full = true;
                    } else if !owed.present_in(item.range).is_empty() {
                        full = !found.is_empty() && bytes + item.bytes.len() > bytes_max;
                        if !full {
                            bytes += item.bytes.len();
                            found.push(Stored { range: item.range, bytes: item.bytes });
                            full = found.len() >= records_max;
                        }
                    }
                    !full
                })
            })?;
            if whole && !full && found.len() == before {
                // The index said it was here: gone is gone, and said.
                let gone: Vec<SeqRange> = SeqRange::new(next, end).map_or(Vec::new(), |rest| owed.present_in(rest));
                gone.into_iter()
                    .for_each(|range| drop(self.eras[era].rows[at(stream)].lose(range, LossReason::Damaged)));
                self.mark_dirty();
            }
        }
        Ok(found)
    }

    /// A part of an owed image.
    pub fn read_part(
        &mut self,
        epoch: Epoch,
        seq: u64,
        offset: u32,
        bytes_max: usize,
    ) -> Result<Option<ImagePart>, StoreError> {
        let Some(era) = self.era_of(epoch) else { return Ok(None) };
        if !self.owed(era, Stream::Snapshot).contains(seq) {
            return Ok(None);
        }
        let Some(meta) = self.image_meta(era, epoch, seq)? else { return Ok(None) };
        if offset >= meta.length || bytes_max == 0 {
            return Ok(None);
        }
        let length = bytes_max.min(IMAGE_PART_BYTES_MAX).min((meta.length - offset) as usize);
        let file = self.eras[era].rows[at(Stream::Snapshot)].image(seq);
        match self.disk.read(&file, u64::from(offset), length)? {
            Some(bytes) if bytes.len() == length => Ok(Some(ImagePart { meta, offset, bytes })),
            _ => {
                self.lose_images(era, SeqRange::one(seq), LossReason::Damaged);
                self.say(
                    SpoolCondition::Quarantined,
                    Some(Stream::Snapshot),
                    format!("{file} is missing or cut short"),
                );
                Ok(None)
            }
        }
    }

    fn image_meta(&mut self, era: usize, epoch: Epoch, seq: u64) -> Result<Option<ImageMeta>, StoreError> {
        if let Some((known_epoch, known, meta)) = &self.meta
            && (*known_epoch, *known) == (epoch, seq)
        {
            return Ok(Some(meta.clone()));
        }
        let stored = self.read(epoch, Stream::Snapshot, SeqRange::one(seq), usize::MAX, 1)?;
        let Some(first) = stored.first() else { return Ok(None) };
        match minicbor::decode::<ImageMeta>(&first.bytes) {
            Ok(meta) => {
                self.meta = Some((epoch, seq, meta.clone()));
                Ok(Some(meta))
            }
            Err(_) => {
                self.lose_images(era, SeqRange::one(seq), LossReason::Damaged);
                Ok(None)
            }
        }
    }

    /// Images are gone: their numbers at once, their files after the witness says so.
    pub(super) fn lose_images(&mut self, era: usize, range: SeqRange, reason: LossReason) {
        let lost = self.eras[era].rows[at(Stream::Snapshot)].lose(range, reason);
        self.unlink_images(era, &lost);
        self.mark_dirty();
    }

    pub(super) fn unlink_images(&mut self, era: usize, ranges: &[SeqRange]) {
        for seq in ranges.iter().flat_map(|range| range.first()..=range.last()) {
            let file = self.eras[era].rows[at(Stream::Snapshot)].image(seq);
            if let Some(length) = self.disk.length(&file) {
                self.image_bytes = self.image_bytes.saturating_sub(length);
                self.unlink.push(file);
            }
        }
    }

    /// The hub has committed or refused records.
    pub fn acknowledge(&mut self, ack: &Ack) -> Result<(), StoreError> {
        let Some(era) = self.era_of(ack.epoch) else {
            tracing::debug!(epoch = %ack.epoch, "an acknowledgement for an epoch that is not here");
            return Ok(());
        };
        match self.generation {
            None => self.generation = Some(ack.generation),
            Some(known) if known != ack.generation => {
                // What it says counts from the hub's own word on; until then it may be a message that was overtaken.
                tracing::warn!(generation = %ack.generation, "an acknowledgement of another generation is left out");
                return Ok(());
            }
            Some(_) => {}
        }
        if era == self.era() && self.eras[era].rows[at(ack.stream)].is_foreign(&ack.have) {
            self.begin_epoch(&format!(
                "the hub has {} records that this card never made: it was rolled back, or cloned",
                ack.stream
            ))?;
        }
        let freed = self.eras[era].rows[at(ack.stream)].acknowledge(&ack.have);
        if ack.stream == Stream::Snapshot {
            self.unlink_images(era, &freed);
        }
        // Every event is at the hub, and with them every loss that they told of.
        if ack.stream == Stream::Event && self.eras.iter().all(|era| era.rows[at(Stream::Event)].owed.is_empty()) {
            self.eras.iter_mut().flat_map(|era| &mut era.rows).for_each(|row| row.told.clear());
        }
        for rejected in &ack.rejected {
            self.refuse(era, ack.stream, rejected.range, rejected.reason)?;
        }
        self.mark_dirty();
        self.reclaim()
    }

    fn refuse(&mut self, era: usize, stream: Stream, range: SeqRange, reason: RejectReason) -> Result<(), StoreError> {
        let owed = self.owed(era, stream).present_in(range);
        match reason {
            RejectReason::Unsupported => {
                let row = &mut self.eras[era].rows[at(stream)];
                owed.iter().for_each(|range| drop(row.refused.insert(*range)));
                row.recount();
            }
            RejectReason::BadChecksum | RejectReason::Malformed | RejectReason::TooLarge => {
                for range in owed {
                    tracing::error!(%stream, %range, %reason, "the hub refused a record for good");
                    if stream == Stream::Snapshot {
                        self.lose_images(era, range, LossReason::Rejected);
                    } else {
                        self.eras[era].rows[at(stream)].lose(range, LossReason::Rejected);
                    }
                }
            }
            RejectReason::BadImageHash => {
                for seq in owed.iter().flat_map(|range| range.first()..=range.last()) {
                    if stream == Stream::Snapshot && !self.image_is_whole(era, seq)? {
                        self.lose_images(era, SeqRange::one(seq), LossReason::Damaged);
                        let detail = format!("image {seq} is not what it was");
                        self.say(SpoolCondition::Quarantined, Some(Stream::Snapshot), detail);
                    }
                }
            }
            // Nothing is wrong with the record: it is sent again when the node or the hub is put right.
            RejectReason::WrongNode | RejectReason::TooManyIntervals => {}
        }
        Ok(())
    }

    fn image_is_whole(&mut self, era: usize, seq: u64) -> Result<bool, StoreError> {
        let epoch = self.eras[era].epoch;
        let Some(meta) = self.image_meta(era, epoch, seq)? else { return Ok(true) };
        let file = self.eras[era].rows[at(Stream::Snapshot)].image(seq);
        let bytes = self.disk.read(&file, 0, IMAGE_BYTES_MAX as usize)?.unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        Ok(digest == meta.sha256)
    }

    /// The hub said what it is.
    pub fn hub(&mut self, hub: &HubState) -> Result<(), StoreError> {
        let rewound = self.generation.is_some_and(|known| known != hub.generation);
        let first = self.generation.is_none();
        self.generation = Some(hub.generation);
        for era in &mut self.eras {
            for row in &mut era.rows {
                row.refused = Default::default();
                if rewound {
                    row.rewind();
                } else {
                    row.recount();
                }
            }
        }
        for backed_up in &hub.backed_up {
            if let Some(era) = self.era_of(backed_up.epoch) {
                self.eras[era].rows[at(backed_up.stream)].backed_up.insert_all(&backed_up.ranges);
            }
        }
        let doubtful = self.eras.iter().flat_map(|era| &era.rows).any(|row| !row.doubtful.is_empty());
        self.doubt_until = doubtful.then(|| self.clock.now() + DOUBT_SETTLES_AFTER);
        if rewound {
            tracing::warn!(generation = %hub.generation, "the hub was rewound: kept records are owed again");
        }
        if rewound || first {
            self.save_witness(false)?;
        }
        self.reclaim()
    }

    /// What the hub has not confirmed by now it lost, and it is no longer here.
    pub(super) fn settle_doubt(&mut self) -> Result<(), StoreError> {
        if self.doubt_until.is_none_or(|until| self.clock.now() < until) {
            return Ok(());
        }
        self.doubt_until = None;
        for era in &mut self.eras {
            for row in &mut era.rows {
                let doubtful = std::mem::take(&mut row.doubtful);
                doubtful.iter().for_each(|range| drop(row.lose(range, LossReason::HubRewound)));
            }
        }
        self.save_witness(false)
    }

    /// Delete sealed databases that nothing waits for any more.
    pub(super) fn reclaim(&mut self) -> Result<(), StoreError> {
        let (now, wall_ms) = (self.clock.now(), self.clock.wall_ms());
        let kept_for_ms = i64::try_from(self.config.kept_for.as_millis()).unwrap_or(i64::MAX);
        let (mut delete, mut kept) = (Vec::new(), Vec::new());
        for (index, era) in self.eras.iter_mut().enumerate() {
            for stream in STREAMS {
                let row = &mut era.rows[at(stream)];
                for position in 0..row.shelves.len() {
                    if !row.shelves[position].sealed || row.waiting_in(&row.shelves[position]) > 0 {
                        continue;
                    }
                    let number = row.shelves[position].number;
                    let keepsake = matches!(stream, Stream::Service | Stream::Event)
                        && row.shelves[position].held.iter().any(|range| {
                            row.acked.present_in(range).into_iter().any(|part| !row.backed_up.contains_range(part))
                        });
                    let since = *row.shelves[position].acked_wall_ms.get_or_insert(wall_ms);
                    if keepsake && wall_ms.saturating_sub(since) < kept_for_ms {
                        kept.push((number, row.shelves[position].bytes, index, stream));
                    } else {
                        delete.push((index, stream, number));
                    }
                }
            }
        }
        // Numbers are given in order of time over all rows: the oldest goes first.
        kept.sort_unstable_by_key(|(number, ..)| *number);
        let mut kept_bytes: u64 = kept.iter().map(|(_, bytes, ..)| bytes).sum();
        for (number, bytes, index, stream) in kept {
            if kept_bytes <= self.config.kept_bytes_max {
                break;
            }
            kept_bytes -= bytes;
            delete.push((index, stream, number));
        }
        let unlink = self.unlink.len() >= UNLINK_MAX;
        self.delete_shelves(&delete, now)?;
        if unlink && !self.unlink.is_empty() { self.save_witness(false) } else { Ok(()) }
    }

    /// Take databases out of their rows, durably, then delete them.
    pub(super) fn delete_shelves(
        &mut self,
        delete: &[(usize, Stream, u32)],
        now: simpul_clock::Moment,
    ) -> Result<(), StoreError> {
        if delete.is_empty() {
            return Ok(());
        }
        let mut names = Vec::new();
        for &(index, stream, number) in delete {
            let row = &mut self.eras[index].rows[at(stream)];
            if let Some(position) = row.position(number) {
                row.shelves.remove(position);
                names.push(row.database(number));
            }
            self.close(number);
            self.keys.database_gone(number, now);
        }
        self.save_witness(false)?;
        names.iter().try_for_each(|name| self.disk.delete(name))
    }
}
