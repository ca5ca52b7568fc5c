//! axum: API, live events, page; the only place that knows HTTP.
//!
//! `server` moves bytes, `access` names the caller, the other files are one group of routes each. Reads go through
//! [`View`]; the store itself is only asked to log a look, to hand out an image and to make a backup.

mod access;
mod api;
mod backup;
mod body;
mod carry;
pub mod client;
mod commands;
mod counters;
mod demo;
mod error;
mod examination;
mod export;
mod health;
mod images;
mod live;
mod metrics;
mod openapi;
mod page;
mod query;
mod rollouts;
mod server;
mod session;
mod stall;
pub mod tokens;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

pub use access::Door;
pub use backup::BackupOrder;
pub use commands::Commands;
pub use live::pump;
pub use openapi::openapi;
pub use server::{HttpsError, https, serve, serve_console};

use crate::carry::Importer;
use crate::store::Store;
use crate::updates::ledger::Ledger;
use crate::view::View;
use counters::Counters;
use demo::Fibre;
use error::ApiError;
use live::Feed;
use tokens::Tokens;

/// Longest time for an answer's beginning: the slowest read (90 days of one metric, cold) takes a twentieth of a second.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// What the web part works with.
pub struct Web {
    view: Arc<View>,
    store: Arc<dyn Store>,
    commands: Arc<dyn Commands>,
    tokens: Tokens,
    https: bool,
    fibre: Option<Fibre>,
    updates: Option<Arc<Ledger>>,
    feed: Feed,
    counters: Arc<Counters>,
    /// Held while a backup is being made: one at a time.
    backup: Mutex<()>,
    /// What takes carry files, once there is an intake.
    carry: OnceLock<Importer>,
    /// Held while a carry file is being taken: one at a time.
    carrying: Mutex<()>,
    stop: watch::Receiver<bool>,
}

impl Web {
    /// The web part: `https` for the cookie, `fibre_control` in the demo only, `updates` on a hub that rolls updates out;
    /// `stop` ends live streams.
    pub fn new(
        view: Arc<View>,
        store: Arc<dyn Store>,
        commands: Arc<dyn Commands>,
        tokens: Tokens,
        https: bool,
        (fibre_control, updates): (Option<std::net::SocketAddr>, Option<Arc<Ledger>>),
        stop: watch::Receiver<bool>,
    ) -> Arc<Web> {
        Arc::new(Web {
            view,
            store,
            commands,
            tokens,
            https,
            fibre: fibre_control.map(Fibre::new),
            updates,
            feed: Feed::default(),
            counters: Arc::default(),
            backup: Mutex::new(()),
            carry: OnceLock::new(),
            carrying: Mutex::new(()),
            stop,
        })
    }

    /// From now on carry files are taken, by this.
    pub fn take_carries(&self, importer: Importer) {
        // A second one would be the same.
        let _ = self.carry.set(importer);
    }

    /// Its counters.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }
}

/// Every route with its path: the router is built from this table and a test compares it with the OpenAPI document.
pub fn routes() -> Vec<(&'static str, MethodRouter<Arc<Web>>)> {
    vec![
        ("/api/v1/overview", get(api::overview)),
        ("/api/v1/nodes/{id}", get(api::node)),
        ("/api/v1/nodes/{id}/commands/power-cycle", post(commands::power_cycle)),
        ("/api/v1/nodes/{id}/examination", get(examination::newest).post(examination::order)),
        ("/api/v1/service-records", get(api::service_records)),
        ("/api/v1/service-records.csv", get(export::service_records_csv)),
        ("/api/v1/events", get(api::events)),
        ("/api/v1/readings", get(api::readings)),
        ("/api/v1/readings/latest", get(api::latest_readings)),
        ("/api/v1/snapshots", get(api::snapshots)),
        ("/api/v1/snapshots/{id}/image", get(images::image)),
        ("/api/v1/streams", get(api::streams)),
        ("/api/v1/aside", get(api::aside)),
        ("/api/v1/usage", get(api::usage)),
        ("/api/v1/live", get(live::live)),
        ("/api/v1/rollouts", get(rollouts::rollouts)),
        ("/api/v1/rollouts/{id}", get(rollouts::rollout)),
        ("/api/v1/rollouts/{id}/pause", post(rollouts::pause)),
        ("/api/v1/rollouts/{id}/resume", post(rollouts::resume)),
        ("/api/v1/backup", post(backup::backup)),
        ("/api/v1/carry", post(carry::carry)),
        ("/api/v1/session", get(session::session).post(session::sign_in).delete(session::sign_out)),
        ("/api/v1/demo/board", post(demo::board)),
        ("/api/v1/demo/fibre", post(demo::fibre)),
        ("/api/v1/openapi.json", get(openapi::document)),
        ("/metrics", get(metrics::metrics)),
        ("/healthz", get(health::healthz)),
        ("/readyz", get(health::readyz)),
    ]
}

/// The router for one door.
pub fn router(web: Arc<Web>, door: Door) -> Router {
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods);
    }
    router
        .fallback(page::page)
        .method_not_allowed_fallback(page::method_not_allowed)
        .layer(from_fn(deadline))
        .layer(from_fn_with_state((web.clone(), door), access::guard))
        .layer(from_fn_with_state(web.clone(), finish))
        .with_state(web)
}

/// No answer hangs. A backup and a carry file are the exceptions: they take as long as their bytes take.
async fn deadline(request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/api/v1/backup" | "/api/v1/carry") {
        return next.run(request).await;
    }
    timeout(ANSWER_TIME_MAX, next.run(request)).await.unwrap_or_else(|_| {
        tracing::warn!(?ANSWER_TIME_MAX, "a web request took too long and was given up");
        let message = "the hub is too busy to answer: ask again in a minute";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_slow", message).into_response()
    })
}

/// Everything from here only, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// Headers for every answer, and its count.
async fn finish(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    web.counters.response(response.status().as_u16());
    let mut set = |name: HeaderName, value: &'static str| {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    if api {
        set(header::CACHE_CONTROL, "no-store");
    }
    if web.https {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}
