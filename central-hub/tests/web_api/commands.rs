//! Orders to a node.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use simpul_hub::store::{Dating, EventRow};
use simpul_wire::command::Action;
use simpul_wire::doctor::{Code, Report, Verdict};
use simpul_wire::event::{EventBody, EventRecord};

use super::fake::{EPOCH, NOW_MS, STAMP};
use super::hub::{Hub, Options, answer, error};

const NODE: &str = "35.12.07.2003-01";

fn order(hub: &Hub, node: &str, body: &Value) -> RequestBuilder {
    hub.request(Method::POST, &format!("/api/v1/nodes/{node}/commands/power-cycle")).json(body)
}

#[tokio::test]
async fn a_power_cycle_goes_into_the_session_and_is_answered_with_its_id() {
    let hub = Hub::open().await;
    let mut ids = HashSet::new();
    for (body, off_ms) in [(json!({}), 10_000), (json!({ "off_ms": 60_000 }), 60_000), (json!({ "off_ms": 1 }), 1)] {
        let (status, sent) = answer(order(&hub, NODE, &body)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{sent}");
        assert_eq!((&sent["node"], &sent["off_ms"], &sent["ttl_ms"]), (&json!(NODE), &json!(off_ms), &json!(30_000)));
        let (node, command) = hub.commands.sent.lock().unwrap().last().unwrap().clone();
        assert_eq!((node.as_str(), command.action, command.ttl_ms), (NODE, Action::PowerCycle { off_ms }, 30_000));
        assert_eq!(sent["id"], hex::encode(command.id));
        ids.insert(command.id);
    }
    assert_eq!(ids.len(), 3, "each order is a command of its own");
}

#[tokio::test]
async fn an_examination_is_ordered_into_the_session_and_shown_in_both_languages() {
    let hub = Hub::open().await;
    let path = format!("/api/v1/nodes/{NODE}/examination");
    let get = |query: &str| hub.request(Method::GET, &format!("{path}{query}"));
    let (status, none) = answer(get("")).await;
    assert_eq!((status, none), (StatusCode::OK, json!({ "node": NODE, "examination": null })));
    let (status, sent) = answer(hub.request(Method::POST, &path).json(&json!({}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{sent}");
    let (node, command) = hub.commands.sent.lock().unwrap().last().unwrap().clone();
    assert_eq!((node.as_str(), command.action), (NODE, Action::Examine {}));
    assert_eq!(sent, json!({ "id": hex::encode(command.id), "node": NODE, "ttl_ms": 30_000 }));

    let cause = Code::NetworkNoRoute.finding(Verdict::Fail);
    let report = Report::clipped(Some(command.id), "0.1.0".parse().unwrap(), 900, vec![cause]);
    let body = EventBody::Examination { verdict: report.worst(), report: report.seal() };
    let row = |id, at_ms, body| EventRow {
        id,
        node: node.clone(),
        epoch: EPOCH,
        seq: 77,
        at_ms,
        dating: Dating::Clock,
        received_ms: NOW_MS,
        record: EventRecord { stamp: STAMP, body },
    };
    hub.store.events.lock().unwrap().push(row(1_000_000, NOW_MS - 4_000, body));
    // One from before arrives after it, with a backlog.
    let old = Report::clipped(None, "0.1.0".parse().unwrap(), 900, vec![Code::HubGood.finding(Verdict::Ok)]);
    let body = EventBody::Examination { verdict: old.worst(), report: old.seal() };
    hub.store.events.lock().unwrap().push(row(1_000_001, NOW_MS - 9_000, body));
    for (query, what) in [
        ("", "Tidak ada jalan keluar dari jaringan lokal."),
        ("?language=id", "Tidak ada jalan keluar dari jaringan lokal."),
        ("?language=en", "There is no way out of the local network."),
    ] {
        let (_, shown) = answer(get(query)).await;
        let shown = &shown["examination"];
        assert_eq!((&shown["id"], &shown["age_s"], &shown["verdict"]), (&sent["id"], &json!(4), &json!("fail")));
        assert_eq!(shown["findings"][0]["what"], what);
    }
    let refused = error(answer(get("?language=jv")).await);
    assert_eq!(refused, (400, "bad_parameter".into(), "language = \"jv\": id, en is allowed".into()));
    let nobody = hub.request(Method::GET, "/api/v1/nodes/nobody/examination");
    assert_eq!(error(answer(nobody).await).0, 404);
    *hub.vitals.connected.lock().unwrap() = Some(false);
    assert_eq!(error(answer(hub.request(Method::POST, &path).json(&json!({}))).await).1, "node_offline");
}

#[tokio::test]
async fn each_bad_order_is_refused_with_what_is_allowed_and_sends_nothing() {
    let hub = Hub::open().await;
    let cases: &[(&str, Value, u16, &str, &str)] = &[
        (NODE, json!({ "off_ms": 0 }), 400, "bad_parameter", "off_ms = 0: a whole number from 1 to 60000 is allowed"),
        (
            NODE,
            json!({ "off_ms": 60_001 }),
            400,
            "bad_parameter",
            "off_ms = 60001: a whole number from 1 to 60000 is allowed",
        ),
        (
            NODE,
            json!({ "off_ms": -1 }),
            400,
            "bad_body",
            "the body is not what is expected: invalid value: integer `-1`, expected u32 at line 1 column 12",
        ),
        (
            NODE,
            json!({ "seconds": 5 }),
            400,
            "bad_body",
            "the body is not what is expected: unknown field `seconds`, expected `off_ms` at line 1 column 10",
        ),
        ("a%2Fb", json!({}), 400, "bad_parameter", "node = \"a/b\": a node's id such as 35.12.07.2003-01 is allowed"),
        (
            "nobody",
            json!({}),
            404,
            "not_found",
            "no node nobody is registered or was ever heard from: see /api/v1/overview",
        ),
    ];
    for (node, body, status, code, message) in cases {
        let refused = error(answer(order(&hub, node, body)).await);
        assert_eq!(refused, (*status, (*code).into(), (*message).into()), "{node} {body}");
    }
    assert!(hub.commands.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_node_without_a_session_is_not_ordered_anything() {
    let hub = Hub::open().await;
    let offline = "node 35.12.07.2003-01 has no open session: nothing was sent, and nothing is kept for later; order it \
                   again once the node is live, or switch it on site";
    *hub.vitals.connected.lock().unwrap() = Some(false);
    let refused = error(answer(order(&hub, NODE, &json!({}))).await);
    assert_eq!(refused, (409, "node_offline".into(), offline.into()));
    // Behind an external broker nobody sees sessions: the liveness rule decides.
    *hub.vitals.connected.lock().unwrap() = None;
    hub.clock.advance(Duration::from_secs(1));
    assert_eq!(answer(order(&hub, NODE, &json!({}))).await.0, StatusCode::ACCEPTED);
    hub.clock.advance(Duration::from_secs(150));
    assert_eq!(answer(order(&hub, NODE, &json!({}))).await.0, StatusCode::CONFLICT);
    assert_eq!(hub.commands.sent.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stopping_hub_says_that_nothing_was_sent() {
    let hub = Hub::open().await;
    hub.commands.stopping.store(true, Ordering::SeqCst);
    let refused = error(answer(order(&hub, NODE, &json!({}))).await);
    assert_eq!(refused, (503, "closing".into(), "the hub is stopping: ask again in a minute".into()));
}

#[tokio::test]
async fn an_order_needs_a_token_and_our_own_page_like_every_change() {
    let (hub, tokens) = Hub::start(Options { tokens: vec!["room"], ..Options::default() }).await;
    assert_eq!(answer(order(&hub, NODE, &json!({}))).await.0, StatusCode::UNAUTHORIZED);
    let foreign = order(&hub, NODE, &json!({})).bearer_auth(&tokens[0]).header("origin", "https://evil.example");
    assert_eq!(answer(foreign).await.0, StatusCode::FORBIDDEN);
    assert!(hub.commands.sent.lock().unwrap().is_empty());
    assert_eq!(answer(order(&hub, NODE, &json!({})).bearer_auth(&tokens[0])).await.0, StatusCode::ACCEPTED);
}
