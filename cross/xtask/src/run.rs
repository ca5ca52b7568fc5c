//! Running other programs, and saying how far the whole has come.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use simpul_clock::{Clock, Moment};

/// The workspace's root: this crate is two folders below it.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The target folder that this program was built into.
pub fn target() -> PathBuf {
    let own = std::env::current_exe().ok();
    let found = own.as_deref().and_then(|own| own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()));
    found.map_or_else(|| root().join("target"), Path::to_owned)
}

/// A command in the workspace's root.
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// The cargo that runs this.
pub fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(&program, arguments)
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut text = program.to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Run it, its output going where ours goes.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Run it, showing its standard output and handing each line to `look`; whether it succeeded.
pub fn watched(command: &mut Command, mut look: impl FnMut(&str)) -> anyhow::Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run {}", shown(command)))?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            println!("{line}");
            look(&line);
        }
    }
    Ok(child.wait()?.success())
}

/// Where a program is, if it is.
pub fn found(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in /usr/sbin, which is not on everybody's path.
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&paths).chain(more).any(|folder| folder.join(program).is_file())
}

/// The stages of a long command, with the time so far.
pub struct Stages {
    total: usize,
    at: usize,
    clock: Clock,
    begun: Moment,
}

impl Stages {
    /// So many will come.
    pub fn new(total: usize) -> Self {
        let clock = Clock::machine();
        let begun = clock.now();
        Stages { total, at: 0, clock, begun }
    }

    /// The next one begins.
    pub fn next(&mut self, what: &str) {
        self.at += 1;
        println!("\n==> [{} of {}] {what} ({:.1} min so far)", self.at, self.total, self.minutes());
    }

    /// Minutes since the beginning.
    pub fn minutes(&self) -> f64 {
        self.clock.now().since(self.begun).as_secs_f64() / 60.0
    }
}
