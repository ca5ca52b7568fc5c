//! What is asked with a phone, and the answers: JSON, an exact status, and for a refusal what to do.
//!
//! Everything but the page itself and the exchange of a code wants the session; everything that changes something wants a
//! body of JSON from the page's own address. What is logged is durable before it is done or shown.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::request::Parts as Head;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use serde_json::{Value, json};
use simpul_wire::Label;
use simpul_wire::doctor::{Report, Verdict};
use simpul_wire::event::{EventBody, EventRecord, SiteAct};
use simpul_words::Language;
use simpul_words::findings::say;
use tokio::sync::oneshot;

use super::door::{Refused, SESSION};
use super::{Phone, page};
use crate::config::CameraConfig;
use crate::sources::camera::masks;
use crate::sources::local_api::read_body;
use crate::sources::local_api::reply::Refusal;
use crate::sources::{CameraAction, CameraCommand, Sink};
use crate::spool::NewRecord;

/// Largest body: 32 masks are 700 bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// A camera gets so long for one picture or one confirmation.
const CAMERA_MAX: Duration = Duration::from_secs(10);
/// Looks at a camera are told once in so long, with their number.
const LOOKS_TOLD: Duration = Duration::from_secs(60);
/// Longest name at an acceptance, in letters.
const NAME_LETTERS_MAX: usize = 40;
/// The session's cookie.
const COOKIE: &str = "simpul_phone";

const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        const ANEW: &str = "make a new one at the node: sudo simpul-agent phone-code";
        let no = |code, message: &str| Refusal::new(FORBIDDEN, code, message);
        match refused {
            Refused::Wrong => no("wrong_code", "this is not this node's code; scan the label on its own case"),
            Refused::TooMany(wait_s, _) => Refusal {
                retry_after_s: Some(wait_s),
                ..Refusal::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_tries",
                    format!("wrong codes too often; wait {wait_s} s"),
                )
            },
            Refused::Used => no("code_used", &format!("the code was used by another phone; {ANEW}")),
            Refused::Expired => no("code_expired", &format!("the code was not used for too long; {ANEW}")),
            Refused::Closed => {
                Refusal::new(StatusCode::GONE, "closed", format!("the node is accepted, its code is closed; {ANEW}"))
            }
            Refused::NoSession => no("no_session", "no session, or it is over; scan the node's label"),
            Refused::OtherAddress => {
                no("other_address", "the session is of another network address; scan the node's label again")
            }
        }
    }
}

