//! A hub restored from a backup that lacks thousands of records which it had acknowledged: the agents have kept them and
//! send them again, and the room is told.

use std::time::Duration;

use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_tests::district::{District, Plan};
use simpul_tests::outcome::{self, accept};

const NODES: usize = 2;
/// Records in the backup.
const BEFORE: usize = 300;
/// Records that are acknowledged after it.
const AFTER: usize = 10_000;
/// At the speed of a debug build.
const DRAIN_MAX: Duration = Duration::from_secs(120);

/// So many records at all nodes together, and no node owes anything afterwards: all of it was acknowledged.
async fn accept_everywhere(district: &District, prefix: &str, records: usize, ledger: &Ledger) {
    let mut tasks = tokio::task::JoinSet::new();
    for (number, node) in district.nodes.iter().enumerate() {
        let desk = Desk::new(node, &format!("{prefix}-{number}"), ledger).unwrap();
        tasks.spawn(async move { accept(&desk, records / NODES, 64).await.unwrap() });
    }
    tasks.join_all().await;
    for node in &district.nodes {
        outcome::drained(node, DRAIN_MAX).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_send_again_what_a_restored_hub_lacks_and_the_room_is_told() {
    let mut district = District::start(&Plan { nodes: NODES, ..Plan::default() }).await.unwrap();
    let ledger = Ledger::default();
    accept_everywhere(&district, "before", BEFORE, &ledger).await;
    let backup = district.folder().join("backup").to_string_lossy().into_owned();
    district.hub.command(&["backup", &backup]).await.unwrap();
    accept_everywhere(&district, "after", AFTER, &ledger).await;
    assert_eq!(ledger.len(), BEFORE + AFTER);
    let rows = outcome::everything(&district.hub, &ledger, DRAIN_MAX).await.unwrap();
    assert_eq!(compare(&ledger.entries(), &rows), Default::default());
    let before = district.hub.get("/api/v1/overview").await.unwrap()["hub"].clone();

    district.hub.stop().await.unwrap();
    let said = district.hub.command(&["restore", "--force", &backup]).await.unwrap();
    assert!(said.starts_with(&format!("restored {BEFORE} service records, ")), "{said}");
    district.hub.start().await.unwrap();
    let rows = outcome::everything(&district.hub, &ledger, DRAIN_MAX).await.unwrap();
    assert_eq!(compare(&ledger.entries(), &rows), Default::default());
    for node in &district.nodes {
        outcome::drained(node, DRAIN_MAX).await.unwrap();
        outcome::nothing_lost(&district.hub, node.id()).await.unwrap();
    }
    let hub = district.hub.get("/api/v1/overview").await.unwrap()["hub"].clone();
    assert_ne!(hub["generation"], before["generation"]);
    assert!(before["restored"].is_null(), "{before:#}");
    let restored = &hub["restored"];
    assert!(restored["at_ms"].as_i64() > restored["backup_ms"].as_i64(), "{hub:#}");
    // The next backup holds what was sent again: then nobody has to look any more.
    district.hub.command(&["backup", &format!("{backup}-2")]).await.unwrap();
    let hub = district.hub.get("/api/v1/overview").await.unwrap()["hub"].clone();
    assert!(hub["restored"].is_null(), "{hub:#}");
}
