//! Power cuts of agents and of the hub, on ext4 in loop devices: freeze the process, copy the device's backing file as
//! it is, kill, mount the copy, go on. What was accepted must reach the hub all the same, and what the hub showed as
//! committed must still be there.
//!
//! A run with `libeatmydata` preloaded (fsync and its kin do nothing) is the control: it *must* lose records, at the
//! agents and at the hub, else this test could not tell. Needs root, loop devices, e2fsprogs and eatmydata; without
//! them it fails. Ends with `N passed, N failed`.

mod cuts;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Parser;
use rand::RngExt;
use simpul_testkit::report::Report;

/// Cuts of agents, and of the hub, in a full run.
const FULL_CUTS: u32 = 50;
/// Cuts of each in the control.
const CONTROL_CUTS: u32 = 3;
/// What makes fsync do nothing.
const NO_SYNC_LIBRARY: &str = "libeatmydata.so";

/// Cut the power of agents and hub, and compare what was accepted with what is there.
#[derive(Parser)]
struct Arguments {
    /// Cuts of the agents together, and of the hub.
    #[arg(long, default_value_t = FULL_CUTS)]
    cuts: u32,
    /// Repeats a run's random choices.
    #[arg(long)]
    seed: Option<u64>,
    /// Only run and print what was lost, as two numbers: the control's own process.
    #[arg(long, hide = true)]
    control: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    let outcome = if arguments.control { control(seed) } else { run(arguments.cuts, seed) };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("power: {error:#}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")
}

fn control(seed: u64) -> Result<bool> {
    let facts = runtime()?.block_on(cuts::run(CONTROL_CUTS, seed, false))?;
    println!("control: {} {}", facts.comparison.missing.len(), facts.gone_from_hub);
    Ok(true)
}

/// The control in a process of its own, because the preload goes to all children.
fn run_control(seed: u64) -> Result<(u64, u64)> {
    let output = Command::new(std::env::current_exe().context("this program's own path")?)
        .args(["--control", "--seed", &seed.to_string()])
        .env("LD_PRELOAD", NO_SYNC_LIBRARY)
        .output()
        .context("start the control")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("control: "));
    let numbers: Option<Vec<u64>> = line.map(|line| line.split(' ').filter_map(|word| word.parse().ok()).collect());
    match numbers.as_deref() {
        Some(&[agents, hub]) => Ok((agents, hub)),
        _ => bail!("the control did not end in order:\n{text}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn run(cuts: u32, seed: u64) -> Result<bool> {
    println!("seed {seed}");
    if cuts < FULL_CUTS {
        println!("a small run of {cuts} cuts each; the full one has {FULL_CUTS}: cargo xtask faults");
    }
    let facts = runtime()?.block_on(cuts::run(cuts, seed, true))?;
    println!("now the control without fsync, {CONTROL_CUTS} cuts each");
    let (control_agents, control_hub) = run_control(seed)?;

    let found = &facts.comparison;
    for key in found.missing.iter().take(10) {
        println!("missing: {key}");
    }
    let mut report =
        Report::new("power", &format!("cargo xtask faults --rounds 0 --powercut {cuts} --seed {seed}"), Some(seed));
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
    let lost = found.missing.len() as u64 + facts.gone_from_hub;
    figure("powercut_records_lost", lost, "records", 0);
    figure("powercut_records_doubled", found.doubled.len() as u64, "records", 0);
    figure("powercut_records_different", found.different.len() as u64, "records", 0);
    figure("powercut_agent_cuts", u64::from(facts.agent_cuts), "cuts", u64::from(cuts));
    figure("powercut_hub_cuts", u64::from(facts.hub_cuts), "cuts", u64::from(cuts));
    figure("powercut_accepted", facts.accepted, "records", u64::from(cuts) * 10);
    figure("powercut_control_agents_lost", control_agents, "records", 1);
    figure("powercut_control_hub_lost", control_hub, "records", 1);
    report.finish()?;
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}
