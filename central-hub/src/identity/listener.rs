//! The HTTPS that nodes talk to before they may talk MQTT. Bounds everything that a stranger can cause; leaves to
//! [`super::issue`] who gets what.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::{BodyExt, Either, Limited};
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
    ENROL_PATH, EnrolRequest, RENEW_PATH, REQUEST_BYTES_MAX, Refusal, RefusalReason, RenewRequest, TRUST_PATH,
};
use simpul_wire::label::Text;
use simpul_wire::update::{CONTENT_PATH, OFFERS_PATH};
use simpul_wire::{NodeId, WireError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Places;
use super::issue::{Issuing, NotIssued};
use super::rate::Rate;
use super::verifier::ExpiredToo;
use crate::updates::listener::{Body, Deadline, NotServed, Serving};

/// Connections at once. A district powers up together after a blackout; who finds no place comes again.
const CONNECTIONS_MAX: usize = 256;

/// For a handshake and a request's head. A slow link needs about 2 s.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

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
}

impl Tls {
    /// From the files in `pki`.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn read(places: &Places) -> Result<Tls, String> {
        let config = server_config(places)?;
        Ok(Tls { places: places.clone(), config: Arc::new(RwLock::new(Arc::new(config))) })
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
    clock: Clock,
    rate: Mutex<Rate>,
}

/// Serve until `ending`; what is under way then is cut, and asked again.
pub async fn serve(
    listener: TcpListener,
    tls: Tls,
    issuing: Arc<Issuing>,
    updates: Arc<Serving>,
    clock: Clock,
    mut ending: watch::Receiver<bool>,
) {
    let shared = Arc::new(Shared { issuing, updates, clock, rate: Mutex::default() });
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
                let (acceptor, shared) = (tls.acceptor(), shared.clone());
                connections.spawn(async move {
                    // A peer that does not finish is no news: it comes again, or is a scanner.
                    within_deadline(stream, peer, acceptor, shared, place).await;
                });
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

async fn within_deadline(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    place: OwnedSemaphorePermit,
) {
    let clock = shared.clock.clone();
    let deadline = Arc::new(Deadline::new(clock.now() + CONNECTION_TIME_MAX));
    let mut conversation = std::pin::pin!(converse(stream, peer, acceptor, shared, deadline.clone(), place));
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
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    deadline: Arc<Deadline>,
    _place: OwnedSemaphorePermit,
) {
    let stream = match timeout(HEAD_TIME_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::info!(%peer, %error, "enrolment handshake failed"),
        Err(_) => return,
    };
    let serial = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(serial);
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
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an enrolment connection ended badly");
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
    if !shared.rate.lock().unwrap_or_else(PoisonError::into_inner).allows(now, peer.ip()) {
        return refuse(&refusal(RefusalReason::Busy, "too many requests from this address: come again in a minute"));
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let range = request.headers().get(RANGE).and_then(|range| range.to_str().ok()).map(str::to_owned);
    let body = match timeout(HEAD_TIME_MAX, Limited::new(request.into_body(), REQUEST_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return refuse(&refusal(RefusalReason::BadRequest, "the request is cut short or too large")),
        Err(_) => return refuse(&refusal(RefusalReason::BadRequest, "the request took too long")),
    };
    let (updates, shared) = (shared.updates.clone(), shared.clone());
    // Signing and fsync: not on the thread that moves bytes.
    let answered = tokio::task::spawn_blocking(move || {
        let now_ms = shared.clock.wall_ms();
        let result = decide(&shared, (&method, &path), &body, serial.as_deref(), now_ms);
        if let Err(Some(not)) = &result {
            shared.issuing.note(not, &peer.ip().to_string(), now_ms);
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
    body: &[u8],
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
