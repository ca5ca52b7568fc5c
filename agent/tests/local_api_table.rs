//! The local API over real sockets: what is accepted, and a table of what is refused with its exact answer.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use fake::{Answer, DEADLINE, FakeSink, raw};
use simpul_agent::config::LocalApiConfig;
use simpul_agent::sources::local_api::serve;
use simpul_agent::spool::{AppendError, NewRecord};
use simpul_agent::stamper::Stamper;
use simpul_clock::Clock;
use simpul_wire::Stream;
use simpul_wire::service::{ServiceBody, VisitOutcome};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const TOKEN: &str = "0123456789abcdef";

struct Running {
    address: SocketAddr,
    sink: FakeSink,
    clock: Clock,
    folder: tempfile::TempDir,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start() -> Running {
        Running::with(FakeSink::new(), tempfile::tempdir().unwrap()).await
    }

    async fn with(sink: FakeSink, folder: tempfile::TempDir) -> Running {
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, TOKEN).unwrap();
        std::fs::set_permissions(&token_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = LocalApiConfig {
            listen: address,
            token_file,
            body_bytes_max: 1_024,
            requests_per_second_max: 20,
            state_directory: folder.path().join("state"),
        };
        let clock = Clock::held(1_700_000_000_000);
        let (stop, shutdown) = watch::channel(false);
        let (own_sink, own_clock) = (sink.clone(), clock.clone());
        let task = tokio::spawn(async move {
            let stamper = Stamper::new(3, own_clock.clone());
            serve(listener, &config, own_sink, stamper, own_clock, shutdown).await.unwrap();
        });
        Running { address, sink, clock, folder, stop, task }
    }

    async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        // Time passes, so that the rate limit is met only where a test means it.
        self.clock.advance(Duration::from_secs(1));
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n");
        raw(self.address, format!("{head}{headers}\r\n{body}").as_bytes()).await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[&format!("Authorization: Bearer {TOKEN}"), "Content-Type: application/json"], body)
            .await
    }

    async fn stop(self) -> (FakeSink, tempfile::TempDir) {
        self.stop.send_replace(true);
        tokio::time::timeout(DEADLINE, self.task).await.expect("it stops").unwrap();
        (self.sink, self.folder)
    }
}

fn counts(sink: &FakeSink) -> Vec<(String, i64, Option<u64>)> {
    let count = |record| match record {
        NewRecord::Service(record) => match record.body {
            ServiceBody::Count { service, delta, total, .. } => Some((service.to_string(), delta, total)),
            ServiceBody::Visit { .. } => None,
        },
        _ => None,
    };
    sink.records().into_iter().filter_map(count).collect()
}

