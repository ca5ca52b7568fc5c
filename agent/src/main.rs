//! The village daemon's program: the command line only, see `simpul_agent::cli`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    simpul_agent::cli::main(simpul_agent::cli::Cli::parse())
}
