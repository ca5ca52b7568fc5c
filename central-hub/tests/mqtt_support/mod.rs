//! For the MQTT server's tests: a small CA, a server on a free port with a fake intake, and a raw client that says
//! exactly which bytes it sends and which it expects.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_methods, reason = "tests run on the machine's clock")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use simpul_clock::Clock;
use simpul_hub::mqtt::{Incoming, Limits, Outbox, Outgoing, Serial, ServerConfig, ServerHandle, TlsFiles, Transport};
use simpul_wire::Generation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Long enough for a busy machine; only a failure waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The hub's generation in these tests.
pub const GENERATION: Generation = Generation::from_bytes([7; 16]);

/// A CA in a temporary folder.
pub struct Pki {
    pub folder: tempfile::TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
    next_serial: std::cell::Cell<u64>,
}

/// A client's certificate.
#[derive(Clone)]
pub struct Credentials {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    pub serial: Serial,
}

impl Pki {
    pub fn new() -> Pki {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Test CA");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        Pki { folder, ca, next_serial: std::cell::Cell::new(100) }
    }

    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub fn client(&self, common_name: &str) -> Credentials {
        self.issue(common_name, |_| {})
    }

    pub fn issue(&self, common_name: &str, change: impl FnOnce(&mut CertificateParams)) -> Credentials {
        let serial = self.next_serial.get();
        self.next_serial.set(serial + 1);
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.serial_number = Some(SerialNumber::from(vec![(serial >> 8) as u8, serial as u8]));
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
        change(&mut params);
        self.write(&format!("client-{serial}"), params, Serial::clone(&format!("{serial:x}").parse().unwrap()))
    }

    pub fn expired(&self, common_name: &str) -> Credentials {
        self.issue(common_name, |params| params.not_after = date_time_ymd(2020, 1, 1))
    }

    pub fn server(&self) -> Credentials {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
        self.write("server", params, "1".parse().unwrap())
    }

    fn write(&self, name: &str, params: CertificateParams, serial: Serial) -> Credentials {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        let certificate_file = self.folder.path().join(format!("{name}.pem"));
        let key_file = self.folder.path().join(format!("{name}.key"));
        std::fs::write(&certificate_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        Credentials { certificate_file, key_file, serial }
    }

    pub fn server_files(&self) -> TlsFiles {
        let server = self.server();
        TlsFiles {
            ca_file: self.ca_file(),
            certificate_file: server.certificate_file,
            key_file: server.key_file,
            revoked_file: None,
        }
    }
}

pub fn client_config(ca_file: &Path, credentials: Option<&Credentials>) -> rustls::ClientConfig {
    client_config_of(ca_file, credentials, rustls::DEFAULT_VERSIONS)
}

pub fn client_config_tls12(ca_file: &Path, credentials: &Credentials) -> rustls::ClientConfig {
    client_config_of(ca_file, Some(credentials), &[&rustls::version::TLS12])
}

fn client_config_of(
    ca_file: &Path,
    credentials: Option<&Credentials>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file).unwrap()).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match credentials {
        Some(own) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(&own.certificate_file).unwrap()],
                PrivateKeyDer::from_pem_file(&own.key_file).unwrap(),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    }
}

/// A running server.
pub struct Rig {
    pub pki: Pki,
    pub address: SocketAddr,
    pub handle: ServerHandle,
    pub shutdown: watch::Sender<bool>,
    pub outbox: Outbox,
}

impl Rig {
    /// A server whose publishes the test takes itself.
    pub async fn manual(change: impl FnOnce(&mut Limits)) -> (Rig, mpsc::Receiver<Incoming>) {
        let pki = Pki::new();
        let mut limits = Limits::default();
        change(&mut limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = ServerConfig { listen: address, tls: pki.server_files(), limits, generation: Some(GENERATION) };
        let (shutdown, shutdown_end) = watch::channel(false);
        let (Transport { incoming, outbox }, handle) =
            simpul_hub::mqtt::serve(listener, config, Clock::machine(), shutdown_end).await.unwrap();
        (Rig { pki, address, handle, shutdown, outbox }, incoming)
    }

    /// A server whose publishes are committed at once, and kept for looking at.
    pub async fn start(change: impl FnOnce(&mut Limits)) -> (Rig, Kept) {
        let (rig, mut incoming) = Rig::manual(change).await;
        let kept = Kept::default();
        let taken = kept.clone();
        tokio::spawn(async move {
            while let Some(next) = incoming.recv().await {
                taken.take(next);
            }
        });
        (rig, kept)
    }

    /// A raw client with a certificate of this name, TLS done, nothing sent.
    pub async fn raw(&self, common_name: &str) -> Raw {
        self.raw_with(Some(&self.pki.client(common_name))).await
    }

    pub async fn raw_with(&self, credentials: Option<&Credentials>) -> Raw {
        Raw::open(self.address, &self.pki.ca_file(), credentials).await.expect("TLS handshake")
    }

    /// A raw client whose CONNECT was accepted.
    pub async fn client(&self, common_name: &str, client_id: &str, clean: bool) -> Raw {
        let mut raw = self.raw(common_name).await;
        raw.send(&connect(client_id, clean, 60)).await;
        let connack = raw.packet().await;
        assert_eq!((connack[0], connack[3]), (0x20, 0), "CONNACK {connack:02x?}");
        raw
    }

    /// Publish to nodes, as the hub does.
    pub async fn publish(&self, topic: &str, payload: &str, qos: u8, retain: bool) {
        let message = Outgoing { topic: topic.into(), payload: payload.to_owned().into(), qos, retain };
        assert!(self.outbox.publish(message).await);
    }
}

/// What a fake intake took.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<Seen>>>);

/// One thing that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Publish { topic: String, payload: Vec<u8>, retain: bool },
    Connected(String),
    Disconnected(String, String),
}

