//! The listeners: TCP (with TLS or on loopback) and the console socket. Caps connections, bounds heads and stalls, and
//! ends in order: stop accepting, finish what was asked, cut what does not finish.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::counters::Counters;
use super::stall::Stalling;

/// Connections at once: a browser takes six, live events one of them. 512 are every desk of a district's office.
const CONNECTIONS_MAX: usize = 512;

/// How long a TLS handshake or a request's head may take.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// Largest head of a request: our own are under 1 KiB; cookies of other pages on the same host come along.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long requests under way get at the end. With the store's and MQTT's own this stays within systemd's and the
/// hub's promise of 10 s.
const GRACE: Duration = Duration::from_secs(3);

/// After an accept that failed (no file handles left): time for one to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why HTTPS cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("{key} {path}: {reason}")]
pub struct HttpsError {
    /// The configuration's key.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why, and what to do.
    pub reason: String,
}

/// Load certificate chain and key for HTTPS.
pub fn https(certificate: &PathBuf, key: &PathBuf) -> Result<TlsAcceptor, HttpsError> {
    let bad = |key, path: &PathBuf, reason: String| HttpsError { key, path: path.clone(), reason };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).map_err(|error| {
        bad("web.certificate_file", certificate, format!("{error}; a PEM certificate chain is expected"))
    })?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| bad("web.key_file", key, format!("{error}; a PEM private key is expected")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| {
            bad("web.certificate_file", certificate, format!("{error}; do certificate and key belong together?"))
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serve on TCP until `stop`, then end within a few seconds.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) {
    let accept = || async {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    match tls {
        None => run(accept, |stream| async { Ok(stream) }, router, &counters, stop).await,
        Some(tls) => run(accept, move |stream| tls.accept(stream), router, &counters, stop).await,
    }
}

/// Serve on the console socket until `stop`.
pub async fn serve_console(
    listener: UnixListener,
    router: Router,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) {
    let accept = || async { Ok(listener.accept().await?.0) };
    run(accept, |stream| async { Ok(stream) }, router, &counters, stop).await;
}

async fn run<A, S, U, T>(
    accept: impl Fn() -> A,
    upgrade: impl Fn(S) -> U + Clone + Send + 'static,
    router: Router,
    counters: &Counters,
    mut stop: watch::Receiver<bool>,
) where
    A: Future<Output = io::Result<S>>,
    S: Send + 'static,
    U: Future<Output = io::Result<T>> + Send,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept() => accepted,
        };
        match (accepted, places.clone().try_acquire_owned()) {
            (Ok(stream), Ok(place)) => {
                counters.connection();
                let (upgrade, router, watcher) = (upgrade.clone(), router.clone(), graceful.watcher());
                connections.spawn(async move {
                    // A peer that does not finish its handshake is no news: ports are scanned.
                    if let Ok(Ok(stream)) = timeout(HEAD_TIME_MAX, upgrade(stream)).await {
                        converse(stream, router, watcher, place).await;
                    }
                });
            }
            (Ok(_), Err(_)) => {
                counters.connection_refused();
                tracing::warn!(CONNECTIONS_MAX, "web connection closed at once: too many are open");
            }
            (Err(error), _) => {
                tracing::error!(%error, "cannot accept web connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!(?GRACE, "web requests did not finish in time: they are cut");
    }
    connections.shutdown().await;
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    watcher: Watcher,
    _place: OwnedSemaphorePermit,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Stalling::new(stream)), TowerToHyperService::new(router));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a web connection ended badly");
    }
}
