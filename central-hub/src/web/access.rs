//! Who may do what: names whoever asks, or refuses. The page itself is public; everything with data in it is not.
//!
//! - No tokens file, loopback only: everybody on this machine is `local` (the demo, the first day).
//! - With tokens: a bearer header, or the cookie that the page got for a token.
//! - On loopback the `Host` must be loopback too, or another site's name that resolves here could read the API.
//! - A change must come from our own page: another `Origin` is refused.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::ApiError;
use super::{Web, tokens::Tokens};

/// The page's cookie.
pub const COOKIE: &str = "simpul_session";

/// How long a browser keeps it: a wall should not ask for its token every week, and a revoked token ends it at once.
pub const COOKIE_AGE_S: u32 = 90 * 24 * 3_600;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's name, or `local`, or `console` (the socket in the data directory).
    pub name: Arc<str>,
    /// How that is known.
    pub by: By,
}

/// How a caller is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// By the socket in the data directory.
    Console,
    /// By being on this machine, on a hub without tokens.
    Loopback,
    /// By a token.
    Token,
}

impl Caller {
    /// Whether it is somebody on the hub's own machine: allowed to name its folders.
    pub fn on_machine(&self) -> bool {
        self.by != By::Token
    }

    /// Whether it would still be let in: for answers that last.
    pub fn is_admitted(&self, tokens: &Tokens) -> bool {
        match self.by {
            By::Console => true,
            By::Loopback => !tokens.required(),
            By::Token => tokens.knows(&self.name),
        }
    }
}

/// Which way a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// TCP on a loopback address.
    Loopback,
    /// HTTPS from anywhere.
    Network,
    /// The socket in the data directory, which only the hub's user can open.
    Console,
}

/// Name the caller or refuse; inner handlers find a [`Caller`] among the request's extensions where one is needed.
pub async fn guard(
    State((web, door)): State<(Arc<Web>, Door)>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    if door == Door::Loopback {
        check_host(headers)?;
    }
    if door != Door::Console && !matches!(*request.method(), Method::GET | Method::HEAD) {
        check_origin(headers)?;
    }
    match caller(&web.tokens, door, headers) {
        Some(caller) => {
            request.extensions_mut().insert(caller);
        }
        None if is_public(request.method(), request.uri().path()) => {}
        None => {
            web.counters.unauthorized();
            return Err(ApiError::unauthorized());
        }
    }
    Ok(next.run(request).await)
}

/// The page, its sign-in and the probes of a service manager; nothing of the district is in them.
fn is_public(method: &Method, path: &str) -> bool {
    match path {
        "/healthz" | "/readyz" => true,
        "/metrics" => false,
        "/api/v1/session" => *method == Method::POST || *method == Method::DELETE,
        path => !path.starts_with("/api/"),
    }
}

fn caller(tokens: &Tokens, door: Door, headers: &HeaderMap) -> Option<Caller> {
    if door == Door::Console {
        return Some(Caller { name: "console".into(), by: By::Console });
    }
    if !tokens.required() {
        return (door == Door::Loopback).then(|| Caller { name: "local".into(), by: By::Loopback });
    }
    let token = match headers.get(header::AUTHORIZATION) {
        Some(header) => header.to_str().ok()?.strip_prefix("Bearer ")?.trim(),
        None => cookie(headers)?,
    };
    tokens.name_of(token).map(|name| Caller { name: name.into(), by: By::Token })
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
    cookies.flat_map(|cookie| cookie.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn check_host(headers: &HeaderMap) -> Result<(), ApiError> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    if matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::MISDIRECTED_REQUEST,
        "wrong_host",
        format!("Host = {host:?}: localhost, 127.0.0.1 or [::1] is allowed on a hub that listens on loopback"),
    ))
}

fn check_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let origin = origin.to_str().unwrap_or("");
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    if !own.is_empty() && authority == own {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "wrong_origin",
        format!("Origin = {origin:?}: only this hub's own page may change anything"),
    ))
}
