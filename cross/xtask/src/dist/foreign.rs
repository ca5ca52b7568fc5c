//! For `cargo xtask test`: builds the agents as for a release, and hands those for other machines to the tests' program
//! that runs them under qemu-user.

use std::process::Command;

use anyhow::{Context, bail};

use super::build::{Place, build, registry_sources};
use super::products::Product;
use super::zig::Zig;
use super::{inspect, reproduce};
use crate::run::{command, root, target};
use crate::system;

/// How an agent for another machine is run on this one.
const EMULATED: [(&str, &str); 2] =
    [("agent-arm64", "qemu-aarch64-static"), ("agent-armhf", "qemu-arm-static -L /usr/arm-linux-gnueabihf")];

/// Build them all, the one for this machine twice; fail if one is not as promised.
pub fn build_all() -> anyhow::Result<()> {
    system::ensure(system::DIST)?;
    system::ensure(system::DIST_TEST)?;
    let zig = Zig::ensure()?;
    let folders = [root(), registry_sources()?];
    let folders: Vec<&std::path::Path> = folders.iter().map(|folder| folder.as_path()).collect();
    for name in ["agent-amd64", "agent-arm64", "agent-armhf"] {
        let product = Product::named(name).with_context(|| format!("there is no {name}"))?;
        let program = build(product, &zig, &Place::here())?;
        let findings = inspect::inspect(product, &program, &folders)?;
        println!("{name}: {} bytes", findings.bytes);
        if !findings.problems.is_empty() {
            bail!("{name} {}", findings.problems.join("; "));
        }
        if name == "agent-amd64" {
            reproduce::check(product, &zig, &program)?;
        }
    }
    Ok(())
}

/// Only the one that this machine runs: what the footprint bench measures.
pub fn build_agent_of_this_machine() -> anyhow::Result<()> {
    build(agent_of_this_machine()?, &Zig::ensure()?, &Place::here())?;
    Ok(())
}

/// The product that this machine runs.
pub fn agent_of_this_machine() -> anyhow::Result<&'static Product> {
    Product::named("agent-amd64").context("there is no agent-amd64")
}

/// The tests' program with those for other machines.
pub fn run_command() -> anyhow::Result<Command> {
    let mut run = command(&target().join("debug/simpul-foreign").to_string_lossy(), &[]);
    for (name, words) in EMULATED {
        let product = Product::named(name).with_context(|| format!("there is no {name}"))?;
        let program = target().join(product.triple).join("dist").join(product.program);
        run.arg("--agent").arg(format!("{words} {}", program.display()));
    }
    Ok(run)
}
