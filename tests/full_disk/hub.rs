//! A full disk under the hub: its pictures thin first, while records still arrive; without room acknowledgements are
//! withheld, the page says so and the agents keep everything, also over a kill; with space again all of it arrives once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use simpul_testkit::hub::Hub;
use simpul_testkit::loop_disk::LoopDisk;
use simpul_testkit::node::NodeSettings;
use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_testkit::wait;
use simpul_tests::district::{District, Plan};
use simpul_tests::outcome;
use tokio::task::JoinSet;

use crate::{DISK_MEBIBYTES, Figures};

/// Nodes with a camera each.
const NODES: usize = 3;
/// Pictures at the hub before its disk fills.
const IMAGES_MIN: u64 = 30;
/// Pictures that must go while records still come.
const THINNED_MIN: u64 = 10;
/// What is left at first: little enough that pictures have to go, enough to commit records.
const TIGHT_BYTES: u64 = 3 << 19;
/// Records that wait at the agents before there is space again.
const WAITING_MIN: u64 = 200;
/// Maintenance comes each 5 s; a debug build gets its time.
const SOON: Duration = Duration::from_secs(60);
/// Everything that waits is a few megabytes.
const DRAIN_MAX: Duration = Duration::from_secs(90);

pub async fn run() -> Result<Figures> {
    let settings = NodeSettings { camera_interval: "500 ms", camera_heartbeat: "500 ms", ..NodeSettings::default() };
    let plan = Plan { nodes: NODES, cameras: true, picture: (1_280, 720), settings, ..Plan::default() };
    let mut district = District::prepare(&plan).await?;
    let data = district.hub.directory().join("data");
    std::fs::create_dir(&data)?;
    let disk = LoopDisk::over(&data, &district.folder().join("images"), DISK_MEBIBYTES)?;
    district.hub.start().await?;
    for node in &mut district.nodes {
        node.start().await?;
    }
    let ledger = Ledger::default();
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for (number, node) in district.nodes.iter().enumerate() {
        let (desk, stop) = (Desk::new(node, &format!("disk-{number}"), &ledger)?, Arc::clone(&stop));
        callers.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                desk.count("ktp", 1).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        });
    }
    let outcome = phases(&mut district, &disk, &ledger).await;
    if outcome.is_err() {
        let hub = district.hub.process()?;
        println!("the hub's status: {:?}, its log:\n{}", hub.poll_ended(), hub.log_tail());
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = callers.join_next().await {
        ended.context("a caller panicked")??;
    }
    let (thinned, waited, withheld_passed) = outcome?;
    let rows = outcome::everything(&district.hub, &ledger, DRAIN_MAX).await?;
    for node in &district.nodes {
        outcome::drained(node, DRAIN_MAX).await?;
    }
    let found = compare(&ledger.entries(), &rows);
    ensure!(district.hub.process()?.poll_ended().is_none(), "the hub ended");
    district.hub.kill();
    drop(disk);
    Ok(vec![
        ("hub_disk_accepted", ledger.len() as u64, "records", 2 * WAITING_MIN),
        ("hub_disk_images_thinned_while_records_came", thinned, "images", THINNED_MIN),
        ("hub_disk_records_waited", waited, "records", WAITING_MIN),
        ("hub_disk_records_in_while_withheld", withheld_passed, "records", 0),
        ("hub_disk_records_missing", found.missing.len() as u64, "records", 0),
        ("hub_disk_records_doubled", found.doubled.len() as u64, "records", 0),
        ("hub_disk_records_different", found.different.len() as u64, "records", 0),
    ])
}

