//! The run: callers, killers and a cutter at once, then the drain and the comparison.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::{join_all, try_join_all};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_testkit::hub::Hub;
use simpul_testkit::node::Node;
use simpul_testkit::proxy::Link;
use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_tests::district::{District, Plan};
use tokio::task::JoinSet;

use crate::verdict::{Facts, Goals};

/// Nodes of a run: the three that a district of tests has.
const NODES: usize = 3;
/// Callers at each node: enough that their appends share commits.
const CALLERS: usize = 8;
/// Longest pause of a caller between two records, in milliseconds: short enough that an append is in flight at nearly
/// every kill, long enough that a run of minutes ends with hundreds of thousands of records and not with millions.
const CALLER_PAUSE_MS: u64 = 30;
/// Share of kills that come while the process is still starting, so that recovery is killed too.
const KILLED_AT_START: f64 = 0.2;
/// How often the run says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// Once the faults are over: give up when nothing new arrives for so long.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// What all parts of a run share.
#[derive(Debug, Default)]
struct Shared {
    agent_kills: AtomicU32,
    kills_in_commit: AtomicU32,
    hub_kills: AtomicU32,
    faults_over: AtomicBool,
    callers_stop: AtomicBool,
}

/// Run it; what happened.
pub async fn run(goals: &Goals, seed: u64) -> anyhow::Result<Facts> {
    let mut district = District::start(&Plan { nodes: NODES, ..Plan::default() }).await?;
    let shared = Arc::new(Shared::default());
    let ledger = Ledger::default();
    let mut desks = Vec::new();
    let mut callers = JoinSet::new();
    for (number, node) in district.nodes.iter().enumerate() {
        let desk = Desk::new(node, &format!("{seed}-{number}"), &ledger)?;
        for caller in 0..CALLERS {
            let random = StdRng::seed_from_u64(seed ^ ((number * CALLERS + caller + 1) as u64) << 32);
            callers.spawn(call(desk.clone(), random, Arc::clone(&shared)));
        }
        desks.push(desk);
    }

    let each = goals.kills.div_ceil(NODES as u32);
    let killers = async {
        let agents = district.nodes.iter_mut().zip(&desks).enumerate().map(|(number, (node, desk))| {
            let random = StdRng::seed_from_u64(seed.wrapping_add(number as u64));
            kill_agent(node, desk, (each, goals.kills_in_commit), random, &shared)
        });
        let hub = kill_hub(&mut district.hub, goals.kills, StdRng::seed_from_u64(seed.wrapping_add(100)), &shared);
        tokio::try_join!(try_join_all(agents), hub)?;
        // The floors may need longer than the kills.
        let wanted = || ledger.len() < goals.accepted;
        while wanted() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    let cutters =
        join_all(
            district.links.iter().enumerate().map(|(number, link)| {
                cut(link, StdRng::seed_from_u64(seed.wrapping_add(200 + number as u64)), &shared)
            }),
        );
    let progress = async {
        while !shared.faults_over.load(Ordering::SeqCst) {
            tokio::time::sleep(PROGRESS_EVERY).await;
            println!(
                "{} kills of agents ({} in a commit), {} of the hub, {} resets, {} accepted",
                shared.agent_kills.load(Ordering::SeqCst),
                shared.kills_in_commit.load(Ordering::SeqCst),
                shared.hub_kills.load(Ordering::SeqCst),
                district.links.iter().map(Link::cuts).sum::<u64>(),
                ledger.len()
            );
        }
    };
    let faults = async {
        let outcome = killers.await;
        shared.faults_over.store(true, Ordering::SeqCst);
        outcome
    };
    let (outcome, _, ()) = tokio::join!(faults, cutters, progress);
    outcome?;
    shared.callers_stop.store(true, Ordering::SeqCst);
    while let Some(ended) = callers.join_next().await {
        ended.context("a caller panicked")??;
    }

    println!("the faults are over; {} records were accepted, the backlog drains", ledger.len());
    let lost = drain(&district.hub, ledger.len()).await?;
    let (rows, _) = district.hub.rows("/api/v1/service-records", None).await?;
    Ok(Facts {
        agent_kills: shared.agent_kills.load(Ordering::SeqCst),
        kills_in_commit: shared.kills_in_commit.load(Ordering::SeqCst),
        hub_kills: shared.hub_kills.load(Ordering::SeqCst),
        resets: district.links.iter().map(Link::cuts).sum(),
        retries: desks.iter().map(Desk::retries).sum(),
        accepted: ledger.len(),
        lost,
        comparison: compare(&ledger.entries(), &rows),
    })
}

/// One caller: somebody's business after the other, each until it is accepted.
async fn call(desk: Desk, mut random: StdRng, shared: Arc<Shared>) -> anyhow::Result<()> {
    while !shared.callers_stop.load(Ordering::SeqCst) {
        desk.anything(&mut random).await?;
        pause(&mut random, 0..CALLER_PAUSE_MS).await;
    }
    Ok(())
}

async fn kill_agent(
    node: &mut Node,
    desk: &Desk,
    (kills, in_commit): (u32, u32),
    mut random: StdRng,
    shared: &Shared,
) -> anyhow::Result<()> {
    // Chance decides how many kills meet a commit: go on until the floor is met, within reason.
    let mut done = 0;
    let wanting =
        |done| done < kills || (done < kills * 3 && shared.kills_in_commit.load(Ordering::SeqCst) < in_commit);
    while wanting(done) {
        done += 1;
        if random.random_bool(KILLED_AT_START) {
            pause(&mut random, 0..60).await;
        } else {
            node.wait_until_ready().await?;
            pause(&mut random, 20..500).await;
        }
        let before = desk.in_flight();
        node.kill();
        // Requests that the kill caught fail only after it: still unanswered now means unanswered then.
        if before.min(desk.in_flight()) > 0 {
            shared.kills_in_commit.fetch_add(1, Ordering::SeqCst);
        }
        shared.agent_kills.fetch_add(1, Ordering::SeqCst);
        node.launch()?;
    }
    node.wait_until_ready().await
}

async fn kill_hub(hub: &mut Hub, kills: u32, mut random: StdRng, shared: &Shared) -> anyhow::Result<()> {
    for _ in 0..kills {
        if random.random_bool(KILLED_AT_START) {
            pause(&mut random, 0..60).await;
        } else {
            hub.wait_until_ready().await?;
            // Long enough that agents come back in between and batches are in the middle of their commit.
            pause(&mut random, 50..1_500).await;
        }
        hub.kill();
        shared.hub_kills.fetch_add(1, Ordering::SeqCst);
        hub.launch()?;
    }
    hub.wait_until_ready().await
}

/// Reset the link's connection after a random number of bytes, again and again: from within the TLS handshake (about
/// 3 kB) to some batches later.
async fn cut(link: &Link, mut random: StdRng, shared: &Shared) {
    while !shared.faults_over.load(Ordering::SeqCst) {
        link.reset_after(random.random_range(1..60_000));
        pause(&mut random, 100..2_000).await;
    }
}

async fn pause(random: &mut StdRng, milliseconds: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(random.random_range(milliseconds))).await;
}

/// Wait until the hub has so many service records, or nothing new arrives; the records that it calls lost.
async fn drain(hub: &Hub, accepted: usize) -> anyhow::Result<u64> {
    let mut have = 0;
    let mut quiet = Duration::ZERO;
    let step = Duration::from_millis(250);
    loop {
        let overview = hub.get("/api/v1/overview").await?;
        let nodes = overview["nodes"].as_array().context("the overview has no nodes")?;
        let streams = nodes.iter().filter_map(|node| node["streams"].as_array()).flatten();
        let service: Vec<_> = streams.filter(|stream| stream["stream"] == "service").collect();
        let sum = |field: &str| service.iter().filter_map(|stream| stream[field].as_u64()).sum::<u64>();
        let (now, lost) = (sum("have_records"), sum("lost_records"));
        quiet = if now > have { Duration::ZERO } else { quiet + step };
        have = now.max(have);
        // Records whose answer got lost may be there besides, so reaching the number is not enough: be quiet for 2 s.
        let whole = now >= accepted as u64 && quiet >= Duration::from_secs(2);
        if whole || quiet >= STALLED_AFTER {
            return Ok(lost);
        }
        tokio::time::sleep(step).await;
    }
}
