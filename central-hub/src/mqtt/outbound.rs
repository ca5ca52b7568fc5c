//! What waits for a client: queued messages, those in flight at quality 1 and 2, and retained messages that are still
//! to be replayed. Bounded in bytes and messages; a slow reader costs its own messages, counted, and nobody else's.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;

use super::codec::{Acknowledgement, put_acknowledgement, put_publish};
use super::config::Limits;
use super::session::{Message, SUBSCRIPTIONS_MAX};

/// Messages at quality 1 and 2 sent and not yet acknowledged by the client: above the common default of 20, far
/// below what small clients stumble over.
const IN_FLIGHT_MAX: usize = 32;

/// What a queued message takes besides its topic and payload, about.
const OVERHEAD_BYTES: usize = 96;

/// A message for one client.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

impl Delivery {
    fn bytes(&self) -> usize {
        self.message.topic.len() + self.message.payload.len() + OVERHEAD_BYTES
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    Yes,
    /// Quality 0, and the client is away: nobody expects it.
    Away,
    /// Quality 0, and the client does not read fast enough.
    Slow,
    /// Quality 1 or 2, and the queue is full.
    Full,
}

/// Retained messages to be replayed for one filter: a cursor, not a queue.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) filter: Box<str>,
    pub(crate) qos: QoS,
    /// The last topic that was looked at.
    pub(crate) after: Option<String>,
}

#[derive(Debug)]
struct InFlight {
    packet_id: u16,
    delivery: Delivery,
    /// Quality 2: the client has it, PUBREL was sent.
    released: bool,
}

/// The outbound half of a session.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    attached: bool,
    queue: VecDeque<Delivery>,
    queue_bytes: usize,
    in_flight: VecDeque<InFlight>,
    /// How many of `in_flight`, from the front, were sent on this connection.
    sent: usize,
    last_id: u16,
    replays: VecDeque<Replay>,
}

impl Outbound {
    /// A connection begins: what was in flight is sent again.
    pub(crate) fn resume(&mut self) {
        self.attached = true;
        self.sent = 0;
    }

    /// The connection ended: quality 0 goes with it, replays too (the client subscribes again for them).
    pub(crate) fn detach(&mut self) {
        self.attached = false;
        self.replays = VecDeque::new();
        self.queue.retain(|delivery| delivery.qos != QoS::AtMostOnce);
        self.queue.shrink_to_fit();
        self.queue_bytes = self.queue.iter().map(Delivery::bytes).sum();
    }

    /// Queue a message, or say why not.
    pub(crate) fn deliver(&mut self, delivery: Delivery, limits: &Limits) -> Queued {
        let best_effort = delivery.qos == QoS::AtMostOnce;
        if best_effort && !self.attached {
            return Queued::Away;
        }
        let bytes = delivery.bytes();
        if self.queue_bytes + bytes > limits.queue_bytes_max || self.queue.len() >= limits.queue_messages_max {
            return if best_effort { Queued::Slow } else { Queued::Full };
        }
        self.queue_bytes += bytes;
        self.queue.push_back(delivery);
        Queued::Yes
    }

    /// Replay retained messages of a filter, from the start.
    pub(crate) fn replay(&mut self, filter: &str, qos: QoS) {
        self.replays.retain(|replay| *replay.filter != *filter);
        // At most one replay a filter, and filters are bounded.
        if self.replays.len() < SUBSCRIPTIONS_MAX {
            self.replays.push_back(Replay { filter: filter.into(), qos, after: None });
        }
    }

    /// No longer replay a filter.
    pub(crate) fn forget(&mut self, filter: &str) {
        self.replays.retain(|replay| *replay.filter != *filter);
    }

    /// The replay that may go on now: only when nothing else waits, so that it never holds more than a handful.
    pub(crate) fn replaying(&self) -> Option<&Replay> {
        if self.queue.is_empty() { self.replays.front() } else { None }
    }

