//! `cargo xtask bench` and `cargo xtask faults`: release builds of the measuring programs in `tests/`.

use std::process::Command;

use clap::{Args, ValueEnum};

use crate::run::{Stages, cargo, command, run, target};
use crate::{page, system};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// Durable appends against a raw log with fdatasync.
    Spool,
    /// Hub intake against bare inserts and against mosquitto.
    Intake,
    /// The embedded MQTT server.
    Mqtt,
    /// Bytes per reading, encoded and on the wire.
    Wire,
    /// The agent's memory, size and writes to the card.
    Footprint,
    /// Fresh events while a backlog drains over a narrow link.
    Outage,
}

impl Bench {
    const ALL: [Bench; 6] = [Bench::Spool, Bench::Intake, Bench::Mqtt, Bench::Wire, Bench::Footprint, Bench::Outage];

    fn target(self) -> &'static str {
        match self {
            Bench::Spool => "bench_spool",
            Bench::Intake => "bench_intake",
            Bench::Mqtt => "bench_mqtt",
            Bench::Wire => "bench_wire",
            Bench::Footprint => "bench_footprint",
            Bench::Outage => "bench_outage",
        }
    }
}

/// `cargo xtask bench [NAME]`.
pub fn bench(name: Option<Bench>) -> anyhow::Result<()> {
    let benches: Vec<Bench> = name.map_or_else(|| Bench::ALL.to_vec(), |name| vec![name]);
    let mut stages = Stages::new(benches.len() + 2);
    stages.next("system packages");
    system::ensure(system::TEST)?;
    stages.next("release build of the programs");
    page::build()?;
    run(&mut cargo(&["build", "--release", "-p", "simpul-agent", "-p", "simpul-hub", "--bins"]))?;
    for bench in benches {
        if bench == Bench::Footprint {
            static_build()?;
        }
        stages.next(bench.target());
        run(&mut cargo(&["bench", "-p", "simpul-tests", "--bench", bench.target()]))?;
    }
    Ok(())
}

/// The agent as it ships: one static binary.
fn static_build() -> anyhow::Result<()> {
    const TRIPLE: &str = "x86_64-unknown-linux-musl";
    system::ensure(system::MUSL)?;
    run(&mut command("rustup", &["target", "add", TRIPLE]))?;
    run(&mut cargo(&["build", "--profile", "dist", "--target", TRIPLE, "-p", "simpul-agent"]))
}

/// What a fault run takes.
#[derive(Debug, Args)]
pub struct FaultArguments {
    /// Kills of the hub and of the agents, each. Below 200 the run calls itself small.
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Repeats a run's random choices; default: a new one, which is printed.
    #[arg(long)]
    seed: Option<u64>,
}

/// `cargo xtask faults`.
pub fn faults(arguments: &FaultArguments) -> anyhow::Result<()> {
    let mut stages = Stages::new(3);
    stages.next("system packages");
    system::ensure(system::TEST)?;
    stages.next("release build of the programs");
    page::build()?;
    run(&mut cargo(&["build", "--release", "-p", "simpul-agent", "-p", "simpul-hub", "-p", "simpul-tests", "--bins"]))?;
    stages.next("kills and cuts");
    let rounds = arguments.rounds.to_string();
    let mut words = vec!["--rounds", &rounds];
    let seed = arguments.seed.map(|seed| seed.to_string());
    if let Some(seed) = &seed {
        words.extend(["--seed", seed]);
    }
    run(&mut runner("release", &words))
}

/// The fault run of `cargo xtask test`: few rounds, on the programs that the tests use.
pub fn small_fault_run() -> Command {
    runner("debug", &["--rounds", "8"])
}

fn runner(profile: &str, words: &[&str]) -> Command {
    command(&target().join(profile).join("simpul-faults").to_string_lossy(), words)
}
