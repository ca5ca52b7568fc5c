//! The present: what a village does is in the room within seconds, whole.

use std::time::Duration;

use sha2::{Digest, Sha256};
use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_testkit::wait;
use simpul_tests::district::{District, Plan};

/// Seconds are promised; a debug build beside a compiler gets some more.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_count_at_the_agents_api_is_in_the_hubs_api_within_seconds() {
    let district = District::start(&Plan::default()).await.unwrap();
    let ledger = Ledger::default();
    let desk = Desk::new(&district.nodes[0], "e2e", &ledger).unwrap();
    desk.count("ktp", 2).await.unwrap();
    desk.visit("kk", 300, 120).await.unwrap();
    let hub = &district.hub;
    let rows = wait::until("both records at the hub", SOON, || async {
        let (rows, _) = hub.rows("/api/v1/service-records", None).await.ok()?;
        (rows.len() >= 2).then_some(rows)
    });
    let found = compare(&ledger.entries(), &rows.await.unwrap());
    assert_eq!(found, Default::default());
    let overview = hub.get("/api/v1/overview").await.unwrap();
    let service = |code: &str| {
        let services = overview["services"].as_array().unwrap();
        services.iter().find(|service| service["service"] == code).cloned().unwrap_or_default()
    };
    assert_eq!(service("ktp")["counted"], 2, "{overview:#}");
    assert_eq!(service("ktp")["village_name"], "Pategalan", "{overview:#}");
    assert_eq!(service("ktp")["simulated"], true, "{overview:#}");
    assert_eq!(service("kk")["visits_served"], 1, "{overview:#}");
}

#[tokio::test]
async fn the_same_key_twice_is_one_record() {
    let district = District::start(&Plan::default()).await.unwrap();
    let node = &district.nodes[0];
    simpul_testkit::install_crypto();
    let client = reqwest::Client::new();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let body = serde_json::json!({ "key": "twice", "amount": 1, "simulated": true });
        let request = client.post(node.url("/v1/counters/ktp/increment")).bearer_auth(node.token()).json(&body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        answers.push(response.json::<serde_json::Value>().await.unwrap());
    }
    assert_eq!(answers[0]["seq"], answers[1]["seq"]);
    assert_eq!((&answers[0]["duplicate"], &answers[1]["duplicate"]), (&false.into(), &true.into()));
    let desk = Desk::new(node, "after", &Ledger::default()).unwrap();
    let last = desk.count("ktp", 1).await.unwrap();
    let hub = &district.hub;
    let rows = wait::until("the record that was sent last", SOON, || async {
        let (rows, _) = hub.rows("/api/v1/service-records", None).await.ok()?;
        rows.iter().any(|row| row["key"] == last.as_str()).then_some(rows)
    });
    let twice = rows.await.unwrap().iter().filter(|row| row["key"] == "twice").count();
    assert_eq!(twice, 1);
}

#[tokio::test]
async fn a_picture_arrives_whole_and_equal_by_hash() {
    let district = District::start(&Plan { cameras: true, ..Plan::default() }).await.unwrap();
    let hub = &district.hub;
    let id = district.nodes[0].id();
    let snapshot = wait::until("a picture at the hub", SOON, || async {
        let node = hub.node(id).await.ok()??;
        let snapshot = &node["cameras"][0]["snapshot"];
        snapshot.is_object().then(|| snapshot.clone())
    });
    let snapshot = snapshot.await.unwrap();
    let bytes = hub.get_bytes(&format!("/api/v1/snapshots/{}/image", snapshot["id"])).await.unwrap();
    let hash = hex::encode(Sha256::digest(&bytes));
    assert_eq!(snapshot["sha256"], hash.as_str());
    assert_eq!((&snapshot["width"], &snapshot["height"]), (&640.into(), &360.into()));
    assert_eq!(snapshot["simulated"], true);
    // No masks are configured: what the camera sent is what the room has, to the bit.
    assert!(district.cameras[0].served().contains(&hash), "the hub's picture is none that the camera served");
}
