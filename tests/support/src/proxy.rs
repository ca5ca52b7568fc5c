//! A TCP proxy that plays the fibre: each link can be cut, cut at an exact byte, delayed and narrowed.
//!
//! A link forwards one loopback port of its own to an upstream that may change (a restarted hub). Leaves what the bytes
//! mean to both ends. [`control`] lets the demo's page cut and restore links over HTTP.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::board::Hand;
use crate::http::{Request, Response, Server};

/// Bytes that are read at once: small, so that rate and delay act on pieces and not on megabytes.
const CHUNK_BYTES: usize = 4 * 1024;
/// Chunks on their way at most: with [`CHUNK_BYTES`] 256 KiB, a long fibre's worth, then the sender is held back.
const CHUNKS_IN_FLIGHT: usize = 64;
/// "No cut is planned".
const NO_CUT: u64 = u64::MAX;

#[derive(Debug, Clone, Copy)]
struct Settings {
    upstream: SocketAddr,
    cut: bool,
    /// Grows with each cut: a connection lives only in the generation that it began in.
    generation: u64,
    delay: Duration,
    bytes_per_second: Option<u64>,
}

#[derive(Debug)]
struct Shared {
    settings: watch::Sender<Settings>,
    bytes_until_cut: AtomicU64,
    forwarded: AtomicU64,
    cuts: AtomicU64,
}

/// One link. Clones are handles to the same one; the port closes with the last of them.
#[derive(Debug, Clone)]
pub struct Link {
    name: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    _acceptor: Arc<Acceptor>,
}

#[derive(Debug)]
struct Acceptor(JoinHandle<()>);

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    /// A link called `name` (the node's id) from an ephemeral port to `upstream`.
    pub async fn start(name: &str, upstream: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let settings = Settings { upstream, cut: false, generation: 0, delay: Duration::ZERO, bytes_per_second: None };
        let shared = Arc::new(Shared {
            settings: watch::Sender::new(settings),
            bytes_until_cut: AtomicU64::new(NO_CUT),
            forwarded: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, Arc::clone(&accepting)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Link { name: name.to_owned(), address, shared, _acceptor: Arc::new(Acceptor(task)) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections from now on go there.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.shared.settings.send_modify(|settings| settings.upstream = upstream);
    }

    /// Reset all connections and refuse new ones until [`Link::restore`].
    pub fn cut(&self) {
        self.shared.cut_with(true);
    }

    /// Let connections through again.
    pub fn restore(&self) {
        self.shared.settings.send_modify(|settings| settings.cut = false);
    }

    /// Whether it is cut.
    pub fn is_cut(&self) -> bool {
        self.shared.settings.borrow().cut
    }

    /// Reset the connections of this moment; new ones are welcome.
    pub fn reset(&self) {
        self.shared.cut_with(false);
    }

    /// After exactly `bytes` more bytes (both directions together) reset the connection that carried the last one; once.
    pub fn reset_after(&self, bytes: u64) {
        self.shared.bytes_until_cut.store(bytes.min(NO_CUT - 1), Ordering::SeqCst);
    }

    /// Time that each byte takes, one way.
    pub fn set_delay(&self, delay: Duration) {
        self.shared.settings.send_modify(|settings| settings.delay = delay);
    }

    /// Bytes per second, each way; `None`: unlimited.
    pub fn set_rate(&self, bytes_per_second: Option<u64>) {
        self.shared.settings.send_modify(|settings| settings.bytes_per_second = bytes_per_second);
    }

    /// Bytes forwarded so far, both directions together.
    pub fn forwarded(&self) -> u64 {
        self.shared.forwarded.load(Ordering::SeqCst)
    }

    /// Resets and cuts so far.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn cut_with(&self, stay_cut: bool) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
        self.settings.send_modify(|settings| {
            settings.generation += 1;
            settings.cut |= stay_cut;
        });
    }

    /// How many of `length` bytes still pass before a planned cut; the cut is due when that is less than `length`.
    fn pass(&self, length: u64) -> u64 {
        let taken = self.bytes_until_cut.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
            NO_CUT => None,
            left if left > length => Some(left - length),
            _ => Some(NO_CUT),
        });
        taken.map_or(length, |left| left.min(length))
    }

    fn cut_is_planned(&self) -> bool {
        self.bytes_until_cut.load(Ordering::SeqCst) != NO_CUT
    }
}

