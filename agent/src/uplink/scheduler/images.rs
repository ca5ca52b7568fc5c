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
    /// Something of it was sent in this session.
    touched: bool,
    refused: u8,
}

impl Progress {
    fn new(to_send: RangeSet) -> Self {
        Progress { to_send, flying: 0, finished_at: None, touched: false, refused: 0 }
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
        image.touched = true;
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
            if image.flying == 0 && image.to_send.is_empty() {
                image.finished_at = Some(now);
            }
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
            image.touched = false;
            image.flying = 0;
            if image.to_send.is_empty() {
                image.finished_at = Some(now);
            }
        }
    }

    /// The hub says what it lacks. While parts are still going out it says less than we know, so it counts for an
    /// image that is wholly sent, or that nothing was sent of in this session.
    pub fn partial(&mut self, seq: u64, missing: &RangeSet, owed: &RangeSet) {
        if !owed.contains(seq) || missing.is_empty() {
            return;
        }
        let image = self.progress.entry(seq).or_insert_with(|| Progress::new(whole()));
        if image.finished_at.is_some() || !image.touched {
            image.to_send = missing.clone();
            image.finished_at = None;
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
        image.to_send = whole();
        image.finished_at = None;
        image.refused += 1;
        image.refused <= RESTARTS_MAX
    }

    /// Whole images without the hub's word for `timeout` go again. Returns whether there was one.
    pub fn expire(&mut self, now: Moment, timeout: Duration) -> bool {
        let mut any = false;
        for image in self.progress.values_mut() {
            if image.finished_at.is_some_and(|at| now.since(at) >= timeout) {
                image.to_send = whole();
                image.finished_at = None;
                any = true;
            }
        }
        any
    }

    /// When the next image expires.
    pub fn next_expiry(&self, timeout: Duration) -> Option<Moment> {
        self.progress.values().filter_map(|image| image.finished_at).min().map(|at| at + timeout)
    }

    /// Whether an image waits for the hub's word.
    pub fn waiting(&self) -> bool {
        self.progress.values().any(|image| image.finished_at.is_some())
    }
}
