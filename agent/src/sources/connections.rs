//! Sockets of what listens on the village LAN: how many, from whom, for how long. HTTP/1.1 only. Leaves to others: what
//! is answered.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Request;
use axum::response::Response;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::told;

/// Answers a request of an address. Boxed: one set of code serves everything that listens.
pub(crate) type Answer =
    Arc<dyn Fn(IpAddr, Request<Incoming>) -> BoxFuture<'static, Result<Response, Infallible>> + Send + Sync>;

/// Most open connections: a village LAN's worth, at about 20 kB each. More wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// Most of them from one address, so that one broken device cannot take them all.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 16;
/// A request's head comes within so long, also on a connection kept open: an idle one is closed then.
const HEAD_READ_MAX: Duration = Duration::from_secs(10);
/// Most bytes of a head: tokens and a few headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Open requests get so long when the program stops.
const STOP_MAX: Duration = Duration::from_secs(3);
/// Pause after a failed accept (out of file descriptors): trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Open connections by address; a guard gives its place back.
#[derive(Debug, Clone, Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// Accept until `shutdown`, then let open requests finish.
pub(crate) async fn serve(listener: TcpListener, answer: Answer, mut shutdown: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let places = Places::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = told(&mut shutdown) => break,
            // Finished connections are reaped as they end.
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "village LAN: a connection's task was broken off");
                }
                continue;
            }
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, address, slot)) = accepted else { continue };
        let Some(place) = places.take(address) else {
            tracing::debug!(%address, "too many connections from one address: closed");
            continue;
        };
        let (answer, shutdown) = (answer.clone(), shutdown.clone());
        connections.spawn(async move {
            connection(stream, address, answer, shutdown).await;
            drop((slot, place));
        });
    }
    let all_done = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_MAX, all_done).await.is_err() {
        tracing::info!(open = connections.len(), "village LAN: requests broken off at the stop");
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer.ip().to_canonical(), slot)),
        Err(error) => {
            tracing::warn!(%error, "village LAN: a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, address: IpAddr, answer: Answer, mut shutdown: watch::Receiver<bool>) {
    let service = service_fn(move |request| answer(address, request));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = told(&mut shutdown) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "village LAN: connection ended");
    }
}
