//! A small HTTP/1.1 server on loopback for synthetic devices, which must be able to misbehave: send a body that is
//! shorter than it announced, and close.
//!
//! Leaves routing to its handler. Not for anything that ships.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request's head is longer than this only by mistake.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Bodies are a line of JSON.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// GET, POST, ...
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header called `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers besides Content-Length.
    pub headers: Vec<(String, String)>,
    /// The body as announced by Content-Length.
    pub body: Vec<u8>,
    /// Send only so many bytes of the body, then close.
    pub cut_at: Option<usize>,
}

impl Response {
    /// A body of `content_type`.
    pub fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Response { status, headers, body, cut_at: None }
    }

    /// JSON.
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Response::new(status, "application/json", value.to_string().into_bytes())
    }

    /// Add a header.
    pub fn header(mut self, name: &str, value: String) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }
}

/// A server that stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Serve on an ephemeral loopback port.
    pub async fn start<H>(handler: H) -> anyhow::Result<Self>
    where
        H: Fn(&Request) -> Response + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let handler = Arc::new(handler);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let handler = Arc::clone(&handler);
                connections.spawn(async move {
                    // An error here is the peer's hanging up: nothing to tell anyone.
                    let _ = converse(stream, handler.as_ref()).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Server { address, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(mut stream: TcpStream, handler: &(dyn Fn(&Request) -> Response + Send + Sync)) -> anyhow::Result<()> {
    let mut pending = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut pending).await? {
        let response = handler(&request);
        let mut bytes = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status)).into_bytes();
        for (name, value) in &response.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", response.body.len()).as_bytes());
        let sent = response.cut_at.unwrap_or(response.body.len()).min(response.body.len());
        bytes.extend_from_slice(&response.body[..sent]);
        stream.write_all(&bytes).await?;
        if response.cut_at.is_some() {
            stream.shutdown().await?;
            return Ok(());
        }
    }
    Ok(())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        401 => "Unauthorized",
        404 => "Not Found",
        _ => "Status",
    }
}

async fn read_request(stream: &mut TcpStream, pending: &mut Vec<u8>) -> anyhow::Result<Option<Request>> {
    let head_end = loop {
        if let Some(at) = pending.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        anyhow::ensure!(pending.len() <= HEAD_BYTES_MAX, "the request's head is over {HEAD_BYTES_MAX} bytes");
        if stream.read_buf(pending).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8(pending[..head_end].to_vec())?;
    pending.drain(..head_end + 4);
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, path, headers, body: Vec::new() };
    let length: usize = request.header("content-length").unwrap_or("0").parse()?;
    anyhow::ensure!(length <= BODY_BYTES_MAX, "the request's body is over {BODY_BYTES_MAX} bytes");
    while pending.len() < length {
        if stream.read_buf(pending).await? == 0 {
            return Ok(None);
        }
    }
    request.body = pending.drain(..length).collect();
    Ok(Some(request))
}
