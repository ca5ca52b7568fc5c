//! The HTTPS that nodes talk to before they may talk MQTT. Bounds everything that a stranger can cause; leaves to
//! [`super::issue`] who gets what, and to a [`Desk`] what technicians' laptops ask by the certificates that they got here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, RANGE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use simpul_clock::Clock;
use simpul_wire::enrolment::{
    ENROL_PATH, EnrolRequest, LOGIN_PATH, LoginRequest, RENEW_PATH, REQUEST_BYTES_MAX, Refusal, RefusalReason,
    RenewRequest, TRUST_PATH,
};
use simpul_wire::label::Text;
use simpul_wire::technician::{self, ACCEPTANCE_BYTES_MAX};
use simpul_wire::update::{CONTENT_PATH, OFFERS_PATH};
use simpul_wire::{NodeId, WireError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Places;
use super::issue::{Issuing, NotIssued, Visitor};
use super::rate::{LAPTOPS_REQUESTS_MAX, NODES_REQUESTS_MAX, Rate};
use super::verifier::ExpiredToo;
use crate::updates::listener::{Body, Deadline, NotServed, Serving};

/// Connections at once. A district powers up together after a blackout; who finds no place comes again.
const CONNECTIONS_MAX: usize = 256;

/// For a handshake and a request's head. A slow link needs about 2 s.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// A laptop's connection: a technician watches a node come up for an hour at most, and then again.
const LAPTOP_TIME_MAX: Duration = Duration::from_secs(3_600);

/// Laptops whose connections may stay for so long; others' end as a node's does, and come again. The rest of the places
/// is the nodes'.
const LAPTOPS_MAX: usize = 32;

/// Revoked certificates that connections have not looked at yet; behind that, all connections of laptops are closed.
const REVOKED_BEHIND_MAX: usize = 256;

/// For a whole connection: one or two requests of a few kilobytes at 2 kbit/s. A download has limits of its own.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(40);

/// Largest head; ours have 200 bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// After an accept that failed (no file handles left): time for one to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The TLS of the listener; clones share it.
#[derive(Clone)]
pub struct Tls {
    places: Places,
    config: Arc<RwLock<Arc<ServerConfig>>>,
    revoked: broadcast::Sender<Vec<u8>>,
}

/// What laptops ask beyond certificates.
pub trait Desk: Send + Sync + 'static {
    /// Answer a laptop that was let in.
    fn answer(&self, visitor: Visitor, asked: Asked) -> BoxFuture<'_, Result<Answer, NotIssued>>;
}

/// A laptop's request.
#[derive(Debug)]
pub struct Asked {
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: String,
    /// Its query, empty if there is none.
    pub query: String,
    /// Its body.
    pub body: Bytes,
}

