//! Probes, metrics, backup.

use std::sync::atomic::Ordering;

use futures_util::future::{Either, select};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use super::fake::NOW_MS;
use super::hub::{Hub, Options, answer, error};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

#[tokio::test]
async fn ready_means_that_records_can_be_taken() {
    let hub = Hub::open().await;
    assert_eq!(hub.get("/readyz").await, (StatusCode::OK, json!({ "ready": true, "reasons": [] })));
    hub.vitals.ready.store(false, Ordering::SeqCst);
    hub.store.withholding.store(true, Ordering::SeqCst);
    let reasons = json!([
        "the store cannot commit: acknowledgements are withheld, agents keep their records",
        "MQTT is not ready: publishes cannot come in"
    ]);
    let unready = (StatusCode::SERVICE_UNAVAILABLE, json!({ "ready": false, "reasons": reasons }));
    assert_eq!(hub.get("/readyz").await, unready);
    assert_eq!(hub.get("/healthz").await.0, StatusCode::OK, "alive all the same");
}

#[tokio::test]
async fn metrics_tell_nodes_records_losses_and_the_disk() {
    let hub = Hub::open().await;
    let text = hub.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        "# TYPE simpul_hub_nodes gauge",
        "simpul_hub_nodes{liveness=\"live\"} 1",
        "simpul_hub_nodes{liveness=\"never\"} 1",
        "simpul_hub_records_have{stream=\"service\"} 7",
        "simpul_hub_records_lost{stream=\"service\"} 3",
        "simpul_hub_backlog_records{stream=\"event\"} 4",
        "simpul_hub_database_bytes 1000",
        "simpul_hub_withholding 0",
        "# TYPE simpul_hub_http_responses_total counter",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("days_left"), "unknown is absent: {text}");
}

#[tokio::test]
async fn a_backup_is_made_one_at_a_time_for_somebody_on_the_machine() {
    let hub = Hub::open().await;
    let order = || hub.request(Method::POST, "/api/v1/backup").json(&json!({ "directory": "/backup" }));
    let held = hub.store.backup_gate.lock().await;
    // Whichever came second is refused while the other one waits at the gate.
    let both = select(Box::pin(answer(order())), Box::pin(answer(order())));
    let (refused, other) = match timeout(SOON, both).await.expect("one of them is refused at once") {
        Either::Left(done) | Either::Right(done) => done,
    };
    let busy = (409, "busy".into(), "a backup is being made already: wait for it".into());
    assert_eq!(error(refused), busy);
    drop(held);
    let done = other.await;
    let whole = json!({ "directory": "/backup", "bytes": 9, "images": 1, "at_ms": NOW_MS });
    assert_eq!(done, (StatusCode::OK, whole));
}

#[tokio::test]
async fn a_token_from_elsewhere_cannot_name_folders_of_the_hubs_machine() {
    let (hub, tokens) = Hub::start(Options { tokens: vec!["room"], ..Options::default() }).await;
    let order = hub.request(Method::POST, "/api/v1/backup").json(&json!({ "directory": "/b" })).bearer_auth(&tokens[0]);
    let message = "backups are made on the hub's own machine: run `simpul-hub backup DIR` there";
    assert_eq!(error(answer(order).await), (403, "on_the_machine_only".into(), message.into()));
}
