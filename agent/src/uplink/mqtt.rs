//! One MQTT connection, as thin as it can be over rumqttc.
//!
//! Each connection gets an event loop of its own, which is dropped with it: rumqttc's queue of unfinished publishes is
//! never trusted, because the spool knows what is owed. `clean_session` is false, so that a hub's acknowledgements
//! wait at the broker for a short absence. Sizes are checked before a publish: an oversize one would make rumqttc
//! reconnect for ever. Leaves to others: when to connect, what to publish, what a payload means.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing, Packet, QoS, SubscribeFilter,
    SubscribeReasonCode, TlsConfiguration, Transport,
};
use rustls::ClientConfig;
use simpul_wire::limits::PAYLOAD_BYTES_MAX;
use simpul_wire::topic::Topic;
use simpul_wire::{NodeId, Stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::scheduler::Ticket;

/// PINGREQ this often on a silent link: well below the minutes after which NAT tables of mobile networks forget it.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// For DNS, TCP, TLS and CONNACK together, and for one flush: a 3-second round trip still gets through.
const NETWORK_TIMEOUT_S: u64 = 30;

/// Largest packet from a hub: an acknowledgement of 4,096 intervals with large gaps.
const INCOMING_BYTES_MAX: usize = 256 * 1024;

/// Topic and header beside a payload.
const HEADER_BYTES_MAX: usize = 512;

/// Publishes without PUBACK inside rumqttc; the scheduler stays below it, the server's window (128) is above.
const IN_FLIGHT_MAX: u16 = 64;

/// Requests on their way to the event loop: as many as the scheduler can have in flight.
const REQUESTS_MAX: usize = 64;

/// Events on their way to the driver; when it is full, reading from the network waits.
const EVENTS_MAX: usize = 64;

/// Kernel's send buffer. As large as the largest window (the kernel doubles it), so that it never holds rumqttc up,
/// and no larger: what is in it cannot be overtaken.
const SEND_BUFFER_BYTES: u32 = 128 * 1024;

/// A publish's bytes on the wire beside topic and payload: MQTT, TLS record and TCP/IP headers.
const OVERHEAD_BYTES: usize = 80;

/// What a connection reports.
#[derive(Debug)]
pub enum LinkEvent {
    /// CONNACK and SUBACK came.
    Connected {
        /// The broker had kept the session.
        session_present: bool,
    },
    /// PUBACK of this publish.
    PubAcked(Ticket),
    /// A payload on the node's `ack` topic.
    Downlink(Vec<u8>),
    /// A payload on the node's `cmd` topic.
    Command(Vec<u8>),
    /// The connection has ended (or could not be made); nothing follows.
    Down(String),
}

/// Why a publish was not taken.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum PublishError {
    /// Over the limit of a payload.
    #[error("{size} bytes are over the payload limit of {PAYLOAD_BYTES_MAX}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// The connection has ended, or its queue is full.
    #[error("the connection takes no publish")]
    NotTaken,
}

/// How to connect.
#[derive(Clone)]
pub struct LinkOptions {
    /// Whose topics.
    pub node: NodeId,
    /// TLS.
    pub tls: Arc<ClientConfig>,
    /// The last will on the node's `state` topic, retained.
    pub last_will: Vec<u8>,
}

/// A connection (attempt). Dropping it drops the connection.
pub struct Link {
    client: AsyncClient,
    tickets: Arc<Mutex<VecDeque<Ticket>>>,
    events: mpsc::Receiver<LinkEvent>,
    pump: JoinHandle<()>,
    topics: Topics,
}

struct Topics {
    up: [String; 4],
    state: String,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Host and port of `host:port`; an IPv6 address may stand in brackets.
pub fn split_address(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() { None } else { Some((host, port.parse().ok()?)) }
}

impl Link {
    /// Begin to connect to `host:port`. The outcome comes as an event.
    pub fn connect(address: &str, options: LinkOptions) -> Option<Link> {
        let (host, port) = split_address(address)?;
        let node = &options.node;
        let mut mqtt = MqttOptions::new(node.as_str(), host, port);
        mqtt.set_clean_session(false);
        mqtt.set_keep_alive(KEEP_ALIVE);
        mqtt.set_inflight(IN_FLIGHT_MAX);
        mqtt.set_max_packet_size(INCOMING_BYTES_MAX, PAYLOAD_BYTES_MAX + HEADER_BYTES_MAX);
        mqtt.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(options.tls.clone())));
        let state = Topic::State(node.clone()).to_string();
        mqtt.set_last_will(LastWill::new(&state, options.last_will, QoS::AtLeastOnce, true));
        let (client, mut event_loop) = AsyncClient::new(mqtt, REQUESTS_MAX);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_tcp_send_buffer_size(SEND_BUFFER_BYTES);
        network.set_connection_timeout(NETWORK_TIMEOUT_S);
        event_loop.set_network_options(network);