/// From room to none and back. Returns images thinned while records went on, records that waited, and records
/// that came in while the hub said that it withholds.
async fn phases(district: &mut District, disk: &LoopDisk, ledger: &Ledger) -> Result<(u64, u64, u64)> {
    wait::until("pictures at the hub", SOON, || async {
        (images(&district.hub).await.ok()? >= IMAGES_MIN).then_some(())
    })
    .await?;
    let ballast = disk.path().join("store/ballast");
    ensure!(ballast.exists(), "no ballast at {}", ballast.display());
    disk.fill(TIGHT_BYTES)?;
    // What folding the journal gives back is taken too: then it is the pictures' turn.
    let thinned = wait::until("pictures to be thinned", SOON, || async {
        // Not what the ballast gives: with that the hub must get by.
        if disk.free_bytes().ok()? > 2 * TIGHT_BYTES && ballast.exists() {
            disk.fill(TIGHT_BYTES).ok()?;
        }
        let gone = images_given_up(&district.hub).await.ok()?;
        (gone >= THINNED_MIN).then_some(gone)
    })
    .await?;
    // The journal and the pictures give enough for records to go on.
    let accepted = ledger.len() as u64;
    wait::until("records to go on arriving", SOON, || async {
        ensure_not_withholding(&district.hub).await.ok()?;
        (records(&district.hub).await.ok()? > accepted).then_some(())
    })
    .await?;
    println!("{thinned} pictures are gone, {} records have come", records(&district.hub).await?);

    // Without a byte, not even for giving something up.
    wait::until("the hub to say that it withholds", SOON, || async {
        disk.fill(0).ok()?;
        says_withholding(&district.hub).await.ok()?.then_some(())
    })
    .await?;
    let (have, accepted) = (records(&district.hub).await?, ledger.len() as u64);
    wait::until("records to wait at the agents", SOON, || async {
        (ledger.len() as u64 >= accepted + WAITING_MIN / 2).then_some(())
    })
    .await?;

    let arrived = records(&district.hub).await?;
    let passed = arrived.saturating_sub(have);

    // Killed and started without a byte to spare: it stays, says so in its log, takes nothing.
    ensure!(district.hub.process()?.poll_ended().is_none(), "the hub ended");
    district.hub.kill();
    disk.fill(0)?;
    district.hub.launch()?;
    district.hub.process()?.wait_for_line("waits for space to open", SOON).await?;
    wait::until("more records to wait at the agents", SOON, || async {
        (ledger.len() as u64 >= accepted + WAITING_MIN).then_some(())
    })
    .await?;
    ensure!(district.hub.process()?.poll_ended().is_none(), "the hub ended");
    let waited = (ledger.len() as u64).saturating_sub(arrived);
    println!("{waited} records wait, {passed} came in while acknowledgements were withheld");

    disk.give_back()?;
    wait::until("the hub to take records by itself", SOON, || async {
        ensure_not_withholding(&district.hub).await.ok()?;
        (records(&district.hub).await.ok()? >= accepted).then_some(())
    })
    .await?;
    Ok((thinned, waited, passed))
}

async fn ensure_not_withholding(hub: &Hub) -> Result<()> {
    ensure!(!says_withholding(hub).await?, "it withholds");
    Ok(())
}

/// What the page and `/api/v1/usage` say; they must agree on what they say about the disk.
async fn says_withholding(hub: &Hub) -> Result<bool> {
    let overview = hub.get("/api/v1/overview").await?;
    let usage = hub.get("/api/v1/usage").await?;
    for figures in [&overview["hub"], &usage] {
        ensure!(figures["free_bytes"].is_u64() && figures["budget_bytes"].is_u64(), "no disk figures: {figures}");
    }
    Ok(overview["hub"]["withholding"] == true && usage["withholding"] == true)
}

/// Pictures that came and are not there any more.
async fn images_given_up(hub: &Hub) -> Result<u64> {
    Ok(arrived(hub, "snapshot").await?.saturating_sub(images(hub).await?))
}

async fn images(hub: &Hub) -> Result<u64> {
    Ok(hub.rows("/api/v1/snapshots", None).await?.0.len() as u64)
}

async fn records(hub: &Hub) -> Result<u64> {
    arrived(hub, "service").await
}

/// Records of a stream that were committed, of all nodes.
async fn arrived(hub: &Hub, stream: &str) -> Result<u64> {
    let streams = hub.get("/api/v1/streams").await?;
    let streams = streams.as_array().context("a list of streams")?;
    Ok(streams.iter().filter(|row| row["stream"] == stream).filter_map(|row| row["have_records"].as_u64()).sum())
}
