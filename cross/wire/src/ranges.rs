//! Ranges of sequence numbers and bounded sets of them: what a hub has, what an agent still owes.

use alloc::vec::Vec;
use core::fmt;

use minicbor::decode::{Decoder, Error};
use minicbor::encode::{Encoder, Write};
use minicbor::{Decode, Encode};

use crate::limits::INTERVALS_MAX;

/// Sequence numbers `first..=last`; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqRange {
    first: u64,
    last: u64,
}

impl SeqRange {
    /// `first..=last`, if that is not empty and not the whole of `u64`.
    pub const fn new(first: u64, last: u64) -> Option<Self> {
        if first <= last && !(first == 0 && last == u64::MAX) { Some(SeqRange { first, last }) } else { None }
    }

    /// One number.
    pub const fn one(seq: u64) -> Self {
        SeqRange { first: seq, last: seq }
    }

    /// `count` numbers from `first` on; `None` if there are none or they pass `u64::MAX`.
    pub const fn with_count(first: u64, count: u64) -> Option<Self> {
        match count {
            0 => None,
            _ => match first.checked_add(count - 1) {
                Some(last) => Self::new(first, last),
                None => None,
            },
        }
    }

    /// The first number.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The last number, inclusive.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// How many numbers.
    pub const fn count(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether `seq` is one of them.
    pub const fn contains(&self, seq: u64) -> bool {
        self.first <= seq && seq <= self.last
    }

    /// What both hold.
    pub fn intersection(&self, other: &SeqRange) -> Option<SeqRange> {
        SeqRange::new(self.first.max(other.first), self.last.min(other.last))
    }
}

impl fmt::Display for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.first, self.last)
    }
}

/// A set of sequence numbers as sorted ranges that neither overlap nor touch.
///
/// On the wire: an array of alternating gap and length (each range's first number minus the end of the one before,
/// then its count minus one), which is 2-4 bytes a range.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RangeSet(Vec<SeqRange>);

impl RangeSet {
    /// The empty set.
    pub const fn new() -> Self {
        RangeSet(Vec::new())
    }

