//! The demo's runner: a hub and three nodes with synthetic cameras and visitors, a fourth whose I/O board is the
//! real firmware in an emulator, all marked SIMULASI; and switches on the page that cut a node's fibre and press its buttons. Started by `cargo xtask demo`, which builds everything first.
//!
//! However it ends (Ctrl-C, SIGTERM, a part's crash, its own SIGKILL), no process and no folder stays: the kernel kills
//! the parts with this process, and a shell that waits for this process's end removes the folder.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_testkit::board::EmulatedBoard;
use simpul_testkit::hub::Hub;
use simpul_testkit::node::{Node, NodeSettings};
use simpul_testkit::process::Process;
use simpul_testkit::visitors::{Desk, Ledger};
use simpul_testkit::wait;
use simpul_tests::district::{District, Plan};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Nodes with visitors. The fourth has none: what is counted there was pressed on its board.
const VISITED: usize = 3;
/// Every node live and with a picture: a debug build on a busy machine takes seconds.
const READY_MAX: Duration = Duration::from_secs(90);

/// Run the demo until Ctrl-C.
#[derive(Parser)]
struct Arguments {
    /// Stop by itself after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Start three nodes and no board.
    #[arg(long)]
    without_board: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("demo: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    // On this thread, so that the kernel ties the parts' lives to it and not to a worker's.
    match runtime.block_on(demo(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(arguments: &Arguments) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let told_to_end = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    };
    let emulator = EmulatedBoard::is_possible();
    if !emulator && !arguments.without_board {
        println!(
            "The demo has three nodes and no board, because qemu-system-arm is not there: \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends qemu-system-arm"
        );
    }
    let board = emulator && !arguments.without_board;
    let plan = Plan {
        nodes: if board { 4 } else { 3 },
        board,
        cameras: true,
        fibre_switch: true,
        settings: NodeSettings {
            // Short, so that a cut shows within seconds.
            state_interval: "3 s",
            reconnect_max: "2 s",
            camera_interval: "4 s",
            more: "[host]\ninterval = \"5 s\"\n".to_owned(),
            ..NodeSettings::default()
        },
        ..Plan::default()
    };
    let mut district = District::prepare(&plan).await?;
    let mut janitor = start_janitor(&district.folder())?;
    let outcome = tokio::select! {
        outcome = run(&mut district) => outcome,
        () = told_to_end => Ok(()),
        () = after(arguments.seconds) => Ok(()),
    };
    println!("\nstopping");
    let stopped = stop(&mut district).await;
    drop(district);
    // Its standard input closes, it finds nothing to remove, it ends.
    drop(janitor.stdin.take());
    janitor.wait().context("the janitor did not end")?;
    outcome.and(stopped)
}

async fn after(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

async fn run(district: &mut District) -> anyhow::Result<()> {
    district.hub.start().await?;
    for node in &mut district.nodes {
        node.launch()?;
    }
    for node in &mut district.nodes {
        node.wait_until_ready().await?;
    }
    let mut visitors = JoinSet::new();
    let ledger = Ledger::default();
    for (number, node) in (0u64..).zip(&district.nodes[..VISITED]) {
        let desk = Desk::new(node, &format!("simulasi-{number}"), &ledger)?;
        visitors.spawn(visit(desk, StdRng::seed_from_u64(number)));
    }
    let hub = &district.hub;
    wait::until("all nodes live, with a picture and, where there is one, a board", READY_MAX, || async {
        let overview = hub.get("/api/v1/overview").await.ok()?;
        let nodes = overview["nodes"].as_array()?;
        let ready =
            nodes.iter().filter(|node| node["liveness"] == "live" && node["cameras"][0]["snapshot"].is_object());
        let boards = nodes.iter().filter(|node| node["board"]["condition"] == "good").count();
        (ready.count() == district.nodes.len() && boards >= usize::from(district.board.is_some())).then_some(())
    })
    .await?;
    println!(
        "\nThe demo is ready; everything in it is SIMULASI. Open\n\n    {}\n\n\
         Cut a node's fibre there, watch it go stale while its records wait, and restore it.{} Ctrl-C ends the demo.",
        district.hub.url("/"),
        if district.board.is_some() {
            "\nPress the buttons of the fourth node's board: they are in its details."
        } else {
            ""
        }
    );
    let District { hub, nodes, board, .. } = district;
    match board {
        Some((board, orders)) => tokio::select! {
            ended = watch(hub, nodes, &mut visitors, Some(&*board)) => ended,
            obeyed = orders.carry_out(board) => obeyed.context("the board does not obey"),
        },
        None => watch(hub, nodes, &mut visitors, None).await,
    }
}

/// Look after everything that runs, until a part of it ends.
async fn watch(
    hub: &mut Hub,
    nodes: &mut [Node],
    visitors: &mut JoinSet<anyhow::Result<()>>,
    board: Option<&EmulatedBoard>,
) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if let Some(board) = board {
            board.uptime_ms().await.with_context(|| format!("the board ended; its last words:\n{}", board.log()))?;
        }
        if let Some(ended) = visitors.try_join_next() {
            ended.context("a visitor panicked")??;
            bail!("the visitors of a node stopped");
        }
        let mut processes = vec![hub.process()?];
        for node in nodes.iter_mut() {
            processes.push(node.process()?);
        }
        for process in processes {
            if let Some(status) = process.poll_ended() {
                bail!("{} ended ({status}); its last lines:\n{}", process.name(), process.log_tail());
            }
        }
    }
}

/// Somebody comes every few seconds.
async fn visit(desk: Desk, mut random: StdRng) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(Duration::from_millis(random.random_range(800..4_000))).await;
        desk.anything(&mut random).await?;
    }
}

/// Ask every part that still runs to end in order, the agents all at once; what does not is killed by its guard.
async fn stop(district: &mut District) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    let runs = |process: anyhow::Result<&mut Process>| process.is_ok_and(|process| process.poll_ended().is_none());
    let agents = district.nodes.iter_mut().filter_map(|node| runs(node.process()).then_some(node));
    for ended in futures_util::future::join_all(agents.map(|node| node.stop())).await {
        outcome = outcome.and(ended.map(|_| ()));
    }
    if runs(district.hub.process()) {
        outcome = outcome.and(district.hub.stop().await.map(|_| ()));
    }
    outcome
}

/// A shell that outlives this process by a moment: it reads until this process's end closes the pipe, then removes the
/// folder (again and again for 5 s: the parts die at the same moment and may still be writing).
fn start_janitor(folder: &Path) -> anyhow::Result<Child> {
    const SCRIPT: &str = "trap '' INT TERM HUP; read -r _; n=0; \
                          while [ -e \"$1\" ] && [ $n -lt 50 ]; do rm -rf \"$1\"; n=$((n+1)); sleep 0.1; done";
    Command::new("/bin/sh")
        .args(["-c", SCRIPT, "janitor"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot start /bin/sh")
}
