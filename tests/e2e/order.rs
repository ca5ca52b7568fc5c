//! In order: a healthy run and an orderly stop say nothing that anybody has to read.

use std::time::Duration;

use simpul_testkit::visitors::{Desk, Ledger};
use simpul_testkit::wait;
use simpul_tests::district::{District, Plan};

#[tokio::test]
async fn a_healthy_run_and_an_orderly_stop_log_no_warning() {
    let mut district = District::start(&Plan { cameras: true, ..Plan::default() }).await.unwrap();
    let desk = Desk::new(&district.nodes[0], "order", &Ledger::default()).unwrap();
    for _ in 0..20 {
        desk.count("ktp", 1).await.unwrap();
    }
    let id = district.nodes[0].id().to_owned();
    let hub = &district.hub;
    wait::until("records and a picture", Duration::from_secs(30), || async {
        let (rows, _) = hub.rows("/api/v1/service-records", None).await.ok()?;
        let node = hub.node(&id).await.ok()??;
        (rows.len() == 20 && node["cameras"][0]["snapshot"].is_object()).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(district.nodes[0].stop().await.unwrap(), Vec::<String>::new());
    assert_eq!(district.hub.stop().await.unwrap(), Vec::<String>::new());
    // A second run on the same stores is as healthy.
    district.hub.start().await.unwrap();
    district.nodes[0].start().await.unwrap();
    desk.count("ktp", 1).await.unwrap();
    assert_eq!(district.nodes[0].stop().await.unwrap(), Vec::<String>::new());
    assert_eq!(district.hub.stop().await.unwrap(), Vec::<String>::new());
}
