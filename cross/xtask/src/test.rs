//! `cargo xtask test`: what CI runs. Set-up stops at the first error; the checks and tests all run, and every failure
//! is told at the end.

use std::process::Command;

use anyhow::bail;

use crate::run::{Stages, cargo, watched};
use crate::tally::Tally;
use crate::{card_image, card_machine, dist, firmware, lint, measure, page, photographs, pico, system};

/// Stages besides the lints.
const OTHER_STAGES: usize = 18;

const FIRMWARE: &str = "the boards' images";
const AGENTS: &str = "agents as they ship, one of them built twice";
const PACKAGES: &str = "packages in a fresh Debian";

/// Run everything.
pub fn test() -> anyhow::Result<()> {
    let mut stages = Stages::new(lint::CHECKS.len() + OTHER_STAGES);
    stages.next("system packages");
    system::ensure(system::TEST)?;
    stages.next("photographs for the camera tests");
    let photographs = photographs::ensure()?;
    stages.next("a card's image of Debian");
    system::ensure(system::MACHINE)?;
    card_image::ensure()?;
    stages.next("the room's page: packages and build");
    page::build()?;

    let mut failures = Vec::new();
    let mut tally = Tally::default();
    for (title, check) in lint::CHECKS {
        stages.next(title);
        if let Err(error) = check() {
            println!("FAILED: {error:#}");
            failures.push(title);
            tally.failed += 1;
        }
    }
    // The emulated board's tests run this image.
    stages.next(FIRMWARE);
    if let Err(error) = firmware::build() {
        println!("FAILED: {error:#}");
        failures.push(FIRMWARE);
        tally.failed += 1;
    }
    stages.next(AGENTS);
    match dist::build_agents() {
        Ok(()) => tally.passed += 1,
        Err(error) => {
            println!("FAILED: {error:#}");
            failures.push(AGENTS);
            tally.failed += 1;
        }
    }
    let mut stage = |stages: &mut Stages, title: &'static str, has_tests: bool, command: &mut Command| {
        stages.next(title);
        let mut counted = Tally::default();
        let succeeded = watched(command, |line| counted.read(line))?;
        // A runner that fails without a failed test did not get as far as its tests; one that ran none checked nothing.
        if succeeded != (counted.failed == 0) || (has_tests && counted.passed + counted.failed == 0) {
            counted.failed += 1;
        }
        if counted.failed > 0 {
            println!("FAILED: {title}");
            failures.push(title);
        }
        tally = tally.plus(counted);
        anyhow::Ok(())
    };
    stage(&mut stages, "the Pico on an emulated chip", true, &mut pico::tests_command()?)?;
    stage(&mut stages, "the page: types", false, &mut page::npm(&["run", "check"]))?;
    stage(&mut stages, "the page: unit tests", true, &mut page::npm(&["test"]))?;
    // Built together with the tests, so that both share one set of features and nothing is compiled twice.
    let build = &["build", "--workspace", "--bins", "--tests"];
    stage(&mut stages, "build of all programs and tests", false, &mut cargo(build))?;
    stage(&mut stages, "the page: browser tests", true, &mut page::npm(&["run", "test:browser"]))?;
    let tests = &["test", "--workspace", "--no-fail-fast"];
    stage(&mut stages, "workspace tests", true, cargo(tests).env("SIMPUL_TEST_PHOTOS", &photographs))?;
    stage(&mut stages, "a small run of kills", true, &mut measure::small_kill_run())?;
    stage(&mut stages, "a small run of power cuts", true, &mut measure::small_power_run()?)?;
    stage(&mut stages, "a card that boots, and power cuts of its machine", true, &mut card_machine::small_run()?)?;
    stage(&mut stages, "full disks", true, &mut measure::full_disk_run("debug")?)?;

    stage(&mut stages, "agents for other machines", true, &mut dist::foreign_command()?)?;
    stages.next(PACKAGES);
    match dist::packages() {
        Ok(counted) => {
            if counted.failed > 0 {
                failures.push(PACKAGES);
            }
            tally = tally.plus(counted);
        }
        Err(error) => {
            println!("FAILED: {error:#}");
            failures.push(PACKAGES);
            tally.failed += 1;
        }
    }

    println!("\n{:.1} min in all", stages.minutes());
    if tally.skipped > 0 {
        println!("{} tests are marked to be skipped: house rules do not allow that", tally.skipped);
        tally.failed += tally.skipped;
    }
    for title in &failures {
        println!("failed: {title}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        bail!("not green");
    }
    Ok(())
}
