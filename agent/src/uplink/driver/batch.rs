//! What was read from the spool -> a payload, or the reason why there is none.

use simpul_wire::batch::{seal, seal_image_part};
use simpul_wire::image::ImagePart;
use simpul_wire::limits::{BLOCKS_MAX, PAYLOAD_BYTES_MAX, READINGS_MAX, RECORDS_MAX};
use simpul_wire::{Epoch, NodeId, SeqRange, Stream};

use crate::spool::{SpoolError, Stored};
use crate::uplink::mqtt::{Link, PublishError};
use crate::uplink::scheduler::{Outcome, Ticket};

/// A publish that is ready, or what there is to say instead.
pub enum Prepared {
    /// To publish.
    Payload(Payload),
    /// There is nothing to publish.
    Nothing(Outcome),
}

/// A sealed payload, and what it holds.
pub struct Payload {
    stream: Stream,
    bytes: Vec<u8>,
    content: Content,
}

enum Content {
    Batch { covered: SeqRange, records: u32 },
    Part { offset: u32, length: u32, image_length: u32 },
}

impl Payload {
    /// Publish it.
    pub fn publish(self, ticket: Ticket, link: &Link) -> Outcome {
        match (link.publish(ticket, self.stream, self.bytes), self.content) {
            (Ok(bytes), Content::Batch { covered, records }) => Outcome::Batch { covered, records, bytes },
            (Ok(bytes), Content::Part { offset, length, image_length }) => {
                Outcome::Part { offset, length, image_length, bytes }
            }
            (Err(PublishError::TooLarge { .. }), Content::Batch { covered, records }) => {
                Outcome::TooLarge { covered, records }
            }
            (Err(_), _) => Outcome::Failed,
        }
    }
}

/// How many of `stored` make one batch: without a gap, within the wire's limits.
pub(crate) fn run_length(stream: Stream, stored: &[Stored]) -> usize {
    let records_max = if stream == Stream::Reading { BLOCKS_MAX } else { RECORDS_MAX };
    let (mut length, mut numbers, mut bytes) = (0, 0u64, 0usize);
    for (index, record) in stored.iter().take(records_max).enumerate() {
        let gapless = index == 0 || stored[index - 1].range.last().checked_add(1) == Some(record.range.first());
        numbers += record.range.count();
        bytes += record.bytes.len();
        let fits = bytes <= PAYLOAD_BYTES_MAX && (stream != Stream::Reading || numbers <= READINGS_MAX as u64);
        if index > 0 && !(gapless && fits) {
            break;
        }
        length = index + 1;
    }
    length
}

/// Seal what was read of `asked`.
pub fn prepare_batch(
    node: &NodeId,
    epoch: Epoch,
    stream: Stream,
    asked: SeqRange,
    read: Result<Vec<Stored>, SpoolError>,
) -> Prepared {
    let stored = match read {
        Ok(stored) => stored,
        Err(error) => {
            tracing::warn!(%stream, range = %asked, %error, "records could not be read; trying again");
            return Prepared::Nothing(Outcome::Failed);
        }
    };
    let run = &stored[..run_length(stream, &stored)];
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Prepared::Nothing(Outcome::Gone) };
    let Some(covered) = SeqRange::new(first.range.first(), last.range.last()) else {
        return Prepared::Nothing(Outcome::Gone);
    };
    let bodies: Vec<&[u8]> = run.iter().map(|record| record.bytes.as_slice()).collect();
    let records = u32::try_from(run.len()).unwrap_or(u32::MAX);
    let bytes = seal(node, epoch, stream, covered, &bodies);
    Prepared::Payload(Payload { stream, bytes, content: Content::Batch { covered, records } })
}

/// Seal a part of an image.
pub fn prepare_part(node: &NodeId, epoch: Epoch, seq: u64, read: Result<Option<ImagePart>, SpoolError>) -> Prepared {
    match read {
        Ok(Some(part)) => {
            let content = Content::Part {
                offset: part.offset,
                length: u32::try_from(part.bytes.len()).unwrap_or(u32::MAX),
                image_length: part.meta.length,
            };
            let bytes = seal_image_part(node, epoch, seq, &part);
            Prepared::Payload(Payload { stream: Stream::Snapshot, bytes, content })
        }
        Ok(None) => Prepared::Nothing(Outcome::Gone),
        Err(error) => {
            tracing::warn!(seq, %error, "an image could not be read; trying again");
            Prepared::Nothing(Outcome::Failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(first: u64, count: u64, bytes: usize) -> Stored {
        Stored { range: SeqRange::with_count(first, count).unwrap(), bytes: vec![0; bytes] }
    }

    #[test]
    fn a_batch_ends_at_a_gap_and_at_the_wires_limits() {
        for (stream, records, expected) in [
            (Stream::Event, vec![stored(1, 1, 10), stored(2, 1, 10), stored(4, 1, 10)], 2),
            (Stream::Event, vec![stored(1, 1, 40_000), stored(2, 1, 40_000)], 1),
            (Stream::Event, vec![stored(1, 1, 90_000)], 1),
            (Stream::Event, (0..2_000).map(|seq| stored(seq, 1, 10)).collect(), RECORDS_MAX),
            (Stream::Reading, (0..10).map(|block| stored(block * 6_000, 6_000, 10)).collect(), 2),
            (Stream::Reading, (0..300).map(|block| stored(block, 1, 10)).collect(), BLOCKS_MAX),
            (Stream::Event, vec![], 0),
        ] {
            assert_eq!(run_length(stream, &records), expected, "{stream}");
        }
    }
}
