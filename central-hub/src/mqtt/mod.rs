//! Where publishes come from: the embedded MQTT server, or a client of an external broker; the same [`Transport`]
//! behind both.
//!
//! Only this folder knows MQTT. `server` accepts, `admission` decides who comes in (with `tls`, `revocation` and
//! `acl`), `connection` moves bytes, `session` and `outbound` are the protocol without I/O on top of `codec`,
//! `registry` and `retained` know who is to get what, `budget` bounds the memory of all of them together.

mod acl;
mod admission;
mod budget;
mod codec;
mod config;
mod connection;
mod external;
mod outbound;
mod refusals;
mod registry;
mod retained;
mod revocation;
mod server;
mod session;
mod shared;
mod stats;
mod tls;
mod topic;

pub use config::{Limits, MqttError, ServerConfig, TlsFiles};
pub use external::{BrokerThere, ExternalConfig, connect_external};
pub(crate) use revocation::Revoked;
pub use revocation::{BadSerial, Serial};
pub use server::{ServerHandle, serve};
pub use stats::{Refusal, Stats};
pub(crate) use tls::{chain as certificates, identity as certificate_identity};

use bytes::Bytes;
use simpul_wire::NodeId;
use tokio::sync::{mpsc, oneshot};

/// What intake sees of MQTT, whichever side the broker is on.
#[derive(Debug)]
pub struct Transport {
    /// Publishes to `simpul/v1/...`, in the order of each connection. Bounded: a slow store slows the senders.
    pub incoming: mpsc::Receiver<Incoming>,
    /// Towards the nodes.
    pub outbox: Outbox,
}

/// Something that came from a node.
#[derive(Debug)]
pub enum Incoming {
    /// A publish that passed the access rules: the topic's node is the sender's own (embedded server: its
    /// certificate's; external broker: the broker's access rules are trusted for that).
    Publish(Publish),
    /// A node's session began (embedded server only): intake answers with the hub's state and intervals.
    Connected(NodeId),
    /// A node's session ended, and why, for people (embedded server only).
    Disconnected(NodeId, String),
}

/// A publish.
#[derive(Debug)]
pub struct Publish {
    /// The node of the topic.
    pub node: NodeId,
    /// The topic, whole.
    pub topic: String,
    /// The payload. A payload over the server's limit never gets here: the server discards it and says so with
    /// [`Incoming`]-independent bookkeeping of its own.
    pub payload: Bytes,
    /// The sender asked to retain it, or the broker replayed it.
    pub retain: bool,
    /// To be completed when the payload is durable (or refused for good): then the sender's PUBACK goes out.
    pub receipt: Receipt,
}

/// Completes a publish towards its sender. Dropped without [`Receipt::done`], the sender gets no PUBACK and sends again.
#[derive(Debug)]
pub struct Receipt(Option<oneshot::Sender<()>>);

impl Receipt {
    /// A receipt and what resolves when it is done.
    pub fn new() -> (Receipt, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        (Receipt(Some(sender)), receiver)
    }

    /// For a QoS 0 publish, which nobody waits for.
    pub fn nobody() -> Receipt {
        Receipt(None)
    }

    /// The payload is durable, or refused for good.
    pub fn done(self) {
        if let Some(sender) = self.0 {
            // The connection may be gone: then the sender asks again on the next one.
            let _ = sender.send(());
        }
    }
}

/// Sends to nodes. Clones share one bounded queue.
#[derive(Debug, Clone)]
pub struct Outbox(mpsc::Sender<Outgoing>);

/// A publish towards subscribers.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// 0 (acknowledgements: lost with the connection, sent again on the next; commands: for live sessions only) or 1
    /// (kept for a client that is away).
    pub qos: u8,
    /// Never for `ack` and `cmd`.
    pub retain: bool,
}

impl Outbox {
    /// An outbox and the end that a transport drains.
    pub fn new(capacity: usize) -> (Outbox, mpsc::Receiver<Outgoing>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Outbox(sender), receiver)
    }

    /// Queue a publish; waits while the queue is full. False when the transport has ended.
    pub async fn publish(&self, message: Outgoing) -> bool {
        self.0.send(message).await.is_ok()
    }
}
