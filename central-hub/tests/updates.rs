//! What nodes are offered and download, over the real listener: real TLS, real certificates, real files.
#![expect(clippy::unwrap_used, reason = "a stage that cannot be set up fails its test")]

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sha2::{Digest, Sha256};
use simpul_clock::Clock;
use simpul_hub::identity::issue::Issuing;
use simpul_hub::identity::ledger::Ledger as Registry;
use simpul_hub::identity::listener::{Tls, serve};
use simpul_hub::identity::{Places, follow, villages::Villages};
use simpul_hub::updates::content::Contents;
use simpul_hub::updates::ledger::{Content, Ledger, NewRollout};
use simpul_hub::updates::listener::{Limits, Serving};
use simpul_hub::updates::plan::{Event, Fleet, Seen};
use simpul_wire::NodeId;
use simpul_wire::enrolment::{EnrolRequest, HUB_NAME, Refusal, RefusalReason, Secret};
use simpul_wire::update::{CONTENT_PATH, OFFERS_PATH, Offers, Part};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NOW_MS: i64 = 1_795_000_000_000;

/// A district whose nodes are enrolled, and its listener.
struct District {
    registry: Registry,
    ledger: Arc<Ledger>,
    contents: Contents,
    places: Places,
    port: u16,
    clock: Clock,
    _stop: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

/// A node's certificate and key.
#[derive(Clone)]
struct Node {
    id: NodeId,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn refusal(&self) -> Refusal {
        Refusal::from_slice(&self.body).unwrap()
    }
}

impl District {
    async fn start(limits: Limits) -> District {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let places = Places::of(folder.path());
        let open = || Registry::open(&places.registry).unwrap();
        let registry = open();
        let clock = Clock::machine();
        registry.make_first(&places, "Situbondo", &[], clock.wall_ms()).unwrap();
        registry.import(&Villages::from([("35.12.01.2001".into(), "Pategalan".into())]), false, NOW_MS).unwrap();
        follow::write_pki(&places, &registry).unwrap();
        let updates = simpul_hub::updates::Places::of(folder.path());
        let ledger = Arc::new(Ledger::open(&updates.ledger).unwrap());
        let serving = Serving::new(ledger.clone(), Contents::in_folder(updates.content.clone()), clock.clone(), limits);
        let issuing = Issuing::new(open(), places.pki.clone(), 34_300_800, Vec::new(), Vec::new());
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = tcp.local_addr().unwrap().port();
        let (stop, ending) = watch::channel(false);
        let tls = Tls::read(&places).unwrap();
        tokio::spawn(serve(tcp, tls, Arc::new(issuing), Arc::new(serving), None, clock.clone(), ending));
        let contents = Contents::in_folder(updates.content);
        District { registry, ledger, contents, places, port, clock, _stop: stop, _folder: folder }
    }

    fn enrol(&self, byte: u8) -> Node {
        let now_ms = self.clock.wall_ms();
        let id = self.registry.add("35.12.01.2001", "", now_ms).unwrap().id;
        self.registry.issue_token(&id, None, &[byte; 16], now_ms, now_ms + 86_400_000).unwrap();
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
        let open = Registry::open(&self.places.registry).unwrap();
        let issuing = Issuing::new(open, self.places.pki.clone(), 34_300_800, Vec::new(), Vec::new());
        let secret = Secret::from_bytes([byte; 16]);
        let asked = EnrolRequest { node: id.clone(), secret, request: request.into() };
        let identity = issuing.enrol(&asked, now_ms).unwrap();
        Node { id, certificate: identity.certificate.to_vec(), key: key.serialize_der() }
    }

    /// Begin a rollout of these texts, and give every node its turn.
    fn configure(&self, id: u8, texts: &[(&Node, &[u8])]) -> i64 {
        let nodes = texts.iter().map(|(node, text)| {
            let sha256 = self.contents.keep(text).unwrap();
            (node.id.clone(), Some(Content { sha256, bytes: u32::try_from(text.len()).unwrap() }))
        });
        let new = NewRollout {
            id: [id; 16],
            part: Part::Configuration,
            version: String::new(),
            rings: "all".parse().unwrap(),
            soak_ms: 0,
            pause_on: 3,
            nodes: nodes.collect(),
        };
        let number = self.ledger.start(&new, "cli:test", NOW_MS).unwrap();
        let seen = Seen { online: true, healthy: true, ..Seen::default() };
        let fleet: Fleet = texts.iter().map(|(node, _)| (node.id.clone(), seen.clone())).collect();
        self.ledger.plan(NOW_MS, None, |_, rollout| rollout.on(NOW_MS, Event::Look(&fleet))).unwrap();
        number
    }

