//! The protocol of one session, without I/O: `(now, event) -> bytes and actions`. It outlives its connections unless
//! the client asked for a clean session (MQTT 3.1.1, sections 3 and 4).
//!
//! Acknowledgements of publishes leave in the order in which the publishes came, each when intake has committed it
//! and all before it. Leaves routing, retained messages and who else is subscribed to [`super::registry`], bytes on
//! sockets to [`super::connection`], what waits for the client to [`super::outbound`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, LastWill, Packet, Publish, Subscribe};
use simpul_clock::Moment;
use simpul_wire::topic::Topic;
use thiserror::Error;

use super::acl::Identity;
use super::codec::{self, Acknowledgement, Frame, Oversize, Violation};
use super::outbound::Outbound;
use super::revocation::Serial;
use super::topic::matches;

/// Publishes of a client that may wait for their commit. Above the 100 that clients keep in flight by default: else
/// their PINGREQ would wait unread behind the window.
pub(crate) const WINDOW: usize = 128;

/// Publishes at quality 2 that were acknowledged and not yet released. Several windows; more is a broken client.
const UNRELEASED_MAX: usize = 4 * WINDOW;

/// Filters of one session. An agent has one to three.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 64;

/// A connection without keep-alive is closed after this much silence: its client may be gone for ever.
const SILENCE_MAX: Duration = Duration::from_secs(3_600);

/// A message on its way to subscribers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
}

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Close {
    #[error("said goodbye")]
    Goodbye,
    #[error("connection lost: {0}")]
    Lost(String),
    #[error("protocol violation: {0}")]
    Violation(#[from] Violation),
    #[error("silent for longer than its keep-alive allows")]
    KeepAlive,
    #[error("a packet stayed half received for too long")]
    HalfPacket,
    #[error("the same client connected again")]
    TakenOver,
    #[error("its certificate was revoked")]
    Revoked,
    #[error("it does not read what is sent to it")]
    SlowReader,
    #[error("a publish could not be taken; the client is to send it again")]
    NotTaken,
    #[error("the hub is shutting down")]
    Shutdown,
}

impl Close {
    /// Whether the last will is due: whenever it was not the client's goodbye, nor the hub's own end.
    pub(crate) fn wills(&self) -> bool {
        !matches!(self, Close::Goodbye | Close::Shutdown)
    }
}

/// What the session asks of its surroundings, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Hand the publish to intake, and to subscribers. From quality 1 on, report [`Session::committed`] when it is
    /// durable, in order.
    Forward(Publish),
    /// Tell the node that its publish was too large.
    Reject(Oversize),
    /// A publish on somebody else's topic was dropped.
    Refused(String),
    /// Subscribe, then replay what is retained.
    Subscribe(Vec<(String, QoS)>),
    /// No longer subscribe.
    Unsubscribe(Vec<String>),
    /// The node can be reached on its `ack` topic from now on.
    Announce,
}

/// A publish that waits for its acknowledgement.
#[derive(Debug)]
struct Unacknowledged {
    packet_id: u16,
    kind: Acknowledgement,
    committed: bool,
}

/// The session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) identity: Arc<Identity>,
    pub(crate) clean: bool,
    /// The connection that has it now.
    pub(crate) connection: Option<u64>,
    /// Somebody else's wish that the connection should end.
    pub(crate) closing: Option<Close>,
    /// Its place among the sessions whose clients are away.
    pub(crate) away: Option<u64>,
    /// The certificate of the latest connection.
    pub(crate) certificate: Option<Serial>,
    /// Counted among the nodes that can be reached.
    pub(crate) announced: bool,
    pub(crate) will: Option<Box<LastWill>>,
    pub(crate) subscriptions: Vec<(Box<str>, QoS)>,
    pub(crate) outbound: Outbound,
    keep_alive_s: u16,
    heard: Moment,
    unacknowledged: VecDeque<Unacknowledged>,
    /// Publishes at quality 2, by packet id, until released; true from their commit on.
    received: BTreeMap<u16, bool>,
}

