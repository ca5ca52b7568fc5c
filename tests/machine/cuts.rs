//! The run: a card becomes a node, then power cuts of the whole machine while callers send, then the comparison.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_clock::Clock;
use simpul_testkit::visitors::{Comparison, Desk, Ledger, compare};
use simpul_testkit::wait;
use simpul_tests::card_office::{Office, Plan, drain};
use tokio::task::JoinSet;

/// Callers: their appends share commits.
const CALLERS: usize = 4;
/// From a start's first accepted record to its end.
const LIFE_MS: std::ops::Range<u64> = 1_000..10_000;
/// The control's lives are short: the kernel writes back by itself after some seconds.
const CONTROL_LIFE_MS: std::ops::Range<u64> = 1_000..3_000;
/// Records need some seconds from the local API's first answer on, when the machine is busy starting.
const FIRST_RECORD_MAX: Duration = Duration::from_secs(300);
/// How long a drain may stand still before what is missing counts as missing.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// The control need not wait for what can never come.
const CONTROL_STALLED_AFTER: Duration = Duration::from_secs(15);

/// What happened.
#[derive(Debug, Default)]
pub struct Facts {
    /// Power cuts of the machine.
    pub kills: u32,
    /// Records that were answered 200.
    pub accepted: u64,
    /// The fewest of them between two cuts.
    pub accepted_between_min: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// From the first start to the node that the hub shows as live, with a picture.
    pub first_boot_to_verified_s: f64,
    /// Starts after a cut until the local API answers.
    pub starts_s: Vec<f64>,
    /// Ledger against hub, at the end.
    pub comparison: Comparison,
}

/// Write the image onto a card, boot it, cut its power so often.
pub async fn run(image: &Path, plan: &Plan, kills: u32, seed: u64, control: bool) -> Result<Facts> {
    let clock = Clock::machine();
    let mut office = Office::prepare(plan).await?;
    office.write_card(image)?;
    println!("the card is written; its first boot");
    let begun = clock.now();
    office.first_boot().await?;
    println!("installed after {:.0} s; its second", clock.now().since(begun).as_secs_f64());
    office.machine.start()?;
    office.verified().await?;
    let mut facts = Facts { first_boot_to_verified_s: clock.now().since(begun).as_secs_f64(), ..Facts::default() };
    println!("enrolled, live, with a reading and a picture after {:.0} s", facts.first_boot_to_verified_s);
    office.units_are_well().await?;

    let ledger = Ledger::default();
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    let desk = office.desk(&seed.to_string(), &ledger)?;
    for caller in 0..CALLERS {
        let random = StdRng::seed_from_u64(seed ^ (caller as u64 + 1) << 32);
        callers.spawn(call(desk.clone(), random, Arc::clone(&stop)));
    }

    let mut random = StdRng::seed_from_u64(seed);
    facts.accepted_between_min = u64::MAX;
    let life = || if control { CONTROL_LIFE_MS } else { LIFE_MS };
    while facts.kills < kills {
        let before = ledger.len();
        // Half of the cuts come while the fibre is cut: then the card alone has what was accepted.
        let fibre_cut = control || random.random();
        if fibre_cut {
            office.link.cut();
        }
        wait::until("a record after a start", FIRST_RECORD_MAX, || async { (ledger.len() > before).then_some(()) })
            .await
            .map_err(|error| office.machine.explained(error))?;
        tokio::time::sleep(Duration::from_millis(random.random_range(life()))).await;
        office.machine.kill();
        facts.kills += 1;
        let between = (ledger.len() - before) as u64;
        facts.accepted_between_min = facts.accepted_between_min.min(between);
        office.link.restore();
        let begun = clock.now();
        office.machine.start()?;
        office.ready().await?;
        let start_s = clock.now().since(begun).as_secs_f64();
        facts.starts_s.push(start_s);
        let fibre = if fibre_cut { "cut" } else { "whole" };
        println!("cut {} after {between} records, the fibre {fibre}; up again after {start_s:.0} s", facts.kills);
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = callers.join_next().await {
        ended.context("a caller panicked")??;
    }
    let rows = drain(&office.hub, &ledger, if control { CONTROL_STALLED_AFTER } else { STALLED_AFTER }).await?;
    facts.accepted = ledger.len() as u64;
    facts.retries = desk.retries();
    facts.comparison = compare(&ledger.entries(), &rows);
    if !control {
        office.units_are_well().await?;
    }
    Ok(facts)
}

async fn call(desk: Desk, mut random: StdRng, stop: Arc<AtomicBool>) -> Result<()> {
    while !stop.load(Ordering::SeqCst) {
        desk.anything(&mut random).await?;
        tokio::time::sleep(Duration::from_millis(random.random_range(5..40))).await;
    }
    Ok(())
}
