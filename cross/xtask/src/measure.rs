//! `cargo xtask bench` and `cargo xtask faults`: release builds of the measuring programs in `tests/`.

use std::process::Command;

use clap::{Args, ValueEnum};

use crate::run::{Stages, cargo, command, run, target};
use crate::{card_machine, dist, page, system};

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
    /// From a press of a board's button to the record in the hub.
    Board,
    /// From an empty card to the node that the hub shows as verified: seconds, keys, secrets typed.
    Technician,
}

impl Bench {
    const ALL: [Bench; 8] = [
        Bench::Spool,
        Bench::Intake,
        Bench::Mqtt,
        Bench::Wire,
        Bench::Footprint,
        Bench::Outage,
        Bench::Board,
        Bench::Technician,
    ];

    fn target(self) -> &'static str {
        match self {
            Bench::Spool => "bench_spool",
            Bench::Intake => "bench_intake",
            Bench::Mqtt => "bench_mqtt",
            Bench::Wire => "bench_wire",
            Bench::Footprint => "bench_footprint",
            Bench::Outage => "bench_outage",
            Bench::Board => "bench_board",
            Bench::Technician => "bench_technician",
        }
    }

    /// Packages besides [`system::TEST`].
    fn needs(self) -> &'static [system::Need] {
        match self {
            Bench::Spool | Bench::Intake | Bench::Mqtt | Bench::Board => &[],
            Bench::Footprint | Bench::Technician => system::DIST,
            Bench::Wire | Bench::Outage => system::NETWORK,
        }
    }

    /// What the bench sets up on the machine that only root may, if anything.
    fn as_root_for(self) -> Option<&'static str> {
        match self {
            Bench::Spool | Bench::Intake | Bench::Mqtt | Bench::Board => None,
            Bench::Footprint | Bench::Technician => Some("loop devices"),
            Bench::Wire | Bench::Outage => Some("network namespaces"),
        }
    }

    /// cargo builds it and runs it: by sudo where it needs root and nobody is root yet.
    fn command(self) -> anyhow::Result<Command> {
        let mut command = cargo(&["bench", "-p", "simpul-tests", "--bench", self.target()]);
        if let Some(purpose) = self.as_root_for() {
            let mut words: Vec<String> =
                system::root_words(self.target(), purpose)?.iter().map(ToString::to_string).collect();
            if !words.is_empty() {
                // sudo clears the environment; these are the benches' own settings.
                words.push("env".to_owned());
                words.extend(
                    std::env::vars()
                        .filter(|(name, _)| name.starts_with("SIMPUL_"))
                        .map(|(name, value)| format!("{name}={value}")),
                );
                command.arg("--config").arg(format!("target.'cfg(all())'.runner = {words:?}"));
            }
        }
        Ok(command)
    }
}

/// `cargo xtask bench [NAME]`.
pub fn bench(name: Option<Bench>) -> anyhow::Result<()> {
    let benches: Vec<Bench> = name.map_or_else(|| Bench::ALL.to_vec(), |name| vec![name]);
    let mut stages = Stages::new(benches.len() + 2);
    stages.next("system packages");
    let mut needs = system::TEST.to_vec();
    needs.extend(benches.iter().flat_map(|bench| bench.needs()));
    system::ensure(&needs)?;
    // Before anything takes minutes: whether those that need root can have it.
    let mut commands =
        benches.into_iter().map(|bench| anyhow::Ok((bench, bench.command()?))).collect::<Result<Vec<_>, _>>()?;
    stages.next("release build of the programs");
    page::build()?;
    run(&mut cargo(&["build", "--release", "-p", "simpul-agent", "-p", "simpul-hub", "-p", "simpul", "--bins"]))?;
    for (bench, command) in &mut commands {
        stages.next(bench.target());
        if *bench == Bench::Footprint {
            dist::build_agent_of_this_machine()?;
        }
        if *bench == Bench::Technician {
            card_machine::prepare_technician()?;
        }
        own_the_report(*bench)?;
        run(command)?;
    }
    Ok(())
}

/// The footprint bench's load on this agent, for so long; its figures say nothing of the one that ships.
pub fn footprint_of(agent: &std::path::Path, seconds: u32) -> anyhow::Result<()> {
    page::build()?;
    run(&mut cargo(&["build", "--release", "-p", "simpul-hub", "--bins"]))?;
    let bench = ["bench", "-p", "simpul-tests", "--bench", Bench::Footprint.target()];
    run(cargo(&bench).env("SIMPUL_FOOTPRINT_AGENT", agent).env("SIMPUL_FOOTPRINT_SECONDS", seconds.to_string()))
}

