//! Acknowledgements on their way into the spool, one at a time; what waits is merged, so that the queue stays short
//! and a burst of acknowledgements costs one commit.

use std::collections::VecDeque;

use futures_util::future::BoxFuture;
use simpul_wire::ack::{Ack, HubState};

use crate::uplink::buffer::Buffer;

/// Messages that wait: four streams and a hub's state for two generations. More means that generations change faster
/// than the spool stores them; then acknowledgements are dropped and the records sent again.
const WAITING_MAX: usize = 16;

#[derive(Debug)]
enum Message {
    Hub(HubState),
    Ack(Ack),
}

/// The queue, and the message that is being stored.
#[derive(Default)]
pub struct AckQueue {
    waiting: VecDeque<Message>,
    /// Whether the spool stored it.
    pub storing: Option<BoxFuture<'static, bool>>,
}

impl AckQueue {
    /// Add what the hub is. An older one that waits is superseded only if it is of the same generation.
    pub fn push_hub(&mut self, hub: HubState) {
        if let Some(Message::Hub(last)) = self.waiting.back_mut()
            && last.generation == hub.generation
        {
            *last = hub;
            return;
        }
        self.waiting.push_back(Message::Hub(hub));
        while self.waiting.len() > WAITING_MAX {
            self.waiting.pop_front();
        }
    }

    /// Add an acknowledgement. False: the queue is full and it was dropped.
    #[must_use]
    pub fn push_ack(&mut self, ack: Ack) -> bool {
        // Only behind the last change of the hub: before it, another generation may be meant.
        for message in self.waiting.iter_mut().rev() {
            match message {
                Message::Hub(_) => break,
                Message::Ack(waiting)
                    if (waiting.generation, waiting.epoch, waiting.stream)
                        == (ack.generation, ack.epoch, ack.stream) =>
                {
                    waiting.have.insert_all(&ack.have);
                    waiting.rejected.extend(ack.rejected);
                    return true;
                }
                Message::Ack(_) => {}
            }
        }
        let room = self.waiting.len() < WAITING_MAX;
        if room {
            self.waiting.push_back(Message::Ack(ack));
        }
        room
    }

    /// Begin to store the next message, unless one is being stored.
    pub fn start<B: Buffer>(&mut self, buffer: &B) {
        if self.storing.is_some() {
            return;
        }
        let Some(message) = self.waiting.pop_front() else { return };
        let buffer = buffer.clone();
        self.storing = Some(Box::pin(async move {
            let stored = match message {
                Message::Hub(hub) => buffer.hub(hub).await,
                Message::Ack(ack) => buffer.acknowledge(ack).await,
            };
            if let Err(error) = &stored {
                tracing::warn!(%error, "the spool could not store an acknowledgement; the records stay owed");
            }
            stored.is_ok()
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::{Epoch, Generation, RangeSet, SeqRange, Stream};

    fn ack(generation: u8, stream: Stream, seq: u64) -> Ack {
        Ack {
            generation: Generation::from_bytes([generation; 16]),
            epoch: Epoch::from_bytes([1; 16]),
            stream,
            have: RangeSet::from_iter([SeqRange::one(seq)]),
            rejected: Vec::new(),
            partial: Vec::new(),
            slow_down_ms: 0,
        }
    }

    #[test]
    fn a_burst_of_acknowledgements_is_one_message_a_stream() {
        let mut queue = AckQueue::default();
        for seq in 0..10_000 {
            assert!(queue.push_ack(ack(1, Stream::Event, seq)));
            assert!(queue.push_ack(ack(1, Stream::Service, seq)));
        }
        assert_eq!(queue.waiting.len(), 2);
        assert!(matches!(&queue.waiting[0], Message::Ack(ack) if ack.have.count() == 10_000));
    }

    #[test]
    fn acknowledgements_never_move_across_a_change_of_the_hub() {
        let mut queue = AckQueue::default();
        assert!(queue.push_ack(ack(1, Stream::Event, 1)));
        let generation = Generation::from_bytes([2; 16]);
        queue.push_hub(HubState { generation, backed_up: Vec::new(), wall_ms: None });
        assert!(queue.push_ack(ack(2, Stream::Event, 2)));
        assert!(queue.push_ack(ack(2, Stream::Event, 3)));
        let order: Vec<u64> = queue
            .waiting
            .iter()
            .map(|message| match message {
                Message::Hub(_) => 0,
                Message::Ack(ack) => ack.have.count(),
            })
            .collect();
        assert_eq!(order, [1, 0, 2]);
    }

    #[test]
    fn a_full_queue_says_so() {
        let mut queue = AckQueue::default();
        let taken = (0..100).filter(|generation| queue.push_ack(ack(*generation, Stream::Event, 1))).count();
        assert_eq!(taken, WAITING_MAX);
    }
}