    /// The ranges, sorted.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = SeqRange> + ExactSizeIterator + '_ {
        self.0.iter().copied()
    }

    /// How many ranges (not numbers): what memory and the limit of 4,096 go by.
    pub fn range_count(&self) -> usize {
        self.0.len()
    }

    /// How many numbers.
    pub fn count(&self) -> u64 {
        self.0.iter().map(SeqRange::count).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest number.
    pub fn first(&self) -> Option<u64> {
        self.0.first().map(SeqRange::first)
    }

    /// The largest number.
    pub fn last(&self) -> Option<u64> {
        self.0.last().map(SeqRange::last)
    }

    /// Whether `seq` is in the set.
    pub fn contains(&self, seq: u64) -> bool {
        let at = self.0.partition_point(|range| range.last < seq);
        self.0.get(at).is_some_and(|range| range.first <= seq)
    }

    /// Whether all of `range` is in the set.
    pub fn contains_range(&self, range: SeqRange) -> bool {
        let at = self.0.partition_point(|held| held.last < range.first);
        self.0.get(at).is_some_and(|held| held.first <= range.first && range.last <= held.last)
    }

    /// Add a range. Returns which parts of it were new, in order: empty if all of it was there already.
    pub fn insert(&mut self, range: SeqRange) -> Vec<SeqRange> {
        let new = self.missing_in(range);
        if new.is_empty() {
            return new;
        }
        // All held ranges that overlap or touch the new one melt into it.
        let from = self.0.partition_point(|held| held.last.saturating_add(1) < range.first);
        let to = self.0.partition_point(|held| held.first <= range.last.saturating_add(1));
        let merged = match self.0.get(from..to) {
            Some([]) | None => range,
            Some([one]) => SeqRange { first: one.first.min(range.first), last: one.last.max(range.last) },
            Some([low, .., high]) => SeqRange { first: low.first.min(range.first), last: high.last.max(range.last) },
        };
        self.0.splice(from..to, [merged]);
        new
    }

    /// Add all of another set.
    pub fn insert_all(&mut self, other: &RangeSet) {
        for range in other.iter() {
            self.insert(range);
        }
    }

    /// Take a range out. Returns which parts of it were there.
    pub fn remove(&mut self, range: SeqRange) -> Vec<SeqRange> {
        let from = self.0.partition_point(|held| held.last < range.first);
        let to = self.0.partition_point(|held| held.first <= range.last);
        let mut removed = Vec::new();
        let mut kept = Vec::new();
        for held in &self.0[from..to.max(from)] {
            removed.extend(held.intersection(&range));
            if held.first < range.first {
                kept.push(SeqRange { first: held.first, last: range.first - 1 });
            }
            if held.last > range.last {
                kept.push(SeqRange { first: range.last + 1, last: held.last });
            }
        }
        self.0.splice(from..to.max(from), kept);
        removed
    }

    /// Take all of another set out.
    pub fn remove_all(&mut self, other: &RangeSet) {
        for range in other.iter() {
            self.remove(range);
        }
    }

    /// The parts of `range` that are in the set, in order.
    pub fn present_in(&self, range: SeqRange) -> Vec<SeqRange> {
        let from = self.0.partition_point(|held| held.last < range.first);
        self.0[from..]
            .iter()
            .take_while(|held| held.first <= range.last)
            .filter_map(|held| held.intersection(&range))
            .collect()
    }

    /// The parts of `range` that are not in the set, in order.
    pub fn missing_in(&self, range: SeqRange) -> Vec<SeqRange> {
        let mut missing = Vec::new();
        let mut next = range.first;
        for held in self.present_in(range) {
            missing.extend(held.first.checked_sub(1).and_then(|last| SeqRange::new(next, last)));
            match held.last.checked_add(1) {
                Some(after) => next = after,
                None => return missing,
            }
        }
        missing.extend(SeqRange::new(next, range.last));
        missing
    }
}

impl FromIterator<SeqRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = SeqRange>>(ranges: I) -> Self {
        let mut set = RangeSet::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, range) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{range}")?;
        }
        f.write_str("]")
    }
}

impl<C> Encode<C> for SeqRange {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(2)?.u64(self.first)?.u64(self.last - self.first)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for SeqRange {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, Error> {
        let (first, more): (u64, u64) = Decode::decode(d, ctx)?;
        first
            .checked_add(more)
            .and_then(|last| SeqRange::new(first, last))
            .ok_or_else(|| Error::message("range passes the largest number"))
    }
}

impl<C> Encode<C> for RangeSet {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(self.0.len() as u64 * 2)?;
        let mut end = 0;
        for range in &self.0 {
            e.u64(range.first - end)?.u64(range.last - range.first)?;
            end = range.last;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for RangeSet {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        let items = d.array()?.ok_or_else(|| Error::message("range set: array of definite length expected"))?;
        if items % 2 != 0 || items > 2 * INTERVALS_MAX as u64 {
            return Err(Error::message("range set: odd or too many items"));
        }
        let mut ranges: Vec<SeqRange> = Vec::new();
        for i in 0..items / 2 {
            let end = ranges.last().map_or(0, |range| range.last);
            let (gap, more) = (d.u64()?, d.u64()?);
            // Ranges of a set neither overlap nor touch: a gap below 2 (after the first) is not canonical.
            if i > 0 && gap < 2 {
                return Err(Error::message("range set: ranges overlap or touch"));
            }
            let range = end.checked_add(gap).and_then(|first| SeqRange::new(first, first.checked_add(more)?));
            ranges.push(range.ok_or_else(|| Error::message("range passes the largest number"))?);
        }
        Ok(RangeSet(ranges))
    }
}
