//! `simpul`, the technician's command. This file wires; each subcommand has a folder whose text is its manual.

mod ask;
mod batch;
mod board;
mod bundle;
mod card;
mod cli;
mod doctor;
mod exit;
mod hub;
mod label;
mod list;
mod login;
mod platform;
mod progress;
mod watch;

use std::process::ExitCode;

use simpul_clock::Clock;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    cli::run(&arguments, &Clock::machine())
}