    /// What the replay of `filter` found; `after` is where it goes on, `None` at its end.
    pub(crate) fn replayed(&mut self, filter: &str, messages: Vec<Arc<Message>>, after: Option<String>) {
        let Some(replay) = self.replays.front_mut().filter(|replay| *replay.filter == *filter) else { return };
        let qos = replay.qos;
        match after {
            Some(topic) => replay.after = Some(topic),
            None => drop(self.replays.pop_front()),
        }
        for message in messages {
            let delivery = Delivery { message, qos, retain: true };
            self.queue_bytes += delivery.bytes();
            self.queue.push_back(delivery);
        }
    }

    /// Write what may be sent, until `output` holds `full_bytes`.
    pub(crate) fn write(&mut self, output: &mut BytesMut, full_bytes: usize) {
        while output.len() < full_bytes && self.sent < self.in_flight.len() {
            let entry = &self.in_flight[self.sent];
            self.sent += 1;
            if entry.released {
                put_acknowledgement(output, Acknowledgement::PubRel, entry.packet_id);
            } else {
                put(output, &entry.delivery, entry.packet_id, true);
            }
        }
        while output.len() < full_bytes && self.sent == self.in_flight.len() {
            let Some(front) = self.queue.front() else { break };
            if front.qos != QoS::AtMostOnce && self.in_flight.len() >= IN_FLIGHT_MAX {
                return;
            }
            let Some(delivery) = self.queue.pop_front() else { break };
            self.queue_bytes -= delivery.bytes();
            if delivery.qos == QoS::AtMostOnce {
                put(output, &delivery, 0, false);
                continue;
            }
            let packet_id = self.next_id();
            put(output, &delivery, packet_id, false);
            self.in_flight.push_back(InFlight { packet_id, delivery, released: false });
            self.sent += 1;
        }
        if self.queue.is_empty() && self.queue.capacity() > 0 {
            // 10,000 idle sessions keep no buffers.
            self.queue = VecDeque::new();
        }
    }

    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            // Ends: at most `IN_FLIGHT_MAX` ids are taken.
            if self.in_flight.iter().all(|entry| entry.packet_id != self.last_id) {
                return self.last_id;
            }
        }
    }

    /// PUBACK. An unknown id is ignored: it may be an answer to a former connection's.
    pub(crate) fn acknowledged(&mut self, packet_id: u16) {
        self.remove(packet_id, QoS::AtLeastOnce);
    }

    /// PUBREC: release it.
    pub(crate) fn received(&mut self, packet_id: u16, output: &mut BytesMut) {
        let known = self
            .in_flight
            .iter_mut()
            .find(|entry| entry.packet_id == packet_id && entry.delivery.qos == QoS::ExactlyOnce);
        if let Some(entry) = known {
            entry.released = true;
        }
        // Also for an unknown id: the client waits for it, and forgets it on PUBREL.
        put_acknowledgement(output, Acknowledgement::PubRel, packet_id);
    }

    /// PUBCOMP.
    pub(crate) fn completed(&mut self, packet_id: u16) {
        self.remove(packet_id, QoS::ExactlyOnce);
    }

    fn remove(&mut self, packet_id: u16, qos: QoS) {
        let found = self.in_flight.iter().position(|entry| entry.packet_id == packet_id && entry.delivery.qos == qos);
        if let Some(index) = found.filter(|index| *index < self.sent) {
            self.in_flight.remove(index);
            self.sent -= 1;
            if self.in_flight.is_empty() {
                self.in_flight = VecDeque::new();
            }
        }
    }
}

fn put(output: &mut BytesMut, delivery: &Delivery, packet_id: u16, dup: bool) {
    let message = &delivery.message;
    put_publish(output, &message.topic, &message.payload, (delivery.qos, packet_id), (delivery.retain, dup));
}

#[cfg(test)]
#[path = "outbound_tests.rs"]
mod tests;
