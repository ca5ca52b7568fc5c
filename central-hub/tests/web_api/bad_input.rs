//! Bad requests with their exact errors.

use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::hub::{Hub, answer, error};

#[tokio::test]
async fn each_bad_value_is_refused_naming_the_field_and_what_is_allowed() {
    let hub = Hub::open().await;
    let cases: &[(&str, u16, &str, &str)] = &[
        ("/api/v1/events?limit=0", 400, "bad_parameter", "limit = 0: a whole number from 1 to 1000 is allowed"),
        ("/api/v1/events?limit=1001", 400, "bad_parameter", "limit = 1001: a whole number from 1 to 1000 is allowed"),
        ("/api/v1/events?limit=ten", 400, "bad_parameter", "limit = \"ten\": a whole number from 1 to 1000 is allowed"),
        (
            "/api/v1/events?cursor=-1",
            400,
            "bad_parameter",
            "cursor = -1: a whole number from 0 to 9223372036854775807 is allowed",
        ),
        (
            "/api/v1/events?nod=a",
            400,
            "bad_parameter",
            "\"nod\" is not a parameter here: node, cursor, limit, order is allowed",
        ),
        ("/api/v1/events?limit=1&limit=2", 400, "bad_parameter", "limit is given twice: once is allowed"),
        (
            "/api/v1/service-records?node=a%20b",
            400,
            "bad_parameter",
            "node = \"a b\": a node's id such as 35.12.07.2003-01 is allowed",
        ),
        ("/api/v1/snapshots?order=up", 400, "bad_parameter", "order = \"up\": newest_first, oldest_first is allowed"),
        ("/api/v1/usage?x=1", 400, "bad_parameter", "\"x\" is not a parameter here: none is allowed"),
        ("/api/v1/readings", 400, "bad_parameter", "node is missing: add node=35.12.07.2003-01"),
        ("/api/v1/readings?node=a", 400, "bad_parameter", "metric is missing: add metric=cpu_used"),
        (
            "/api/v1/readings?node=a&metric=m&step=week",
            400,
            "bad_parameter",
            "step = \"week\": minute, hour, day is allowed",
        ),
        (
            "/api/v1/readings?node=a&metric=m&from_ms=5&to_ms=5",
            400,
            "bad_parameter",
            "from_ms = 5: less than to_ms = 5 is allowed",
        ),
        (
            "/api/v1/readings?node=a&metric=m&from_ms=0&to_ms=1700000000000",
            400,
            "bad_parameter",
            "from_ms = 0, to_ms = 1700000000000: at most 10080 steps are allowed; take a larger step, or ask in parts",
        ),
        (
            "/api/v1/readings?node=a&metric=m&to_ms=4102444800001",
            400,
            "bad_parameter",
            "to_ms = 4102444800001: a whole number from 0 to 4102444800000 is allowed",
        ),
        (
            "/api/v1/nodes/a%2Fb",
            400,
            "bad_parameter",
            "node = \"a/b\": a node's id such as 35.12.07.2003-01 is allowed",
        ),
        (
            "/api/v1/nodes/nobody",
            404,
            "not_found",
            "no node nobody is registered or was ever heard from: see /api/v1/overview",
        ),
        ("/api/v1/snapshots/x/image", 400, "bad_parameter", "id = \"x\": a whole number is allowed"),
        (
            "/api/v1/snapshots/7/image",
            404,
            "not_found",
            "there is no snapshot 7 (any more): images are kept for a time, see store.snapshot_retention_days",
        ),
        ("/api/v2/x", 404, "not_found", "/api/v2/x is not part of the API: see /api/v1/openapi.json"),
        ("/assets/gone.js", 404, "not_found", "there is no file /assets/gone.js"),
        ("/api/v1/backup", 405, "method_not_allowed", "this method is not allowed here: see /api/v1/openapi.json"),
    ];
    for (path, status, code, message) in cases {
        assert_eq!(error(hub.get(path).await), (*status, (*code).into(), (*message).into()), "{path}");
    }
    assert!(hub.store.looks.lock().unwrap().is_empty(), "an image that is not there is no look");
}

#[tokio::test]
async fn each_bad_body_is_refused_naming_what_is_wrong() {
    let hub = Hub::open().await;
    let long = format!("{{\"directory\":\"/{}\"}}", "x".repeat(16 * 1024));
    let cases: &[(&str, &str, u16, &str, &str)] = &[
        ("text/plain", "{}", 415, "not_json", "content-type = \"text/plain\": application/json is allowed"),
        (
            "application/json",
            "{",
            400,
            "bad_body",
            "the body is not what is expected: EOF while parsing an object at line 1 column 1",
        ),
        (
            "application/json",
            "{\"folder\":\"/b\"}",
            400,
            "bad_body",
            "the body is not what is expected: unknown field `folder`, expected `directory` at line 1 column 9",
        ),
        (
            "application/json",
            "{\"directory\":\"b\"}",
            400,
            "bad_parameter",
            "directory = \"b\": an absolute path is allowed",
        ),
        (
            "application/json",
            &long,
            413,
            "too_large",
            "the body has more than 16384 bytes, ended early or took too long",
        ),
    ];
    for (kind, body, status, code, message) in cases {
        let request =
            hub.request(Method::POST, "/api/v1/backup").header("content-type", *kind).body((*body).to_owned());
        assert_eq!(error(answer(request).await), (*status, (*code).into(), (*message).into()), "{body:.40}");
    }
}

#[tokio::test]
async fn a_broken_store_is_an_error_that_keeps_its_secrets() {
    let hub = Hub::open().await;
    hub.store.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    let message = "the store could not answer: the hub's log says why";
    assert_eq!(error(hub.get("/api/v1/overview").await), (500, "store".into(), message.into()));
    assert_eq!(hub.get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_head_without_an_end_is_cut_and_others_go_on() {
    let hub = Hub::open().await;
    let mut stream = TcpStream::connect(("127.0.0.1", hub.port)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ").await.unwrap();
    let filler = [b'x'; 4096];
    let mut answer = Vec::new();
    // The server answers 431 or just closes; either way writing ends within some tens of kilobytes.
    for _ in 0..64 {
        if stream.write_all(&filler).await.is_err() {
            break;
        }
    }
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    assert_eq!(hub.get("/healthz").await.0, StatusCode::OK);
}
