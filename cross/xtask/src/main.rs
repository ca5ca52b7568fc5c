//! `cargo xtask`: the developer's commands. This file is the command line; each command has a file of its own.
//!
//! Every command does its own set-up on a Debian or Ubuntu machine that has Rust and Node: system packages by apt when
//! it may (root, or sudo without a password), else it prints the line to run and fails.

mod board_image;
mod card_image;
mod card_machine;
mod deny;
mod dist;
mod firmware;
mod lint;
mod measure;
mod page;
mod photographs;
mod pico;
mod report;
mod room;
mod run;
mod system;
mod tally;
mod test;
mod uf2;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The developer's commands of Simpul.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The developer's commands of Simpul. Each does all its own set-up.",
    after_help = "Begin with `cargo xtask demo`: a hub and three village nodes on this machine, one URL to open.\n\
                  Before you hand in a change: `cargo xtask test`, which is exactly what CI runs.\n\
                  Figures are appended to target/reports/*.jsonl."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a hub and three nodes with synthetic cameras and visitors; prints one URL. Ctrl-C ends it.
    ///
    /// Everything is marked SIMULASI. Open the URL, cut a node's fibre with the switch on the page, and watch the node
    /// go stale while its records wait; restore it and watch the present arrive first and the backlog drain behind it.
    Demo {
        /// Stop by itself after so many seconds (for scripts); default: never.
        #[arg(long, value_name = "SECONDS")]
        seconds: Option<u64>,
    },
    /// Everything that CI runs: lint, the page's tests, firmware, all Rust tests, small fault runs, full disks.
    ///
    /// Ends with one line `N passed, N failed`, summed from the test runners (a failed check without tests of its own
    /// counts as one). Nothing is skipped silently.
    Test,
    /// Formatting, clippy, rustdoc, and the dependencies' licences, sources and bans.
    Lint {
        /// Also check the advisory database, which has to be fetched from the internet.
        #[arg(long)]
        advisories: bool,
    },
    /// Build the room's page (central-hub/ui) if its sources are newer than what is built.
    Ui,
    /// Build the boards' images; print their flash and memory, and fail if one is over its budget.
    ///
    /// ELF files are in target/firmware, figures in target/reports.
    Firmware,
    /// Build what is shipped: agent and hub for all machines, packages, sums, signatures. Into target/shipping.
    ///
    /// Stripped, static or for glibc 2.31, the same bytes from any folder. Sizes are held against their budget.
    Dist(dist::Arguments),
    /// Measure; appends to target/reports. Without a name: all of them: about an hour besides the builds.
    ///
    /// wire, footprint and outage set up network namespaces and loop devices: root, or sudo without a password.
    Bench {
        /// One of: spool, intake, mqtt, wire, footprint, outage, board, technician.
        name: Option<measure::Bench>,
    },
    /// Kill agents and hub, cut links at random bytes, cut the power, fill the disks; compare what was accepted with
    /// what the hub has. `--vm 20` besides: the power cuts of a whole machine that boots from a card, half an hour.
    ///
    /// The default is the full run: at least 200 kills of each, 100,000 accepted records, 50 kills in the middle of a
    /// commit. A smaller one says that it is smaller.
    Faults(measure::FaultArguments),
}

fn main() -> ExitCode {
    if let Some(linked) = dist::as_linker() {
        return linked;
    }
    let outcome = match Arguments::parse().command {
        Command::Demo { seconds } => room::demo(seconds),
        Command::Test => test::test(),
        Command::Lint { advisories } => lint::command_alone(advisories),
        Command::Ui => page::command_alone(),
        Command::Firmware => firmware::command_alone(),
        Command::Dist(arguments) => dist::command_alone(&arguments),
        Command::Bench { name } => measure::bench(name),
        Command::Faults(arguments) => measure::faults(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
