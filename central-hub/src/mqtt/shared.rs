//! What all connections of a server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use rumqttc::mqttbytes::QoS;
use simpul_clock::Clock;
use simpul_wire::ack::{Ack, Downlink, RejectReason, Rejected};
use simpul_wire::batch::Batch;
use simpul_wire::topic::Topic;
use simpul_wire::{Generation, RangeSet};
use tokio::sync::mpsc;
use tracing::warn;

use super::Incoming;
use super::budget::Budget;
use super::codec::Oversize;
use super::config::Limits;
use super::registry::Registry;
use super::revocation::Revoked;
use super::stats::{Counters, add};

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
}
