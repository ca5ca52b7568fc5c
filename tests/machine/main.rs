//! Power cuts of a whole machine: a real Debian with the agent's package, written onto a card by `simpul card` and booted in
//! QEMU, whose process is killed at random while its local API accepts records. What was accepted must reach the hub.
//!
//! On the way there the card installs itself, enrols, and delivers a reading and a picture; systemd must be content with the
//! package's unit. With `--control-package`, the same once more without fsync (`libeatmydata` for all of the machine's
//! services): that run *must* lose records, else this test could not tell.
//!
//! Needs QEMU for x86_64 and mtools; no root. Ends with `N passed, N failed`.

mod cuts;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use rand::RngExt;
use simpul_testkit::report::Report;
use simpul_tests::card_office::Plan;

/// Cuts of a full run.
const FULL_KILLS: u32 = 20;
/// Cuts of the control.
const CONTROL_KILLS: u32 = 2;
/// Records that have to be accepted between two cuts: fewer, and a cut found nothing to lose.
const BETWEEN_MIN: u64 = 10;
/// Makes fsync do nothing in every service that the machine starts, where the program is linked dynamically.
const WITHOUT_FSYNC: &str = "systemd.setenv=LD_PRELOAD=libeatmydata.so";

/// Cut the power of a machine that boots from a card, and compare what was accepted with what its hub has.
#[derive(Parser)]
struct Arguments {
    /// The card's image.
    #[arg(long)]
    image: PathBuf,
    /// The agent's package for amd64.
    #[arg(long)]
    package: PathBuf,
    /// A package whose agent is linked dynamically: the control's.
    #[arg(long)]
    control_package: Option<PathBuf>,
    /// Cuts.
    #[arg(long, default_value_t = FULL_KILLS)]
    kills: u32,
    /// Repeats a run's random choices.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    println!("seed {seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime");
    // On this thread, so that the kernel ties the processes' lives to it and not to a worker's.
    match runtime.and_then(|runtime| runtime.block_on(run(&arguments, seed))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("machine: {error:#}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments, seed: u64) -> Result<bool> {
    let kills = arguments.kills;
    if kills < FULL_KILLS {
        println!("a small run of {kills} cuts; the full one has {FULL_KILLS}: cargo xtask faults --vm {FULL_KILLS}");
    }
    let plan = Plan { package: arguments.package.clone(), ..Plan::default() };
    let facts = cuts::run(&arguments.image, &plan, kills, seed, false).await?;
    let control = match &arguments.control_package {
        Some(package) => {
            println!("now the control without fsync, {CONTROL_KILLS} cuts");
            let plan = Plan { package: package.clone(), command_line: WITHOUT_FSYNC.to_owned(), ..Plan::default() };
            Some(cuts::run(&arguments.image, &plan, CONTROL_KILLS, seed, true).await?)
        }
        None => None,
    };

    let found = &facts.comparison;
    for (what, keys) in [("missing", &found.missing), ("doubled", &found.doubled), ("different", &found.different)] {
        for key in keys.iter().take(10) {
            println!("{what}: {key}");
        }
    }
    let command = format!("cargo xtask faults --rounds 0 --powercut 0 --vm {kills} --seed {seed}");
    let mut report = Report::new("machine", &command, Some(seed));
    let (mut passed, mut failed) = (0, 0);
    let mut figure = |name: &str, value: u64, unit: &str, floor: u64| {
        let reached = if floor == 0 { value == 0 } else { value >= floor };
        let goal = if floor == 0 { "= 0".to_owned() } else { format!(">= {floor}") };
        report.figure(name, value as f64, unit, facts.accepted).goal(&goal);
        if reached {
            passed += 1;
        } else {
            failed += 1;
            println!("FAILED: {name} is {value}, the goal is {goal}");
        }
    };
    figure("vm_records_missing", found.missing.len() as u64, "records", 0);
    figure("vm_records_doubled", found.doubled.len() as u64, "records", 0);
    figure("vm_records_different", found.different.len() as u64, "records", 0);
    figure("vm_kills", u64::from(facts.kills), "kills", u64::from(kills));
    figure("vm_records_accepted", facts.accepted, "records", u64::from(kills) * BETWEEN_MIN);
    figure("vm_records_between_kills_min", facts.accepted_between_min, "records", BETWEEN_MIN);
    if let Some(control) = &control {
        figure("vm_control_records_missing", control.comparison.missing.len() as u64, "records", 1);
    }
    let mut starts = facts.starts_s.clone();
    starts.sort_by(f64::total_cmp);
    let median = starts.get(starts.len() / 2).copied().unwrap_or_default();
    report.figure("vm_start_to_api_p50_s", median, "s", starts.len() as u64);
    report.figure("vm_first_boot_to_verified_s", facts.first_boot_to_verified_s, "s", 1);
    println!(
        "{} requests had to be sent again; {} records are at the hub whose answer the caller never got",
        facts.retries, found.unanswered
    );
    report.finish()?;
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}