/// An answer to a laptop.
#[derive(Debug)]
pub struct Answer {
    /// What it is.
    pub content_type: &'static str,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Tls {
    /// From the files in `pki`.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn read(places: &Places) -> Result<Tls, String> {
        let config = server_config(places)?;
        let revoked = broadcast::channel(REVOKED_BEHIND_MAX).0;
        Ok(Tls { places: places.clone(), config: Arc::new(RwLock::new(Arc::new(config))), revoked })
    }

    /// Read the files anew; connections from now on see them.
    ///
    /// # Errors
    /// They cannot be used; what was in use stays.
    pub fn reload(&self) -> Result<(), String> {
        let config = Arc::new(server_config(&self.places)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Close the connections of a certificate that was revoked. Whoever comes anew with it is refused by the registry.
    pub fn revoke(&self, serial: &[u8]) {
        // Nobody connected is fine.
        let _ = self.revoked.send(serial.to_vec());
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn server_config(places: &Places) -> Result<ServerConfig, String> {
    let read = |name: &str| {
        let path = places.pki.join(name);
        let certificates = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        certificates.map_err(|error| format!("{}: {error}", path.display()))
    };
    let path = places.pki.join("hub.key");
    let key = PrivateKeyDer::from_pem_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let verifier = ExpiredToo::new(&read("ca.pem")?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(read("hub.pem")?, key)
        .map_err(|error| error.to_string())?;
    // Each request stands alone, so resuming would save nothing and remember the CAs of before.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What every connection needs.
struct Shared {
    issuing: Arc<Issuing>,
    updates: Arc<Serving>,
    desk: Option<Arc<dyn Desk>>,
    clock: Clock,
    rate: Mutex<Rate>,
    laptops_rate: Mutex<Rate>,
    laptops: Arc<Semaphore>,
}

/// Serve until `ending`; what is under way then is cut, and asked again.
pub async fn serve(
    listener: TcpListener,
    tls: Tls,
    issuing: Arc<Issuing>,
    updates: Arc<Serving>,
    desk: Option<Arc<dyn Desk>>,
    clock: Clock,
    mut ending: watch::Receiver<bool>,
) {
    let shared = Arc::new(Shared {
        issuing,
        updates,
        desk,
        clock,
        rate: Mutex::new(Rate::new(NODES_REQUESTS_MAX)),
        laptops_rate: Mutex::new(Rate::new(LAPTOPS_REQUESTS_MAX)),
        laptops: Arc::new(Semaphore::new(LAPTOPS_MAX)),
    });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = ending.wait_for(|end| *end) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match (accepted, places.clone().try_acquire_owned()) {
            (Ok((stream, peer)), Ok(place)) => {
                // Before the handshake: a revocation in between is not missed.
                let (acceptor, shared, revoked) = (tls.acceptor(), shared.clone(), tls.revoked.subscribe());
                connections.spawn(within_deadline((stream, peer), acceptor, shared, revoked, place));
            }
            (Ok(_), Err(_)) => {
                tracing::warn!(CONNECTIONS_MAX, "enrolment connection closed at once: too many are open")
            }
            (Err(error), _) => {
                tracing::error!(%error, "cannot accept enrolment connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.shutdown().await;
}

/// A peer that does not finish by then is no news: it comes again, or is a scanner.
async fn within_deadline(
    from: (TcpStream, SocketAddr),
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    revoked: broadcast::Receiver<Vec<u8>>,
    place: OwnedSemaphorePermit,
) {
    let clock = shared.clock.clone();
    let deadline = Arc::new(Deadline::new(clock.now() + CONNECTION_TIME_MAX));
    let mut conversation = std::pin::pin!(converse(from, acceptor, shared, deadline.clone(), revoked, place));
    loop {
        let left = deadline.left(clock.now());
        if left.is_zero() {
            return;
        }
        tokio::select! {
            () = &mut conversation => return,
            // It may have been moved meanwhile.
            () = sleep(left) => {}
        }
    }
}

async fn converse(
    (stream, peer): (TcpStream, SocketAddr),
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    deadline: Arc<Deadline>,
    revoked: broadcast::Receiver<Vec<u8>>,
    _place: OwnedSemaphorePermit,
) {
    let stream = match timeout(HEAD_TIME_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::info!(%peer, %error, "enrolment handshake failed"),
        Err(_) => return,
    };
    let serial = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(serial);
    let stays = match &serial {
        Some(serial) => place_to_stay(&shared, serial, peer).await,
        None => None,
    };
    if stays.is_some() {
        deadline.move_to(shared.clock.now() + LAPTOP_TIME_MAX);
    }
    let own = serial.clone();
    let serial = Arc::new(serial);
    let service = service_fn(move |request| {
        let (shared, serial, deadline) = (shared.clone(), serial.clone(), deadline.clone());
        async move { Ok::<_, Infallible>(answer(request, peer, &shared, serial, deadline).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, "an enrolment connection ended badly");
        },
        () = until_revoked(own.as_deref(), revoked) => {
            tracing::info!(%peer, "a connection was closed: its certificate was revoked");
        }
    }
    drop(stays);
}

/// A laptop's connection may stay for long, if there is a place.
async fn place_to_stay(shared: &Arc<Shared>, serial: &[u8], peer: SocketAddr) -> Option<OwnedSemaphorePermit> {
    let (issuing, clock, serial) = (shared.issuing.clone(), shared.clock.clone(), serial.to_vec());
    let look = move || issuing.visitor(&serial, &peer.ip().to_string(), clock.wall_ms()).is_ok();
    let is_laptop = tokio::task::spawn_blocking(look).await.unwrap_or(false);
    if is_laptop { shared.laptops.clone().try_acquire_owned().ok() } else { None }
}

async fn until_revoked(own: Option<&[u8]>, mut revoked: broadcast::Receiver<Vec<u8>>) {
    let Some(own) = own else { return std::future::pending().await };
    loop {
        match revoked.recv().await {
            Ok(serial) if serial == own => return,
            Ok(_) => {}
            // So many at once: who is still good comes again.
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

fn serial(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    X509Certificate::from_der(certificate).ok().map(|(_, parsed)| parsed.raw_serial().to_vec())
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    serial: Arc<Option<Vec<u8>>>,
    deadline: Arc<Deadline>,
) -> Response<Body> {
    let now = shared.clock.now();
    let path = request.uri().path().to_owned();
    // A certificate of ours was shown: its holder is somebody who is known.
    let is_laptops = path.starts_with(technician::PREFIX) && path != LOGIN_PATH && serial.is_some();
    let rate = if is_laptops { &shared.laptops_rate } else { &shared.rate };
    if !rate.lock().unwrap_or_else(PoisonError::into_inner).allows(now, peer.ip()) {
        return refuse(&refusal(RefusalReason::Busy, "too many requests from this address: come again in a minute"));
    }
    let method = request.method().clone();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let range = request.headers().get(RANGE).and_then(|range| range.to_str().ok()).map(str::to_owned);
    let bytes_max = if is_laptops { ACCEPTANCE_BYTES_MAX } else { REQUEST_BYTES_MAX };
    let body = match timeout(HEAD_TIME_MAX, Limited::new(request.into_body(), bytes_max).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return refuse(&refusal(RefusalReason::BadRequest, "the request is cut short or too large")),
        Err(_) => return refuse(&refusal(RefusalReason::BadRequest, "the request took too long")),
    };
    if is_laptops {
        return answer_laptop(Asked { method, path, query, body }, peer, shared, serial).await;
    }
    let (updates, shared) = (shared.updates.clone(), shared.clone());
    // Signing and fsync: not on the thread that moves bytes.
    let answered = tokio::task::spawn_blocking(move || {
        let now_ms = shared.clock.wall_ms();
        let peer_text = peer.ip().to_string();
        let result = decide(&shared, (&method, &path), (&body, &peer_text), serial.as_deref(), now_ms);
        if let Err(Some(not)) = &result {
            shared.issuing.note(not, &peer_text, now_ms);
        }
        result
    });
    match answered.await {
        Ok(Ok(Given::Bytes(bytes))) => respond(StatusCode::OK, bytes),
        Ok(Ok(Given::Content(node, bytes))) => match updates.download(node, bytes, range.as_deref(), deadline).await {
            Ok(response) => response,
            Err(NotServed::Refused(refusal)) => refuse(&refusal),
            Err(NotServed::Nothing) => respond(StatusCode::NOT_FOUND, Vec::new()),
        },
        Ok(Err(Some(not))) => refuse(&not.refusal),
        Ok(Err(None)) => respond(StatusCode::NOT_FOUND, Vec::new()),
        Err(error) => {
            tracing::error!(%error, "an enrolment request failed");
            refuse(&refusal(RefusalReason::Unavailable, "the hub cannot answer now"))
        }
    }
}

async fn answer_laptop(
    asked: Asked,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    serial: Arc<Option<Vec<u8>>>,
) -> Response<Body> {
    let (issuing, now_ms) = (shared.issuing.clone(), shared.clock.wall_ms());
    let judge = move || issuing.visitor(serial.as_deref().unwrap_or_default(), &peer.ip().to_string(), now_ms);
    let result = match (tokio::task::spawn_blocking(judge).await, &shared.desk) {
        (Ok(Ok(visitor)), Some(desk)) => desk.answer(visitor, asked).await,
        (Ok(Err(not)), _) => Err(not),
        (Ok(Ok(_)), None) => return respond(StatusCode::NOT_FOUND, Vec::new()),
        (Err(error), _) => {
            tracing::error!(%error, "a laptop could not be judged");
            return refuse(&refusal(RefusalReason::Unavailable, "the hub cannot answer now"));
        }
    };
    match result {
        Ok(Answer { content_type, bytes }) => {
            let mut response = Response::new(Either::Left(Full::new(bytes)));
            response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
            response
        }
        Err(not) => {
            // What a technician mistyped is not a sign of anything.
            if !matches!(not.refusal.reason, RefusalReason::NotFound | RefusalReason::NodeOffline) {
                let (issuing, peer) = (shared.issuing.clone(), peer.ip().to_string());
                let noted = not.refusal.clone();
                let note = move || issuing.note(&not, &peer, now_ms);
                // Kept or not, the laptop is told.
                let _ = tokio::task::spawn_blocking(note).await;
                return refuse(&noted);
            }
            refuse(&not.refusal)
        }
    }
}

fn refusal(reason: RefusalReason, text: &str) -> Refusal {
    Refusal { reason, text: Text::clipped(text) }
}

/// What is answered.
enum Given {
    Bytes(Vec<u8>),
    /// What this node downloads.
    Content(NodeId, Arc<Vec<u8>>),
}

/// The answer. `Err(None)`: there is nothing at this path.
fn decide(
    shared: &Shared,
    (method, path): (&Method, &str),
    (body, peer): (&[u8], &str),
    serial: Option<&[u8]>,
    now_ms: i64,
) -> Result<Given, Option<NotIssued>> {
    let issuing = &shared.issuing;
    let unreadable = |error: WireError| {
        let text = format!("the request cannot be read ({error}): update the agent");
        Some(NotIssued { refusal: refusal(RefusalReason::BadRequest, &text), node: String::new() })
    };
    let shown = || {
        let text = "no certificate was shown: a node without one needs a token";
        let none = NotIssued { refusal: refusal(RefusalReason::NoCertificate, text), node: String::new() };
        serial.ok_or(Some(none))
    };
    match (method, path) {
        (&Method::POST, ENROL_PATH) => {
            let asked = EnrolRequest::from_slice(body).map_err(unreadable)?;
            let identity = issuing.enrol(&asked, now_ms).map_err(Some)?;
            tracing::info!(node = %asked.node, "a node was enrolled");
            Ok(Given::Bytes(identity.to_vec()))
        }
        (&Method::POST, LOGIN_PATH) => {
            let asked = LoginRequest::from_slice(body).map_err(unreadable)?;
            let identity = issuing.login(&asked, peer, now_ms).map_err(Some)?;
            tracing::info!(laptop = %asked.laptop, "a technician's laptop was let in");
            Ok(Given::Bytes(identity.to_vec()))
        }
        (_, path) if path.starts_with(technician::PREFIX) => Err(Some(NotIssued {
            refusal: refusal(RefusalReason::NoCertificate, "no certificate was shown: `simpul login` gets one"),
            node: String::new(),
        })),
        (&Method::POST, RENEW_PATH) => {
            let serial = shown()?;
            let asked = RenewRequest::from_slice(body).map_err(unreadable)?;
            let identity = issuing.renew(serial, &asked.request, now_ms).map_err(Some)?;
            tracing::info!(serial = hex::encode_upper(serial), "a certificate was renewed");
            Ok(Given::Bytes(identity.to_vec()))
        }
        (&Method::GET, TRUST_PATH) => Ok(Given::Bytes(issuing.trust(shown()?).map_err(Some)?.to_vec())),
        (&Method::GET, OFFERS_PATH) => {
            let node = issuing.node_of(shown()?).map_err(Some)?;
            Ok(Given::Bytes(shared.updates.offers(&node).map_err(|not| not_served(not, &node))?))
        }
        (&Method::GET, path) if path.starts_with(CONTENT_PATH) => {
            let node = issuing.node_of(shown()?).map_err(Some)?;
            let bytes = shared.updates.content(&node, path).map_err(|not| not_served(not, &node))?;
            Ok(Given::Content(node, bytes))
        }
        _ => Err(None),
    }
}

fn not_served(not: NotServed, node: &NodeId) -> Option<NotIssued> {
    match not {
        NotServed::Nothing => None,
        NotServed::Refused(refusal) => Some(NotIssued { refusal, node: node.to_string() }),
    }
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    let status = match refusal.reason {
        RefusalReason::BadRequest => StatusCode::BAD_REQUEST,
        RefusalReason::Busy => StatusCode::TOO_MANY_REQUESTS,
        RefusalReason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        RefusalReason::NoCertificate => StatusCode::UNAUTHORIZED,
        RefusalReason::NotFound => StatusCode::NOT_FOUND,
        RefusalReason::NodeOffline | RefusalReason::DoesNotFit => StatusCode::CONFLICT,
        _ => StatusCode::FORBIDDEN,
    };
    respond(status, refusal.to_vec())
}

fn respond(status: StatusCode, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Either::Left(bytes.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/cbor"));
    response
}
