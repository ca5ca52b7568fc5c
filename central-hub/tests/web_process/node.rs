//! A node of these tests: an MQTT client with a certificate, as small as it can be.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use simpul_testkit::pki::Authority;
use simpul_wire::ack::Downlink;
use simpul_wire::command::Command;
use simpul_wire::event::{EventBody, EventRecord};
use simpul_wire::reading::ReadingBlock;
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord};
use simpul_wire::{Epoch, NodeId, SeqRange, Stamp, Stream, batch};
use tokio::time::timeout;

const ANSWER_MAX: Duration = Duration::from_secs(30);

pub const EPOCH: Epoch = Epoch::from_bytes([5; 16]);

pub struct Node {
    id: NodeId,
    client: AsyncClient,
    events: EventLoop,
}

impl Node {
    /// Connect and subscribe to the node's own acknowledgements.
    pub async fn connect(authority: &Authority, id: &str, port: u16) -> Node {
        let identity = authority.node(id).unwrap();
        let mut options = MqttOptions::new(id, "localhost", port);
        options.set_transport(Transport::Tls(TlsConfiguration::Simple {
            ca: authority.certificate_pem().into_bytes(),
            alpn: None,
            client_auth: Some((identity.certificate_pem.into_bytes(), identity.key_pem.into_bytes())),
        }));
        options.set_max_packet_size(1 << 17, 1 << 17).set_clean_session(false);
        let (client, events) = AsyncClient::new(options, 16);
        let mut node = Node { id: id.parse().unwrap(), client, events };
        node.client.subscribe(format!("simpul/v1/{id}/ack"), QoS::AtMostOnce).await.unwrap();
        node.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
        node
    }

    async fn until<T>(&mut self, mut look: impl FnMut(&Packet) -> Option<T>) -> T {
        let wait = async {
            loop {
                if let Event::Incoming(packet) = self.events.poll().await.unwrap()
                    && let Some(found) = look(&packet)
                {
                    return found;
                }
            }
        };
        timeout(ANSWER_MAX, wait).await.expect("the hub answers")
    }

    /// Subscribe to the node's commands.
    pub async fn listen(&mut self) {
        self.client.subscribe(format!("simpul/v1/{}/cmd", self.id), QoS::AtMostOnce).await.unwrap();
        self.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
    }

    /// The next command.
    pub async fn command(&mut self) -> Command {
        let topic = format!("simpul/v1/{}/cmd", self.id);
        self.until(|packet| match packet {
            Packet::Publish(publish) if publish.topic == topic => {
                assert!(!publish.retain, "a retained command would be done again at each connection");
                Some(Command::from_slice(&publish.payload).unwrap())
            }
            _ => None,
        })
        .await
    }

    /// Send one count by the API and wait for the hub's own acknowledgement: after its commit.
    pub async fn count(&mut self, seq: u64) {
        self.count_at(seq, 1_790_000_000_000, Origin::Api, 1).await;
    }

    /// Send `delta` more of a source at some time.
    pub async fn count_at(&mut self, seq: u64, wall_ms: i64, origin: Origin, delta: i64) {
        let record = ServiceRecord {
            stamp: Stamp { boot: 1, uptime_ms: 1_000, wall_ms: Some(wall_ms) },
            key: format!("key-{seq}").parse().unwrap(),
            origin,
            simulated: false,
            body: ServiceBody::Count { service: "ktp".parse().unwrap(), desk: None, delta, total: None },
        };
        self.send(Stream::Service, SeqRange::one(seq), &record).await;
    }

    /// Send an event.
    pub async fn event(&mut self, seq: u64, wall_ms: i64, body: EventBody) {
        let stamp = Stamp { boot: 1, uptime_ms: 1_000, wall_ms: Some(wall_ms) };
        self.send(Stream::Event, SeqRange::one(seq), &EventRecord { stamp, body }).await;
    }

    /// Send a block of readings.
    pub async fn readings(&mut self, first_seq: u64, block: &ReadingBlock) {
        let range = SeqRange::with_count(first_seq, block.count() as u64).unwrap();
        self.send(Stream::Reading, range, block).await;
    }

    /// Send one record and wait until the hub has it.
    async fn send(&mut self, stream: Stream, range: SeqRange, record: &impl minicbor::Encode<()>) {
        let mut bytes = Vec::new();
        minicbor::encode(record, &mut bytes).unwrap();
        let payload = batch::seal(&self.id, EPOCH, stream, range, &[bytes]);
        let topic = format!("simpul/v1/{}/up/{stream}", self.id);
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
        self.until(|packet| match packet {
            Packet::Publish(publish) => match Downlink::from_slice(&publish.payload).unwrap() {
                Downlink::Ack(ack) if ack.stream == stream && ack.have.contains(range.last()) => Some(()),
                _ => None,
            },
            _ => None,
        })
        .await;
    }
}
