//! The phone page over real sockets: who comes in, what is done, and a table of what is refused with its exact answer.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake::camera::{Server, answer, config as camera_config, luma, picture, scene};
use fake::{Answer, DEADLINE, FakeSink, read};
use serde_json::json;
use simpul_agent::config::{Config, Mask, PhoneConfig};
use simpul_agent::doctor::{Examiner, Patient};
use simpul_agent::phone::{Parts, code, run};
use simpul_agent::sources::Sink;
use simpul_agent::sources::camera;
use simpul_agent::spool::{AppendError, NewRecord};
use simpul_agent::stamper::Stamper;
use simpul_agent::status::Shown;
use simpul_clock::Clock;
use simpul_testkit::ports;
use simpul_wire::event::{EventBody, SiteAct};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

const TOKEN_HASH: [u8; 32] = [7; 32];

fn label_code() -> String {
    code::of_token(&TOKEN_HASH)
}

struct Page {
    address: SocketAddr,
    sink: FakeSink,
    clock: Clock,
    folder: Arc<tempfile::TempDir>,
    /// The camera's answers from now on.
    says: Arc<Mutex<Vec<u8>>>,
    expecting: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    _camera: Server,
}

impl Page {
    async fn start() -> Page {
        Page::with(FakeSink::new(), Arc::new(tempfile::tempdir().unwrap()), Vec::new()).await
    }

