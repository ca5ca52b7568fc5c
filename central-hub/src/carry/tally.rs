//! Counts what came of a file: pure. Each number of a stream counts once, however many frames brought it.

use std::collections::BTreeMap;

use simpul_carry::Promise;
use simpul_wire::ack::RejectReason;
use simpul_wire::{Epoch, RangeSet, SeqRange, Stream};

use super::report::{CarryStream, MissingRange, RejectedRange};
use crate::store::{Outcome, StreamRow};

/// Ranges that a report lists; a file with more is looked at by its counts.
const LISTED_MAX: usize = 100;

type Sets = BTreeMap<(Epoch, Stream), RangeSet>;

#[derive(Default)]
pub(super) struct Tally {
    promised: Sets,
    /// What was declared lost before the file came.
    lost: Sets,
    seen: Sets,
    streams: BTreeMap<Stream, CarryStream>,
    rejected: Vec<RejectedRange>,
}

impl Tally {
    pub(super) fn promise(&mut self, promises: &[Promise]) {
        for promise in promises {
            self.promised.entry((promise.epoch, promise.stream)).or_default().insert_all(&promise.ranges);
        }
    }

    /// What the hub knows of the node before the file.
    pub(super) fn before(&mut self, rows: &[StreamRow]) {
        for row in rows {
            let lost = row.lost.iter().map(|loss| loss.range).collect();
            self.lost.insert((row.epoch, row.stream), lost);
        }
    }

    fn at(&mut self, stream: Stream) -> &mut CarryStream {
        self.streams
            .entry(stream)
            .or_insert_with(|| CarryStream { stream: stream.name().to_string(), ..CarryStream::default() })
    }

    pub(super) fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Committed { stream, epoch, range, new } => {
                let first_seen: RangeSet =
                    self.seen.entry((*epoch, *stream)).or_default().insert(*range).into_iter().collect();
                let lost = self.lost.get(&(*epoch, *stream));
                let found = new.iter().flat_map(|range| lost.map(|lost| lost.present_in(range)).unwrap_or_default());
                let found_again = found.map(|range| range.count()).sum::<u64>();
                // An image's last part is what commits it; the parts before count nothing.
                let had = first_seen.iter().map(|range| range.count()).sum::<u64>().saturating_sub(new.count());
                let row = self.at(*stream);
                row.new += new.count();
                row.found_again += found_again;
                row.had += had;
            }
            Outcome::Refused { placed: Some((epoch, stream, range)), reason } => {
                self.refuse(Some((*epoch, *stream, *range)), *reason);
            }
            Outcome::Refused { placed: None, reason } => self.refuse(None, *reason),
            // A part of an image that is not whole yet: its last part, or its absence, says what came of it.
            Outcome::Partial(..) | Outcome::Noted => {}
        }
    }

    pub(super) fn refuse(&mut self, placed: Option<(Epoch, Stream, SeqRange)>, reason: RejectReason) {
        let listed = match placed {
            Some((epoch, stream, range)) => {
                let first = self.seen.entry((epoch, stream)).or_default().insert(range);
                if first.is_empty() {
                    return;
                }
                self.at(stream).rejected += first.iter().map(SeqRange::count).sum::<u64>();
                RejectedRange {
                    stream: stream.name().to_string(),
                    first: range.first(),
                    last: range.last(),
                    reason: reason.to_string(),
                }
            }
            None => RejectedRange { stream: String::new(), first: 0, last: 0, reason: reason.to_string() },
        };
        if self.rejected.len() < LISTED_MAX {
            self.rejected.push(listed);
        }
    }

    pub(super) fn finish(mut self) -> (Vec<CarryStream>, Vec<RejectedRange>, Vec<MissingRange>) {
        let mut missing = Vec::new();
        for ((epoch, stream), mut promised) in std::mem::take(&mut self.promised) {
            if let Some(seen) = self.seen.get(&(epoch, stream)) {
                promised.remove_all(seen);
            }
            if promised.is_empty() {
                continue;
            }
            self.at(stream).missing += promised.count();
            let ranges = promised.iter().map(|range| MissingRange {
                stream: stream.name().to_string(),
                epoch: epoch.to_string(),
                first: range.first(),
                last: range.last(),
            });
            missing.extend(ranges.take(LISTED_MAX.saturating_sub(missing.len())));
        }
        (self.streams.into_values().collect(), self.rejected, missing)
    }
}

#[cfg(test)]
mod tests {
    use simpul_wire::ack::PartialImage;

    use super::*;

    const EPOCH: Epoch = Epoch::from_bytes([1; 16]);

    fn range(first: u64, last: u64) -> SeqRange {
        SeqRange::new(first, last).unwrap()
    }

    fn committed(stream: Stream, all: SeqRange, new: Option<SeqRange>) -> Outcome {
        Outcome::Committed { stream, epoch: EPOCH, range: all, new: new.into_iter().collect() }
    }

    #[test]
    fn numbers_count_once_and_what_was_promised_and_did_not_come_is_named() {
        let mut tally = Tally::default();
        tally.promise(&[Promise {
            epoch: EPOCH,
            stream: Stream::Service,
            ranges: [range(1, 50)].into_iter().collect(),
        }]);
        let row = StreamRow {
            node: "a".parse().unwrap(),
            epoch: EPOCH,
            stream: Stream::Service,
            have: RangeSet::new(),
            lost: vec![simpul_wire::event::Loss {
                epoch: EPOCH,
                stream: Stream::Service,
                range: range(8, 12),
                reason: simpul_wire::event::LossReason::Damaged,
            }],
            last_received_ms: 0,
        };
        tally.before(&[row]);
        tally.add(&committed(Stream::Service, range(1, 10), Some(range(6, 10))));
        tally.add(&committed(Stream::Service, range(1, 10), None));
        tally.add(&Outcome::Refused {
            placed: Some((EPOCH, Stream::Service, range(11, 20))),
            reason: RejectReason::Unsupported,
        });
        let (streams, rejected, missing) = tally.finish();
        let expected =
            CarryStream { stream: "service".into(), new: 5, found_again: 3, had: 5, rejected: 10, missing: 30 };
        assert_eq!(streams, [expected]);
        assert_eq!((rejected.len(), rejected[0].reason.as_str()), (1, "unsupported"));
        assert_eq!((missing.len(), missing[0].first, missing[0].last), (1, 21, 50));
    }

    #[test]
    fn an_image_counts_as_one_and_only_when_it_is_whole() {
        let mut tally = Tally::default();
        let partial = || Outcome::Partial(EPOCH, PartialImage { seq: 7, missing: RangeSet::new() });
        tally.add(&partial());
        tally.add(&partial());
        tally.add(&committed(Stream::Snapshot, SeqRange::one(7), Some(SeqRange::one(7))));
        for _ in 0..3 {
            tally.add(&committed(Stream::Snapshot, SeqRange::one(8), None));
        }
        let (streams, ..) = tally.finish();
        assert_eq!((streams[0].new, streams[0].had), (1, 1));
    }
}
