//! The checks that run no test: formatting, clippy, rustdoc, dependencies.

use crate::run::{Stages, cargo, run};
use crate::{deny, firmware, system};

/// A check: its title and what runs it.
pub type Check = (&'static str, fn() -> anyhow::Result<()>);

/// In the order of their cost.
pub const CHECKS: [Check; 5] = [
    ("formatting", formatting),
    ("dependencies: bans, licences, sources", dependencies),
    ("clippy, warnings refused", clippy),
    ("clippy of the boards, warnings refused", firmware::clippy),
    ("rustdoc, warnings refused", rustdoc),
];

/// `cargo xtask lint`.
pub fn command_alone(advisories: bool) -> anyhow::Result<()> {
    let mut stages = Stages::new(CHECKS.len() + 1 + usize::from(advisories));
    stages.next("system packages");
    system::ensure(system::TEST)?;
    for (title, check) in CHECKS {
        stages.next(title);
        check()?;
    }
    if advisories {
        stages.next("dependencies: advisories");
        deny::check(true)?;
    }
    println!("\nlint: clean, in {:.1} min", stages.minutes());
    Ok(())
}

fn formatting() -> anyhow::Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    firmware::formatting()
}

fn dependencies() -> anyhow::Result<()> {
    deny::check(false)
}

fn clippy() -> anyhow::Result<()> {
    run(&mut cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn rustdoc() -> anyhow::Result<()> {
    run(cargo(&["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}
