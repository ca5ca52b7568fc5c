//! Live events over a real connection.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use simpul_hub::web::tokens;
use tokio::time::{Instant, timeout};

use super::fake::node;
use super::hub::{Hub, Options, error};

const SOON: Duration = Duration::from_secs(20);

async fn watch(hub: &Hub) -> Response {
    hub.request(Method::GET, "/api/v1/live").send().await.unwrap()
}

/// Read on until `wanted` is in what was read.
async fn read_until(response: &mut Response, wanted: &str) -> String {
    let mut text = String::new();
    let read = async {
        while !text.contains(wanted) {
            let chunk = response.chunk().await.unwrap().expect("the stream goes on");
            text += std::str::from_utf8(&chunk).unwrap();
        }
    };
    timeout(SOON, read).await.unwrap_or_else(|_| panic!("{wanted:?} did not come"));
    text
}

#[tokio::test]
async fn a_page_hears_at_once_that_it_is_connected_and_then_what_changed() {
    let hub = Hub::open().await;
    let mut response = watch(&hub).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    read_until(&mut response, "event: heartbeat\n").await;
    hub.changes.send(node("a-1")).unwrap();
    let text = read_until(&mut response, "event: changed\n").await;
    assert!(text.contains("\"nodes\":[\"a-1\"],\"all\":false"), "{text}");
}

#[tokio::test]
async fn a_burst_of_changes_is_at_most_one_event_a_second() {
    let hub = Hub::open().await;
    let mut response = watch(&hub).await;
    read_until(&mut response, "heartbeat").await;
    hub.changes.send(node("a-0")).unwrap();
    read_until(&mut response, "\"a-0\"").await;
    let told = Instant::now();
    for number in 1..20 {
        hub.changes.send(node(&format!("a-{number}"))).unwrap();
        tokio::task::yield_now().await;
    }
    // All of them in one event, and not before its time. The first event was on its way for a moment: 900 ms.
    let text = read_until(&mut response, "\n\n").await;
    assert!(text.contains("\"a-1\"") && text.contains("\"a-19\""), "{text}");
    assert!(told.elapsed() >= Duration::from_millis(900), "{:?}", told.elapsed());
}

#[tokio::test]
async fn without_a_change_the_heart_beats() {
    let hub = Hub::open().await;
    let mut response = watch(&hub).await;
    read_until(&mut response, "event: heartbeat").await;
    read_until(&mut response, "event: heartbeat").await;
}

#[tokio::test]
async fn a_hub_that_missed_changes_says_that_everything_changed() {
    let hub = Hub::open().await;
    let mut response = watch(&hub).await;
    read_until(&mut response, "heartbeat").await;
    // More at once than the channel of these tests holds, with no chance for the pump to run in between.
    for number in 0..200 {
        hub.changes.send(node(&format!("a-{number}"))).unwrap();
    }
    read_until(&mut response, "\"nodes\":[],\"all\":true").await;
}

#[tokio::test]
async fn more_watchers_than_there_are_places_are_told_so() {
    let hub = Hub::open().await;
    let mut watching = Vec::new();
    for _ in 0..128 {
        let response = watch(&hub).await;
        assert_eq!(response.status(), StatusCode::OK);
        watching.push(response);
    }
    let refused = timeout(SOON, hub.get("/api/v1/live")).await.expect("no place, so no stream");
    let refused = error(refused);
    let message = "128 pages watch already: close some, or ask again later";
    assert_eq!(refused, (503, "too_many_viewers".into(), message.into()));
    watching.pop();
    let freed = async {
        while hub.request(Method::GET, "/api/v1/live").send().await.unwrap().status() != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, freed).await.expect("a place that is given back is free again");
}

#[tokio::test]
async fn a_revoked_token_ends_its_live_stream_with_the_next_event() {
    let (hub, tokens) = Hub::start(Options { tokens: vec!["room"], ..Options::default() }).await;
    let request = hub.request(Method::GET, "/api/v1/live").bearer_auth(&tokens[0]);
    let mut response = request.send().await.unwrap();
    read_until(&mut response, "heartbeat").await;
    tokens::revoke(&hub.tokens_file, "room").unwrap();
    hub.clock.advance(Duration::from_secs(1));
    hub.changes.send(node("a-1")).unwrap();
    let rest = timeout(SOON, response.chunk()).await.expect("the stream ends").unwrap();
    assert_eq!(rest, None, "and nothing more is told");
}

#[tokio::test]
async fn stopping_ends_live_streams_and_closes_the_port_within_seconds() {
    let mut hub = Hub::open().await;
    let mut response = watch(&hub).await;
    read_until(&mut response, "heartbeat").await;
    hub.stop();
    timeout(SOON, async { while response.chunk().await.unwrap().is_some() {} }).await.expect("the stream ends");
    timeout(Duration::from_secs(10), &mut hub.server).await.expect("the server ends in time").unwrap();
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", hub.port)).await.is_err(), "the port is closed");
}
