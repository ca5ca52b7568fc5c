//! Agents that were built for other machines, under qemu-user: each delivers records and pictures to a real hub over
//! mutual TLS, is killed in the middle, and goes on.
//!
//! Whoever builds them starts this (`cargo xtask test`, after a build as for a release). Ends with `N passed, N failed`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_testkit::wait;
use simpul_tests::district::{District, Plan};

/// An emulated machine is some ten times slower, and signs its handshake in that time too.
const DRAIN_MAX: Duration = Duration::from_secs(120);

/// Records before the kill, and again after it.
const RECORDS: usize = 100;

/// Let agents for other machines deliver to a hub.
#[derive(Parser)]
struct Arguments {
    /// An agent, and before it the words that run it on this machine, separated by blanks; may be given several times.
    #[arg(long = "agent", value_name = "WORDS PROGRAM", required = true)]
    agents: Vec<String>,
}

fn main() -> ExitCode {
    let (mut passed, mut failed) = (0, 0);
    for agent in Arguments::parse().agents {
        match run(&agent) {
            Ok(()) => {
                passed += 1;
                println!("{agent}: every record and a picture are at the hub");
            }
            Err(error) => {
                failed += 1;
                println!("FAILED: {agent}: {error:#}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(agent: &str) -> Result<()> {
    let mut words: Vec<String> = agent.split_whitespace().map(str::to_owned).collect();
    let program = PathBuf::from(words.pop().context("no agent is named")?);
    ensure!(program.is_file(), "{} is not there", program.display());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(deliver(&words, &program))
}

async fn deliver(words: &[String], program: &std::path::Path) -> Result<()> {
    let mut district = District::prepare(&Plan { nodes: 1, cameras: true, ..Plan::default() }).await?;
    district.hub.start().await?;
    let node = &mut district.nodes[0];
    node.run_behind(words);
    node.run_program(program);
    node.start().await?;
    let ledger = Ledger::default();
    let desk = Desk::new(node, "foreign", &ledger)?;
    for _ in 0..RECORDS {
        desk.count("ktp", 1).await?;
    }
    // What was accepted is on the disk, whatever machine it was accepted by.
    node.kill();
    node.start().await?;
    for _ in 0..RECORDS {
        desk.visit("kk", 60, 120).await?;
    }
    let hub = &district.hub;
    let rows = wait::until("all records at the hub", DRAIN_MAX, || async {
        let (rows, _) = hub.rows("/api/v1/service-records", None).await.ok()?;
        (rows.len() >= 2 * RECORDS).then_some(rows)
    })
    .await?;
    let differences = compare(&ledger.entries(), &rows);
    ensure!(differences == Default::default(), "accepted and delivered differ: {differences:?}");
    let id = district.nodes[0].id();
    wait::until("a picture at the hub", DRAIN_MAX, || async {
        let node = hub.node(id).await.ok()??;
        node["cameras"][0]["snapshot"].is_object().then_some(())
    })
    .await?;
    district.nodes[0].stop().await?;
    Ok(())
}
