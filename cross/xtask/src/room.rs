//! `cargo xtask demo`: build page and programs, then become the demo's runner.

use std::os::unix::process::CommandExt;

use crate::run::{Stages, cargo, command, run, target};
use crate::{firmware, page, system};

/// Run the demo until Ctrl-C, or for so many seconds.
pub fn demo(seconds: Option<u64>) -> anyhow::Result<()> {
    let mut stages = Stages::new(5);
    stages.next("system packages");
    system::ensure(system::BUILD)?;
    stages.next("the room's page: packages and build");
    page::build()?;
    stages.next("hub, agent and the demo's runner");
    run(&mut cargo(&["build", "-p", "simpul-hub", "-p", "simpul-agent", "-p", "simpul-tests", "--bins"]))?;
    stages.next("the fourth node's board: emulator and firmware");
    // A machine that cannot have them still has the rest of the demo.
    let board = system::ensure(system::BOARD).and_then(|()| firmware::build_one("lm3s6965"));
    stages.next("hub and nodes");
    let runner = target().join("debug/simpul-demo");
    let seconds = seconds.map(|seconds| seconds.to_string());
    let mut words = Vec::new();
    if let Some(seconds) = &seconds {
        words.extend(["--seconds", seconds]);
    }
    if let Err(error) = &board {
        let why = format!("{error:#}").replace('\n', " ");
        println!("The demo has three nodes and no board, because that cannot be built here: {why}");
        words.push("--without-board");
    }
    // Become the runner: signals that are meant for the demo reach it and nobody else.
    let error = command(&runner.to_string_lossy(), &words).exec();
    Err(anyhow::Error::new(error).context(format!("cannot run {}", runner.display())))
}