    async fn connect(&self, node: Option<&Node>) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        for ca in CertificateDer::pem_file_iter(self.places.pki.join("ca.pem")).unwrap() {
            roots.add(ca.unwrap()).unwrap();
        }
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let config = match node {
            None => builder.with_no_client_auth(),
            Some(node) => {
                let key = PrivateKeyDer::try_from(node.key.clone()).unwrap();
                builder.with_client_auth_cert(vec![node.certificate.clone().into()], key).unwrap()
            }
        };
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(HUB_NAME).unwrap(), tcp).await.unwrap()
    }

    async fn get(&self, node: Option<&Node>, path: &str, range: Option<&str>) -> Answer {
        let mut stream = self.connect(node).await;
        stream.write_all(&request(path, range)).await.unwrap();
        let mut bytes = Vec::new();
        // The end may come without TLS's farewell.
        let _ = stream.read_to_end(&mut bytes).await;
        let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: bytes[at + 4..].to_vec() }
    }
}

fn request(path: &str, range: Option<&str>) -> Vec<u8> {
    let range = range.map_or(String::new(), |range| format!("range: {range}\r\n"));
    format!("GET {path} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n{range}\r\n").into_bytes()
}

fn path_of(bytes: &[u8]) -> String {
    format!("{CONTENT_PATH}{}", hex::encode(Sha256::digest(bytes)))
}

const FREE: Limits = Limits { rate_kib_per_s: 0, node_rate_kib_per_s: 0, downloads_max: 4 };

