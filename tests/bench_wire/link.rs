//! Bytes per reading on the wire: a real agent in a namespace of its own takes the walk through its local API, 10
//! readings/s as the load budget says, and sends it to a real hub over TLS. The kernel counts what crosses the link in
//! both directions: Ethernet, IP and TCP headers, TLS, MQTT, acknowledgements, and the agent's word about itself each
//! 30 s.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use simpul_testkit::hub::Hub;
use simpul_testkit::namespace::Traffic;
use simpul_testkit::wait;
use simpul_tests::line::Line;

use super::METRICS;

/// A fibre's rate: high enough that nothing queues.
const KILOBITS_PER_SECOND: u32 = 20_000;
/// With 20 metrics a row 10 readings/s.
const ROW_EVERY: Duration = Duration::from_secs(2);
/// Five minutes, each one block of readings; `SIMPUL_WIRE_ROWS` shortens a run for trying it out.
const ROWS: usize = 150;
/// The open minute closes within a minute; then milliseconds.
const ARRIVE_MAX: Duration = Duration::from_secs(90);

/// What crossed the link for how many readings.
pub struct OnTheWire {
    pub readings: u64,
    pub traffic: Traffic,
}

pub async fn measure(walk: &[Vec<f64>]) -> Result<OnTheWire> {
    let rows = std::env::var("SIMPUL_WIRE_ROWS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROWS);
    ensure!(rows <= walk[0].len(), "the walk has {} rows", walk[0].len());
    let Line { hub, node, village, .. } = &mut Line::prepare(KILOBITS_PER_SECOND, "30 s")?;
    hub.start().await?;
    node.start().await?;
    // Handshake and the events of the start are not the readings' cost.
    wait::until("the start's events at the hub", ARRIVE_MAX, || async {
        let status = node.status().await.ok()?;
        let event = &status["streams"]["event"];
        let settled = event["next_seq"].as_u64()? > 1 && event["backlog_records"] == 0;
        settled.then_some(())
    })
    .await?;

    let before = village.traffic()?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let mut ticks = tokio::time::interval(ROW_EVERY);
    let body = |row: usize| {
        let reading = |metric: usize| json!({ "metric": METRICS[metric], "unit": "°C", "value": walk[metric][row] });
        json!({ "readings": (0..METRICS.len()).map(reading).collect::<Vec<_>>() })
    };
    for body in (0..rows).map(body) {
        ticks.tick().await;
        let sent = client.post(node.url("/v1/readings")).bearer_auth(node.token()).json(&body).send().await?;
        let status = sent.status();
        ensure!(status.is_success(), "readings: {status}: {}", sent.text().await?);
    }
    let readings = (rows * METRICS.len()) as u64;
    let arrived = wait::until("all readings at the hub", ARRIVE_MAX, || async {
        let have = have_readings(hub).await.ok()?;
        (have >= readings).then_some(have)
    });
    ensure!(arrived.await? == readings, "the hub has more readings than were sent");
    let after = village.traffic()?;
    Ok(OnTheWire { readings, traffic: Traffic { up: after.up - before.up, down: after.down - before.down } })
}

async fn have_readings(hub: &Hub) -> Result<u64> {
    let overview = hub.get("/api/v1/overview").await?;
    let streams = overview["nodes"][0]["streams"].as_array().context("the overview has no streams")?.clone();
    let readings = streams.iter().filter(|stream| stream["stream"] == "reading");
    Ok(readings.filter_map(|stream| stream["have_records"].as_u64()).sum())
}
