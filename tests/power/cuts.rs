//! The run: callers at every node, power cuts one after the other, then the drain and the comparison.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use simpul_testkit::hub::Hub;
use simpul_testkit::loop_disk::LoopDisk;
use simpul_testkit::visitors::{Comparison, Desk, Ledger, compare};
use simpul_tests::district::{District, Plan};
use tokio::task::JoinSet;

/// Nodes, so that a hub's cut meets batches of several.
const NODES: usize = 2;
/// Callers at each node: their appends share commits.
const CALLERS: usize = 4;
/// An agent's disk: its spool with ballast and room.
const AGENT_MEBIBYTES: u64 = 64;
/// The hub's disk.
const HUB_MEBIBYTES: u64 = 256;
/// How long a drain may stand still before what is missing counts as missing.
const STALLED_AFTER: Duration = Duration::from_secs(45);
/// The control need not wait for what can never come.
const CONTROL_STALLED_AFTER: Duration = Duration::from_secs(8);

/// What happened.
#[derive(Debug, Default)]
pub struct Facts {
    /// Power cuts of agents.
    pub agent_cuts: u32,
    /// Power cuts of the hub.
    pub hub_cuts: u32,
    /// Records that were answered 200.
    pub accepted: u64,
    /// Records that the hub showed before a cut of its own and not after it.
    pub gone_from_hub: u64,
    /// Ledger against hub, at the end.
    pub comparison: Comparison,
}

/// So many cuts of agents and of the hub, in seeded order.
pub async fn run(cuts: u32, seed: u64, whole_drain: bool) -> Result<Facts> {
    let mut district = District::prepare(&Plan { nodes: NODES, ..Plan::default() }).await?;
    let images = district.folder().join("images");
    let mut hub_disk = LoopDisk::over(district.hub.directory(), &images.join("hub"), HUB_MEBIBYTES)?;
    let mut disks = Vec::new();
    for node in &district.nodes {
        disks.push(LoopDisk::over(node.directory(), &images.join(node.id()), AGENT_MEBIBYTES)?);
    }
    district.hub.start().await?;
    for node in &mut district.nodes {
        node.start().await?;
    }

    let ledger = Ledger::default();
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for (number, node) in district.nodes.iter().enumerate() {
        let desk = Desk::new(node, &format!("{seed}-{number}"), &ledger)?;
        for caller in 0..CALLERS {
            let random = StdRng::seed_from_u64(seed ^ ((number * CALLERS + caller + 1) as u64) << 32);
            callers.spawn(call(desk.clone(), random, Arc::clone(&stop)));
        }
    }

    let mut facts = Facts::default();
    let mut random = StdRng::seed_from_u64(seed);
    let mut seen = Seen::default();
    while facts.agent_cuts < cuts || facts.hub_cuts < cuts {
        pause(&mut random, 300..1_200).await;
        let hub = facts.agent_cuts >= cuts || (facts.hub_cuts < cuts && random.random());
        if hub {
            facts.gone_from_hub += cut_hub(&mut district, &mut hub_disk, &mut seen).await?;
            facts.hub_cuts += 1;
        } else {
            let number = random.random_range(0..NODES);
            // Half of the agents' cuts come during a fibre cut: then the card alone has what was accepted.
            let fibre_cut = random.random();
            if fibre_cut {
                district.links[number].cut();
                pause(&mut random, 200..800).await;
            }
            let node = &mut district.nodes[number];
            node.process()?.freeze();
            let cut = disks[number].cut()?;
            node.kill();
            disks[number].restore(cut)?;
            node.start().await?;
            district.links[number].restore();
            facts.agent_cuts += 1;
        }
        if (facts.agent_cuts + facts.hub_cuts) % 10 == 0 {
            println!("{} cuts of agents, {} of the hub, {} accepted", facts.agent_cuts, facts.hub_cuts, ledger.len());
        }
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = callers.join_next().await {
        ended.context("a caller panicked")??;
    }
    let rows = drain(&district.hub, &ledger, if whole_drain { STALLED_AFTER } else { CONTROL_STALLED_AFTER }).await?;
    facts.accepted = ledger.len() as u64;
    facts.comparison = compare(&ledger.entries(), &rows);
    // Processes end before their disks do, and the folder goes last: a mounted disk cannot be removed.
    for node in &mut district.nodes {
        node.kill();
    }
    district.hub.kill();
    drop((hub_disk, disks));
    Ok(facts)
}

async fn call(desk: Desk, mut random: StdRng, stop: Arc<AtomicBool>) -> Result<()> {
    while !stop.load(Ordering::SeqCst) {
        desk.anything(&mut random).await?;
        // A disk of 64 MiB must last a run of many cuts.
        pause(&mut random, 5..40).await;
    }
    Ok(())
}

/// Keys that the hub has shown, from `cursor` on.
#[derive(Default)]
struct Seen {
    cursor: Option<i64>,
}

/// Cut the hub's power; how many of the records that it had shown are gone afterwards. The fibres are cut until that is
/// known, so that no agent can fill the hole unseen.
async fn cut_hub(district: &mut District, disk: &mut LoopDisk, seen: &mut Seen) -> Result<u64> {
    let (rows, cursor) = district.hub.rows("/api/v1/service-records", seen.cursor).await?;
    let before: BTreeSet<String> = rows.iter().map(key).collect();
    district.hub.process()?.freeze();
    for link in &district.links {
        link.cut();
    }
    let cut = disk.cut()?;
    district.hub.kill();
    disk.restore(cut)?;
    district.hub.start().await?;
    let (rows, _) = district.hub.rows("/api/v1/service-records", seen.cursor).await?;
    let after: BTreeSet<String> = rows.iter().map(key).collect();
    seen.cursor = cursor;
    for link in &district.links {
        link.restore();
    }
    Ok(before.difference(&after).count() as u64)
}

fn key(row: &Value) -> String {
    row["key"].as_str().unwrap_or_default().to_owned()
}

/// Wait until everything that was accepted is at the hub, or nothing new has come for so long; its records.
async fn drain(hub: &Hub, ledger: &Ledger, stalled_after: Duration) -> Result<Vec<Value>> {
    let step = Duration::from_millis(500);
    let (mut quiet, mut count) = (Duration::ZERO, 0);
    loop {
        let (rows, _) = hub.rows("/api/v1/service-records", None).await?;
        let comparison = compare(&ledger.entries(), &rows);
        quiet = if rows.len() > count { Duration::ZERO } else { quiet + step };
        count = rows.len();
        if comparison.missing.is_empty() || quiet >= stalled_after {
            return Ok(rows);
        }
        tokio::time::sleep(step).await;
    }
}

async fn pause(random: &mut StdRng, milliseconds: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(random.random_range(milliseconds))).await;
}
