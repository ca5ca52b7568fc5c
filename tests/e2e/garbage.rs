//! A minute of garbage, half packets and oversize publishes on the MQTT port, while three nodes sync: nothing is lost
//! and the hub's memory stays bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use simpul_testkit::pki::{Authority, Identity};
use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_testkit::wait;
use simpul_tests::district::{District, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const GARBAGE_FOR: Duration = Duration::from_secs(60);
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// Vandals at once, half of them with a node's certificate of their own.
const VANDALS: u64 = 16;
/// Peak memory of a hub in a debug build with three nodes and all vandals; without the hub's limits an oversize
/// publish each would double it.
const HUB_PEAK_MIB_MAX: u64 = 160;
/// A node id that is nobody's.
const VANDAL: &str = "35.12.01.2099-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_of_garbage_on_the_port_loses_nothing_and_is_bounded() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut district = District::start(&Plan { nodes: 3, ..Plan::default() }).await.unwrap();
    let connector = Arc::new(connector(&district.authority, &district.authority.node(VANDAL).unwrap()));
    let target = district.hub.mqtt();
    let mut vandals = JoinSet::new();
    for number in 0..VANDALS {
        let connector = Arc::clone(&connector);
        let mut random = StdRng::seed_from_u64(seed + number);
        vandals.spawn(async move {
            let mut attacks = 0u64;
            let forever = async {
                loop {
                    // Whatever the hub does to this connection is right; it must only go on serving the others.
                    let attack = attack(target, &connector, number % 2 == 0, &mut random);
                    let _ = tokio::time::timeout(Duration::from_secs(5), attack).await;
                    attacks += 1;
                }
            };
            let _ = tokio::time::timeout(GARBAGE_FOR, forever).await;
            attacks
        });
    }
    let ledger = Ledger::default();
    let mut callers = JoinSet::new();
    for (number, node) in district.nodes.iter().enumerate() {
        let desk = Desk::new(node, &format!("calm-{number}"), &ledger).unwrap();
        callers.spawn(async move {
            let steady = async {
                loop {
                    desk.count("ktp", 1).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            // The last request may be cut off unanswered: then it is not in the ledger.
            let _ = tokio::time::timeout(GARBAGE_FOR, steady).await;
        });
    }
    callers.join_all().await;
    let attacks: u64 = vandals.join_all().await.iter().sum();
    let hub = &district.hub;
    let accepted = ledger.len();
    let rows = wait::until("all accepted records", DRAIN_MAX, || async {
        let (rows, _) = hub.rows("/api/v1/service-records", None).await.ok()?;
        (rows.len() >= accepted).then_some(rows)
    });
    let found = compare(&ledger.entries(), &rows.await.unwrap());
    assert_eq!((found.missing, found.doubled, found.different), (vec![], vec![], vec![]));
    let peak = peak_mib(district.hub.process().unwrap().id());
    println!("{attacks} attacks, {accepted} records accepted, the hub's peak: {peak} MiB");
    assert!(attacks > 500, "only {attacks} attacks in {GARBAGE_FOR:?}");
    assert!(peak <= HUB_PEAK_MIB_MAX, "the hub's peak is {peak} MiB, the limit {HUB_PEAK_MIB_MAX}");
}

async fn attack(
    target: SocketAddr,
    connector: &TlsConnector,
    with_certificate: bool,
    random: &mut StdRng,
) -> std::io::Result<()> {
    let mut plain = TcpStream::connect(target).await?;
    let mut garbage = vec![0; random.random_range(1..4_000)];
    random.fill(&mut garbage[..]);
    if !with_certificate {
        plain.write_all(&garbage).await?;
        if random.random_bool(0.5) {
            // Say nothing more and wait for the hub's patience to end.
            let _ = plain.read(&mut [0; 64]).await?;
        }
        return Ok(());
    }
    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
    let mut stream = connector.connect(name, plain).await?;
    match random.random_range(0..4) {
        0 => stream.write_all(&garbage).await?,
        1 => {
            // Half a CONNECT.
            let connect = connect_packet();
            stream.write_all(&connect[..random.random_range(1..connect.len())]).await?;
            stream.flush().await?;
            let _ = stream.read(&mut [0; 64]).await?;
        }
        2 => {
            greet(&mut stream).await?;
            stream.write_all(&garbage).await?;
        }
        _ => {
            // A publish of 20 MiB by its header, of which 2 MiB come.
            greet(&mut stream).await?;
            stream.write_all(&[0x32, 0x80, 0x80, 0x80, 0x0a]).await?;
            for _ in 0..32 {
                stream.write_all(&[0x55; 64 * 1024]).await?;
            }
        }
    }
    stream.flush().await?;
    Ok(())
}

/// CONNECT, and the hub's answer.
async fn greet(stream: &mut TlsStream<TcpStream>) -> std::io::Result<()> {
    stream.write_all(&connect_packet()).await?;
    stream.flush().await?;
    stream.read_exact(&mut [0; 4]).await?;
    Ok(())
}

/// MQTT 3.1.1 CONNECT with a clean session and 60 s keep-alive, section 3.1 of the standard.
fn connect_packet() -> Vec<u8> {
    let mut rest = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, VANDAL.len() as u8];
    rest.extend_from_slice(VANDAL.as_bytes());
    let mut packet = vec![0x10, rest.len() as u8];
    packet.append(&mut rest);
    packet
}

fn connector(authority: &Authority, identity: &Identity) -> TlsConnector {
    simpul_testkit::install_crypto();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
    TlsConnector::from(Arc::new(config))
}

/// Peak resident memory of a process so far.
fn peak_mib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}
