//! The agent's footprint under the load that it is budgeted for: 10 readings/s, 1,000 service records a day, one masked
//! 1080p picture a minute, for ten minutes, as the static binary that ships; beside it an I/O board (the real firmware in
//! QEMU) that makes every second of the service records, with a module in its cage. Its spool lies on an ext4 of its own in a
//! loop device, so that the kernel's counter tells what was written to the card. The memory's peak is the kernel's
//! high-water mark of resident memory, which the proportional one cannot exceed.
//!
//! `SIMPUL_FOOTPRINT_SECONDS` shortens a run for trying it out; the report says how long it was.
//! `SIMPUL_FOOTPRINT_AGENT` names another agent to measure; then nothing is added to the report's file.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use simpul_testkit::board::EmulatedBoard;
use simpul_testkit::camera::Camera;
use simpul_testkit::hub::Hub;
use simpul_testkit::loop_disk::LoopDisk;
use simpul_testkit::memory::{self, Samples};
use simpul_testkit::node::{CAMERA_PASSWORD, CAMERA_USER, Node, NodeSettings};
use simpul_testkit::pki::Authority;
use simpul_testkit::process::target_directory;
use simpul_testkit::report::Report;
use simpul_testkit::scene::Scene;
use simpul_testkit::visitors::{Desk, Ledger};
use simpul_tests::district::{VILLAGES, board_settings, place, start_board};

/// The load: 10 readings/s, in calls of 10 s.
const READINGS_PER_CALL: usize = 100;
const CALL_EVERY: Duration = Duration::from_secs(10);
/// 1,000 a day.
const SERVICE_EVERY: Duration = Duration::from_millis(86_400);
/// A press as people do it: 60 to 150 ms.
const HOLD: Duration = Duration::from_millis(60);
const CARD_MEBIBYTES: u64 = 256;
/// Names another agent than the one that ships.
const OTHER_AGENT: &str = "SIMPUL_FOOTPRINT_AGENT";
const MEBIBYTE: f64 = 1024.0 * 1024.0;

fn main() -> Result<()> {
    let seconds = std::env::var("SIMPUL_FOOTPRINT_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(Duration::from_secs(seconds)))
}

/// The static binary of the profile that ships, or what the environment names.
fn static_agent() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(OTHER_AGENT) {
        return Ok(named.into());
    }
    let path = target_directory()?.join("x86_64-unknown-linux-musl/dist/simpul-agent");
    anyhow::ensure!(
        path.is_file(),
        "{} is not there: run `cargo xtask bench footprint`, which builds it",
        path.display()
    );
    Ok(path)
}