#[tokio::test]
async fn an_increment_is_answered_after_the_append_with_its_key_and_number() {
    let api = Running::start().await;
    let answer = api.post("/v1/counters/ktp/increment", "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["key"].as_str().unwrap().starts_with("agent-"), "the agent made a key: {answer:?}");
    let answer =
        api.post("/v1/counters/kk/increment", r#"{"amount":-2,"desk":"2","key":"k-1","simulated":true}"#).await;
    assert_eq!(answer.json(), serde_json::json!({"key": "k-1", "seq": 2, "duplicate": false}));
    let NewRecord::Service(record) = &api.sink.records()[1] else { panic!() };
    assert!(record.simulated && record.stamp.boot == 3);
    assert_eq!(counts(&api.sink), [("ktp".into(), 1, None), ("kk".into(), -2, None)]);
}

#[tokio::test]
async fn a_key_again_is_the_same_record_in_header_or_field() {
    let api = Running::start().await;
    let headers =
        [&*format!("Authorization: Bearer {TOKEN}"), "Content-Type: application/json", "Idempotency-Key: \"k\""];
    for duplicate in [false, true] {
        let answer = api.send("POST", "/v1/counters/ktp/increment", &headers, "{}").await;
        assert_eq!(answer.json(), serde_json::json!({"key": "k", "seq": 1, "duplicate": duplicate}));
    }
    assert_eq!(api.post("/v1/counters/ktp/increment", r#"{"key":"k"}"#).await.json()["duplicate"], true);
    let answer = api.post("/v1/counters/kk/increment", r#"{"key":"k"}"#).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (409, Some("key_reused")));
    assert_eq!(api.sink.records().len(), 1);
}

#[tokio::test]
async fn a_visit_is_kept_with_times_and_outcome() {
    let api = Running::start().await;
    let body = r#"{"service":"ktp","ticket":"A-17","waited_s":240,"outcome":"no_show"}"#;
    assert_eq!(api.post("/v1/visits", body).await.status, 200);
    let NewRecord::Service(record) = &api.sink.records()[0] else { panic!() };
    let ServiceBody::Visit { waited_s, served_s, outcome, .. } = &record.body else { panic!() };
    assert_eq!((*waited_s, *served_s, *outcome), (Some(240), None, VisitOutcome::NoShow));
}

#[tokio::test]
async fn totals_become_differences_and_survive_a_restart() {
    let api = Running::start().await;
    let path = "/v1/counters/ktp/total";
    let report = |total: u64| format!(r#"{{"total":{total},"source":"antrian"}}"#);
    let first = api.post(path, &report(100)).await.json();
    assert_eq!((first["delta"].as_i64(), first["baseline"].as_bool()), (Some(0), Some(true)));
    assert_eq!(api.post(path, &report(107)).await.json()["delta"], 7);
    assert_eq!(api.post(path, &report(107)).await.json()["recorded"], false);
    let (sink, folder) = api.stop().await;
    let api = Running::with(sink, folder).await;
    assert_eq!(api.post(path, &report(110)).await.json()["delta"], 3);
    assert_eq!(api.post(path, &report(2)).await.json()["baseline"], true);
    let expected: Vec<_> =
        [(0, 100), (7, 107), (3, 110), (0, 2)].map(|(delta, total)| ("ktp".to_owned(), delta, Some(total))).into();
    assert_eq!(counts(&api.sink), expected);
}

#[tokio::test]
async fn a_refused_total_is_recorded_before_the_next_one_and_exactly_once() {
    let api = Running::start().await;
    let path = "/v1/counters/ktp/total";
    assert_eq!(api.post(path, r#"{"total":10,"source":"s","key":"a"}"#).await.status, 200);
    api.sink.refuse([AppendError::AtLimit { stream: Stream::Service, used_bytes: 999, limit_bytes: 1_000 }]);
    let answer = api.post(path, r#"{"total":14,"source":"s","key":"b"}"#).await;
    assert_eq!((answer.status, answer.header("Retry-After")), (507, Some("60")), "{answer:?}");
    // The power goes, the agent comes back: the intention of 14 goes first.
    let (sink, folder) = api.stop().await;
    let api = Running::with(sink, folder).await;
    api.sink.wait_for(2).await;
    let answer = api.post(path, r#"{"total":14,"source":"s","key":"b"}"#).await.json();
    assert_eq!((answer["delta"].as_i64(), answer["duplicate"].as_bool()), (Some(4), Some(true)), "{answer}");
    assert_eq!(api.post(path, r#"{"total":20,"source":"s","key":"c"}"#).await.json()["delta"], 6);
    assert_eq!(counts(&api.sink).iter().map(|(_, delta, _)| delta).sum::<i64>(), 10);
}

#[tokio::test]
async fn a_total_whose_key_belongs_to_another_record_is_refused_and_costs_nothing() {
    let api = Running::start().await;
    assert_eq!(api.post("/v1/counters/ktp/increment", r#"{"key":"k"}"#).await.status, 200);
    let path = "/v1/counters/kk/total";
    assert_eq!(api.post(path, r#"{"total":10,"source":"s"}"#).await.status, 200);
    assert_eq!(api.post(path, r#"{"total":12,"source":"s","key":"k"}"#).await.status, 409);
    assert_eq!(api.post(path, r#"{"total":15,"source":"s"}"#).await.json()["delta"], 5);
}

#[tokio::test]
async fn readings_are_taken_and_a_stop_in_order_keeps_the_open_minute() {
    let api = Running::start().await;
    let body = r#"{"readings":[{"metric":"tank","unit":"°C","value":31.5},{"metric":"rx","unit":"dBm","missing":"no_light"}]}"#;
    let answer = api.post("/v1/readings", body).await;
    assert_eq!((answer.status, answer.json()["taken"].as_u64()), (202, Some(2)), "{answer:?}");
    assert!(api.sink.records().is_empty());
    let (sink, _folder) = api.stop().await;
    let NewRecord::Readings(block) = &sink.records()[0] else { panic!() };
    assert_eq!((block.count(), block.series[1].metric.as_str()), (2, "rx"));
}

#[tokio::test]
async fn a_minute_of_readings_is_appended_when_it_is_over() {
    let api = Running::start().await;
    api.post("/v1/readings", r#"{"readings":[{"metric":"tank","unit":"°C","value":31.5}]}"#).await;
    api.clock.advance(Duration::from_secs(60));
    assert!(matches!(&api.sink.wait_for(1).await[0], NewRecord::Readings(_)));
}

#[tokio::test]
async fn health_needs_no_token_and_status_shows_the_buffers() {
    let api = Running::start().await;
    let answer = api.send("GET", "/v1/health", &[], "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"ok"}"#));
    let answer = api.send("GET", "/v1/status", &[&format!("Authorization: Bearer {TOKEN}")], "").await;
    let json = answer.json();
    assert_eq!(json["streams"]["service"]["limit_bytes"], 1_000);
    assert_eq!((json["disk_full"].as_bool(), json["boot"].as_u64()), (Some(false), Some(3)));
}

#[tokio::test]
async fn bad_requests_get_their_exact_answers() {
    let api = Running::start().await;
    let increment = "/v1/counters/ktp/increment";
    let long = "x".repeat(97);
    for (path, body, status, message) in [
        ("/v1/nothing", "{}", 404, "no such path; the API begins at /v1/"),
        (increment, "{", 400, "the body is not JSON: EOF while parsing an object at line 1 column 1"),
        (increment, "{'a':1}", 400, "the body is not JSON: key must be a string at line 1 column 2"),
        (
            increment,
            r#"{"amont":1}"#,
            422,
            "unknown field `amont`, expected one of `amount`, `desk`, `key`, `simulated` at line 1 column 8",
        ),
        (increment, r#"{"amount":"1"}"#, 422, "invalid type: string \"1\", expected i64 at line 1 column 13"),
        (increment, r#"{"amount":1.5}"#, 422, "invalid type: floating point `1.5`, expected i64 at line 1 column 13"),
        (increment, r#"{"amount":0}"#, 422, "amount: 0 is not allowed; -1000 to 1000, not 0"),
        (increment, r#"{"amount":1001}"#, 422, "amount: 1001 is not allowed; -1000 to 1000, not 0"),
        (
            increment,
            r#"{"amount":-9223372036854775808}"#,
            422,
            "amount: -9223372036854775808 is not allowed; -1000 to 1000, not 0",
        ),
        (increment, r#"{"desk":""}"#, 422, "desk: 1 to 96 bytes without control characters are expected"),
        (increment, r#"{"key":"a b"}"#, 422, "key: 1 to 96 visible ASCII characters are expected, such as a UUID"),
        (
            increment,
            &format!(r#"{{"key":"{long}"}}"#),
            422,
            "key: 1 to 96 visible ASCII characters are expected, such as a UUID",
        ),
        (
            "/v1/counters/a%20b/increment",
            "{}",
            422,
            "service: 1 to 64 letters, digits, '.', '_' or '-' are expected, such as ktp",
        ),
        ("/v1/counters/ktp/total", "{}", 422, "missing field `total` at line 1 column 2"),
        (
            "/v1/counters/ktp/total",
            r#"{"total":-1,"source":"s"}"#,
            422,
            "invalid value: integer `-1`, expected u64 at line 1 column 11",
        ),
        (
            "/v1/counters/ktp/total",
            r#"{"total":18446744073709551615,"source":"s"}"#,
            422,
            "total: at most 9223372036854775807 is expected",
        ),
        (
            "/v1/visits",
            r#"{"service":"ktp","outcome":"gone"}"#,
            422,
            "outcome: one of served, no_show, cancelled, referred is expected",
        ),
        (
            "/v1/visits",
            r#"{"service":"ktp","outcome":"served","waited_s":604801}"#,
            422,
            "waited_s: 604801 is not allowed; 0 to 604800 seconds",
        ),
        ("/v1/readings", r#"{"readings":[]}"#, 422, "readings: 0 are not allowed; 1 to 256 in one request"),
        (
            "/v1/readings",
            r#"{"readings":[{"metric":"a","unit":"C","value":1}]}"#,
            422,
            "readings[0].unit: one of count, %, °C, V, mA, dBm, B, B/s, ms, s, flag, nm is expected",
        ),
        (
            "/v1/readings",
            r#"{"readings":[{"metric":"a","unit":"V"}]}"#,
            422,
            "readings[0]: either value or missing is expected; a value that is not known is missing with a reason, not 0",
        ),
        (
            "/v1/readings",
            r#"{"readings":[{"metric":"a","unit":"V","value":1e999}]}"#,
            400,
            "the body is not JSON: number out of range at line 1 column 51",
        ),
        (
            "/v1/readings",
            r#"{"readings":[{"metric":"a","unit":"V","missing":"lost"}]}"#,
            422,
            "readings[0].missing: one of not_supported, device_off, timeout, no_light, no_module, bad_checksum, \
          out_of_range, bus_stuck, forbidden, unreadable, not_yet, no_diagnostics is expected",
        ),
    ] {
        let answer = api.post(path, body).await;
        assert_eq!((answer.status, answer.json()["message"].as_str()), (status, Some(message)), "{path} {body}");
    }
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let unauthorized = "send the header Authorization: Bearer <token>; the token is in the file that \
                        local_api.token_file names";
    for (headers, body, status, message) in [
        (vec!["Content-Type: application/json"], "{}", 401, unauthorized),
        (vec!["Authorization: Bearer 0123456789abcdeg", "Content-Type: application/json"], "{}", 401, unauthorized),
        (
            vec!["Authorization: Basic MDEyMzQ1Njc4OWFiY2RlZg==", "Content-Type: application/json"],
            "{}",
            401,
            unauthorized,
        ),
        (vec![&*bearer], "{}", 415, "send the body as JSON, with the header Content-Type: application/json"),
        (
            vec![&*bearer, "Content-Type: text/plain"],
            "{}",
            415,
            "send the body as JSON, with the header Content-Type: application/json",
        ),
        (
            vec![&*bearer, "Content-Type: application/json", "Idempotency-Key: a"],
            r#"{"key":"b"}"#,
            422,
            "key: the header Idempotency-Key and the field key differ; send one of them",
        ),
        (
            vec![&*bearer, "Content-Type: application/json"],
            &" ".repeat(1_025),
            413,
            "the body is over 1024 bytes; send fewer items at once",
        ),
    ] {
        let answer = api.send("POST", increment, &headers, body).await;
        assert_eq!((answer.status, answer.json()["message"].as_str()), (status, Some(message)), "{headers:?} {body}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
    }
    let answer = api.send("GET", increment, &[&bearer], "").await;
    assert_eq!(
        (answer.status, answer.json()["message"].as_str().unwrap()),
        (405, "GET is not allowed here; records are sent with POST, health and status with GET")
    );
    assert!(api.sink.records().is_empty(), "nothing refused was accepted");
}

#[tokio::test]
async fn what_the_spool_refuses_is_never_answered_with_200() {
    let api = Running::start().await;
    let at_limit = AppendError::AtLimit { stream: Stream::Service, used_bytes: 999, limit_bytes: 1_000 };
    for (error, status, retry_after, message) in [
        (
            at_limit,
            507,
            Some("60"),
            "the service buffer is full: 999 of 1000 bytes wait for the hub; nothing was accepted, send it again later",
        ),
        (
            AppendError::DiskFull("/data".into()),
            507,
            Some("60"),
            "the disk is full: free space in /data; nothing was accepted, send it again later",
        ),
        (
            AppendError::Storage("damaged".into()),
            503,
            Some("5"),
            "storage: damaged; nothing was accepted, send it again",
        ),
        (AppendError::Closed, 503, Some("5"), "the spool is closed; nothing was accepted, send it again"),
        (AppendError::TooLarge("record of 9 kB".into()), 413, None, "record of 9 kB"),
    ] {
        api.sink.refuse([error]);
        let answer = api.post("/v1/counters/ktp/increment", "{}").await;
        assert_eq!((answer.status, answer.header("retry-after")), (status, retry_after));
        assert_eq!(answer.json()["message"], message);
    }
}

#[tokio::test]
async fn a_client_over_its_rate_is_told_to_wait() {
    let api = Running::start().await;
    let request = b"GET /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for _ in 0..200 {
        assert_eq!(raw(api.address, request).await.status, 200);
    }
    let answer = raw(api.address, request).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    assert_eq!(answer.json()["message"], "more than 20 requests per second from this address; wait 1 s");
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(raw(api.address, request).await.status, 200);
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_refused_while_it_comes() {
    let api = Running::start().await;
    let head = format!(
        "POST /v1/visits HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunk = format!("400\r\n{}\r\n", " ".repeat(1_024));
    assert_eq!(raw(api.address, format!("{head}{chunk}{chunk}").as_bytes()).await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn half_requests_are_given_up_after_their_time() {
    let api = Running::start().await;
    for (half, status) in [
        ("POST /v1/visits HTTP/1.1\r\nHost".to_owned(), 0),
        (
            format!(
                "POST /v1/visits HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\
                 Content-Length: 9\r\n\r\n{{"
            ),
            408,
        ),
    ] {
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        let answer = fake::read(stream).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let api = Running::start().await;
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        stream.write_all(b"GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        held.push(stream);
    }
    let answer = raw(api.address, b"GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.status, 0, "closed without an answer: {answer:?}");
}

#[tokio::test]
async fn a_token_file_that_everyone_can_read_keeps_the_api_off() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, TOKEN).unwrap();
    std::fs::set_permissions(&token_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = LocalApiConfig {
        listen: listener.local_addr().unwrap(),
        token_file,
        body_bytes_max: 1_024,
        requests_per_second_max: 20,
        state_directory: folder.path().to_owned(),
    };
    let clock = Clock::held(0);
    let (_stop, shutdown) = watch::channel(false);
    let stamper = Stamper::new(1, clock.clone());
    let serving = serve(listener, &config, FakeSink::new(), stamper, clock, shutdown);
    let served = tokio::time::timeout(DEADLINE, serving).await.expect("it refuses at once");
    assert!(served.unwrap_err().to_string().contains("readable by everyone (mode 0644)"));
}
