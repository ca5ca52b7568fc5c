//! One kill of each kind, in the open; the seeded runs with hundreds are in `faults/`.

use std::time::Duration;

use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_testkit::wait;
use simpul_tests::district::{District, Plan};

const DRAIN_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_killed_hub_loses_nothing_and_a_killed_agent_loses_nothing() {
    let mut district = District::start(&Plan { nodes: 2, ..Plan::default() }).await.unwrap();
    let ledger = Ledger::default();
    let desks: Vec<Desk> = (0u64..)
        .zip(&district.nodes)
        .map(|(number, node)| Desk::new(node, &format!("kill-{number}"), &ledger).unwrap())
        .collect();
    let mut callers = tokio::task::JoinSet::new();
    for desk in &desks {
        for _ in 0..4 {
            let desk = desk.clone();
            callers.spawn(async move {
                for _ in 0..150 {
                    desk.count("ktp", 1).await.unwrap();
                }
            });
        }
    }
    wait::until("some records", DRAIN_MAX, || async { (ledger.len() > 100).then_some(()) }).await.unwrap();
    district.hub.kill();
    district.nodes[0].kill();
    district.nodes[0].start().await.unwrap();
    wait::until("more records without a hub", DRAIN_MAX, || async { (ledger.len() > 500).then_some(()) })
        .await
        .unwrap();
    district.hub.start().await.unwrap();
    callers.join_all().await;
    let hub = &district.hub;
    let rows = wait::until("all records", DRAIN_MAX, || async {
        let (rows, _) = hub.rows("/api/v1/service-records", None).await.ok()?;
        (rows.len() >= 1_200).then_some(rows)
    });
    assert_eq!(compare(&ledger.entries(), &rows.await.unwrap()), Default::default());
}
