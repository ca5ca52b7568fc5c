//! The HTTP API on the village LAN: queue software, kiosk pages and tax boxes hand in what they count.
//!
//! 200 only after the record's fsync ([`Sink::append`] returned); readings, which are sampled and not accepted, get
//! 202. Every request is limited in rate, size and time, and carries the bearer token (health excepted). Refusals are
//! JSON that says what to do (`reply`).
//!
//! `super::connections` is the only place that knows sockets, `body` what a request may say, `counter` which counter
//! a total belongs to.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{FutureExt, StreamExt};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use simpul_clock::Clock;
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord};
use simpul_wire::{Label, Stream};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, watch};

use self::counter::Counter;
use self::rate::Rates;
use self::reply::Refusal;
use super::connections::{self, Answer};
use super::readings::Accumulator;
use super::totals::{self, Step, Totals, TotalsFile};
use super::{Sink, told};
use crate::config::{LocalApiConfig, Secret, read_secret};
use crate::spool::{AppendError, NewRecord};
use crate::stamper::Stamper;

mod body;
mod counter;
mod rate;
pub(crate) mod reply;

/// A body is read within so long, or the connection is given up: 16 KiB over a poor Wi-Fi takes a second.
const BODY_READ_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// Why the API could not start.
#[derive(Debug, thiserror::Error)]
pub enum LocalApiError {
    /// The token's file was refused.
    #[error("local API: {0}")]
    Token(#[from] crate::config::SecretError),
    /// The last totals cannot be kept.
    #[error("local API: totals in {directory}: {source}; make the directory writable")]
    Totals {
        /// Where they are kept.
        directory: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

struct Api<S> {
    sink: S,
    stamper: Stamper,
    clock: Clock,
    token: Secret,
    body_bytes_max: usize,
    rates: Mutex<Rates>,
    readings: Mutex<Accumulator>,
    readings_lost: std::sync::atomic::AtomicU64,
    /// One at a time: a total's three steps (intend, append, settle) must not mix with another's.
    totals: AsyncMutex<Totals<Counter>>,
    totals_file: TotalsFile,
}

/// Serve until `shutdown` becomes true; then open requests get a few seconds and the open minute of readings is
/// appended.
///
/// # Errors
/// When the token or the totals cannot be read; never for what a client does.
pub async fn serve<S: Sink>(
    listener: TcpListener,
    config: &LocalApiConfig,
    sink: S,
    stamper: Stamper,
    clock: Clock,
    shutdown: watch::Receiver<bool>,
) -> Result<(), LocalApiError> {
    let token = read_secret(&config.token_file)?;
    let (totals_file, totals) = TotalsFile::open(&config.state_directory, "totals.json")
        .map_err(|source| LocalApiError::Totals { directory: config.state_directory.clone(), source })?;
    let api = Arc::new(Api {
        sink,
        stamper,
        clock,
        token,
        body_bytes_max: config.body_bytes_max,
        rates: Mutex::new(Rates::new(config.requests_per_second_max)),
        readings: Mutex::default(),
        readings_lost: std::sync::atomic::AtomicU64::new(0),
        totals: AsyncMutex::new(totals),
        totals_file,
    });
    api.settle_everything().await;
    let (router, admitting) = (TowerToHyperService::new(router(&api)), api.clone());
    let answer: Answer = Arc::new(move |address, request| {
        let routed = admitting.admit(address).map(|()| router.call(request));
        async move {
            match routed {
                Ok(routed) => routed.await,
                Err(refusal) => Ok(refusal.into_response()),
            }
        }
        .boxed()
    });
    let serving = connections::serve(listener, answer, shutdown.clone());
    let closing = api.clone().close_minutes(shutdown);
    tokio::join!(serving, closing);
    Ok(())
}

fn router<S: Sink>(api: &Arc<Api<S>>) -> Router {
    Router::new()
        .route("/v1/health", get(async || Json(json!({ "status": "ok" }))))
        .route("/v1/status", get(status::<S>))
        .route("/v1/counters/{service}/increment", post(increment::<S>))
        .route("/v1/counters/{service}/total", post(total::<S>))
        .route("/v1/visits", post(visit::<S>))
        .route("/v1/readings", post(readings::<S>))
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "not_found", "no such path; the API begins at /v1/"))
        .method_not_allowed_fallback(async |method: Method| {
            let message =
                format!("{method} is not allowed here; records are sent with POST, health and status with GET");
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        })
        .with_state(api.clone())
}

impl<S: Sink> Api<S> {
    /// One request's worth of a client's rate.
    fn admit(&self, address: IpAddr) -> Result<(), Refusal> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = rates.per_second();
        rates.take(self.clock.now(), address).map_err(|wait_s| Refusal::too_many_requests(per_second, wait_s))
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given =
            given.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let fits = given.is_some_and(|(_, token)| token.trim().as_bytes().ct_eq(self.token.expose().as_bytes()).into());
        if fits {
            return Ok(());
        }
        let message = "send the header Authorization: Bearer <token>; the token is in the file that local_api.token_file \
                       names";
        Err(Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", message))
    }