/// Bytes that do not repeat where pieces begin.
fn large() -> Vec<u8> {
    (0..300_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

#[tokio::test]
async fn a_cut_download_goes_on_at_every_offset() {
    let district = District::start(FREE).await;
    let node = district.enrol(1);
    let bytes = large();
    district.configure(1, &[(&node, &bytes)]);
    let path = path_of(&bytes);
    let whole = district.get(Some(&node), &path, None).await;
    assert_eq!((whole.status, whole.header("content-length")), (200, Some("1200000")));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert!(whole.body == bytes);
    for offset in [0, 1, 8_191, 8_192, 8_193, 600_001, 1_199_999] {
        let rest = district.get(Some(&node), &path, Some(&format!("bytes={offset}-"))).await;
        assert_eq!(rest.status, 206, "{offset}");
        let expected = format!("bytes {offset}-1199999/1200000");
        assert_eq!(rest.header("content-range"), Some(expected.as_str()));
        assert!(rest.body == bytes[offset..], "{offset}");
    }
    let beyond = district.get(Some(&node), &path, Some("bytes=1200000-")).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */1200000")));
    assert!(beyond.body.is_empty());
    // Cut in the middle, again and again: what came stays, and the rest is asked for.
    let mut have: Vec<u8> = Vec::new();
    let mut cuts = 0;
    while have.len() < bytes.len() {
        let mut stream = district.connect(Some(&node)).await;
        stream.write_all(&request(&path, Some(&format!("bytes={}-", have.len())))).await.unwrap();
        let mut got: Vec<u8> = Vec::new();
        let mut piece = [0; 50_000];
        while got.len() < 250_000 {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(length) => got.extend(&piece[..length]),
            }
        }
        let at = got.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        have.extend(&got[at + 4..]);
        cuts += 1;
    }
    assert!(have == bytes && cuts > 3, "{cuts}");
}

#[tokio::test]
async fn a_node_sees_its_own_offers_and_nobody_elses_and_without_a_certificate_there_are_none() {
    let district = District::start(FREE).await;
    let (one, two) = (district.enrol(1), district.enrol(2));
    let (own, other) = (b"node = \"one\"".as_slice(), b"node = \"two\", a password".as_slice());
    let number = district.configure(1, &[(&one, own), (&two, other)]);
    let offers = district.get(Some(&one), OFFERS_PATH, None).await;
    assert_eq!(offers.status, 200);
    let offer = Offers::from_slice(&offers.body).unwrap().configuration.unwrap();
    assert_eq!((offer.rollout, offer.revision, offer.content_bytes), ([1; 16], 1, 12));
    assert_eq!(district.get(Some(&one), &path_of(own), None).await.body, own);
    // Another node's, nobody's, and no hash at all: there is nothing, in the same words.
    let db = format!("{CONTENT_PATH}../updates.db");
    let encoded = format!("{CONTENT_PATH}%2e%2e%2fupdates.db");
    let upper = path_of(own).to_uppercase().replace(&CONTENT_PATH.to_uppercase(), CONTENT_PATH);
    for path in [path_of(other), path_of(b"nobody's"), db, encoded, upper, CONTENT_PATH.into(), path_of(own) + "/"] {
        let answer = district.get(Some(&one), &path, None).await;
        assert_eq!((answer.status, answer.body.len()), (404, 0), "{path}");
    }
    for path in [OFFERS_PATH, &path_of(own)] {
        let answer = district.get(None, path, None).await;
        assert_eq!((answer.status, answer.refusal().reason), (401, RefusalReason::NoCertificate));
    }
    // Revoked: told so, like anywhere else on this listener.
    district.registry.revoke(&one.id, NOW_MS).unwrap();
    for path in [OFFERS_PATH, &path_of(own)] {
        let answer = district.get(Some(&one), path, None).await;
        assert_eq!((answer.status, answer.refusal().reason), (403, RefusalReason::Revoked));
    }
    // What was ended is handed out no more.
    use simpul_hub::updates::ledger::Order;
    assert_eq!(district.get(Some(&two), &path_of(other), None).await.status, 200);
    district.ledger.order(number, Order::Cancel, "cli:test", NOW_MS).unwrap();
    assert_eq!(district.get(Some(&two), &path_of(other), None).await.status, 404);
    let offers = district.get(Some(&two), OFFERS_PATH, None).await;
    assert_eq!(Offers::from_slice(&offers.body).unwrap(), Offers::default());
}

#[tokio::test]
async fn a_damaged_content_is_not_handed_out() {
    let district = District::start(FREE).await;
    let node = district.enrol(1);
    district.configure(1, &[(&node, b"node = \"one\"")]);
    let name = path_of(b"node = \"one\"").replace(CONTENT_PATH, "");
    let file = district.places.registry.parent().unwrap().parent().unwrap().join("updates/content").join(name);
    std::fs::write(file, "node = \"two\"").unwrap();
    let answer = district.get(Some(&node), &path_of(b"node = \"one\""), None).await;
    assert_eq!((answer.status, answer.refusal().reason), (503, RefusalReason::Unavailable));
}

#[tokio::test]
async fn downloads_keep_to_their_rate_together() {
    // 150,000 bytes each at 200 KiB/s for both: 1.5 s, less the quarter of a second that may be ahead.
    let limits = Limits { rate_kib_per_s: 200, node_rate_kib_per_s: 0, downloads_max: 4 };
    let district = District::start(limits).await;
    let (one, two) = (district.enrol(1), district.enrol(2));
    let bytes = large()[..150_000].to_vec();
    district.configure(1, &[(&one, &bytes), (&two, &bytes)]);
    let began = district.clock.now();
    let path = path_of(&bytes);
    let (first, second) = tokio::join!(district.get(Some(&one), &path, None), district.get(Some(&two), &path, None));
    assert!(first.body == bytes && second.body == bytes);
    let took = district.clock.now().since(began);
    assert!(took.as_millis() >= 1_150, "{took:?}");
}

#[tokio::test]
async fn a_download_lives_longer_than_a_connection_may() {
    // 40 s is what any other connection gets. At 8 KiB/s this one needs 50 s: the deadline moves with it.
    let limits = Limits { rate_kib_per_s: 0, node_rate_kib_per_s: 8, downloads_max: 4 };
    let district = District::start(limits).await;
    let node = district.enrol(1);
    let bytes = large()[..410_000].to_vec();
    district.configure(1, &[(&node, &bytes)]);
    let began = district.clock.now();
    let answer = district.get(Some(&node), &path_of(&bytes), None).await;
    assert!(answer.body == bytes, "{} bytes", answer.body.len());
    let took = district.clock.now().since(began);
    assert!(took.as_secs() > 41, "{took:?}");
}
