//! A hub behind a real mosquitto: hub, broker and agent are killed in turn, and everything arrives once.

use std::time::Duration;

use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_testkit::wait;
use simpul_tests::district::{District, Plan};
use simpul_tests::outcome;

const SOON: Duration = Duration::from_secs(60);
const DRAIN_MAX: Duration = Duration::from_secs(90);
/// Records between two kills: enough that some are on their way at each.
const BETWEEN: usize = 120;

async fn more(ledger: &Ledger, records: usize) {
    let wanted = ledger.len() + records;
    wait::until("more records", SOON, || async { (ledger.len() >= wanted).then_some(()) }).await.unwrap();
}

#[tokio::test]
async fn behind_an_external_broker_kills_of_hub_broker_and_agent_lose_and_double_nothing() {
    let mut district = District::start(&Plan { nodes: 2, broker: true, ..Plan::default() }).await.unwrap();
    let ledger = Ledger::default();
    let first = Desk::new(&district.nodes[0], "first", &ledger).unwrap();
    first.count("ktp", 1).await.unwrap();
    outcome::everything(&district.hub, &ledger, SOON).await.unwrap();
    let overview = district.hub.get("/api/v1/overview").await.unwrap();
    assert!(overview["hub"]["sessions"].is_null() && overview["hub"]["mqtt_ready"] == true, "{:#}", overview["hub"]);

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut callers = tokio::task::JoinSet::new();
    for (number, node) in district.nodes.iter().enumerate() {
        let desk = Desk::new(node, &format!("kill-{number}"), &ledger).unwrap();
        for _ in 0..2 {
            let (desk, stopped) = (desk.clone(), stopped.clone());
            callers.spawn(async move {
                while !*stopped.borrow() {
                    desk.count("ktp", 1).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        }
    }
    more(&ledger, BETWEEN).await;
    district.hub.kill();
    more(&ledger, BETWEEN).await;
    district.hub.start().await.unwrap();
    more(&ledger, BETWEEN).await;

    let broker = district.broker.as_mut().unwrap();
    broker.kill();
    let hub = &district.hub;
    wait::until("the hub to say that its broker is gone", SOON, || async {
        let overview = hub.get("/api/v1/overview").await.ok()?;
        (overview["hub"]["mqtt_ready"] == false).then_some(())
    })
    .await
    .unwrap();
    more(&ledger, BETWEEN).await;
    broker.start().await.unwrap();
    more(&ledger, BETWEEN).await;

    district.nodes[0].kill();
    district.nodes[0].start().await.unwrap();
    more(&ledger, BETWEEN).await;
    // All three at once, as when the room's power goes.
    district.hub.kill();
    district.broker.as_mut().unwrap().kill();
    district.nodes[1].kill();
    district.nodes[1].start().await.unwrap();
    district.broker.as_mut().unwrap().start().await.unwrap();
    district.hub.start().await.unwrap();
    more(&ledger, BETWEEN).await;
    stop.send_replace(true);
    callers.join_all().await;

    let rows = outcome::everything(&district.hub, &ledger, DRAIN_MAX).await.unwrap();
    assert_eq!(compare(&ledger.entries(), &rows), Default::default());
    for node in &district.nodes {
        outcome::drained(node, DRAIN_MAX).await.unwrap();
        outcome::nothing_lost(&district.hub, node.id()).await.unwrap();
    }
}