impl Session {
    pub(crate) fn new(identity: Arc<Identity>) -> Session {
        Session {
            identity,
            clean: true,
            connection: None,
            closing: None,
            away: None,
            certificate: None,
            announced: false,
            will: None,
            subscriptions: Vec::new(),
            outbound: Outbound::default(),
            keep_alive_s: 0,
            heard: Moment::ZERO,
            unacknowledged: VecDeque::new(),
            received: BTreeMap::new(),
        }
    }

    /// A connection takes the session. What the former one had not committed is forgotten: its client sends it again
    /// on this one, and gets its acknowledgement after *that* commit.
    pub(crate) fn attach(&mut self, connection: u64, connect: Connect, now: Moment) {
        self.connection = Some(connection);
        self.closing = None;
        self.announced = false;
        self.clean = connect.clean_session;
        self.will = connect.last_will.map(Box::new);
        self.keep_alive_s = connect.keep_alive;
        self.heard = now;
        self.unacknowledged = VecDeque::new();
        self.received.retain(|_, committed| *committed);
        self.outbound.resume();
    }

    /// The connection is gone; the session waits for the next.
    pub(crate) fn detach(&mut self) {
        self.connection = None;
        self.announced = false;
        self.will = None;
        self.unacknowledged = VecDeque::new();
        self.outbound.detach();
    }

    /// Whether its node hears what is published on its `ack` topic.
    pub(crate) fn hears_acknowledgements(&self) -> bool {
        let Some(node) = self.identity.node() else { return false };
        let topic = Topic::Ack(node.clone()).to_string();
        self.subscriptions.iter().any(|(filter, _)| matches(filter, &topic))
    }

    /// Bytes came in.
    pub(crate) fn heard(&mut self, now: Moment) {
        self.heard = now;
    }

    /// When silence becomes too long: one and a half keep-alives (3.1.2.10).
    pub(crate) fn silent_at(&self) -> Moment {
        let allowed = match self.keep_alive_s {
            0 => SILENCE_MAX,
            seconds => Duration::from_millis(u64::from(seconds) * 1_500),
        };
        self.heard + allowed
    }

    /// Whether another publish may be taken.
    pub(crate) fn has_room(&self) -> bool {
        self.unacknowledged.len() < WINDOW
    }

    /// A frame came in; answers go to `output`, the rest is asked of the caller.
    pub(crate) fn frame(
        &mut self,
        frame: Frame,
        output: &mut BytesMut,
        actions: &mut Vec<Action>,
    ) -> Result<(), Close> {
        match frame {
            Frame::Oversize(oversize) => self.oversize(oversize, output, actions),
            Frame::Packet(Packet::Publish(publish)) => return self.publish(publish, output, actions),
            Frame::Packet(Packet::PubRel(release)) => self.release(release.pkid, output)?,
            Frame::Packet(Packet::PubAck(ack)) => self.outbound.acknowledged(ack.pkid),
            Frame::Packet(Packet::PubRec(ack)) => self.outbound.received(ack.pkid, output),
            Frame::Packet(Packet::PubComp(ack)) => self.outbound.completed(ack.pkid),
            Frame::Packet(Packet::Subscribe(subscribe)) => self.subscribe(subscribe, output, actions),
            Frame::Packet(Packet::Unsubscribe(unsubscribe)) => {
                self.subscriptions.retain(|(filter, _)| !unsubscribe.topics.iter().any(|topic| **topic == **filter));
                codec::put_acknowledgement(output, Acknowledgement::UnsubAck, unsubscribe.pkid);
                actions.push(Action::Unsubscribe(unsubscribe.topics));
            }
            Frame::Packet(Packet::PingReq) => codec::put_pingresp(output),
            Frame::Packet(Packet::Disconnect) => {
                self.will = None;
                return Err(Close::Goodbye);
            }
            // A second CONNECT; the decoder lets nothing else through.
            Frame::Packet(_) => return Err(Violation::PacketType(1).into()),
        }
        Ok(())
    }

