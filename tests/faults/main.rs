//! Kills and cuts: agents and hub under SIGKILL at seeded random moments, links reset at random bytes, while callers
//! send until they are answered 200; then what was accepted is compared, by key and content, with what the hub has.
//!
//! `--rounds 200` and more is the full run, with floors for records and for kills in the middle of a commit; a smaller
//! one says that it is small. Ends with `N passed, N failed`.

mod run;
mod verdict;

use std::process::ExitCode;

use clap::Parser;
use rand::RngExt;

/// Kill agents and hub, cut links, and compare what was accepted with what the hub has.
#[derive(Parser)]
struct Arguments {
    /// Kills of the hub, and of the agents together.
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Repeats a run's random choices.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    println!("seed {seed}");
    let goals = verdict::Goals::for_rounds(arguments.rounds);
    if !goals.full {
        println!("a small run of {} kills each; the full one has 200: cargo xtask faults", arguments.rounds);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("faults: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    // On this thread, so that the kernel ties the processes' lives to it and not to a worker's.
    let outcome = runtime.block_on(run::run(&goals, seed)).and_then(|facts| verdict::tell(&goals, &facts, seed));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error:#}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}
