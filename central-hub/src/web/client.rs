//! A small HTTP client for one request over loopback or the console socket: the demo's fibre switch and the command
//! line's `status`, `backup` and `carry import`. No TLS, no redirects, bounded in time and size.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// Largest answer: the overview of 852 nodes is about 4 MB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Whom to ask.
#[derive(Debug, Clone)]
pub enum Peer {
    /// A loopback address.
    Loopback(SocketAddr),
    /// The console socket of a hub.
    Console(PathBuf),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("nobody answers: {0}")]
    Connect(std::io::Error),
    /// The conversation broke.
    #[error("the answer broke off: {0}")]
    Broken(String),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Send one request, with a JSON body if there is one, and read the answer.
///
/// # Errors
/// Nobody listens, the conversation broke off, or it took longer than `time_max`.
pub async fn request(
    peer: &Peer,
    method: Method,
    path: &str,
    json: Option<Vec<u8>>,
    time_max: Duration,
) -> Result<(StatusCode, Bytes), ClientError> {
    let body = Full::from(json.unwrap_or_default()).map_err(|never| match never {}).boxed_unsync();
    send(peer, method, path, "application/json", body, time_max).await
}

/// Send a file in pieces, and read the answer.
///
/// # Errors
/// As [`request`]; also when the file cannot be read.
pub async fn upload(
    peer: &Peer,
    path: &str,
    pieces: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    time_max: Duration,
) -> Result<(StatusCode, Bytes), ClientError> {
    let body = StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync();
    send(peer, Method::POST, path, "application/octet-stream", body, time_max).await
}

type Outward = UnsyncBoxBody<Bytes, std::io::Error>;

async fn send(
    peer: &Peer,
    method: Method,
    path: &str,
    kind: &'static str,
    body: Outward,
    time_max: Duration,
) -> Result<(StatusCode, Bytes), ClientError> {
    let exchange = async {
        match peer {
            Peer::Loopback(address) => {
                let stream = TcpStream::connect(address).await.map_err(ClientError::Connect)?;
                exchange(stream, method, path, &address.to_string(), (kind, body)).await
            }
            Peer::Console(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(ClientError::Connect)?;
                exchange(stream, method, path, "localhost", (kind, body)).await
            }
        }
    };
    timeout(time_max, exchange).await.map_err(|_| ClientError::Timeout(time_max))?
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    method: Method,
    path: &str,
    host: &str,
    (kind, body): (&'static str, Outward),
) -> Result<(StatusCode, Bytes), ClientError> {
    let broken = |error: &dyn std::fmt::Display| ClientError::Broken(error.to_string());
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, kind)
        .body(body)
        .map_err(|error| broken(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    // Ends with the sender; its error is the request's error too.
    let driver = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|error| broken(&error))?.to_bytes()))
    }
    .await;
    driver.abort();
    answer
}