        let (to_driver, events) = mpsc::channel(EVENTS_MAX);
        let tickets = Arc::new(Mutex::new(VecDeque::new()));
        let pump = Pump {
            client: client.clone(),
            tickets: tickets.clone(),
            by_packet: HashMap::new(),
            session_present: false,
            ack: Topic::Ack(node.clone()).to_string(),
            cmd: Topic::Command(node.clone()).to_string(),
            to_driver,
        };
        let up = [Stream::Service, Stream::Event, Stream::Reading, Stream::Snapshot];
        let up = up.map(|stream| Topic::Up(node.clone(), stream).to_string());
        let pump = tokio::spawn(pump.run(event_loop));
        Some(Link { client, tickets, events, pump, topics: Topics { up, state } })
    }

    /// The next event; `None` after [`LinkEvent::Down`]. Cancel safe.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        self.events.recv().await
    }

    /// Publish a batch. Returns its bytes on the wire.
    pub fn publish(&self, ticket: Ticket, stream: Stream, payload: Vec<u8>) -> Result<u32, PublishError> {
        self.publish_to(ticket, &self.topics.up[usize::from(stream.number()) - 1], false, payload)
    }

    /// Publish the node's state, retained.
    pub fn publish_state(&self, ticket: Ticket, payload: Vec<u8>) -> Result<u32, PublishError> {
        self.publish_to(ticket, &self.topics.state, true, payload)
    }

    fn publish_to(&self, ticket: Ticket, topic: &str, retain: bool, payload: Vec<u8>) -> Result<u32, PublishError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(PublishError::TooLarge { size: payload.len() });
        }
        let bytes = payload.len() + topic.len() + OVERHEAD_BYTES;
        // The lock spans the send: tickets and requests must have the same order.
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        self.client.try_publish(topic, QoS::AtLeastOnce, retain, payload).map_err(|_| PublishError::NotTaken)?;
        tickets.push_back(ticket);
        Ok(u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// Say goodbye: no last will is sent after it. The caller goes on reading events until [`LinkEvent::Down`].
    pub fn disconnect(&self) {
        // A full or closed queue means that the connection is beyond a goodbye.
        let _ = self.client.try_disconnect();
    }
}

/// Polls rumqttc and translates.
struct Pump {
    client: AsyncClient,
    /// Of publishes that rumqttc has not numbered yet, in order.
    tickets: Arc<Mutex<VecDeque<Ticket>>>,
    by_packet: HashMap<u16, Ticket>,
    session_present: bool,
    ack: String,
    cmd: String,
    to_driver: mpsc::Sender<LinkEvent>,
}

impl Pump {
    async fn run(mut self, mut event_loop: EventLoop) {
        loop {
            let event = match event_loop.poll().await {
                Ok(event) => self.translate(event),
                Err(error) => Some(LinkEvent::Down(error.to_string())),
            };
            let Some(event) = event else { continue };
            let last = matches!(event, LinkEvent::Down(_));
            if self.to_driver.send(event).await.is_err() || last {
                return;
            }
        }
    }

    fn translate(&mut self, event: Event) -> Option<LinkEvent> {
        match event {
            Event::Incoming(Packet::ConnAck(connack)) => {
                self.session_present = connack.session_present;
                // Commands at QoS 0: they go only into live sessions, no broker may keep them.
                let filters = [
                    SubscribeFilter::new(self.ack.clone(), QoS::AtLeastOnce),
                    SubscribeFilter::new(self.cmd.clone(), QoS::AtMostOnce),
                ];
                match self.client.try_subscribe_many(filters) {
                    Ok(()) => None,
                    Err(error) => Some(LinkEvent::Down(error.to_string())),
                }
            }
            Event::Incoming(Packet::SubAck(suback)) => {
                if suback.return_codes.contains(&SubscribeReasonCode::Failure) {
                    return Some(LinkEvent::Down("the hub refused the subscription to ack or cmd".to_string()));
                }
                Some(LinkEvent::Connected { session_present: self.session_present })
            }
            Event::Outgoing(Outgoing::Publish(packet)) => {
                let ticket = self.tickets.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                if let Some(ticket) = ticket {
                    self.by_packet.insert(packet, ticket);
                }
                None
            }
            Event::Incoming(Packet::PubAck(puback)) => self.by_packet.remove(&puback.pkid).map(LinkEvent::PubAcked),
            Event::Incoming(Packet::Publish(publish)) if publish.topic == self.ack => {
                Some(LinkEvent::Downlink(publish.payload.to_vec()))
            }
            // A retained command is not a command into a live session.
            Event::Incoming(Packet::Publish(publish)) if publish.topic == self.cmd && !publish.retain => {
                Some(LinkEvent::Command(publish.payload.to_vec()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split_address;

    #[test]
    fn an_address_is_host_and_port() {
        assert_eq!(split_address("hub.example:8883"), Some(("hub.example", 8883)));
        assert_eq!(split_address("[::1]:8883"), Some(("::1", 8883)));
        for wrong in ["hub", "hub:", ":8883", "hub:70000", ""] {
            assert_eq!(split_address(wrong), None, "{wrong}");
        }
    }
}
