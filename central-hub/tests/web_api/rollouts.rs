//! Remote updates as the room sees them, and the orders that it may give.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use simpul_hub::updates::ledger::{Content, Ledger, NewRollout};
use simpul_hub::updates::plan::{Event, Fleet, Seen};
use simpul_wire::update::{Part, Step};

use super::fake::{NOW_MS, node};
use super::hub::{Hub, Options, answer, error};

/// A rollout of three nodes: one proved it, one rolled back, one waits for its turn.
fn ledger(folder: &std::path::Path) -> Arc<Ledger> {
    let ledger = Ledger::open(&folder.join("updates.db")).unwrap();
    let new = NewRollout {
        id: [1; 16],
        part: Part::Configuration,
        version: String::new(),
        rings: "2,all".parse().unwrap(),
        soak_ms: 0,
        pause_on: 3,
        nodes: ["a-1", "b-1", "c-1"].map(|id| (node(id), Some(Content { sha256: [7; 32], bytes: 10 }))).to_vec(),
    };
    ledger.start(&new, "cli:agus", NOW_MS).unwrap();
    let seen = Seen { online: true, healthy: true, platform: Some("aarch64-linux".into()), ..Seen::default() };
    let fleet: Fleet = new.nodes.iter().map(|(node, _)| (node.clone(), seen.clone())).collect();
    let work = |event: Event<'_>| {
        let mut event = Some(event);
        let plan = ledger.plan(NOW_MS, None, |_, rollout| rollout.on(NOW_MS, event.take().unwrap()));
        plan.unwrap();
    };
    work(Event::Look(&fleet));
    work(Event::Reported(&node("a-1"), Step::Confirmed, ""));
    work(Event::Reported(&node("b-1"), Step::RolledBack, "no hub in 15 min"));
    Arc::new(ledger)
}

async fn post(hub: &Hub, path: &str, token: &str, body: &Value) -> (StatusCode, Value) {
    answer(hub.request(Method::POST, path).bearer_auth(token).json(body)).await
}

#[tokio::test]
async fn a_rollout_is_shown_with_its_counts_and_why_it_is_paused_and_let_go_on_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    let options = Options { tokens: vec!["posko"], updates: Some(ledger.clone()), ..Options::default() };
    let (hub, tokens) = Hub::start(options).await;
    let get = |path: &str| answer(hub.request(Method::GET, path).bearer_auth(&tokens[0]));
    let (status, list) = get("/api/v1/rollouts").await;
    assert_eq!(status, StatusCode::OK);
    let counts = json!({ "planned": 1, "waiting": 0, "trial": 0, "confirmed": 1, "rolled_back": 1, "refused": 0,
        "silent": 0, "behind": 0 });
    let expected = json!({ "number": 1, "part": "configuration", "version": null, "state": "paused",
        "reason": "b-1 of the first ring: rolled_back: no hub in 15 min", "ring": 1, "rings": "2,all",
        "rings_total": 2, "nodes_total": 3, "counts": counts, "made_ms": NOW_MS, "made_by": "cli:agus" });
    assert_eq!(list, json!([expected]));
    let (_, detail) = get("/api/v1/rollouts/1").await;
    assert_eq!(detail["rollout"], expected);
    let node = json!({ "id": "b-1", "platform": "aarch64-linux", "ring": 1, "step": "rolled_back",
        "since_ms": NOW_MS, "detail": "no hub in 15 min" });
    assert_eq!(detail["nodes"][1], node);
    assert_eq!((&detail["nodes"][2]["step"], &detail["nodes"][2]["ring"]), (&json!("planned"), &json!(null)));
    let (status, row) = post(&hub, "/api/v1/rollouts/1/resume", &tokens[0], &json!({})).await;
    assert_eq!((status, &row["state"], &row["reason"]), (StatusCode::OK, &json!("running"), &json!("")));
    let (status, row) = post(&hub, "/api/v1/rollouts/1/pause", &tokens[0], &json!({})).await;
    assert_eq!((status, &row["reason"]), (StatusCode::OK, &json!("by api:posko")));
    let events = ledger.events(Some(1)).unwrap();
    assert_eq!((events[0].who.as_str(), events[0].what.as_str()), ("api:posko", "pause ordered"));
    assert_eq!((events[1].who.as_str(), events[1].what.as_str()), ("api:posko", "resume ordered"));
}

#[tokio::test]
async fn each_bad_order_is_refused_with_its_exact_error_and_nobody_without_a_token_gives_one() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    let options = Options { tokens: vec!["posko"], updates: Some(ledger.clone()), ..Options::default() };
    let (hub, tokens) = Hub::start(options).await;
    let before = ledger.rollout(1).unwrap();
    let cases = [
        ("/api/v1/rollouts/1/pause", json!({}), 409, "not_now", "rollout 1 is paused: pause changes nothing"),
        ("/api/v1/rollouts/7/pause", json!({}), 404, "not_found", "there is no rollout 7: see /api/v1/rollouts"),
        ("/api/v1/rollouts/x/resume", json!({}), 400, "bad_parameter", "id = \"x\": a whole number is allowed"),
        (
            "/api/v1/rollouts/1/resume",
            json!({ "force": true }),
            400,
            "bad_body",
            "the body is not what is expected: unknown field `force`, there are no fields at line 1 column 8",
        ),
    ];
    for (path, body, status, code, message) in cases {
        let said = error(post(&hub, path, &tokens[0], &body).await);
        assert_eq!(said, (status, code.to_owned(), message.to_owned()), "{path}");
    }
    let bare = hub.request(Method::POST, "/api/v1/rollouts/1/resume").json(&json!({}));
    assert_eq!(answer(bare).await.0, StatusCode::UNAUTHORIZED);
    let foreign = hub.request(Method::POST, "/api/v1/rollouts/1/resume").json(&json!({}));
    let foreign = foreign.bearer_auth(&tokens[0]).header("origin", "https://evil.example");
    assert_eq!(answer(foreign).await.0, StatusCode::FORBIDDEN);
    assert_eq!(hub.get("/api/v1/rollouts").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ledger.rollout(1).unwrap(), before);
    // A hub without a CA of its own rolls nothing out.
    let hub = Hub::open().await;
    assert_eq!(hub.get("/api/v1/rollouts").await, (StatusCode::OK, json!([])));
    let message = "there is no rollout 1: see /api/v1/rollouts";
    assert_eq!(error(hub.get("/api/v1/rollouts/1").await), (404, "not_found".into(), message.into()));
}
