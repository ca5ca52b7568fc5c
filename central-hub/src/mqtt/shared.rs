//! What all connections of a server share, and how messages leave it for subscribers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::LastWill;
use simpul_clock::Clock;
use simpul_wire::ack::{Ack, Downlink, RejectReason, Rejected};
use simpul_wire::batch::Batch;
use simpul_wire::topic::Topic;
use simpul_wire::{Generation, NodeId, RangeSet};
use tokio::sync::mpsc;
use tracing::warn;

use super::budget::Budget;
use super::codec::Oversize;
use super::config::Limits;
use super::refusals::Refusals;
use super::registry::Registry;
use super::revocation::Revoked;
use super::session::Message;
use super::stats::{Counters, add};
use super::{Incoming, Publish, Receipt};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) counters: Arc<Counters>,
    pub(crate) budget: Budget,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) incoming: mpsc::Sender<Incoming>,
    pub(crate) generation: Option<Generation>,
    pub(crate) revoked: Revoked,
    /// The server's side of TLS, replaced when its files have changed.
    pub(crate) tls: RwLock<Arc<rustls::ServerConfig>>,
    pub(crate) refusals: Mutex<Refusals>,
    /// Connections, those not admitted yet included.
    pub(crate) connections: AtomicUsize,
    /// Sessions that have a connection.
    pub(crate) sessions: AtomicUsize,
    pub(crate) next_connection: AtomicU64,
}

impl Shared {
    /// Tell a node that a publish of its was too large: on its `ack` topic, if the batch's header could be read, so
    /// that it halves the batch instead of sending it again for ever.
    pub(crate) fn reject(&self, oversize: &Oversize) {
        add(&self.counters.oversize_discarded, 1);
        let Oversize { topic, bytes, .. } = oversize;
        warn!(topic, bytes, "publish over the limit discarded");
        let Some(Topic::Up(node, _)) = Topic::parse(topic) else { return };
        let placed = Batch::open(&oversize.head).err().and_then(|refused| refused.placed);
        let (Some((epoch, stream, range)), Some(generation)) = (placed, self.generation) else { return };
        let ack = Downlink::Ack(Ack {
            generation,
            epoch,
            stream,
            have: RangeSet::default(),
            rejected: vec![Rejected { range, reason: RejectReason::TooLarge }],
            partial: Vec::new(),
            slow_down_ms: 0,
        });
        self.publish(Topic::Ack(node).to_string(), ack.to_vec().into(), QoS::AtMostOnce, false);
    }

    /// Route a client's publish, copied if anybody reads it: its payload is a part of a read buffer.
    pub(crate) fn route_copy(&self, topic: &str, payload: &[u8], qos: QoS, retain: bool) {
        // A batch is of no use to a later reader; the state is.
        let retain = retain && matches!(Topic::parse(topic), Some(Topic::State(_)));
        if retain || self.registry.has_readers(topic) {
            self.publish(topic.to_owned(), Bytes::copy_from_slice(payload), qos, retain);
        }
    }

    /// Route a message, and keep it if it is to be retained.
    pub(crate) fn publish(&self, topic: String, payload: Bytes, qos: QoS, retain: bool) {
        let message = Arc::new(Message { topic, payload });
        if retain {
            self.registry.retain(&message);
        }
        self.registry.route(&message, qos);
    }

    /// Live sessions.
    pub(crate) fn live(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }
}

pub(crate) fn incoming_will(node: NodeId, will: &LastWill) -> Incoming {
    Incoming::Publish(Publish {
        node,
        topic: will.topic.clone(),
        payload: will.message.clone(),
        retain: will.retain,
        receipt: Receipt::nobody(),
    })
}

/// A last will that is due because another connection took the session.
pub(crate) fn take_over_will(shared: &Shared, will: LastWill, backlog: &mut VecDeque<Incoming>) {
    if let Some(Topic::Up(node, _) | Topic::State(node)) = Topic::parse(&will.topic) {
        backlog.push_back(incoming_will(node, &will));
        shared.publish(will.topic, will.message, will.qos, will.retain);
    }
}
