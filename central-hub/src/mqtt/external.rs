//! The hub as a client of an external broker or cluster: the same [`Transport`], with one `$share` group for all hubs.
//!
//! PUBACK goes to the broker when intake has committed, in order. The session is kept by the broker, so what was not
//! acknowledged comes again. Who may publish where is the broker's business: `docs/adr/0001-thin-mqtt-server.md` names
//! the access rules that it needs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, SubscribeFilter, SubscribeReasonCode};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, TlsConfiguration};
use simpul_wire::limits::PAYLOAD_BYTES_MAX;
use simpul_wire::topic::{PREFIX, Topic};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::config::MqttError;
use super::server::ended;
use super::topic::TOPIC_BYTES_MAX;
use super::{Incoming, Outbox, Outgoing, Publish, Receipt, Transport, tls};

/// Publishes waiting for intake, and messages waiting for the broker.
const QUEUE: usize = 1_024;

/// Requests to the client: subscriptions, acknowledgements, messages to nodes.
const REQUESTS: usize = 256;

/// Messages at quality 1 in flight to the broker.
const IN_FLIGHT: u16 = 100;

const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Pauses between attempts to connect: doubled, with full jitter, up to this.
const PAUSE_MS_MIN: u64 = 500;
const PAUSE_MS_MAX: u64 = 30_000;

/// Where the broker is, and who the hub is to it.
#[derive(Debug, Clone)]
pub struct ExternalConfig {
    /// `mqtts://host[:port]`, 8883 by default.
    pub url: String,
    /// The broker's CA, PEM.
    pub ca_file: PathBuf,
    /// The hub's certificate, PEM.
    pub certificate_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
    /// The `$share` group of all hubs of one store.
    pub share_group: String,
    /// This hub's client id: its own, and the same after a restart, or the broker's session is lost.
    pub client_id: String,
}

impl ExternalConfig {
    fn address(&self) -> Result<(String, u16), MqttError> {
        let wrong = || MqttError::Url(self.url.clone());
        let rest = self.url.strip_prefix("mqtts://").ok_or_else(wrong)?.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            // An IPv6 address without a port ends in its bracket.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (rest, 8883),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(wrong());
        }
        Ok((host.to_owned(), port))
    }

    fn filters(&self) -> Result<[String; 2], MqttError> {
        // A group becomes one level of a topic filter: the alphabet of node ids is safe there.
        let group: simpul_wire::NodeId =
            self.share_group.parse().map_err(|_| MqttError::ShareGroup(self.share_group.clone()))?;
        Ok([format!("$share/{group}/{PREFIX}+/up/+"), format!("{PREFIX}+/state")])
    }
}

/// Whether the broker is there now. Clones look at the same one.
#[derive(Debug, Clone, Default)]
pub struct BrokerThere(Arc<AtomicBool>);

impl BrokerThere {
    /// Connected and subscribed.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, there: bool) {
        self.0.store(there, Ordering::Relaxed);
    }
}

/// Connect to an external broker, and again whenever the connection is lost, until `shutdown` turns true. Returns at
/// once; whether the broker answers shows in what comes with it, and in the log.
///
/// # Errors
/// A bad address or share group, or certificates that cannot be read or used.
pub async fn connect_external(
    config: ExternalConfig,
    shutdown: watch::Receiver<bool>,
) -> Result<(Transport, BrokerThere), MqttError> {
    let (host, port) = config.address()?;
    let filters = config.filters()?;
    let tls = tls::client_config(&config.ca_file, (&config.certificate_file, &config.key_file))?;
    let mut options = MqttOptions::new(&config.client_id, host, port);
    options
        .set_transport(rumqttc::Transport::Tls(TlsConfiguration::Rustls(Arc::new(tls))))
        .set_clean_session(false)
        .set_manual_acks(true)
        .set_keep_alive(KEEP_ALIVE)
        .set_inflight(IN_FLIGHT)
        // Somewhat above the limit, so that intake can refuse by name what is over it.
        .set_max_packet_size(2 * PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX + TOPIC_BYTES_MAX);
    let (client, events) = AsyncClient::new(options, REQUESTS);
    let (incoming, incoming_end) = mpsc::channel(QUEUE);
    let (outbox, outgoing) = Outbox::new(QUEUE);
    let (receipts, receipts_end) = mpsc::channel(QUEUE);
    let round = Round::default();
    tokio::spawn(acknowledge(client.clone(), receipts_end, round.clone()));
    tokio::spawn(send(client.clone(), outgoing));
    let there = BrokerThere::default();
    let link = Link { client, filters, incoming, receipts, round, url: config.url, there: there.clone() };
    tokio::spawn(link.run(events, shutdown));
    Ok((Transport { incoming: incoming_end, outbox }, there))
}

/// The number of the connection: an acknowledgement belongs to one only.
#[derive(Debug, Clone, Default)]
struct Round(Arc<Mutex<u64>>);

impl Round {
    fn lock(&self) -> std::sync::MutexGuard<'_, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A publish whose PUBACK waits for its commit.
struct Waiting {
    round: u64,
    packet_id: u16,
    done: oneshot::Receiver<()>,
}

struct Link {
    client: AsyncClient,
    filters: [String; 2],
    incoming: mpsc::Sender<Incoming>,
    receipts: mpsc::Sender<Waiting>,
    round: Round,
    url: String,
    there: BrokerThere,
}

impl Link {
    async fn run(self, mut events: EventLoop, mut shutdown: watch::Receiver<bool>) {
        let mut pause_ms = PAUSE_MS_MIN;
        loop {
            let event = tokio::select! {
                event = events.poll() => event,
                () = ended(&mut shutdown) => return,
            };
            match event {
                Ok(Event::Incoming(packet)) => {
                    pause_ms = PAUSE_MS_MIN;
                    if !self.packet(packet).await {
                        return;
                    }
                }
                Ok(Event::Outgoing(_)) => {}
                Err(failure) => {
                    self.there.set(false);
                    *self.round.lock() += 1;
                    // Acknowledgements queued since the connection broke belong to no connection any more.
                    events.clean();
                    let wait_ms = jitter(pause_ms);
                    pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
                    warn!(broker = self.url, "MQTT broker lost, next attempt in {wait_ms} ms: {failure}");
                    tokio::select! {
                        () = sleep(Duration::from_millis(wait_ms)) => {}
                        () = ended(&mut shutdown) => return,
                    }
                }
            }
        }
    }