/// Carry one connection until an end closes it or the link is cut.
async fn carry(mut client: TcpStream, shared: Arc<Shared>) {
    let mut settings = shared.settings.subscribe();
    let begun = *settings.borrow_and_update();
    let broken = async {
        // The sender lives as long as `shared`, so an error cannot happen; it would be a cut all the same.
        let _ = settings.wait_for(|now| now.cut || now.generation != begun.generation).await;
    };
    if begun.cut {
        reset(&client);
        return;
    }
    let Ok(mut upstream) = TcpStream::connect(begun.upstream).await else {
        reset(&client);
        return;
    };
    // Errors are a proxied peer's own business; either way both sockets close.
    let _ = client.set_nodelay(true);
    let _ = upstream.set_nodelay(true);
    let was_cut = {
        let (client_read, client_write) = client.split();
        let (upstream_read, upstream_write) = upstream.split();
        tokio::select! {
            () = broken => true,
            outcome = async { tokio::try_join!(
                pump(client_read, upstream_write, &shared),
                pump(upstream_read, client_write, &shared),
            ) } => outcome.is_err(),
        }
    };
    if was_cut {
        reset(&client);
        reset(&upstream);
    }
}

/// Have the kernel send RST when the socket is dropped, as a dead path's far end would.
fn reset(stream: &TcpStream) {
    // Without it the peer sees an orderly close: a cut all the same.
    let _ = stream.set_zero_linger();
}

/// Why a pump ended other than by its reader's end.
struct Broken;

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
) -> Result<(), Broken> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>, bool)>(CHUNKS_IN_FLIGHT);
    let reading = async move {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let length = from.read(&mut chunk).await.map_err(|_| Broken)?;
            if length == 0 {
                return Ok(());
            }
            let planned = shared.cut_is_planned();
            let passing = shared.pass(length as u64);
            let last = planned && !shared.cut_is_planned();
            chunk.truncate(usize::try_from(passing).unwrap_or(length));
            let due = Instant::now() + shared.settings.borrow().delay;
            sender.send((due, chunk, last)).await.map_err(|_| Broken)?;
        }
    };
    let writing = async move {
        let mut free_at = Instant::now();
        while let Some((due, chunk, last)) = receiver.recv().await {
            let rate = shared.settings.borrow().bytes_per_second;
            if let Some(rate) = rate {
                free_at =
                    free_at.max(Instant::now()) + Duration::from_secs_f64(chunk.len() as f64 / rate.max(1) as f64);
                tokio::time::sleep_until(due.max(free_at)).await;
            } else {
                tokio::time::sleep_until(due).await;
            }
            to.write_all(&chunk).await.map_err(|_| Broken)?;
            shared.forwarded.fetch_add(chunk.len() as u64, Ordering::SeqCst);
            if last {
                shared.cuts.fetch_add(1, Ordering::SeqCst);
                return Err(Broken);
            }
        }
        to.shutdown().await.map_err(|_| Broken)
    };
    tokio::try_join!(reading, writing).map(|_| ())
}

/// The demo's switches: `GET /links` lists, `POST /links/{node}` with `{"cut":true}` cuts or restores; what `hand`
/// answers besides, if there is a board.
pub async fn control(links: Vec<Link>, hand: Option<Hand>) -> anyhow::Result<Server> {
    let links = Mutex::new(links);
    Server::start(move |request| {
        let links = links.lock().unwrap_or_else(PoisonError::into_inner);
        hand.as_ref().and_then(|hand| hand.answer(request)).unwrap_or_else(|| answer(&links, request))
    })
    .await
}

