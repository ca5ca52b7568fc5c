//! Full disks, for real: 24 MB of ext4 in loop devices, under an agent and then under the hub, filled by their own
//! pictures and records and from outside to the last byte.
//!
//! Nobody ends, nothing that was accepted is lost, what is refused is refused by name, pictures go before anything else,
//! and with space again everything goes on by itself. Needs root, loop devices and e2fsprogs; without them it fails.
//! Ends with `N passed, N failed`.

mod agent;
mod hub;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use simpul_testkit::report::Report;

/// What one disk's run found: name, value, unit, and the least value (0: it must be 0).
type Figures = Vec<(&'static str, u64, &'static str, u64)>;

/// A card, or a disk, that two pictures a second and a stranger's file fill within seconds.
const DISK_MEBIBYTES: u64 = 24;

/// Fill the disks of an agent and of the hub, and compare what was accepted with what is there.
#[derive(Parser)]
struct Arguments {
    /// Only this one.
    #[arg(long)]
    disk: Option<Owner>,
}

/// Whose disk.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Owner {
    /// An agent's card.
    Agent,
    /// The hub's data.
    Hub,
}

fn main() -> ExitCode {
    let Arguments { disk } = Arguments::parse();
    match run(|owner| disk.is_none_or(|only| only == owner)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("full disk: {error:#}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run(wanted: impl Fn(Owner) -> bool) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut passed, mut failed) = (0, 0);
    let mut report = Report::new("full_disk", "cargo xtask test", None);
    let mut figures = Figures::new();
    if wanted(Owner::Agent) {
        println!("an agent's disk");
        figures.extend(runtime.block_on(agent::run())?);
    }
    if wanted(Owner::Hub) {
        println!("the hub's disk");
        figures.extend(runtime.block_on(hub::run())?);
    }
    for (name, value, unit, floor) in figures {
        let reached = if floor == 0 { value == 0 } else { value >= floor };
        let goal = if floor == 0 { "= 0".to_owned() } else { format!(">= {floor}") };
        report.figure(name, value as f64, unit, 1).goal(&goal);
        if reached {
            passed += 1;
        } else {
            failed += 1;
            println!("FAILED: {name} is {value}, the goal is {goal}");
        }
    }
    report.finish()?;
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}