    /// False when intake has ended.
    async fn packet(&self, packet: Packet) -> bool {
        match packet {
            Packet::ConnAck(connack) => {
                info!(broker = self.url, session = connack.session_present, "connected to the MQTT broker");
                // On each connect: a broker that lost its sessions would leave the hub deaf.
                let filters = self.filters.clone().map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
                if self.client.try_subscribe_many(filters).is_err() {
                    error!("could not ask the MQTT broker for the subscriptions: too many requests wait");
                }
                true
            }
            Packet::SubAck(suback) => {
                let refused = suback.return_codes.contains(&SubscribeReasonCode::Failure);
                self.there.set(!refused);
                if refused {
                    error!(filters = ?self.filters, "the MQTT broker refuses a subscription: look at its access rules");
                }
                true
            }
            Packet::Publish(publish) => self.publish(publish).await,
            _ => true,
        }
    }

    async fn publish(&self, publish: rumqttc::mqttbytes::v4::Publish) -> bool {
        let rumqttc::mqttbytes::v4::Publish { topic, payload, qos, retain, pkid: packet_id, .. } = publish;
        let (receipt, done) = Receipt::new();
        let round = *self.round.lock();
        // Subscribed at quality 1: nothing comes at 2.
        let waits = qos != QoS::AtMostOnce;
        if waits && self.receipts.send(Waiting { round, packet_id, done }).await.is_err() {
            return false;
        }
        let Some(Topic::Up(node, _) | Topic::State(node)) = Topic::parse(&topic) else {
            // Not a node's topic though the filter let it through: nothing will ever want it.
            warn!(topic, "publish on an unknown topic dropped");
            receipt.done();
            return true;
        };
        let receipt = if waits { receipt } else { Receipt::nobody() };
        self.incoming.send(Incoming::Publish(Publish { node, topic, payload, retain, receipt })).await.is_ok()
    }
}

/// PUBACKs, in the order in which the publishes came.
async fn acknowledge(client: AsyncClient, mut receipts: mpsc::Receiver<Waiting>, round: Round) {
    while let Some(Waiting { round: its_round, packet_id, done }) = receipts.recv().await {
        let committed = done.await.is_ok();
        let mut refused = None;
        {
            let current = round.lock();
            if *current == its_round && committed {
                refused = client.try_ack(&acknowledgement_of(packet_id)).err();
            }
        }
        if !committed || refused.is_some() {
            // Neither has a PUBACK to come: the broker sends again on the next connection.
            warn!("a publish could not be taken: connecting again for it");
            if client.disconnect().await.is_err() {
                return;
            }
        }
    }
}

/// What the client wants to see of a publish in order to acknowledge it.
fn acknowledgement_of(packet_id: u16) -> rumqttc::mqttbytes::v4::Publish {
    let mut publish = rumqttc::mqttbytes::v4::Publish::new("", QoS::AtLeastOnce, Vec::new());
    publish.pkid = packet_id;
    publish
}

async fn send(client: AsyncClient, mut outgoing: mpsc::Receiver<Outgoing>) {
    while let Some(Outgoing { topic, payload, qos, retain }) = outgoing.recv().await {
        let qos = if qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        if client.publish_bytes(topic, qos, retain, payload).await.is_err() {
            return;
        }
    }
}

/// Anything between half and all of a pause: hubs do not come back in step.
fn jitter(pause_ms: u64) -> u64 {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    pause_ms / 2 + u64::from(random) * (pause_ms / 2) / u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, group: &str) -> ExternalConfig {
        ExternalConfig {
            url: url.into(),
            ca_file: "ca".into(),
            certificate_file: "certificate".into(),
            key_file: "key".into(),
            share_group: group.into(),
            client_id: "hub-1".into(),
        }
    }

    #[test]
    fn addresses_are_read_and_bad_ones_named() {
        let table = [
            ("mqtts://broker", ("broker", 8883)),
            ("mqtts://broker:1234", ("broker", 1234)),
            ("mqtts://127.0.0.1:1/", ("127.0.0.1", 1)),
            ("mqtts://[::1]", ("::1", 8883)),
            ("mqtts://[::1]:99", ("::1", 99)),
        ];
        for (url, (host, port)) in table {
            assert_eq!(config(url, "simpul").address().unwrap(), (host.to_owned(), port), "{url}");
        }
        for bad in ["mqtt://broker", "broker:8883", "mqtts://", "mqtts://b:x", "mqtts://user@b", "mqtts://b/path"] {
            let error = config(bad, "simpul").address().unwrap_err().to_string();
            assert_eq!(error, format!("broker address {bad:?}: mqtts://host[:port] expected"));
        }
    }

    #[test]
    fn a_share_group_is_one_level() {
        let filters = config("mqtts://b", "simpul").filters().unwrap();
        assert_eq!(filters, ["$share/simpul/simpul/v1/+/up/+", "simpul/v1/+/state"]);
        for bad in ["", "a/b", "+", "#"] {
            assert!(config("mqtts://b", bad).filters().is_err(), "{bad:?}");
        }
    }
}