fn answer(links: &[Link], request: &Request) -> Response {
    let view = |link: &Link| json!({ "node": link.name(), "cut": link.is_cut() });
    let name = request.path.strip_prefix("/links/");
    match (request.method.as_str(), request.path.as_str(), name) {
        ("GET", "/links", _) => Response::json(200, &links.iter().map(view).collect()),
        ("POST", _, Some(name)) => {
            let Some(link) = links.iter().find(|link| link.name() == name) else {
                return Response::json(404, &json!({ "message": format!("there is no link {name}") }));
            };
            let body: Option<serde_json::Value> = serde_json::from_slice(&request.body).ok();
            match body.as_ref().and_then(|body| body.get("cut")).and_then(serde_json::Value::as_bool) {
                Some(true) => link.cut(),
                Some(false) => link.restore(),
                None => return Response::json(400, &json!({ "message": "send {\"cut\":true} or {\"cut\":false}" })),
            }
            Response::json(200, &view(link))
        }
        _ => Response::json(404, &json!({ "message": "GET /links or POST /links/{node}" })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An upstream that echoes; its address.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
            }
        });
        address
    }

    async fn round_trip(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
        stream.write_all(bytes).await?;
        let mut back = vec![0; bytes.len()];
        stream.read_exact(&mut back).await?;
        assert_eq!(back, bytes);
        Ok(())
    }

    #[tokio::test]
    async fn a_cut_resets_the_connection_and_refuses_new_ones_until_it_is_restored() {
        let link = Link::start("a-01", echo().await).await.unwrap();
        let mut stream = TcpStream::connect(link.address()).await.unwrap();
        round_trip(&mut stream, b"before").await.unwrap();
        link.cut();
        let error = stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        let mut refused = TcpStream::connect(link.address()).await.unwrap();
        assert!(round_trip(&mut refused, b"during").await.is_err());
        link.restore();
        let mut restored = TcpStream::connect(link.address()).await.unwrap();
        round_trip(&mut restored, b"after").await.unwrap();
    }

    #[tokio::test]
    async fn a_planned_reset_lets_exactly_so_many_bytes_through() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let link = Link::start("a-01", listener.local_addr().unwrap()).await.unwrap();
        link.reset_after(10_001);
        let mut client = TcpStream::connect(link.address()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let sending = tokio::spawn(async move {
            // The reset comes while this writes: how it ends does not matter.
            let _ = client.write_all(&[7; 50_000]).await;
            client
        });
        let mut received = 0;
        while let Ok(length) = server.read(&mut [0; 1_000]).await {
            if length == 0 {
                break;
            }
            received += length;
        }
        let _client = sending.await.unwrap();
        assert!(received <= 10_001, "{received} bytes came through");
        assert_eq!((link.forwarded(), link.cuts()), (10_001, 1));
        let mut next = TcpStream::connect(link.address()).await.unwrap();
        next.write_all(b"x").await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn rate_and_delay_take_their_time() {
        let link = Link::start("a-01", echo().await).await.unwrap();
        link.set_delay(Duration::from_millis(500));
        let mut stream = TcpStream::connect(link.address()).await.unwrap();
        let begun = Instant::now();
        round_trip(&mut stream, &[1; 100]).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
        link.set_delay(Duration::ZERO);
        link.set_rate(Some(10_000));
        let begun = Instant::now();
        round_trip(&mut stream, &[1; 20_000]).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn the_control_cuts_and_restores_by_node_and_refuses_the_rest() {
        let link = Link::start("a-01", echo().await).await.unwrap();
        let links = [link.clone()];
        let ask = |method: &str, path: &str, body: &str| {
            let request = Request {
                method: method.into(),
                path: path.into(),
                headers: Vec::new(),
                body: body.as_bytes().to_vec(),
            };
            let response = answer(&links, &request);
            (response.status, String::from_utf8(response.body).unwrap())
        };
        assert_eq!(ask("GET", "/links", ""), (200, r#"[{"cut":false,"node":"a-01"}]"#.to_owned()));
        assert_eq!(ask("POST", "/links/a-01", r#"{"cut":true}"#), (200, r#"{"cut":true,"node":"a-01"}"#.to_owned()));
        assert!(link.is_cut());
        assert_eq!(ask("POST", "/links/a-01", r#"{"cut":false}"#).0, 200);
        assert!(!link.is_cut());
        assert_eq!(ask("POST", "/links/a-01", "{}").0, 400);
        assert_eq!(ask("POST", "/links/a-0", r#"{"cut":true}"#).0, 404);
        assert_eq!(ask("DELETE", "/links", "").0, 404);
    }
}
