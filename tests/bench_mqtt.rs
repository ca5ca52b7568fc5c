//! The embedded MQTT server alone: publishes a second on one TLS connection (10 kB, quality 1, fdatasync before
//! PUBACK), and what an idle TLS session costs at 10,000.
//!
//! The server runs in a child process (this program again), so that its memory is its own; its intake is a fake that
//! commits in groups as the real one does: everything queued, one write, one fdatasync, then the receipts.
#![allow(clippy::disallowed_methods, reason = "a bench runs on the machine's clock")]

use std::io::{BufRead, BufReader, Seek, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use simpul_clock::Clock;
use simpul_hub::mqtt::{Incoming, Limits, ServerConfig, TlsFiles, serve};
use simpul_testkit::pki::Authority;
use simpul_testkit::report::Report;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const CHILD: &str = "SIMPUL_BENCH_MQTT_FOLDER";
const NODE: &str = "35.12.07.2003-01";
const PAYLOAD_BYTES: usize = 10_000;
/// In flight at once: rumqttc's default.
const WINDOW: u64 = 100;
const PUBLISHES: u64 = 60_000;
const ROUNDS: usize = 5;
/// SQLite checkpoints its log at 4 MB by default; a group here is up to 2.56 MB.
const LOG_BYTES: usize = 16 << 20;
const SESSIONS: usize = 10_000;
/// Handshakes under way at once.
const PARALLEL: usize = 64;

fn main() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match std::env::var_os(CHILD) {
        Some(folder) => runtime.block_on(server(Path::new(&folder))),
        None => runtime.block_on(bench()),
    }
}

/// The child: serves until its standard input closes.
async fn server(folder: &Path) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let listen = listener.local_addr()?;
    let tls = TlsFiles {
        ca_file: folder.join("ca.pem"),
        certificate_file: folder.join("hub.crt"),
        key_file: folder.join("hub.key"),
        revoked_file: None,
    };
    let config = ServerConfig { listen, tls, limits: Limits::default(), generation: None };
    let (shutdown, ended) = watch::channel(false);
    let (mut transport, handle) = serve(listener, config, Clock::machine(), ended).await?;
    let mut log = std::fs::File::create(folder.join("log"))?;
    // Written over from the start again and again, as SQLite does with its log after each checkpoint: blocks that
    // exist already are what fdatasync is fast on.
    log.write_all(&vec![0; LOG_BYTES])?;
    log.sync_all()?;
    log.rewind()?;
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut group, mut body, mut written) = (Vec::new(), Vec::new(), 0);
        while transport.incoming.blocking_recv_many(&mut group, 256) > 0 {
            body.clear();
            for incoming in &group {
                if let Incoming::Publish(publish) = incoming {
                    body.extend_from_slice(&publish.payload);
                }
            }
            written += body.len();
            if written > LOG_BYTES {
                log.rewind()?;
                written = body.len();
            }
            log.write_all(&body)?;
            log.sync_data()?;
            for incoming in group.drain(..) {
                if let Incoming::Publish(publish) = incoming {
                    publish.receipt.done();
                }
            }
        }
        Ok(())
    });
    println!("{listen}");
    tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop)).await?;
    shutdown.send_replace(true);
    handle.join().await;
    Ok(())
}

/// The child process; closing its input ends it.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(folder: &Path) -> Result<Server> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(CHILD, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("the server said {line:?}"))?;
        Ok(Server { child, address })
    }

    fn resident_bytes(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
        Ok(kib * 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

struct Pki {
    authority: Authority,
    folder: PathBuf,
}

impl Pki {
    fn connector(&self, node: &str) -> Result<TlsConnector> {
        let identity = self.authority.node(node)?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.folder.join("ca.pem"))?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes())?],
                PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?,
            )?;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

async fn bench() -> Result<()> {
    let folder = tempfile::tempdir_in(simpul_testkit::process::target_directory()?)?;
    let authority = Authority::new("bench")?;
    authority.write_certificate(&folder.path().join("ca.pem"))?;
    authority.local_server()?.write(folder.path(), "hub")?;
    let pki = Pki { authority, folder: folder.path().to_owned() };
    let mut report = Report::new("mqtt", "cargo xtask bench mqtt", None);
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let server = Server::start(folder.path())?;
        rates.push(publishes_per_second(&pki, server.address).await?);
    }
    rates.sort_by(f64::total_cmp);
    report
        .figure("mqtt_publishes_per_second", rates[ROUNDS / 2], "publishes/s", PUBLISHES * ROUNDS as u64)
        .goal(">= 15000");
    let bytes = idle_session_bytes(&pki, &Server::start(folder.path())?).await?;
    report.figure("mqtt_idle_tls_bytes", bytes, "bytes", SESSIONS as u64).goal("<= 20000");
    report.finish()?;
    Ok(())
}