    async fn accept(&self, key: Option<Label>, simulated: bool, body: ServiceBody) -> Result<Response, Refusal> {
        let key = match key {
            Some(key) => key,
            None => own_key()?,
        };
        let stamp = self.stamper.now();
        let record = ServiceRecord { stamp, key: key.clone(), origin: Origin::Api, simulated, body };
        let appended = self.sink.append(NewRecord::Service(record)).await?;
        let answer = json!({ "key": key.as_str(), "seq": appended.range.first(), "duplicate": appended.duplicate });
        Ok(Json(answer).into_response())
    }

    /// Append what the last run intended and may not have appended. What is refused stays intended.
    async fn settle_everything(&self) {
        let mut totals = self.totals.lock().await;
        for counter in totals.owing() {
            if let Err(refusal) = self.settle(&mut totals, &counter).await {
                tracing::warn!(
                    source = counter.source,
                    service = counter.service,
                    reason = refusal.message,
                    "a total of the last run could not be recorded yet"
                );
            }
        }
    }

    /// Append what `counter` owes, if anything, and note it as done.
    async fn settle(&self, totals: &mut Totals<Counter>, counter: &Counter) -> Result<Option<totals::Answer>, Refusal> {
        let Some(record) = totals.intended(counter).and_then(|intended| counter.record(intended)) else {
            totals.forget(counter);
            return Ok(None);
        };
        match self.sink.append(NewRecord::Service(record)).await {
            Ok(appended) => {
                let answer = totals.settle(counter, appended.range.first());
                if let Err(error) = self.save(totals).await {
                    // The file still holds the intention: a restart appends the same record, the spool knows it.
                    tracing::warn!(%error, "a recorded total could not be noted as done");
                }
                Ok(answer)
            }
            Err(error @ (AppendError::KeyReused | AppendError::TooLarge(_))) => {
                totals.forget(counter);
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn save(&self, totals: &Totals<Counter>) -> std::io::Result<()> {
        let (file, totals) = (self.totals_file.clone(), totals.clone());
        tokio::task::spawn_blocking(move || file.save(&totals)).await.map_err(std::io::Error::other)?
    }

    /// Take samples into the open minute; blocks that this closes are appended here, so that a flood of readings is
    /// slowed down by the disk and not by memory.
    async fn take_readings(&self, samples: Vec<super::readings::Sample>) {
        let stamp = self.stamper.now();
        let closed = self.readings.lock().unwrap_or_else(PoisonError::into_inner).add(stamp, samples);
        for block in closed {
            self.append_readings(block).await;
        }
    }

    async fn append_readings(&self, block: simpul_wire::reading::ReadingBlock) {
        let count = block.count() as u64;
        if let Err(error) = self.sink.append(NewRecord::Readings(block)).await {
            let lost = self.readings_lost.fetch_add(count, std::sync::atomic::Ordering::Relaxed) + count;
            tracing::error!(%error, count, lost, "a minute of readings was lost");
        }
    }

    /// Close each minute when it is over, and the last one at the stop.
    async fn close_minutes(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut tick = super::ticks(&self.stamper, std::time::Duration::from_secs(1));
        loop {
            let stop = tokio::select! {
                _ = tick.tick() => false,
                () = told(&mut shutdown) => true,
            };
            let now_ms = self.stamper.now().uptime_ms;
            let block = {
                let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
                if stop { readings.close() } else { readings.due(now_ms) }
            };
            if let Some(block) = block {
                self.append_readings(block).await;
            }
            if stop {
                return;
            }
        }
    }
}

/// A request that carried the token, with its body read within the limits.
struct Sent {
    headers: HeaderMap,
    body: Bytes,
}

impl<S: Sink> FromRequest<Arc<Api<S>>> for Sent {
    type Rejection = Refusal;

    async fn from_request(request: Request, api: &Arc<Api<S>>) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        api.authorize(&parts.headers)?;
        let body = read_body(&parts.headers, body, api.body_bytes_max).await?;
        Ok(Sent { headers: parts.headers, body })
    }
}

/// A body of at most `limit` bytes of JSON, or an empty one, within [`BODY_READ_MAX`].
pub(crate) async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        let message = format!("the body is over {limit} bytes; send fewer items at once");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let read = async {
        let mut bytes = Vec::new();
        let mut stream = body.into_data_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| {
                Refusal::new(StatusCode::BAD_REQUEST, "cut_short", "the body was cut short; send the request again")
            })?;
            if bytes.len() + chunk.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(bytes))
    };
    let body = tokio::time::timeout(BODY_READ_MAX, read).await.map_err(|_| {
        Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "the body did not come within 10 s; send the request again",
        )
    })??;
    if !body.is_empty() && !is_json(headers) {
        let message = "send the body as JSON, with the header Content-Type: application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message));
    }
    Ok(body)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// A key for a caller that sent none.