impl Kept {
    pub fn take(&self, incoming: Incoming) {
        let seen = match incoming {
            Incoming::Publish(publish) => {
                let (topic, payload, retain) = (publish.topic, publish.payload.to_vec(), publish.retain);
                self.0.lock().unwrap().push(Seen::Publish { topic, payload, retain });
                return publish.receipt.done();
            }
            Incoming::Connected(node) => Seen::Connected(node.to_string()),
            Incoming::Disconnected(node, why) => Seen::Disconnected(node.to_string(), why),
        };
        self.0.lock().unwrap().push(seen);
    }

    pub fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    pub fn payloads(&self) -> Vec<Vec<u8>> {
        let payload = |seen| match seen {
            Seen::Publish { payload, .. } => Some(payload),
            _ => None,
        };
        self.all().into_iter().filter_map(payload).collect()
    }

    /// Wait until something has come that `wanted` likes.
    pub async fn until(&self, what: &str, wanted: impl Fn(&[Seen]) -> bool) {
        eventually(what, || wanted(&self.all())).await;
    }
}

/// Wait until a state is reached that cannot be awaited.
pub async fn eventually(what: &str, reached: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !reached() {
        assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A client of bytes.
pub struct Raw {
    pub stream: TlsStream<TcpStream>,
}

impl Raw {
    pub async fn open(address: SocketAddr, ca_file: &Path, credentials: Option<&Credentials>) -> std::io::Result<Raw> {
        Raw::open_with(address, client_config(ca_file, credentials)).await
    }

    pub async fn open_with(address: SocketAddr, config: rustls::ClientConfig) -> std::io::Result<Raw> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await?;
        Ok(Raw { stream })
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next packet, whole.
    pub async fn packet(&mut self) -> Vec<u8> {
        timeout(PATIENCE, self.try_packet()).await.expect("no packet came").expect("connection closed")
    }

    pub async fn try_packet(&mut self) -> std::io::Result<Vec<u8>> {
        let mut packet = vec![self.stream.read_u8().await?];
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let byte = self.stream.read_u8().await?;
            packet.push(byte);
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let start = packet.len();
        packet.resize(start + length, 0);
        self.stream.read_exact(&mut packet[start..]).await?;
        Ok(packet)
    }

    pub async fn expect(&mut self, packet: &[u8]) {
        let came = self.packet().await;
        assert_eq!(came, packet, "came {came:02x?}, wanted {packet:02x?}");
    }

    /// Everything the server still sends until it closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset counts as closed too.
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("never closed");
        rest
    }

    /// Nothing is on its way: a PINGREQ is answered by nothing but its PINGRESP.
    pub async fn expect_silence(&mut self) {
        self.send(&[0xc0, 0]).await;
        self.expect(&[0xd0, 0]).await;
    }
}

fn field(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let byte = (length & 0x7f) as u8;
        length >>= 7;
        packet.push(byte | if length > 0 { 0x80 } else { 0 });
        if length == 0 {
            break;
        }
    }
    [packet, body.to_vec()].concat()
}

pub fn connect(client_id: &str, clean: bool, keep_alive_s: u16) -> Vec<u8> {
    let flags = if clean { 2 } else { 0 };
    let head = [0, 4, b'M', b'Q', b'T', b'T', 4, flags, (keep_alive_s >> 8) as u8, keep_alive_s as u8];
    frame(0x10, &[head.to_vec(), field(client_id.as_bytes())].concat())
}

pub fn connect_with_will(client_id: &str, clean: bool, topic: &str, payload: &str, retain: bool) -> Vec<u8> {
    let flags = if clean { 2 } else { 0 } | 4 | (1 << 3) | if retain { 0x20 } else { 0 };
    let head = [0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 60];
    let fields = [field(client_id.as_bytes()), field(topic.as_bytes()), field(payload.as_bytes())].concat();
    frame(0x10, &[head.to_vec(), fields].concat())
}

pub fn publish(topic: &str, payload: &[u8], qos: u8, packet_id: u16, flags: u8) -> Vec<u8> {
    let id = if qos > 0 { packet_id.to_be_bytes().to_vec() } else { Vec::new() };
    frame(0x30 | qos << 1 | flags, &[field(topic.as_bytes()), id, payload.to_vec()].concat())
}

pub const RETAIN: u8 = 1;
pub const DUP: u8 = 8;

pub fn subscribe(packet_id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    for (filter, qos) in filters {
        body.extend(field(filter.as_bytes()));
        body.push(*qos);
    }
    frame(0x82, &body)
}

pub fn unsubscribe(packet_id: u16, filter: &str) -> Vec<u8> {
    frame(0xa2, &[packet_id.to_be_bytes().to_vec(), field(filter.as_bytes())].concat())
}

/// PUBACK 0x40, PUBREC 0x50, PUBREL 0x62, PUBCOMP 0x70, UNSUBACK 0xb0.
pub fn acknowledgement(first: u8, packet_id: u16) -> Vec<u8> {
    frame(first, &packet_id.to_be_bytes())
}

pub fn suback(packet_id: u16, codes: &[u8]) -> Vec<u8> {
    frame(0x90, &[&packet_id.to_be_bytes(), codes].concat())
}

pub const DISCONNECT: &[u8] = &[0xe0, 0];
