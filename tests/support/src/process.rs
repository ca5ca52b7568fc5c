//! Real processes for tests: started with their output in a file, killed, stopped, and never left behind.
//!
//! A [`Process`] is a guard: dropped (also by a panic) it kills its child's whole process group and reaps it. Should
//! the test itself be killed, the kernel kills the child (`setpriv --pdeathsig`, of Debian's essential util-linux).
//! That signal follows the *thread* that started the child, so start processes from a thread that lives as long as
//! they should (a test's own, or a runtime worker; never `spawn_blocking`).

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::wait;

/// Lines of a log that an error message shows: enough to see a panic with its backtrace's head.
const TAIL_LINES: usize = 50;

/// What to start.
#[derive(Debug, Clone)]
pub struct Launch {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
}

impl Launch {
    /// `program`, called `name` in messages, its standard output and error appended to `log`.
    pub fn new(name: &str, program: &Path, log: &Path) -> Self {
        Launch {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            log: log.to_owned(),
        }
    }

    /// Add an argument.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Add several.
    pub fn arguments<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// Set an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Start it. Call from a thread that outlives the child.
    pub fn start(&self) -> anyhow::Result<Process> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot open the log {}", self.log.display()))?;
        let log_start = log.metadata()?.len();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(clone_handle(&log)?)
            .stderr(clone_handle(&log)?)
            // A group of its own: a Ctrl-C at the terminal reaches the runner, which ends its children in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {} ({})", self.name, self.program.display()))?;
        Ok(Process { name: self.name.clone(), child, log: self.log.clone(), log_start, ended: None })
    }
}

fn clone_handle(log: &File) -> anyhow::Result<Stdio> {
    Ok(Stdio::from(log.try_clone().context("cannot share the log's handle")?))
}

/// A running (or ended) child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    log_start: u64,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Its name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id (setpriv becomes the program, so this is the program's own).
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote since this start.
    pub fn log_text(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.log_start).unwrap_or(usize::MAX).min(bytes.len());
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }

    /// The last lines that it wrote, for messages.
    pub fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Lines of this start with a level of WARN or ERROR.
    pub fn complaints(&self) -> Vec<String> {
        self.log_text()
            .lines()
            .filter(|line| line.split_whitespace().take(3).any(|word| matches!(word, "WARN" | "ERROR")))
            .map(str::to_owned)
            .collect()
    }

    /// Wait for a line that contains `text`; the line. Fails at once when the process ends without it.
    pub async fn wait_for_line(&mut self, text: &str, within: Duration) -> anyhow::Result<String> {
        let what = format!("a line with {text:?} from {}", self.name);
        let found = wait::until(&what, within, || {
            let ended = self.poll_ended();
            let line = self.log_text().lines().find(|line| line.contains(text)).map(str::to_owned);
            let looked = match (line, ended) {
                (Some(line), _) => Some(Ok(line)),
                (None, Some(status)) => Some(Err(status)),
                (None, None) => None,
            };
            async move { looked }
        })
        .await;
        match found {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(status)) => bail!("{} ended ({status}) without {text:?}; its log:\n{}", self.name, self.log_tail()),
            Err(error) => Err(error.context(format!("the log of {}:\n{}", self.name, self.log_tail()))),
        }
    }

    /// Its status, if it has ended.
    pub fn poll_ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Wait for its end.
    pub async fn wait_for_end(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        let ended = wait::until(&what, within, || {
            let ended = self.poll_ended();
            async move { ended }
        })
        .await;
        ended.with_context(|| format!("the log of {}:\n{}", self.name, self.log_tail()))
    }

    /// SIGKILL, and reap. Does nothing to a process that has ended.
    pub fn kill(&mut self) {
        if self.poll_ended().is_some() {
            return;
        }
        self.signal(Signal::KILL);
        self.ended = self.child.wait().ok();
    }

    /// SIGTERM: asks it to end in order.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: freezes it, as a starved or suspended machine would.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: lets it go on.
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    fn signal(&mut self, signal: Signal) {
        if self.poll_ended().is_some() {
            return;
        }
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // An error can only say that the group is gone, which the next poll finds out as well.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the last lines of {}:\n{}\n---", self.name, self.log_tail());
        }
        self.kill();
    }
}

/// The path of one of the workspace's programs, built for the profile that this test runs in.
///
/// Cargo does not build another package's programs for a test, so this fails loudly when they are not there.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own path")?;
    let mut folder = own.parent().context("this program's path has no folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("deps has no parent folder")?;
    }
    let path = folder.join(name);
    if !path.is_file() {
        bail!(
            "{} is not there: build the programs first with `cargo build --workspace --bins` (and --release for a \
             release run); `cargo xtask test` does it by itself",
            path.display()
        );
    }
    Ok(path)
}

/// The workspace's target folder: the one that holds this program.
pub fn target_directory() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own path")?;
    let found = own.ancestors().skip(1).find(|folder| folder.join("CACHEDIR.TAG").is_file());
    found.map(Path::to_owned).with_context(|| format!("{} is not in a cargo target folder", own.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(directory: &Path, script: &str) -> Launch {
        Launch::new("shell", Path::new("/bin/sh"), &directory.join("log")).argument("-c").argument(script)
    }

    fn alive(id: u32) -> bool {
        // A zombie is dead for our purposes: its state in /proc is Z.
        fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[tokio::test]
    async fn a_dropped_guard_kills_the_whole_group() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = shell(directory.path(), "sleep 1000 & echo child $!; wait").start().unwrap();
        let line = process.wait_for_line("child", Duration::from_secs(10)).await.unwrap();
        let grandchild: u32 = line.trim_start_matches("child ").parse().unwrap();
        let id = process.id();
        assert!(alive(id) && alive(grandchild));
        drop(process);
        wait::until("both to be gone", Duration::from_secs(5), || async {
            (!alive(id) && !alive(grandchild)).then_some(())
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_process_that_ends_early_is_told_with_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = shell(directory.path(), "echo no such port >&2; exit 3").start().unwrap();
        let error = process.wait_for_line("ready", Duration::from_secs(10)).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such port"), "{error}");
    }

    #[tokio::test]
    async fn the_kernel_kills_a_child_whose_starter_thread_died() {
        let directory = tempfile::tempdir().unwrap();
        let launch = shell(directory.path(), "echo up; exec sleep 1000");
        let starter = std::thread::spawn(move || {
            let mut process = launch.start().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(process.wait_for_line("up", Duration::from_secs(10))).unwrap();
            process
        });
        let process = starter.join().unwrap();
        let id = process.id();
        wait::until("the child's death", Duration::from_secs(5), || async { (!alive(id)).then_some(()) })
            .await
            .unwrap();
    }

    #[test]
    fn a_missing_program_says_what_to_run() {
        let error = binary("no-such-program").unwrap_err().to_string();
        assert!(error.contains("cargo build --workspace --bins"), "{error}");
    }

    #[tokio::test]
    async fn complaints_are_the_warnings_and_errors_of_this_start() {
        let directory = tempfile::tempdir().unwrap();
        let launch = shell(
            directory.path(),
            "echo '2026-01-01T00:00:00Z  WARN a: b'; echo '2026-01-01T00:00:00Z INFO a: WARNING'",
        );
        for _ in 0..2 {
            let mut process = launch.start().unwrap();
            process.wait_for_end(Duration::from_secs(10)).await.unwrap();
            assert_eq!(process.complaints(), ["2026-01-01T00:00:00Z  WARN a: b"]);
        }
    }
}
