//! What boots from a card in an emulated machine: the power cuts of a whole machine.

use std::process::Command;

use crate::run::{command, target};
use crate::{card_image, dist, firmware, pico, system};

/// Cuts of `cargo xtask test`.
const SMALL_KILLS: u32 = 2;

/// The machine's cuts in `cargo xtask test`: few, on the programs that the tests use and the agent as it ships.
pub fn small_run() -> anyhow::Result<Command> {
    let mut run = program("debug")?;
    run.args(["--kills", &SMALL_KILLS.to_string()]);
    Ok(run)
}

/// All cuts, and the control without fsync, whose agent is the release build: a static one cannot be told so.
pub fn full_run(words: &[String]) -> anyhow::Result<Command> {
    dist::build_agent_of_this_machine()?;
    let mut run = program("release")?;
    let folder = target().join("machine/control");
    std::fs::create_dir_all(&folder)?;
    run.arg("--control-package").arg(dist::trial_package("simpul-agent", "release", "0.0.1", &folder)?);
    run.args(words);
    Ok(run)
}

/// What the bench of a technician's work looks for: the I/O board's images, the agent as it ships, the card's image.
pub fn prepare_technician() -> anyhow::Result<()> {
    system::ensure(system::MACHINE)?;
    firmware::build()?;
    pico::packages()?;
    dist::build_agent_of_this_machine()?;
    dist::shipping_package(&target().join("machine"))?;
    card_image::ensure()?;
    Ok(())
}

fn program(profile: &str) -> anyhow::Result<Command> {
    system::ensure(system::MACHINE)?;
    let image = card_image::ensure()?;
    let mut run = command(&target().join(profile).join("simpul-machine").to_string_lossy(), &[]);
    // Without the agent the run fails, as it should; the tests after it go on.
    let folder = target().join("machine");
    let package = dist::shipping_package(&folder).unwrap_or_else(|error| {
        println!("no package of the agent: {error:#}");
        folder.join("simpul-agent.deb")
    });
    run.arg("--image").arg(image).arg("--package").arg(package);
    Ok(run)
}
