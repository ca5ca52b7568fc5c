//! A small HTTP client for one request over loopback or the console socket: the demo's fibre switch and the command
//! line's `status` and `backup`. No TLS, no redirects, bounded in time and size.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
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
    let exchange = async {
        match peer {
            Peer::Loopback(address) => {
                let stream = TcpStream::connect(address).await.map_err(ClientError::Connect)?;
                exchange(stream, method, path, &address.to_string(), json).await
            }
            Peer::Console(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(ClientError::Connect)?;
                exchange(stream, method, path, "localhost", json).await
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
    json: Option<Vec<u8>>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let broken = |error: &dyn std::fmt::Display| ClientError::Broken(error.to_string());
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::<Bytes>::from(json.unwrap_or_default()))
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