fn own_key() -> Result<Label, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Refusal::storage(format!("no random numbers: {error}")))?;
    format!("agent-{}", hex::encode(bytes)).parse().map_err(|_| Refusal::storage("no key"))
}

async fn increment<S: Sink>(
    State(api): State<Arc<Api<S>>>,
    Path(service): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let request: body::Increment = body::parse(&sent.body)?;
    let key = body::key(&sent.headers, request.key)?;
    let body = ServiceBody::Count {
        service: body::code(&service)?,
        desk: body::label("desk", request.desk)?,
        delta: body::amount(request.amount)?,
        total: None,
    };
    api.accept(key, request.simulated, body).await
}

async fn visit<S: Sink>(State(api): State<Arc<Api<S>>>, sent: Sent) -> Result<Response, Refusal> {
    let request: body::Visit = body::parse(&sent.body)?;
    let record = body::visit(&request)?;
    let key = body::key(&sent.headers, request.key)?;
    api.accept(key, request.simulated, record).await
}

async fn total<S: Sink>(
    State(api): State<Arc<Api<S>>>,
    Path(service): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let request: body::Total = body::parse(&sent.body)?;
    let key = body::key(&sent.headers, request.key)?;
    if i64::try_from(request.total).is_err() {
        return Err(Refusal::invalid("total: at most 9223372036854775807 is expected"));
    }
    let counter = Counter {
        service: body::code(&service)?.to_string(),
        desk: body::label("desk", request.desk)?.map(|desk| desk.to_string()),
        source: body::named("source", &request.source)?.to_string(),
        simulated: request.simulated,
    };
    let own = own_key()?;
    // A task of its own: a caller that hangs up between append and settle must not leave the total half done.
    let task = tokio::spawn(async move { report_total(&api, counter, request.total, key, own).await });
    task.await.map_err(|error| Refusal::storage(format!("the request was broken off: {error}")))?
}

async fn report_total<S: Sink>(
    api: &Api<S>,
    counter: Counter,
    total: u64,
    key: Option<Label>,
    own: Label,
) -> Result<Response, Refusal> {
    let mut totals = api.totals.lock().await;
    if totals.intended(&counter).is_some() {
        api.settle(&mut totals, &counter).await?;
    }
    let step = totals.report(api.stamper.now(), &counter, total, i64::MAX, key.as_ref(), || own.to_string());
    let (answer, duplicate) = match step {
        Step::Repeat(answer) => (answer, true),
        Step::KeyReused => return Err(Refusal::key_reused()),
        Step::Unchanged => return Ok(Json(json!({ "recorded": false, "delta": 0, "total": total })).into_response()),
        Step::TooManySources => {
            let message =
                format!("source: {} sources are known already; report under one of them", totals::SOURCES_MAX);
            return Err(Refusal::invalid(message));
        }
        Step::Append => {
            if let Err(error) = api.save(&totals).await {
                totals.forget(&counter);
                let refusal =
                    if error.kind() == std::io::ErrorKind::StorageFull { Refusal::full } else { Refusal::storage };
                return Err(refusal(format!("storage: {error}")));
            }
            match api.settle(&mut totals, &counter).await? {
                Some(answer) => (answer, false),
                None => return Err(Refusal::storage("the total could not be recorded")),
            }
        }
    };
    let body = json!({
        "recorded": true, "key": answer.key, "seq": answer.seq, "duplicate": duplicate,
        "delta": answer.delta, "total": answer.total, "baseline": answer.baseline,
    });
    Ok(Json(body).into_response())
}

async fn readings<S: Sink>(State(api): State<Arc<Api<S>>>, sent: Sent) -> Result<Response, Refusal> {
    let samples = body::samples(body::parse(&sent.body)?)?;
    let taken = samples.len();
    api.take_readings(samples).await;
    // Not 200: a power cut may still cost the open minute.
    Ok((StatusCode::ACCEPTED, Json(json!({ "taken": taken }))).into_response())
}

async fn status<S: Sink>(State(api): State<Arc<Api<S>>>, sent: Sent) -> Result<Response, Refusal> {
    drop(sent);
    let stamp = api.stamper.now();
    let state = api.sink.state().borrow().clone();
    let streams: serde_json::Map<_, _> = Stream::ALL
        .into_iter()
        .map(|stream| {
            let status = state.stream(stream);
            let (backlog_records, backlog_bytes) = state.backlog(stream);
            let entry = json!({
                "next_seq": status.next_seq, "backlog_records": backlog_records,
                "backlog_bytes": backlog_bytes, "limit_bytes": status.limit_bytes,
                "lost_records": status.lost_records,
            });
            (stream.name().to_owned(), entry)
        })
        .collect();
    let body = json!({
        "version": env!("CARGO_PKG_VERSION"), "boot": stamp.boot, "uptime_ms": stamp.uptime_ms, "streams": streams,
        "disk_full": state.disk_full,
        "readings_lost": api.readings_lost.load(std::sync::atomic::Ordering::Relaxed),
    });
    Ok(Json(body).into_response())
}