/// A session of its own: TLS, CONNECT, and a subscription to its own `ack`.
async fn session(connector: &TlsConnector, address: SocketAddr, node: &str) -> Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let mut stream = connector.connect(ServerName::try_from("localhost")?, tcp).await?;
    let mut hello = vec![0x10, 12 + 5, 0, 4, b'M', b'Q', b'T', b'T', 4, 0, 0, 0, 0, 5];
    hello.extend_from_slice(b"agent");
    let filter = format!("simpul/v1/{node}/ack");
    hello.extend_from_slice(&[0x82, (5 + filter.len()) as u8, 0, 1, 0, filter.len() as u8]);
    hello.extend_from_slice(filter.as_bytes());
    hello.push(0);
    stream.write_all(&hello).await?;
    stream.flush().await?;
    let mut answer = [0; 4 + 5];
    stream.read_exact(&mut answer).await?;
    ensure!(answer == [0x20, 2, 0, 0, 0x90, 3, 0, 1, 0], "refused: {answer:02x?}");
    Ok(stream)
}

async fn publishes_per_second(pki: &Pki, address: SocketAddr) -> Result<f64> {
    let stream = session(&pki.connector(NODE)?, address, NODE).await?;
    let (mut reading, mut writing) = tokio::io::split(stream);
    let topic = format!("simpul/v1/{NODE}/up/service");
    let (acknowledged, mut progress) = watch::channel(0u64);
    let started = Instant::now();
    let reader = tokio::spawn(async move {
        let (mut buffer, mut bytes) = (vec![0; 4 * 256], 0u64);
        while bytes < 4 * PUBLISHES {
            bytes += reading.read(&mut buffer).await? as u64;
            acknowledged.send_replace(bytes / 4);
        }
        anyhow::Ok(())
    });
    let remaining = 2 + topic.len() + 2 + PAYLOAD_BYTES;
    let mut packet = vec![0x32, (remaining & 0x7f) as u8 | 0x80, (remaining >> 7) as u8, 0, topic.len() as u8];
    packet.extend_from_slice(topic.as_bytes());
    let id_at = packet.len();
    packet.extend_from_slice(&[0, 0]);
    packet.resize(id_at + 2 + PAYLOAD_BYTES, 0x55);
    for sent in 0..PUBLISHES {
        if sent - *progress.borrow_and_update() >= WINDOW {
            progress.wait_for(|acknowledged| sent - acknowledged < WINDOW).await?;
        }
        let packet_id = (sent % 60_000 + 1) as u16;
        packet[id_at..id_at + 2].copy_from_slice(&packet_id.to_be_bytes());
        writing.write_all(&packet).await?;
    }
    writing.flush().await?;
    reader.await??;
    Ok(PUBLISHES as f64 / started.elapsed().as_secs_f64())
}

async fn idle_session_bytes(pki: &Pki, server: &Server) -> Result<f64> {
    // Whatever a first session costs once is not a session's cost.
    drop(session(&pki.connector("warm-1")?, server.address, "warm-1").await?);
    let before = server.resident_bytes()?;
    let started = Instant::now();
    let (mut streams, mut opening) = (Vec::with_capacity(SESSIONS), JoinSet::new());
    for index in 0..SESSIONS {
        let node = format!("n-{index:05}");
        let connector = pki.connector(&node)?;
        let address = server.address;
        opening.spawn(async move { session(&connector, address, &node).await });
        if opening.len() >= PARALLEL {
            streams.push(opening.join_next().await.context("none")???);
        }
    }
    while let Some(stream) = opening.join_next().await {
        streams.push(stream??);
    }
    eprintln!("{SESSIONS} sessions in {:.1} s", started.elapsed().as_secs_f64());
    // Idle: what the handshakes held for a moment has been given back.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = server.resident_bytes()?;
    drop(streams);
    Ok((after - before) / SESSIONS as f64)
}
