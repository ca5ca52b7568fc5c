//! From outcomes of a commit to acknowledgements: one message for each (node, epoch, stream), pure.

use std::collections::BTreeMap;

use simpul_wire::ack::{Ack, Downlink, PartialImage, Rejected};
use simpul_wire::limits::ACK_ITEMS_MAX;
use simpul_wire::{Epoch, Generation, NodeId, RangeSet, Stream};

use crate::store::Outcome;

/// Collects the outcomes of one commit.
#[derive(Debug, Default)]
pub struct Acks(BTreeMap<(NodeId, Epoch, Stream), Collected>);

#[derive(Debug, Default)]
struct Collected {
    have: RangeSet,
    rejected: Vec<Rejected>,
    /// The latest word on each image counts: an earlier part's is outdated.
    partial: BTreeMap<u64, RangeSet>,
}

impl Acks {
    /// Add one upload's outcome.
    pub fn add(&mut self, node: &NodeId, outcome: &Outcome) {
        match outcome {
            Outcome::Committed { stream, epoch, range, .. } => {
                let collected = self.at(node, *epoch, *stream);
                collected.have.insert(*range);
                if *stream == Stream::Snapshot {
                    collected.partial.retain(|seq, _| !range.contains(*seq));
                }
            }
            Outcome::Partial(epoch, image) => {
                self.at(node, *epoch, Stream::Snapshot).partial.insert(image.seq, image.missing.clone());
            }
            Outcome::Refused { placed: Some((epoch, stream, range)), reason } => {
                self.at(node, *epoch, *stream).rejected.push(Rejected { range: *range, reason: *reason });
            }
            // Without a place there is nothing that the agent could find; it is counted and shown at the hub.
            Outcome::Refused { placed: None, .. } | Outcome::Noted => {}
        }
    }

    fn at(&mut self, node: &NodeId, epoch: Epoch, stream: Stream) -> &mut Collected {
        self.0.entry((node.clone(), epoch, stream)).or_default()
    }

    /// The messages to send.
    pub fn into_messages(self, generation: Generation) -> impl Iterator<Item = (NodeId, Downlink)> {
        self.0.into_iter().map(move |((node, epoch, stream), mut collected)| {
            // A group has at most 256 uploads, so neither list passes its limit but for a change of that number.
            collected.rejected.truncate(ACK_ITEMS_MAX);
            let partial = collected.partial.into_iter().take(ACK_ITEMS_MAX);
            let ack = Ack {
                generation,
                epoch,
                stream,
                have: collected.have,
                rejected: collected.rejected,
                partial: partial.map(|(seq, missing)| PartialImage { seq, missing }).collect(),
                slow_down_ms: 0,
            };
            (node, Downlink::Ack(ack))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::SeqRange;
    use simpul_wire::ack::RejectReason;

    const EPOCH: Epoch = Epoch::from_bytes([2; 16]);

    fn committed(stream: Stream, first: u64, count: u64) -> Outcome {
        let range = SeqRange::with_count(first, count).unwrap();
        Outcome::Committed { stream, epoch: EPOCH, range, new: RangeSet::new() }
    }

    fn messages(outcomes: &[(&str, Outcome)]) -> Vec<(String, Ack)> {
        let mut acks = Acks::default();
        for (node, outcome) in outcomes {
            acks.add(&node.parse().unwrap(), outcome);
        }
        let acked = acks.into_messages(Generation::from_bytes([3; 16]));
        acked
            .map(|(node, message)| match message {
                Downlink::Ack(ack) => (node.to_string(), ack),
                Downlink::Hub(_) => unreachable!("only acknowledgements are made of outcomes"),
            })
            .collect()
    }

    #[test]
    fn neighbouring_ranges_of_one_stream_become_one() {
        let sent = messages(&[
            ("a", committed(Stream::Event, 5, 5)),
            ("b", committed(Stream::Event, 1, 1)),
            ("a", committed(Stream::Event, 10, 2)),
        ]);
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0].1.have.to_string(), "[5..=11]");
        assert_eq!(sent[1].0, "b");
    }

    #[test]
    fn a_duplicate_is_acknowledged_too() {
        assert_eq!(messages(&[("a", committed(Stream::Service, 1, 3))])[0].1.have.count(), 3);
    }

    #[test]
    fn a_whole_image_is_no_longer_partial() {
        let partial = |first, last| {
            let missing = SeqRange::new(first, last).into_iter().collect();
            Outcome::Partial(EPOCH, PartialImage { seq: 7, missing })
        };
        let sent = messages(&[("a", partial(10, 99)), ("a", partial(50, 99))]);
        assert_eq!(sent[0].1.partial[0].missing.to_string(), "[50..=99]");
        let sent = messages(&[("a", partial(50, 99)), ("a", committed(Stream::Snapshot, 7, 1))]);
        assert!(sent[0].1.partial.is_empty());
    }

    #[test]
    fn a_refusal_names_its_range_and_reason() {
        let placed = Some((EPOCH, Stream::Reading, SeqRange::one(4)));
        let sent = messages(&[("a", Outcome::Refused { placed, reason: RejectReason::Malformed })]);
        assert_eq!(sent[0].1.rejected, [Rejected { range: SeqRange::one(4), reason: RejectReason::Malformed }]);
        assert!(messages(&[("a", Outcome::Refused { placed: None, reason: RejectReason::WrongNode })]).is_empty());
    }
}