/// The report is the user's, also when the bench that appends to it runs as root.
fn own_the_report(bench: Bench) -> anyhow::Result<()> {
    let reports = target().join("reports");
    std::fs::create_dir_all(&reports)?;
    let area = bench.target().trim_start_matches("bench_");
    std::fs::File::options().create(true).append(true).open(reports.join(format!("{area}.jsonl")))?;
    Ok(())
}

/// What a fault run takes.
#[derive(Debug, Args)]
pub struct FaultArguments {
    /// Kills of the hub, and of the agents together; below 200 the run calls itself small, 0 leaves kills out.
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Power cuts of the hub, and of the agents together; below 50 the run calls itself small, 0 leaves cuts out.
    #[arg(long, value_name = "CUTS", default_value_t = 50)]
    powercut: u32,
    /// Power cuts of a whole machine: a real Debian that boots from a card in QEMU; below 20 the run calls itself small, 0
    /// leaves them out.
    #[arg(long, value_name = "KILLS", default_value_t = 0)]
    vm: u32,
    /// Repeats a run's random choices; default: a new one, which is printed.
    #[arg(long)]
    seed: Option<u64>,
}

/// `cargo xtask faults`: all runs, whatever the first one finds.
pub fn faults(arguments: &FaultArguments) -> anyhow::Result<()> {
    let mut stages = Stages::new(6);
    stages.next("system packages");
    system::ensure(system::TEST)?;
    stages.next("release build of the programs");
    page::build()?;
    let mut build =
        cargo(&["build", "--release", "--bins", "-p", "simpul-agent", "-p", "simpul-hub", "-p", "simpul-tests"]);
    run(build.args(["-p", "simpul"]))?;
    let seed = arguments.seed.map(|seed| seed.to_string());
    let with_seed = |option: &'static str, number: u32| -> Vec<String> {
        let mut words = vec![option.to_owned(), number.to_string()];
        words.extend(seed.iter().flat_map(|seed| ["--seed".to_owned(), seed.clone()]));
        words
    };
    stages.next("kills and cut links");
    let kills = match arguments.rounds {
        0 => {
            println!("left out, as --rounds 0 says");
            Ok(())
        }
        rounds => run(&mut kill_run("release", &with_seed("--rounds", rounds))),
    };
    stages.next("power cuts");
    let cuts = match arguments.powercut {
        0 => {
            println!("left out, as --powercut 0 says");
            Ok(())
        }
        cuts => power_run("release", &with_seed("--cuts", cuts)).and_then(|mut command| run(&mut command)),
    };
    stages.next("full disks");
    let disks = full_disk_run("release").and_then(|mut command| run(&mut command));
    stages.next("power cuts of a machine");
    let machine = match arguments.vm {
        0 => {
            println!("left out, as --vm 0 says");
            Ok(())
        }
        kills => card_machine::full_run(&with_seed("--kills", kills)).and_then(|mut command| run(&mut command)),
    };
    // Each is told: a run that could not begin would else be hidden behind the first that failed.
    let runs = [("kills", kills), ("power cuts", cuts), ("full disks", disks), ("power cuts of a machine", machine)];
    let failed: Vec<&str> = runs
        .into_iter()
        .filter_map(|(what, result)| {
            result.map_err(|error| println!("FAILED: {what}: {error:#}")).is_err().then_some(what)
        })
        .collect();
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// The kills of `cargo xtask test`: few rounds, on the programs that the tests use.
pub fn small_kill_run() -> Command {
    kill_run("debug", &["--rounds".to_owned(), "8".to_owned()])
}

/// The power cuts of `cargo xtask test`.
pub fn small_power_run() -> anyhow::Result<Command> {
    power_run("debug", &["--cuts".to_owned(), "3".to_owned()])
}

fn kill_run(profile: &str, words: &[String]) -> Command {
    let mut command = command(&target().join(profile).join("simpul-faults").to_string_lossy(), &[]);
    command.args(words);
    command
}

/// Loop devices need root: by sudo where that asks for no password.
fn power_run(profile: &str, words: &[String]) -> anyhow::Result<Command> {
    let mut command = run_as_root(profile, "simpul-power")?;
    command.args(words);
    Ok(command)
}

/// Full disks are small on purpose: there is one size of this run.
pub fn full_disk_run(profile: &str) -> anyhow::Result<Command> {
    run_as_root(profile, "simpul-full-disk")
}

fn run_as_root(profile: &str, program: &str) -> anyhow::Result<Command> {
    system::as_root(&target().join(profile).join(program).to_string_lossy(), "loop devices")
}
