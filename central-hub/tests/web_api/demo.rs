//! The demo's fibre switch and hands on its board, against a stand-in for the demo's runner.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::Path;
use axum::http::StatusCode as Status;
use axum::routing::{get, post};
use axum::{Json, Router};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::hub::{Hub, Options, answer, error};

const NODE: &str = "35.12.07.2003-01";

async fn proxy() -> SocketAddr {
    let cut = Arc::new(Mutex::new(false));
    let shown = cut.clone();
    let links = get(move || async move { Json(json!([{ "node": NODE, "cut": *shown.lock().unwrap() }])) });
    let set = post(move |Path(node): Path<String>, Json(body): Json<Value>| async move {
        if node != NODE {
            return Status::NOT_FOUND;
        }
        *cut.lock().unwrap() = body["cut"].as_bool().unwrap();
        Status::OK
    });
    let board = post(|Path(node): Path<String>, Json(body): Json<Value>| async move {
        match (node.as_str(), body["action"].as_str()) {
            (NODE, Some("long_press")) => Status::SERVICE_UNAVAILABLE,
            (NODE, Some("press")) if body == json!({ "action": "press", "desk": 2 }) => Status::ACCEPTED,
            (NODE, Some("mains_off")) if body == json!({ "action": "mains_off" }) => Status::ACCEPTED,
            (NODE, _) => Status::BAD_REQUEST,
            _ => Status::NOT_FOUND,
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router: Router =
        Router::new().route("/links", links).route("/links/{node}", set).route("/boards/{node}", board);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn demo(control: SocketAddr) -> Hub {
    Hub::start(Options { fibre_control: Some(control), ..Options::default() }).await.0
}

fn switch(hub: &Hub, node: &str, cut: bool) -> reqwest::RequestBuilder {
    hub.request(Method::POST, "/api/v1/demo/fibre").json(&json!({ "node": node, "cut": cut }))
}

#[tokio::test]
async fn the_switch_cuts_and_mends_and_the_overview_shows_it() {
    let hub = demo(proxy().await).await;
    let shown = || async { hub.get("/api/v1/overview").await.1 };
    assert_eq!(shown().await["demo"], true);
    for cut in [true, false] {
        assert_eq!(answer(switch(&hub, NODE, cut)).await, (StatusCode::OK, json!({ "node": NODE, "cut": cut })));
        let overview = shown().await;
        assert_eq!(overview["nodes"][0]["fibre_cut"], cut);
        assert_eq!(overview["nodes"][1]["fibre_cut"], Value::Null, "no switch for this one");
    }
    let unknown = error(answer(switch(&hub, "other", true)).await);
    assert_eq!(unknown, (404, "not_found".into(), "the demo has no fibre to node other".into()));
}

#[tokio::test]
async fn a_proxy_that_is_gone_leaves_the_switch_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let hub = demo(address).await;
    assert_eq!(hub.get("/api/v1/overview").await.1["nodes"][0]["fibre_cut"], Value::Null);
    assert_eq!(error(answer(switch(&hub, NODE, true)).await).1, "demo_proxy");
}

#[tokio::test]
async fn a_hub_that_is_no_demo_has_no_switch() {
    let hub = Hub::open().await;
    let refused = error(answer(switch(&hub, NODE, true)).await);
    assert_eq!(refused, (404, "not_found".into(), "this hub is no demo: it has no fibre switch".into()));
    assert_eq!(hub.get("/api/v1/overview").await.1["demo"], false);
}

fn order(hub: &Hub, body: &Value) -> reqwest::RequestBuilder {
    hub.request(Method::POST, "/api/v1/demo/board").json(body)
}

#[tokio::test]
async fn orders_to_the_board_reach_the_runner_and_what_is_none_is_named() {
    let hub = demo(proxy().await).await;
    for good in [json!({ "node": NODE, "action": "press", "desk": 2 }), json!({ "node": NODE, "action": "mains_off" })]
    {
        assert_eq!(answer(order(&hub, &good)).await, (StatusCode::OK, good));
    }
    for (body, status, code, said) in [
        (json!({ "node": "other", "action": "mains_off" }), 404, "not_found", "the demo has no board at node other"),
        (json!({ "node": "a/b", "action": "mains_off" }), 400, "bad_parameter", "node = \"a/b\""),
        (json!({ "node": NODE, "action": "kick" }), 400, "bad_body", "unknown variant `kick`"),
        (json!({ "node": NODE }), 400, "bad_body", "missing field `action`"),
        (json!({ "node": NODE, "action": "press", "desk": 0 }), 400, "bad_parameter", "desk = 0: 1 to 2 is allowed"),
        (json!({ "node": NODE, "action": "press", "desk": 3 }), 400, "bad_parameter", "desk = 3: 1 to 2 is allowed"),
        (json!({ "node": NODE, "action": "press", "desk": 256 }), 400, "bad_body", "256"),
        (json!({ "node": NODE, "action": "press" }), 400, "bad_parameter", "desk is missing: 1 to 2 is allowed"),
        (json!({ "node": NODE, "action": "open_lid", "desk": 1 }), 400, "bad_parameter", "only a press has a desk"),
        (json!({ "node": NODE, "action": "open_lid", "hold": 1 }), 400, "bad_body", "unknown field `hold`"),
        (json!({ "node": NODE, "action": "long_press", "desk": 1 }), 503, "demo_busy", "still busy"),
        (json!({ "node": NODE, "action": "fade_light" }), 502, "demo_proxy", "it answered 400"),
    ] {
        let refused = error(answer(order(&hub, &body)).await);
        assert!((refused.0, refused.1.as_str()) == (status, code) && refused.2.contains(said), "{body}: {refused:?}");
    }
    let refused = error(answer(order(&Hub::open().await, &json!({ "node": NODE, "action": "open_lid" }))).await);
    assert_eq!(refused, (404, "not_found".into(), "this hub is no demo: it has no emulated board".into()));
}