async fn run(duration: Duration) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new("Simpul bench CA")?;
    let place = place(VILLAGES[0]);
    let mut hub = Hub::prepare(&folder.path().join("hub"), &authority, std::slice::from_ref(&place), None)?;
    hub.start().await?;
    let scene = Scene { width: 1920, height: 1080, title: "DESA PATEGALAN".to_owned(), seed: 1 };
    let camera = Camera::start(scene, CAMERA_USER, CAMERA_PASSWORD).await?;
    let board = start_board(folder.path()).await?;
    let settings = NodeSettings {
        state_interval: "30 s",
        reconnect_max: "5 s",
        camera_interval: "60 s",
        camera_heartbeat: "60 s",
        camera_more: "masks = [{ x = 0, y = 0, width = 300, height = 200 }]\nmask_resolution = \"1920x1080\"\n"
            .to_owned(),
        more: board_settings(&board),
        ..NodeSettings::default()
    };
    let mut node =
        Node::prepare(&folder.path().join("node"), &authority, &place.id, hub.mqtt(), Some(&camera), &settings)?;
    let binary = static_agent()?;
    let binary_bytes = std::fs::metadata(&binary)?.len();
    node.run_program(&binary);
    let card = LoopDisk::over(node.directory(), &folder.path().join("images"), CARD_MEBIBYTES)?;
    node.start().await?;

    let id = node.process()?.id();
    let worked_before = memory::processor_time(id)?;
    let written_before = card.written_bytes()?;
    let samples = {
        let load = async {
            let outcome = tokio::time::timeout(duration, load(&node, &board)).await;
            // The load ends only by its time, or by an error.
            outcome.unwrap_or(Ok(()))
        };
        let (failed, done) = tokio::sync::oneshot::channel::<()>();
        let watch = Samples::until(id, Duration::from_secs(1), async {
            let _ = done.await;
        });
        let work = async {
            let outcome = load.await;
            drop(failed);
            outcome
        };
        let (samples, outcome) = tokio::join!(watch, work);
        outcome?;
        samples?
    };
    let worked = memory::processor_time(id)?.saturating_sub(worked_before);
    let peak_bytes = memory::peak_resident_bytes(id)?;
    // What is still in the page cache belongs to the day too.
    rustix::fs::syncfs(std::fs::File::open(card.path())?)?;
    let written = card.written_bytes()?.saturating_sub(written_before);
    let (snapshots, _) = hub.rows("/api/v1/snapshots", None).await?;
    let image_bytes: u64 = image_bytes(&hub, &snapshots).await?;
    let seen = hub.node(node.id()).await?.context("the hub shows the node")?;
    anyhow::ensure!(seen["board"]["condition"] == "good", "the board was not at work: {}", seen["board"]);

    let days = duration.as_secs_f64() / 86_400.0;
    let n = samples.len() as u64;
    let mut report = Report::new("footprint", "cargo xtask bench footprint", None);
    report.figure("agent_pss_mib", samples.median_bytes() as f64 / MEBIBYTE, "MiB", n).goal("<= 6");
    report.figure("agent_pss_peak_mib", peak_bytes as f64 / MEBIBYTE, "MiB", 1).goal("<= 24");
    let share = worked.as_secs_f64() / duration.as_secs_f64();
    report.figure("agent_cpu_percent", share * 100.0, "%", 1).goal("<= 1 of one core");
    report.figure("agent_binary_mib", binary_bytes as f64 / MEBIBYTE, "MiB", 1).goal("<= 6");
    let besides = written.saturating_sub(image_bytes) as f64 / MEBIBYTE / days;
    report.figure("card_mib_per_day", besides, "MiB", n).goal("<= 150 besides images");
    report.figure("card_with_images_mib_per_day", written as f64 / MEBIBYTE / days, "MiB", n);
    report.figure("snapshots_arrived", snapshots.len() as f64, "images", n);
    if std::env::var_os(OTHER_AGENT).is_some() {
        print!("{}", report.table());
        return Ok(());
    }
    report.finish()?;
    Ok(())
}

async fn image_bytes(hub: &Hub, snapshots: &[serde_json::Value]) -> Result<u64> {
    let mut bytes = 0;
    for snapshot in snapshots {
        let id = snapshot["id"].as_i64().context("a snapshot without id")?;
        bytes += hub.get_bytes(&format!("/api/v1/snapshots/{id}/image")).await?.len() as u64;
    }
    Ok(bytes)
}

/// The load, for ever: readings, service records and presses at their rates; the camera runs by itself.
async fn load(node: &Node, board: &EmulatedBoard) -> Result<()> {
    let ledger = Ledger::default();
    let desk = Desk::new(node, "footprint", &ledger)?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let readings = async {
        let mut ticks = tokio::time::interval(CALL_EVERY);
        for call in 0u64.. {
            ticks.tick().await;
            let reading = |i: usize| {
                let value = 20.0 + ((call * 7 + i as u64 * 13) % 500) as f64 / 100.0;
                json!({ "metric": format!("sensor.{}", i % 20), "unit": "°C", "value": value })
            };
            let body = json!({ "readings": (0..READINGS_PER_CALL).map(reading).collect::<Vec<_>>() });
            let sent = client.post(node.url("/v1/readings")).bearer_auth(node.token()).json(&body).send().await?;
            let status = sent.status();
            anyhow::ensure!(status.is_success(), "readings: {status}: {}", sent.text().await?);
        }
        anyhow::Ok(())
    };
    let services = async {
        let mut ticks = tokio::time::interval(SERVICE_EVERY);
        loop {
            ticks.tick().await;
            desk.count("ktp", 1).await?;
            ticks.tick().await;
            board.press(0, HOLD).await?;
        }
    };
    let (readings, services): (Result<()>, Result<()>) = tokio::join!(readings, services);
    readings.and(services)
}