    async fn with(sink: FakeSink, folder: Arc<tempfile::TempDir>, configured: Vec<Mask>) -> Page {
        let says = Arc::new(Mutex::new(picture(&scene(320, 180, 1, 0))));
        let said = says.clone();
        let device = Server::start(move |_| said.lock().unwrap().clone()).await;
        let mut gate = camera_config(&device.url("/gate.jpg"), folder.path());
        gate.masks = configured;
        gate.interval = Duration::from_secs(86_400);
        let state_directory = gate.state_directory.clone();
        std::fs::create_dir_all(&state_directory).unwrap();
        let clock = Clock::held(1_700_000_000_000);
        let stamper = Stamper::new(3, clock.clone());
        let (stop, stopped) = watch::channel(false);
        let (orders, commands) = mpsc::channel(2);
        let (shown_camera, looked_at) = watch::channel(camera::CameraShown::default());
        let (own, own_stamper, own_clock, own_stop) = (sink.clone(), stamper.clone(), clock.clone(), stopped.clone());
        let own_gate = gate.clone();
        let mut tasks = vec![tokio::spawn(async move {
            camera::run(own_gate, own, own_stamper, own_clock, commands, shown_camera, own_stop).await.unwrap();
        })];
        let text = "node = \"desa-01\"\n[uplink]\nhubs = [\"127.0.0.1:9\"]\n[host]\nenabled = false\n";
        let config = Config::parse(text, folder.path()).unwrap();
        let (_, uplink) = watch::channel(simpul_agent::uplink::driver::UplinkStatus::default());
        let shown = Shown {
            node: config.node.clone(),
            clock: clock.clone(),
            spool: sink.state(),
            uplink,
            board: None,
            cameras: vec![(gate.id.clone(), looked_at)],
            stamper: stamper.clone(),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
        let (expecting, expected) = watch::channel(false);
        let parts = Parts {
            config: PhoneConfig { listen: address, open_for: Duration::from_secs(86_400), state_directory },
            sink: sink.clone(),
            stamper,
            clock: clock.clone(),
            shown: shown.clone(),
            examiner: Examiner::new(Patient::this(config, clock.clone()), shown),
            ways: HashMap::from([(gate.id.clone(), orders)]),
            cameras: vec![gate],
            token: Box::new(|| Some(TOKEN_HASH)),
            expecting,
        };
        tasks.push(tokio::spawn(async move { run(parts, stopped).await.unwrap() }));
        let mut page = Page { address, sink, clock, folder, says, expecting: expected, stop, tasks, _camera: device };
        page.until_expecting(true).await;
        page
    }

    async fn until_expecting(&mut self, wanted: bool) {
        let told = tokio::time::timeout(DEADLINE, self.expecting.wait_for(|expecting| *expecting == wanted));
        told.await.expect("in time").unwrap();
    }

    /// A request from an address of the loopback's.
    async fn send(&self, from: [u8; 4], method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut last = String::new();
        // Expected is told just before the port is bound.
        for _ in 0..200 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(IpAddr::from(from), 0)).unwrap();
            match socket.connect(self.address).await {
                Ok(mut stream) => {
                    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
                    let head = format!(
                        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
                        self.address,
                        body.len()
                    );
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(body.as_bytes()).await;
                    return read(stream).await;
                }
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{last}");
    }

    fn origin(&self) -> String {
        format!("Origin: http://{}", self.address)
    }

    async fn post(&self, cookie: &str, path: &str, body: &str) -> Answer {
        let headers = [&*self.origin(), "Content-Type: application/json", &format!("Cookie: {cookie}")];
        self.send([127, 0, 0, 1], "POST", path, &headers, body).await
    }

    async fn get(&self, cookie: &str, path: &str) -> Answer {
        self.send([127, 0, 0, 1], "GET", path, &[&format!("Cookie: {cookie}")], "").await
    }

    /// Try a code from an address.
    async fn try_code(&self, from: [u8; 4], code: &str) -> Answer {
        let headers = [&*self.origin(), "Content-Type: application/json"];
        self.send(from, "POST", "/api/session", &headers, &json!({ "code": code }).to_string()).await
    }

    /// A session's cookie.
    async fn enter(&self) -> String {
        let answer = self.try_code([127, 0, 0, 1], &label_code()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        cookie(&answer)
    }

    fn site_events(&self) -> Vec<(SiteAct, String, String)> {
        let event = |record| match record {
            NewRecord::Event(event) => match event.body {
                EventBody::Site { act, who, detail, .. } => Some((act, who.to_string(), detail.to_string())),
                _ => None,
            },
            _ => None,
        };
        self.sink.records().into_iter().filter_map(event).collect()
    }

    fn images(&self) -> Vec<Vec<u8>> {
        let image = |record| match record {
            NewRecord::Snapshot { jpeg, .. } => Some(jpeg),
            _ => None,
        };
        self.sink.records().into_iter().filter_map(image).collect()
    }

    async fn stop(self) -> (FakeSink, Arc<tempfile::TempDir>) {
        self.stop.send_replace(true);
        for task in self.tasks {
            tokio::time::timeout(DEADLINE, task).await.expect("it stops").unwrap();
        }
        (self.sink, self.folder)
    }
}

fn cookie(answer: &Answer) -> String {
    answer.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_code_becomes_a_session_that_scripts_and_other_sites_cannot_have() {
    let page = Page::start().await;
    let answer = page.try_code([127, 0, 0, 1], &label_code()).await;
    let header = answer.header("Set-Cookie").unwrap();
    let (value, rest) = header.split_once(';').unwrap();
    assert_eq!(rest, " Path=/; HttpOnly; SameSite=Strict; Max-Age=43200");
    assert_eq!(value.len(), "simpul_phone=".len() + 32);
    let state = page.get(value, "/api/state").await.json();
    assert_eq!((&state["node"], &state["up"], &state["examined"]), (&json!("desa-01"), &json!(false), &json!(null)));
    assert_eq!(page.site_events(), [(SiteAct::Opened, "127.0.0.1".into(), String::new())]);
    let again = page.try_code([127, 0, 0, 2], &label_code()).await;
    assert_eq!(refusal(&again), (403, "code_used".into()));
    assert_eq!(
        again.json()["message"],
        "the code was used by another phone; make a new one at the node: sudo simpul-agent phone-code"
    );
}

#[tokio::test]
async fn the_page_is_one_file_that_talks_to_nobody_else() {
    let page = Page::start().await;
    let answer = page.get("", "/").await;
    assert_eq!((answer.status, answer.header("Content-Encoding")), (200, Some("gzip")));
    let policy = answer.header("Content-Security-Policy").unwrap();
    for part in ["default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, value) in
        [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
    {
        assert_eq!(answer.header(name), Some(value));
    }
    let length: usize = answer.header("Content-Length").unwrap().parse().unwrap();
    assert!(length < 12_000, "the page has grown to {length} bytes");
}

#[tokio::test]
async fn what_is_refused() {
    let page = Page::start().await;
    let session = page.enter().await;
    let own = page.origin();
    let json = "Content-Type: application/json";
    let cookie = &*format!("Cookie: {session}");
    let here = [127, 0, 0, 1];
    let many = format!(r#"{{"camera":"gate","masks":{}}}"#, json!(vec![[0, 0, 1, 1]; 33]));
    let thousand = format!(r#"{{"camera":"gate","masks":{}}}"#, json!(vec![[0, 0, 1, 1]; 1_000]));
    let huge = format!(r#"{{"name":"{}"}}"#, "x".repeat(5_000));
    let long_name = json!({ "name": "x".repeat(41) }).to_string();
    let mask = |sides: &str| format!(r#"{{"camera":"gate","masks":[{sides}]}}"#);
    let (wide, over, nan, half, minus, three, large) = (
        mask("[0,0,1001,1]"),
        mask("[600,0,401,1]"),
        mask("[0,0,NaN,1]"),
        mask("[0,0,1.5,1]"),
        mask("[-1,0,1,1]"),
        mask("[0,0,1]"),
        mask("[0,0,1e999,1]"),
    );
    type Row<'a> = ([u8; 4], &'a str, &'a str, &'a [&'a str], &'a str, u16, &'a str);
    let own_json = [&*own, json, cookie];
    let rows: &[Row<'_>] = &[
        // No session, a foreign one, another address's.
        (here, "GET", "/api/state", &[], "", 403, "no_session"),
        (here, "GET", "/api/state", &["Cookie: simpul_phone=00"], "", 403, "no_session"),
        (here, "GET", "/api/state", &["Cookie: simpul_phone=00000000000000000000000000000000"], "", 403, "no_session"),
        (here, "GET", "/api/aim?camera=gate", &[], "", 403, "no_session"),
        (here, "POST", "/api/masks", &[&own, json], "{}", 403, "no_session"),
        (here, "POST", "/api/accept", &[&own, json], r#"{"name":"x"}"#, 403, "no_session"),
        ([127, 0, 0, 9], "GET", "/api/state", &[cookie], "", 403, "other_address"),
        ([127, 0, 0, 9], "GET", "/api/aim?camera=gate", &[cookie], "", 403, "other_address"),
        ([127, 0, 0, 9], "POST", "/api/accept", &own_json, r#"{"name":"x"}"#, 403, "other_address"),
        // Another site's page, or no page at all.
        (here, "POST", "/api/accept", &[json, cookie], r#"{"name":"x"}"#, 403, "cross_site"),
        (here, "POST", "/api/accept", &["Origin: http://evil.example", json, cookie], "{}", 403, "cross_site"),
        (here, "POST", "/api/accept", &["Origin: null", json, cookie], "{}", 403, "cross_site"),
        (here, "POST", "/api/session", &[json], "{}", 403, "cross_site"),
        // Methods and paths.
        (here, "OPTIONS", "/api/masks", &["Origin: http://evil.example"], "", 405, "method_not_allowed"),
        (here, "GET", "/api/accept", &[cookie], "", 405, "method_not_allowed"),
        (here, "POST", "/api/aim", &own_json, "{}", 405, "method_not_allowed"),
        (here, "PUT", "/", &[], "", 405, "method_not_allowed"),
        (here, "GET", "/../etc/passwd", &[cookie], "", 404, "not_found"),
        (here, "GET", "/%2e%2e/phone.json", &[cookie], "", 404, "not_found"),
        (here, "GET", "/api/state/", &[cookie], "", 404, "not_found"),
        (here, "GET", "/v1/status", &[cookie], "", 404, "not_found"),
        (here, "GET", "/api/aim?camera=../gate", &[cookie], "", 404, "no_camera"),
        (here, "GET", "/api/aim?camera=roof", &[cookie], "", 404, "no_camera"),
        (here, "GET", "/api/aim", &[cookie], "", 404, "no_camera"),
        // Bodies.
        (here, "POST", "/api/masks", &[&own, "Content-Type: text/plain", cookie], "{}", 415, "not_json"),
        (here, "POST", "/api/masks", &own_json, "", 400, "not_json"),
        (here, "POST", "/api/masks", &own_json, &nan, 400, "not_json"),
        (here, "POST", "/api/masks", &own_json, &large, 400, "not_json"),
        (here, "POST", "/api/masks", &own_json, "[]", 404, "no_camera"),
        (here, "POST", "/api/masks", &own_json, r#"{"camera":"gate"}"#, 422, "invalid"),
        (here, "POST", "/api/masks", &own_json, &wide, 422, "invalid"),
        (here, "POST", "/api/masks", &own_json, &over, 422, "invalid"),
        (here, "POST", "/api/masks", &own_json, &half, 422, "invalid"),
        (here, "POST", "/api/masks", &own_json, &minus, 422, "invalid"),
        (here, "POST", "/api/masks", &own_json, &three, 422, "invalid"),
        (here, "POST", "/api/masks", &own_json, &many, 422, "invalid"),
        (here, "POST", "/api/masks", &own_json, &thousand, 413, "too_large"),
        (here, "POST", "/api/accept", &own_json, &huge, 413, "too_large"),
        (here, "POST", "/api/accept", &own_json, r#"{"name":" "}"#, 422, "invalid"),
        (here, "POST", "/api/accept", &own_json, r#"{"name":"a\u0007b"}"#, 422, "invalid"),
        (here, "POST", "/api/accept", &own_json, &long_name, 422, "invalid"),
        (here, "POST", "/api/accept", &own_json, r#"{"name":7}"#, 422, "invalid"),
        (here, "POST", "/api/accept", &own_json, r#"{"name":"Sari"}"#, 409, "not_examined"),
    ];
    for (from, method, path, headers, body, status, error) in rows {
        let answer = page.send(*from, method, path, headers, body).await;
        assert_eq!(refusal(&answer), (*status, (*error).to_owned()), "{method} {path} {headers:?} {body:.60}");
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    }
    let head = page.send(here, "HEAD", "/", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (405, ""));
    assert_eq!(page.site_events().len(), 1, "nothing of that was done: {:?}", page.site_events());
}

#[tokio::test]
async fn wrong_codes_are_counted_by_address_and_told_once() {
    let page = Page::start().await;
    for wrong in ["", "x", "00112233445566778899aabb", &label_code()[1..]] {
        assert_eq!(refusal(&page.try_code([127, 0, 0, 5], wrong).await), (403, "wrong_code".into()));
    }
    let fifth = page.try_code([127, 0, 0, 5], "x").await;
    assert_eq!(refusal(&fifth), (429, "too_many_tries".into()));
    assert_eq!(fifth.header("Retry-After"), Some("60"));
    assert_eq!(refusal(&page.try_code([127, 0, 0, 5], &label_code()).await), (429, "too_many_tries".into()));
    assert_eq!(page.site_events(), [(SiteAct::Refused, "127.0.0.5".into(), String::new())]);
    assert_eq!(page.try_code([127, 0, 0, 6], &label_code()).await.status, 200, "another phone is not held up");
}

#[tokio::test]
async fn an_unused_code_expires_and_a_session_that_cannot_be_kept_is_none() {
    let page = Page::start().await;
    page.sink.refuse([AppendError::Storage("no".into())]);
    assert_eq!(refusal(&page.try_code([127, 0, 0, 1], &label_code()).await), (503, "storage".into()));
    assert_eq!(page.try_code([127, 0, 0, 2], &label_code()).await.status, 200, "the code was not used up by that");
    let page = Page::start().await;
    page.clock.advance(Duration::from_secs(86_400));
    assert_eq!(refusal(&page.try_code([127, 0, 0, 1], &label_code()).await), (403, "code_expired".into()));
}

#[tokio::test]
async fn a_restart_ends_the_session_and_only_the_same_phone_opens_the_code_again() {
    let page = Page::start().await;
    let session = page.enter().await;
    let (sink, folder) = page.stop().await;
    let page = Page::with(sink, folder, Vec::new()).await;
    assert_eq!(refusal(&page.get(&session, "/api/state").await), (403, "no_session".into()));
    assert_eq!(refusal(&page.try_code([127, 0, 0, 2], &label_code()).await), (403, "code_used".into()));
    page.enter().await;
}

#[tokio::test]
async fn a_look_is_told_before_it_is_shown_and_is_stored_nowhere() {
    let page = Page::start().await;
    let session = page.enter().await;
    page.sink.refuse([AppendError::Storage("full".into())]);
    assert_eq!(refusal(&page.get(&session, "/api/aim?camera=gate").await), (503, "storage".into()));
    for _ in 0..3 {
        let answer = page.get(&session, "/api/aim?camera=gate").await;
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("image/jpeg")));
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    }
    page.clock.advance(Duration::from_secs(60));
    page.get(&session, "/api/aim?camera=gate").await;
    let looks: Vec<_> = page.site_events().into_iter().filter(|(act, ..)| *act == SiteAct::Looked).collect();
    let look = |detail: &str| (SiteAct::Looked, "127.0.0.1".to_owned(), detail.to_owned());
    assert_eq!(looks, [look(""), look("pictures since the last: 3")]);
    assert!(page.images().is_empty());
    for says in [answer("500 Internal Server Error", &[], b""), picture(b"<html>no picture")] {
        *page.says.lock().unwrap() = says;
        assert_eq!(refusal(&page.get(&session, "/api/aim?camera=gate").await), (502, "camera".into()));
    }
}

#[tokio::test]
async fn aiming_cannot_lock_the_cameras_account() {
    let page = Page::start().await;
    let session = page.enter().await;
    let challenge = r#"WWW-Authenticate: Digest realm="c", nonce="n", qop="auth""#;
    *page.says.lock().unwrap() = answer("401 Unauthorized", &[challenge], b"");
    for _ in 0..6 {
        assert_eq!(refusal(&page.get(&session, "/api/aim?camera=gate").await).0, 502);
    }
    let state = page.get(&session, "/api/state").await.json();
    assert!(state["cameras"][0]["paused_s"].as_u64().is_some_and(|left_s| left_s > 1_800), "{state}");
}

/// Mean brightness of a part of a picture, in thousandths.
fn mean(jpeg: &[u8], [x, y, width, height]: [usize; 4]) -> f64 {
    let pixels = luma(jpeg);
    let (across, down) = (320, 180);
    let mut sum = (0.0, 0.0);
    for row in y * down / 1_000..(y + height) * down / 1_000 {
        for column in x * across / 1_000..(x + width) * across / 1_000 {
            sum = (sum.0 + f64::from(pixels[row * across + column]), sum.1 + 1.0);
        }
    }
    sum.0 / sum.1
}

#[tokio::test]
async fn drawn_masks_are_burnt_in_at_once_survive_a_restart_and_never_lift_configured_ones() {
    let fixed = [750, 0, 250, 250];
    let configured = vec![Mask { x: 750, y: 0, width: 250, height: 250 }];
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let page = Page::with(FakeSink::new(), folder, configured.clone()).await;
    let session = page.enter().await;
    assert_eq!(page.get(&session, "/api/aim?camera=gate").await.status, 200);
    let drawn = [100, 200, 300, 400];
    let body = json!({ "camera": "gate", "masks": [drawn] }).to_string();
    assert_eq!(page.post(&session, "/api/masks", &body).await.json(), json!({ "said": "1 drawn, 2 in force" }));
    let confirm = r#"{"camera":"gate"}"#;
    assert_eq!(page.post(&session, "/api/confirm", confirm).await.status, 200);
    let image = page.images().pop().unwrap();
    assert!(mean(&image, drawn) < 3.0 && mean(&image, fixed) < 3.0, "masks are burnt in");
    assert!(mean(&image, [500, 500, 200, 400]) > 30.0, "the rest is not");
    let (sink, folder) = page.stop().await;

    let page = Page::with(sink, folder, configured).await;
    let session = page.enter().await;
    let state = page.get(&session, "/api/state").await.json();
    assert_eq!((&state["cameras"][0]["drawn"], &state["cameras"][0]["fixed"]), (&json!([drawn]), &json!([fixed])));
    page.post(&session, "/api/confirm", confirm).await;
    assert!(mean(&page.images().pop().unwrap(), drawn) < 3.0, "also after a restart");
    let none = r#"{"camera":"gate","masks":[]}"#;
    assert_eq!(page.post(&session, "/api/masks", none).await.json(), json!({ "said": "0 drawn, 1 in force" }));
    page.post(&session, "/api/confirm", confirm).await;
    let image = page.images().pop().unwrap();
    assert!(mean(&image, drawn) > 30.0 && mean(&image, fixed) < 3.0, "the configured one stays");
    let told: Vec<_> = page.site_events().into_iter().filter(|(act, ..)| *act == SiteAct::Masked).collect();
    let details: Vec<_> = told.iter().map(|(_, _, detail)| detail.as_str()).collect();
    assert_eq!(details, ["drawn: 1", "drawn: 0"]);
}

#[tokio::test]
async fn acceptance_names_the_technician_and_closes_the_page() {
    let mut page = Page::start().await;
    let session = page.enter().await;
    let examined = page.post(&session, "/api/examine", "{}").await.json();
    assert_eq!(examined["verdict"], "fail", "a hub that is not there: {examined}");
    let first = &examined["findings"][0]["words"];
    assert!(first["id"][0].is_string() && first["en"][0].is_string() && first["id"] != first["en"]);
    // What a name may be is text, wherever it is shown.
    let name = "<img src=x onerror=alert(1)>";
    let answer = page.post(&session, "/api/accept", &json!({ "name": format!(" {name} ") }).to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(page.site_events().last().unwrap(), &(SiteAct::Accepted, name.into(), "examination: fail".into()));
    page.until_expecting(false).await;
    let (sink, folder) = page.stop().await;
    // A new start does not open it again; a code made on site does.
    let book = simpul_agent::phone::book::Book::new(&folder.path().join("state"));
    assert_eq!(book.load().accepted_by.as_deref(), Some(name));
    book.hand(&code::hash("0011")).unwrap();
    let page = Page::with(sink, folder, Vec::new()).await;
    assert_eq!(refusal(&page.try_code([127, 0, 0, 1], &label_code()).await), (403, "wrong_code".into()));
    assert_eq!(page.try_code([127, 0, 0, 1], "0011").await.status, 200);
    assert!(page.site_events().iter().any(|(act, ..)| *act == SiteAct::CodeMade));
}
