//! A node of these tests: an MQTT client with a certificate, as small as it can be.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use simpul_testkit::pki::Authority;
use simpul_wire::ack::Downlink;
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

    /// Send one count and wait for the hub's own acknowledgement: after its commit.
    pub async fn count(&mut self, seq: u64) {
        let record = ServiceRecord {
            stamp: Stamp { boot: 1, uptime_ms: 1_000, wall_ms: Some(1_790_000_000_000) },
            key: format!("key-{seq}").parse().unwrap(),
            origin: Origin::Api,
            simulated: false,
            body: ServiceBody::Count { service: "ktp".parse().unwrap(), desk: None, delta: 1, total: None },
        };
        let mut bytes = Vec::new();
        minicbor::encode(&record, &mut bytes).unwrap();
        let payload = batch::seal(&self.id, EPOCH, Stream::Service, SeqRange::one(seq), &[bytes]);
        self.client
            .publish(format!("simpul/v1/{}/up/service", self.id), QoS::AtLeastOnce, false, payload)
            .await
            .unwrap();
        self.until(|packet| match packet {
            Packet::Publish(publish) => match Downlink::from_slice(&publish.payload).unwrap() {
                Downlink::Ack(ack) if ack.have.contains(seq) => Some(()),
                _ => None,
            },
            _ => None,
        })
        .await;
    }
}
