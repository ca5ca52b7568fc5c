//! Images on their way: which parts of which image go next, and which images wait for the hub's word.
//!
//! Newest first. An image is done when it leaves the spool's owed set; until then a part that a connection lost is
//! sent again, and a whole image when the hub stays silent.

use std::collections::BTreeMap;
use std::time::Duration;

use simpul_clock::Moment;
use simpul_wire::limits::IMAGE_BYTES_MAX;
use simpul_wire::{RangeSet, SeqRange};

/// Images that are begun or wait for the hub's word. A hub that acknowledges within seconds never lets it fill; beyond
/// it the oldest is forgotten and later begun anew (or resumed where the hub says so).
const IMAGES_MAX: usize = 32;

/// Whole images that may wait for the hub's word before no other is begun: 16 images of 100 kB are 50 s of a slow link.
const FINISHED_MAX: usize = 16;

/// A hub that commits parts one by one says of each what is still missing; what it says of a whole image counts when no
/// better word has come for so long.
const PARTIAL_SETTLES: Duration = Duration::from_secs(2);

/// How often an image is sent from the start after a refusal of its bytes before it is given up.
const RESTARTS_MAX: u8 = 2;

/// A part to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartAsk {
    /// The image.
    pub seq: u64,
    /// Where the part begins.
    pub offset: u32,
    /// Longest length of the part.
    pub bytes_max: u32,
}

#[derive(Debug)]
struct Progress {
    /// Byte positions that have to be sent; reaches behind the end until the length is known.
    to_send: RangeSet,
    flying: u32,
    finished_at: Option<Moment>,
    /// What the hub last said that it lacks of a whole image.
    said_missing: Option<RangeSet>,
    refused: u8,
}

impl Progress {
    fn new(to_send: RangeSet) -> Self {
        Progress { to_send, flying: 0, finished_at: None, said_missing: None, refused: 0 }
    }

    fn begin(&mut self, to_send: RangeSet) {
        self.to_send = to_send;
        self.finished_at = None;
        self.said_missing = None;
    }

    fn settle(&mut self, now: Moment) {
        if self.flying == 0 && self.to_send.is_empty() && self.finished_at.is_none() {
            self.finished_at = Some(now);
        }
    }

    /// When to send again, if the hub says no more.
    fn expiry(&self, timeout: Duration) -> Option<Moment> {
        let wait = if self.said_missing.is_some() { PARTIAL_SETTLES } else { timeout };
        self.finished_at.map(|at| at + wait)
    }
}

fn whole() -> RangeSet {
    RangeSet::from_iter(SeqRange::with_count(0, u64::from(IMAGE_BYTES_MAX)))
}

/// All images on their way.
#[derive(Debug, Default)]
pub struct Images {
    progress: BTreeMap<u64, Progress>,
}

impl Images {
    /// The next part: of the newest image in `owed` that is not in `hidden` and has something to send.
    pub fn next(&self, owed: &RangeSet, hidden: &RangeSet, bytes_max: u32) -> Option<PartAsk> {
        let finished = self.progress.values().filter(|image| image.to_send.is_empty()).count();
        if finished >= FINISHED_MAX {
            return None;
        }
        for range in owed.iter().rev() {
            for open in hidden.missing_in(range).into_iter().rev() {
                // Skips at most the images in `progress`.
                for seq in (open.first()..=open.last()).rev() {
                    let Some(image) = self.progress.get(&seq) else {
                        return Some(PartAsk { seq, offset: 0, bytes_max });
                    };
                    if let Some(part) = image.to_send.iter().next() {
                        let length = u32::try_from(part.count()).unwrap_or(u32::MAX).min(bytes_max);
                        return Some(PartAsk {
                            seq,
                            offset: u32::try_from(part.first()).unwrap_or(u32::MAX),
                            bytes_max: length,
                        });
                    }
                }
            }
        }
        None
    }

    /// A part of `part` bytes positions left, of an image of `length` bytes.
    pub fn sent(&mut self, seq: u64, part: SeqRange, length: u32) {
        let image = self.progress.entry(seq).or_insert_with(|| Progress::new(whole()));
        image.flying += 1;
        image.to_send.remove(part);
        if let Some(behind) = SeqRange::new(u64::from(length), u64::from(u32::MAX)) {
            image.to_send.remove(behind);
        }
        while self.progress.len() > IMAGES_MAX {
            self.progress.pop_first();
        }
    }

    /// A part was acknowledged by the broker. Begins the wait for the hub's word once all are.
    pub fn delivered(&mut self, now: Moment, seq: u64) {
        if let Some(image) = self.progress.get_mut(&seq) {
            image.flying = image.flying.saturating_sub(1);
            image.settle(now);
        }
    }

    /// The connection ended with this part in flight.
    pub fn lost(&mut self, seq: u64, part: SeqRange) {
        if let Some(image) = self.progress.get_mut(&seq) {
            image.flying = image.flying.saturating_sub(1);
            image.to_send.insert(part);
        }
    }

    /// A new session begins: the wait for the hub's word about whole images begins anew.
    pub fn session(&mut self, now: Moment) {
        for image in self.progress.values_mut() {
            image.flying = 0;
            image.finished_at = None;
            image.settle(now);
        }
    }

    /// The hub says what it lacks. While parts are going out it may have some already, from before a restart of ours:
    /// they need not go again. Of a whole image it counts when no better word comes.
    pub fn partial(&mut self, now: Moment, seq: u64, missing: &RangeSet, owed: &RangeSet) {
        if !owed.contains(seq) || missing.is_empty() {
            return;
        }
        let image = self.progress.entry(seq).or_insert_with(|| Progress::new(whole()));
        if image.finished_at.is_some() {
            image.said_missing = Some(missing.clone());
        } else {
            let to_send = &image.to_send;
            image.to_send = missing.iter().flat_map(|range| to_send.present_in(range)).collect();
            image.settle(now);
        }
        while self.progress.len() > IMAGES_MAX {
            self.progress.pop_first();
        }
    }

    /// The image is acknowledged, refused for good or gone.
    pub fn done(&mut self, range: SeqRange) {
        self.progress.retain(|seq, _| !range.contains(*seq));
    }

    /// Keep only what is still owed.
    pub fn retain_owed(&mut self, owed: &RangeSet) {
        self.progress.retain(|seq, _| owed.contains(*seq));
    }

    /// The hub refused the image's bytes: from the start, a few times. False when that is used up.
    pub fn restart(&mut self, seq: u64) -> bool {
        let image = self.progress.entry(seq).or_insert_with(|| Progress::new(whole()));
        image.begin(whole());
        image.refused += 1;
        image.refused <= RESTARTS_MAX
    }

    /// Images that are wholly sent go again: what the hub lacks of them by its own word, or all when it stays silent for
    /// `timeout`. Returns whether one met silence.
    pub fn expire(&mut self, now: Moment, timeout: Duration) -> bool {
        let mut silence = false;
        for image in self.progress.values_mut() {
            if image.expiry(timeout).is_some_and(|at| at <= now) {
                let said = image.said_missing.take();
                silence |= said.is_none();
                image.begin(said.unwrap_or_else(whole));
            }
        }
        silence
    }

    /// When the next image expires.
    pub fn next_expiry(&self, timeout: Duration) -> Option<Moment> {
        self.progress.values().filter_map(|image| image.expiry(timeout)).min()
    }
}