impl<S: Sink> Phone<S> {
    pub(super) async fn answer(&self, address: IpAddr, request: Request<Incoming>) -> Response {
        let (head, body) = request.into_parts();
        page::close(match self.route(address, head, Body::new(body)).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        })
    }

    async fn route(&self, address: IpAddr, head: Head, body: Body) -> Result<Response, Refusal> {
        let path = head.uri.path().to_owned();
        let reads = matches!(path.as_str(), "/" | "/api/state" | "/api/aim");
        let acts =
            matches!(path.as_str(), "/api/session" | "/api/examine" | "/api/masks" | "/api/confirm" | "/api/accept");
        let expected = match (reads, acts) {
            (true, _) => Method::GET,
            (_, true) => Method::POST,
            _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "not_found", "no such path; the page is at /")),
        };
        if head.method != expected {
            let message = format!("{} is not allowed here; use {expected}", head.method);
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message));
        }
        if path == "/" {
            return Ok(page::page());
        }
        if acts {
            own_page(&head.headers)?;
        }
        if path != "/api/session" {
            let admitted = self.door().admit(self.parts.clock.now(), address, token(&head.headers));
            admitted?;
        }
        if path == "/api/state" {
            return Ok(json_of(self.state()));
        }
        if path == "/api/aim" {
            let camera = head.uri.query().and_then(|query| query.strip_prefix("camera="));
            return self.aim(address, self.camera(camera)?).await;
        }
        let body = read_body(&head.headers, body, BODY_BYTES_MAX).await?;
        let sent: Value = serde_json::from_slice(&body).map_err(|error| {
            Refusal::new(StatusCode::BAD_REQUEST, "not_json", format!("the body is not JSON: {error}"))
        })?;
        let text = |name: &str| sent.get(name).and_then(Value::as_str);
        match path.as_str() {
            "/api/session" => self.enter(address, text("code").unwrap_or_default()).await,
            "/api/examine" => self.examine().await,
            "/api/masks" => self.mask(address, self.camera(text("camera"))?, &sent).await,
            "/api/confirm" => self.confirm(address, self.camera(text("camera"))?).await,
            _ => self.accept(text("name").unwrap_or_default()).await,
        }
    }

    /// A code for a session.
    async fn enter(&self, address: IpAddr, code: &str) -> Result<Response, Refusal> {
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(|error| Refusal::storage(format!("no random numbers: {error}")))?;
        let now = self.parts.clock.now();
        let (before, entered) = {
            let mut door = self.door();
            let before = door.kept(now).clone();
            let entered = door.enter(now, address, code, token).map(|()| door.kept(now).clone());
            (before, entered)
        };
        let who = address.to_string();
        let kept = match entered {
            Ok(kept) => kept,
            Err(refused) => {
                if matches!(refused, Refused::TooMany(_, true)) {
                    // Not kept is not told: nothing was done either.
                    let _ = self.tell(SiteAct::Refused, None, &who, "").await;
                }
                return Err(refused.into());
            }
        };
        let told = match self.keep(kept).await {
            Ok(()) => self.tell(SiteAct::Opened, None, &who, "").await.map_err(Refusal::from),
            Err(error) => Err(Refusal::storage(format!("storage: {error}"))),
        };
        if let Err(refusal) = told {
            self.door().undo(before);
            return Err(refusal);
        }
        *self.examined() = None;
        let cookie = format!(
            "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}",
            hex::encode(token),
            SESSION.as_secs()
        );
        let mut response = json_of(json!({}));
        let value = HeaderValue::from_str(&cookie).map_err(|_| Refusal::storage("no cookie"))?;
        response.headers_mut().insert(header::SET_COOKIE, value);
        Ok(response)
    }

    fn state(&self) -> Value {
        let status = self.parts.shown.document();
        let cameras: Vec<Value> = self
            .parts
            .cameras
            .iter()
            .map(|config| {
                let line = status.cameras.iter().find(|line| line.camera == config.id.as_str());
                let fixed = masks::Drawn { masks: config.masks.clone(), resolution: None };
                json!({
                    "id": config.id.as_str(),
                    "condition": line.and_then(|line| line.condition.clone()),
                    "detail": line.map(|line| line.detail.clone()),
                    "paused_s": line.and_then(|line| line.paused_s),
                    "fixed": masks::document(&fixed)["masks"],
                    "drawn": masks::document(&masks::MaskFile::new(config).load())["masks"],
                })
            })
            .collect();
        let waiting: u64 = status.streams.iter().map(|stream| stream.backlog_records).sum();
        let lost: u64 = status.streams.iter().map(|stream| stream.lost_records).sum();
        json!({
            "node": status.node, "version": status.version,
            "up": status.uplink.up, "since_s": status.uplink.since_s, "last_ack_s": status.uplink.last_ack_s,
            "waiting": waiting, "lost": lost, "disk_full": status.disk_full, "clock": status.clock_believed,
            "board": status.board.as_ref().map(|board| board.condition.clone()),
            "cameras": cameras, "examined": self.examined().map(Verdict::text),
        })
    }

    async fn examine(&self) -> Result<Response, Refusal> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| Refusal::storage(format!("no random numbers: {error}")))?;
        let Some(report) = self.parts.examiner.examine(id).await else {
            return Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "an examination is being made; try again",
            ));
        };
        let body = EventBody::Examination { verdict: report.worst(), report: report.seal() };
        let record = NewRecord::Event(EventRecord { stamp: self.parts.stamper.now(), body });
        self.parts.sink.append(record).await?;
        *self.examined() = Some(report.worst());
        Ok(json_of(found(&report)))
    }

    /// One picture as it is. The look is told before it is shown.
    async fn aim(&self, address: IpAddr, config: &CameraConfig) -> Result<Response, Refusal> {
        let busy = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "the camera is busy; try again");
        // Given back when the picture's last byte has gone.
        let turn = self.pictures.clone().try_acquire_owned().map_err(|_| busy())?;
        let now = self.parts.clock.now();
        let shown = {
            let mut looks = self.looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match looks.get_mut(&config.id) {
                Some((told, shown)) if now.since(*told) < LOOKS_TOLD => {
                    *shown += 1;
                    None
                }
                known => Some(known.map_or(0, |(_, shown)| *shown)),
            }
        };
        if let Some(shown) = shown {
            let detail = if shown > 0 { format!("pictures since the last: {shown}") } else { String::new() };
            self.tell(SiteAct::Looked, Some(config.id.clone()), &address.to_string(), &detail).await?;
            let mut looks = self.looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            looks.insert(config.id.clone(), (now, 1));
        }
        let (slot, picture) = oneshot::channel();
        self.order(config, CameraAction::Aim(slot)).await?;
        let jpeg = picture.await.map_err(|_| busy())?;
        let owned = Picture { jpeg, _turn: turn };
        let mut response = Response::new(Body::from(Bytes::from_owner(owned)));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
        Ok(response)
    }

    async fn mask(&self, address: IpAddr, config: &CameraConfig, sent: &Value) -> Result<Response, Refusal> {
        let Some(drawn) = sent.get("masks").and_then(masks::rectangles) else {
            let message = format!(
                "masks: at most {} rectangles [x, y, width, height] within 0 to 1000, in whole numbers",
                masks::DRAWN_MAX
            );
            return Err(Refusal::invalid(message));
        };
        let detail = format!("drawn: {}", drawn.len());
        self.tell(SiteAct::Masked, Some(config.id.clone()), &address.to_string(), &detail).await?;
        let done = self.order(config, CameraAction::Mask(drawn)).await?;
        Ok(json_of(json!({ "said": done })))
    }

    async fn confirm(&self, address: IpAddr, config: &CameraConfig) -> Result<Response, Refusal> {
        self.tell(SiteAct::Confirmed, Some(config.id.clone()), &address.to_string(), "").await?;
        let done = self.order(config, CameraAction::ConfirmView).await?;
        Ok(json_of(json!({ "said": done })))
    }

    /// The node is ready: told, then kept, then the code is over.
    async fn accept(&self, name: &str) -> Result<Response, Refusal> {
        let name = name.trim();
        let fits = (1..=NAME_LETTERS_MAX).contains(&name.chars().count());
        if !fits || name.parse::<Label>().is_err() {
            return Err(Refusal::invalid(format!("name: 1 to {NAME_LETTERS_MAX} letters are expected")));
        }
        let Some(verdict) = *self.examined() else {
            return Err(Refusal::new(StatusCode::CONFLICT, "not_examined", "examine the node first"));
        };
        self.tell(SiteAct::Accepted, None, name, &format!("examination: {verdict}")).await?;
        self.door().close(name);
        let kept = self.door().kept(self.parts.clock.now()).clone();
        self.keep(kept).await.map_err(|error| Refusal::storage(format!("storage: {error}")))?;
        tracing::info!(by = name, "the node is accepted");
        self.closed.notify_one();
        Ok(json_of(json!({})))
    }

    fn examined(&self) -> std::sync::MutexGuard<'_, Option<Verdict>> {
        self.examined.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn camera(&self, id: Option<&str>) -> Result<&CameraConfig, Refusal> {
        let found = id.and_then(|id| self.parts.cameras.iter().find(|config| config.id.as_str() == id));
        found.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no_camera", "no such camera at this node"))
    }

    async fn order(&self, config: &CameraConfig, action: CameraAction) -> Result<String, Refusal> {
        let busy = |message| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message);
        let way = self.parts.ways.get(&config.id).ok_or_else(|| busy("the camera's task does not run"))?;
        let (reply, answer) = oneshot::channel();
        way.try_send(CameraCommand { camera: config.id.clone(), action, reply })
            .map_err(|_| busy("the camera is busy; try again"))?;
        match tokio::time::timeout(CAMERA_MAX, answer).await {
            Ok(Ok(Ok(said))) => Ok(said),
            Ok(Ok(Err(why))) => Err(Refusal::new(StatusCode::BAD_GATEWAY, "camera", why)),
            Ok(Err(_)) => Err(busy("the camera's task ended")),
            Err(_) => Err(busy("the camera does not answer; try again")),
        }
    }
}

/// A picture on its way to a phone.
struct Picture {
    jpeg: Vec<u8>,
    _turn: tokio::sync::OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Picture {
    fn as_ref(&self) -> &[u8] {
        &self.jpeg
    }
}

fn json_of(value: Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A browser says from whose page a POST comes; only this node's own may.
fn own_page(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let own = text(header::ORIGIN).zip(text(header::HOST)).is_some_and(|(origin, host)| {
        origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    });
    if own { Ok(()) } else { Err(Refusal::new(FORBIDDEN, "cross_site", "only the node's own page may send this")) }
}

/// The session's token, from the cookie.
fn token(headers: &HeaderMap) -> Option<[u8; 16]> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    let mut token = [0; 16];
    hex::decode_to_slice(value, &mut token).ok()?;
    Some(token)
}

/// A report in both languages.
fn found(report: &Report) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            let [id, en] = Language::ALL.map(|language| {
                let said = say(finding, language);
                json!([said.what, said.why, said.act])
            });
            json!({ "id": finding.id.as_str(), "verdict": finding.verdict.text(), "effect": finding.follows.is_some(),
                "words": { "id": id, "en": en } })
        })
        .collect();
    json!({ "verdict": report.worst().text(), "findings": findings, "omitted": report.omitted })
}
