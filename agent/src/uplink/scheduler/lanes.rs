//! Who goes next: a reserved lane for fresh events and service records, then weighted fair queueing between streams.
//!
//! Terms: *fresh* is what was appended since the session began, and the newest few records at its beginning: the
//! present. Everything older is *backlog*.

use simpul_wire::{RangeSet, SeqRange, Stream};

use crate::spool::SpoolState;

/// The newest numbers that count as the present when a session begins: an outage's last minutes of events.
const PRESENT_RECORDS: u64 = 64;

/// Unsent fresh numbers beyond which they are a backlog themselves (the hub stood still, or a flood): then only the
/// newest stay fresh. A batch holds 1,024 records, so this is one publish.
const FRESH_RECORDS_MAX: u64 = 1_024;

/// The same for readings, which are numbered one by one: ten minutes of the planned load.
const FRESH_READINGS_MAX: u64 = 6_000;

/// Fresh publishes in a row after which one of the others goes: a flood of events must not starve all else for ever.
const FRESH_IN_A_ROW_MAX: u32 = 16;

/// Share of the link among backlogs, by `Stream::number() - 1`: service, event, reading, snapshot.
const WEIGHTS: [u64; 4] = [8, 8, 4, 2];

/// Index of a stream in arrays.
pub fn index(stream: Stream) -> usize {
    usize::from(stream.number()) - 1
}

/// Fairness and freshness.
#[derive(Debug, Default)]
pub struct Lanes {
    fresh_from: [u64; 4],
    /// Bytes sent per weight: the stream with the least goes next.
    served: [u64; 4],
    fresh_in_a_row: u32,
}

impl Lanes {
    /// A session begins.
    pub fn session(&mut self, spool: &SpoolState) {
        for stream in Stream::ALL {
            self.fresh_from[index(stream)] = spool.stream(stream).next_seq.saturating_sub(PRESENT_RECORDS);
        }
        self.fresh_in_a_row = 0;
    }

    /// The spool changed; `open` counts a stream's numbers that are owed and not on their way, from a number on.
    pub fn refresh(&mut self, spool: &SpoolState, open: impl Fn(Stream, SeqRange) -> u64) {
        for stream in Stream::ALL {
            let from = &mut self.fresh_from[index(stream)];
            let limit = if stream == Stream::Reading { FRESH_READINGS_MAX } else { FRESH_RECORDS_MAX };
            let next = spool.stream(stream).next_seq;
            // More numbers than the limit exist: only then is it worth counting.
            if next.saturating_sub(*from) > limit
                && SeqRange::new(*from, next).is_some_and(|range| open(stream, range) > limit)
            {
                *from = next.saturating_sub(PRESENT_RECORDS);
            }
        }
    }

    /// First number of the stream that is fresh.
    pub fn fresh_from(&self, stream: Stream) -> u64 {
        self.fresh_from[index(stream)]
    }

    /// Whether the fresh lane has had its turns and others wait.
    pub fn fresh_must_pause(&self) -> bool {
        self.fresh_in_a_row >= FRESH_IN_A_ROW_MAX
    }

    /// Streams, the least served first.
    pub fn fair_order(&self) -> [Stream; 4] {
        let mut order = Stream::ALL;
        order.sort_by_key(|stream| self.served[index(*stream)]);
        order
    }

    /// A publish went out; `waiting` says which of [`Stream::ALL`] have more to send.
    pub fn charge(&mut self, stream: Stream, bytes: u32, fresh: bool, waiting: [bool; 4]) {
        self.fresh_in_a_row = if fresh { self.fresh_in_a_row + 1 } else { 0 };
        if fresh {
            return;
        }
        let at = index(stream);
        self.served[at] += u64::from(bytes) / WEIGHTS[at] + 1;
        // A stream with nothing to send must not save up a claim: it keeps level with the least served that has.
        let served = &mut self.served;
        let has_more = Stream::ALL.into_iter().zip(waiting).filter(|(_, waiting)| *waiting);
        let level = has_more.map(|(stream, _)| served[index(stream)]).min().unwrap_or(served[at]);
        for (stream, waiting) in Stream::ALL.into_iter().zip(waiting) {
            if !waiting {
                served[index(stream)] = served[index(stream)].max(level);
            }
        }
    }
}

/// The first open range of `owed` within `within`: not in `flying` and not in `hidden`.
pub fn first_open(owed: &RangeSet, flying: &RangeSet, hidden: &RangeSet, within: SeqRange) -> Option<SeqRange> {
    owed.present_in(within).into_iter().find_map(|range| {
        flying.missing_in(range).into_iter().find_map(|open| hidden.missing_in(open).into_iter().next())
    })
}

/// How many open numbers `within` has.
pub fn count_open(owed: &RangeSet, flying: &RangeSet, hidden: &RangeSet, within: SeqRange) -> u64 {
    let open = owed.present_in(within).into_iter().flat_map(|range| flying.missing_in(range));
    open.flat_map(|range| hidden.missing_in(range)).map(|range| range.count()).sum()
}