    fn publish(&mut self, publish: Publish, output: &mut BytesMut, actions: &mut Vec<Action>) -> Result<(), Close> {
        let packet_id = publish.pkid;
        let allowed = self.identity.may_publish(&publish.topic);
        match publish.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.expect(packet_id, Acknowledgement::PubAck, !allowed),
            QoS::ExactlyOnce => match self.received.get(&packet_id) {
                Some(true) => {
                    // Sent again because the PUBREC was lost: it has been forwarded and committed already.
                    self.expect(packet_id, Acknowledgement::PubRec, true);
                    self.acknowledge(output);
                    return Ok(());
                }
                // Sent again while its commit is under way: that commit answers both.
                Some(false) => return Ok(()),
                None if self.received.len() >= UNRELEASED_MAX => return Err(Violation::PacketId.into()),
                None => {
                    self.received.insert(packet_id, !allowed);
                    self.expect(packet_id, Acknowledgement::PubRec, !allowed);
                }
            },
        }
        if allowed {
            actions.push(Action::Forward(publish));
        } else {
            // 3.3.5-2 allows an acknowledgement or the connection's end. A client that keeps its session would send
            // the same publish on each connection for ever: so it is acknowledged, dropped, counted and logged.
            actions.push(Action::Refused(publish.topic));
            self.acknowledge(output);
        }
        Ok(())
    }

    fn oversize(&mut self, oversize: Oversize, output: &mut BytesMut, actions: &mut Vec<Action>) {
        let packet_id = oversize.packet_id;
        match oversize.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.expect(packet_id, Acknowledgement::PubAck, true),
            QoS::ExactlyOnce => {
                self.received.insert(packet_id, true);
                self.expect(packet_id, Acknowledgement::PubRec, true);
            }
        }
        if self.identity.may_publish(&oversize.topic) {
            actions.push(Action::Reject(oversize));
        } else {
            actions.push(Action::Refused(oversize.topic));
        }
        self.acknowledge(output);
    }

    fn release(&mut self, packet_id: u16, output: &mut BytesMut) -> Result<(), Close> {
        // Not yet committed means that no PUBREC was sent: there is nothing to release.
        if self.received.get(&packet_id) == Some(&false) {
            return Err(Violation::PacketId.into());
        }
        self.received.remove(&packet_id);
        // Also for an unknown id: the client has to get its PUBCOMP to forget it (4.3.3).
        codec::put_acknowledgement(output, Acknowledgement::PubComp, packet_id);
        Ok(())
    }

    fn subscribe(&mut self, subscribe: Subscribe, output: &mut BytesMut, actions: &mut Vec<Action>) {
        let mut granted = Vec::new();
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        for filter in subscribe.filters {
            let known = self.subscriptions.iter().position(|(known, _)| **known == *filter.path);
            let full = known.is_none() && self.subscriptions.len() >= SUBSCRIPTIONS_MAX;
            if full || !self.identity.may_subscribe(&filter.path) {
                codes.push(0x80);
                continue;
            }
            codes.push(filter.qos as u8);
            match known {
                Some(index) => self.subscriptions[index].1 = filter.qos,
                None => self.subscriptions.push((filter.path.clone().into(), filter.qos)),
            }
            granted.push((filter.path, filter.qos));
        }
        codec::put_suback(output, subscribe.pkid, &codes);
        if !granted.is_empty() {
            actions.push(Action::Subscribe(granted));
            if !self.announced && self.hears_acknowledgements() {
                actions.push(Action::Announce);
            }
        }
    }

    fn expect(&mut self, packet_id: u16, kind: Acknowledgement, committed: bool) {
        self.unacknowledged.push_back(Unacknowledged { packet_id, kind, committed });
    }

    /// The oldest publish that was forwarded and not reported yet is durable.
    pub(crate) fn committed(&mut self, output: &mut BytesMut) {
        if let Some(oldest) = self.unacknowledged.iter_mut().find(|entry| !entry.committed) {
            oldest.committed = true;
            if oldest.kind == Acknowledgement::PubRec {
                self.received.insert(oldest.packet_id, true);
            }
        }
        self.acknowledge(output);
    }

    fn acknowledge(&mut self, output: &mut BytesMut) {
        while let Some(entry) = self.unacknowledged.pop_front_if(|entry| entry.committed) {
            codec::put_acknowledgement(output, entry.kind, entry.packet_id);
        }
        if self.unacknowledged.is_empty() && self.unacknowledged.capacity() > 0 {
            // 10,000 idle sessions keep no buffers.
            self.unacknowledged = VecDeque::new();
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
