//! The fibre is cut: accepted records wait, and after it the present comes first and everything comes once.

use std::time::Duration;

use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_testkit::wait;
use simpul_tests::district::{District, Plan};

const SOON: Duration = Duration::from_secs(20);
/// The backlog of these tests at the speed of a debug build.
const DRAIN_MAX: Duration = Duration::from_secs(120);
/// Enough that a fresh record would wait for seconds behind it over the narrow link.
const BACKLOG: usize = 2_000;
/// The link after the cut: the backlog takes some seconds on it.
const NARROW_BYTES_PER_SECOND: u64 = 8_000;

#[tokio::test]
async fn records_of_a_cut_wait_and_all_arrive_exactly_once_with_the_fresh_ones_first() {
    let district = District::start(&Plan::default()).await.unwrap();
    let (hub, link) = (&district.hub, &district.links[0]);
    let ledger = Ledger::default();
    let desk = Desk::new(&district.nodes[0], "cut", &ledger).unwrap();
    desk.count("ktp", 1).await.unwrap();
    arrived(&district, 1, SOON).await;

    link.cut();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let desk = desk.clone();
        callers.spawn(async move {
            for _ in 0..BACKLOG / 16 {
                desk.count("kk", 1).await.unwrap();
            }
        });
    }
    callers.join_all().await;
    let waiting = wait::until("the agent to say what waits", SOON, || async {
        let status = district.nodes[0].status().await.ok()?;
        status.to_string().contains("service").then_some(status)
    });
    println!("while the fibre is cut: {}", waiting.await.unwrap());
    let (rows, _) = hub.rows("/api/v1/service-records", None).await.unwrap();
    assert_eq!(rows.len(), 1, "the cut let something through");
    wait::until("the hub to call the node not live", SOON, || async {
        let node = hub.node(district.nodes[0].id()).await.ok()??;
        (node["liveness"] != "live").then_some(())
    })
    .await
    .unwrap();

    link.set_rate(Some(NARROW_BYTES_PER_SECOND));
    link.restore();
    let fresh = desk.count("ktp", 1).await.unwrap();
    let before_it = wait::until("the fresh record", DRAIN_MAX, || async {
        let (rows, _) = hub.rows("/api/v1/service-records", None).await.ok()?;
        rows.iter().any(|row| row["key"] == fresh.as_str()).then_some(rows.len())
    });
    let before_it = before_it.await.unwrap();
    println!("{before_it} of {} records were there when the fresh one was", BACKLOG + 2);
    assert!(before_it < BACKLOG / 2, "the fresh record waited behind {before_it} of {BACKLOG} old ones");

    link.set_rate(None);
    let rows = arrived(&district, BACKLOG + 2, DRAIN_MAX).await;
    assert_eq!(compare(&ledger.entries(), &rows), Default::default());
}

#[tokio::test]
async fn a_silent_agent_is_shown_as_such_and_its_age_grows() {
    let mut district = District::start(&Plan::default()).await.unwrap();
    let id = district.nodes[0].id().to_owned();
    let hub = &district.hub;
    wait::until("the node to be live", SOON, || async {
        let node = hub.node(&id).await.ok()??;
        (node["liveness"] == "live").then_some(())
    })
    .await
    .unwrap();
    district.nodes[0].process().unwrap().freeze();
    let hub = &district.hub;
    let silent = wait::until("the node to be silent", Duration::from_secs(40), || async {
        let node = hub.node(&id).await.ok()??;
        (node["liveness"] == "silent").then_some(node)
    });
    assert!(silent.await.unwrap()["age_s"].as_i64().unwrap() >= 5);
    district.nodes[0].process().unwrap().thaw();
}

/// Wait for so many service records at the hub.
async fn arrived(district: &District, count: usize, within: Duration) -> Vec<serde_json::Value> {
    let what = format!("{count} records at the hub");
    let rows = wait::until(&what, within, || async {
        let (rows, _) = district.hub.rows("/api/v1/service-records", None).await.ok()?;
        (rows.len() >= count).then_some(rows)
    });
    rows.await.unwrap()
}
