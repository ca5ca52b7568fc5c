//! The board to buy as a process: the Pico's image as it is shipped, on an emulated RP2040 (`tests/pico/bridge.mjs`, run by
//! node), behind a terminal that an agent opens like any serial port.
//!
//! The terminal is the adapter in the agent's machine: it stays when the board's power goes, and what a board says while
//! nobody listens is lost. The flash is a file in the board's folder.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::control::Lines;
use crate::process::{Launch, Process, target_directory};
use crate::wait;

/// Node and the emulator need half a second; a loaded machine gets more.
const START_MAX: Duration = Duration::from_secs(30);
/// Of a board's serial, unless another one is asked for.
const SEED: u32 = 7;
/// What the Pico's chip has.
const FLASH_BYTES: usize = 2 * 1024 * 1024;
/// Bytes that are carried at a time: a few frames.
const PIECE_BYTES: usize = 512;

/// An image of the Pico's, or what an agent sends of one, as `cargo xtask test` built it.
///
/// Fails if it is not there.
pub fn pico_image(name: &str) -> anyhow::Result<PathBuf> {
    let path = target_directory()?.join("firmware").join(name);
    ensure!(
        path.is_file(),
        "{} is not there: `cargo xtask firmware` builds the images, and the next one (simpul-pico-next.elf, \
         pico-next.img) is built by `cargo xtask test`",
        path.display()
    );
    Ok(path)
}

/// A board. Its process ends with it.
#[derive(Debug)]
pub struct PicoBoard {
    directory: PathBuf,
    seed: u32,
    cable: Cable,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    control: Mutex<Lines>,
    carrying: JoinHandle<()>,
    /// Removed with the rest.
    _sockets: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

/// Both ends of the terminal. This one's `far` is only held, so that the terminal stays when an agent closes it.
#[derive(Debug)]
struct Cable {
    near: OwnedFd,
    _far: OwnedFd,
}

/// How a board stands after an order.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Milliseconds of its own time since its power came.
    pub board_ms: f64,
    /// How often it started anew by itself since then.
    pub restarts: u64,
}

impl PicoBoard {
    /// A board in this folder (made if it is not there), with power. An earlier one's flash in it is gone on with.
    pub async fn start(directory: &Path) -> anyhow::Result<PicoBoard> {
        let mut board = PicoBoard::without_power(directory, SEED)?;
        board.power_on().await?;
        Ok(board)
    }

    /// A board in this folder whose cable is laid and that has no power yet. Its serial is of the seed.
    pub fn without_power(directory: &Path, seed: u32) -> anyhow::Result<PicoBoard> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let cable = Cable::lay(&directory.join("tty"))?;
        Ok(PicoBoard { directory: directory.to_owned(), seed, cable, running: None })
    }

    /// Put this into its flash before its power comes: all of it, or what comes from its beginning.
    pub fn flash(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut all = bytes.to_vec();
        ensure!(all.len() <= FLASH_BYTES, "{} bytes, and the flash has {FLASH_BYTES}", all.len());
        all.resize(FLASH_BYTES, 0xFF);
        let file = self.directory.join("flash.bin");
        fs::write(&file, all).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Have its power back after [`PicoBoard::kill`]. A running one is killed first.
    pub async fn power_on(&mut self) -> anyhow::Result<()> {
        self.kill();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tests = here.parent().unwrap_or(here).join("pico");
        ensure!(
            tests.join("node_modules").is_dir(),
            "{} has no packages: `npm ci` there, or `cargo xtask firmware`",
            tests.display()
        );
        // A socket's path may have 108 bytes at most.
        let sockets = tempfile::tempdir().context("cannot make a folder for the board's sockets")?;
        let flash = self.directory.join("flash.bin");
        let mut process = Launch::new("pico", Path::new("node"), &self.directory.join("pico.log"))
            .argument(tests.join("bridge.mjs").to_string_lossy())
            .argument(sockets.path().to_string_lossy())
            .argument(flash.to_string_lossy())
            .environment("SEED", &self.seed.to_string())
            .environment("SIMPUL_PICO_ELF", &pico_image("simpul-pico.elf")?.to_string_lossy())
            .environment("SIMPUL_LOADER_ELF", &pico_image("simpul-loader.elf")?.to_string_lossy())
            .start()?;
        let (line_path, control_path) = (sockets.path().join("line"), sockets.path().join("control"));
        let connected = wait::until("the board's sockets", START_MAX, || {
            let ended = process.poll_ended();
            let (line, control) = (&line_path, &control_path);
            async move {
                if let Some(status) = ended {
                    return Some(Err(anyhow::anyhow!("node ended ({status})")));
                }
                // Each takes one connection.
                if !(line.exists() && control.exists()) {
                    return None;
                }
                // A socket has its name a moment before it is listened at; the line's is listened at first.
                let control = Lines::connect(control).await.ok()?;
                Some(async { Ok((UnixStream::connect(line).await?, control)) }.await)
            }
        });
        let (line, control) = connected.await.flatten().with_context(|| process.log_tail())?;
        let carrying = tokio::spawn(carry(self.cable.carrier()?, line));
        self.running = Some(Running { process, control: Mutex::new(control), carrying, _sockets: sockets });
        Ok(())
    }

    /// SIGKILL: the power goes. The flash keeps what it has.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// The terminal that an agent opens.
    pub fn tty(&self) -> PathBuf {
        self.directory.join("tty")
    }

    /// What node said since the last start: nothing, if all is well.
    pub fn log(&self) -> String {
        self.running.as_ref().map(|running| running.process.log_text()).unwrap_or_default()
    }

    /// Press the button of a desk (0-7) for so long by the board's clock, and let it go long enough that the next press is
    /// another one.
    pub async fn press(&self, desk: u8, hold: Duration) -> anyhow::Result<Standing> {
        self.order(json!({ "press": desk, "ms": u64::try_from(hold.as_millis())? })).await
    }

    /// Have the mains there or gone. The board itself runs on until [`PicoBoard::kill`].
    pub async fn set_mains(&self, there: bool) -> anyhow::Result<Standing> {
        self.order(json!({ "mains": there })).await
    }

    /// Have the lid open or closed.
    pub async fn set_lid(&self, open: bool) -> anyhow::Result<Standing> {
        self.order(json!({ "lid": open })).await
    }

    /// Have so many volts at supply and battery.
    pub async fn set_volts(&self, supply: f64, battery: f64) -> anyhow::Result<Standing> {
        self.order(json!({ "volts": [supply, battery] })).await
    }

    /// Have this in the first cage: `"light"`, `"dark"`, `"blind"` (a module that measures nothing), `"stuck"` (one that
    /// holds the data wire down), `"none"`.
    pub async fn set_module(&self, module: &str) -> anyhow::Result<Standing> {
        self.order(json!({ "sfp": module })).await
    }

    /// Let so much of the board's time pass; none only asks how it stands.
    pub async fn let_pass(&self, ms: u32) -> anyhow::Result<Standing> {
        self.order(json!({ "pass": ms })).await
    }

    async fn order(&self, order: Value) -> anyhow::Result<Standing> {
        let running = self.running.as_ref().context("the board has no power: power_on() first")?;
        let mut control = running.control.lock().await;
        control.send(&order.to_string()).await?;
        let answer = control.next().await.with_context(|| running.process.log_tail())?;
        let answer: Value = serde_json::from_str(&answer).context("an answer that is not JSON")?;
        let board_ms = answer["ms"].as_f64().context("an answer without the board's time")?;
        Ok(Standing { board_ms, restarts: answer["restarts"].as_u64().unwrap_or(0) })
    }
}

impl Cable {
    /// A terminal, raw as a serial port that nobody has set up for typing; `link` leads to its far end.
    fn lay(link: &Path) -> anyhow::Result<Cable> {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&near)?;
        unlockpt(&near)?;
        let path = ptsname(&near, Vec::new())?;
        let path = PathBuf::from(path.into_string().context("a terminal's name that is no text")?);
        let far = fs::File::options().read(true).write(true).open(&path);
        let far: OwnedFd = far.with_context(|| format!("cannot open {}", path.display()))?.into();
        let mut modes = tcgetattr(&far)?;
        modes.make_raw();
        tcsetattr(&far, OptionalActions::Now, &modes)?;
        rustix::io::ioctl_fionbio(&near, true)?;
        super::remove(link)?;
        symlink(&path, link).with_context(|| format!("cannot link to {}", path.display()))?;
        Ok(Cable { near, _far: far })
    }

    fn carrier(&self) -> anyhow::Result<AsyncFd<OwnedFd>> {
        let near = self.near.try_clone()?;
        // Deprecated for types that do not keep their descriptor to themselves, which an `OwnedFd` does.
        #[expect(deprecated, reason = "as above")]
        let near = AsyncFd::new(near)?;
        Ok(near)
    }
}

/// Carry bytes both ways until the board's end is closed.
async fn carry(near: AsyncFd<OwnedFd>, mut line: UnixStream) {
    let (mut from_agent, mut from_board) = ([0; PIECE_BYTES], [0; PIECE_BYTES]);
    let (mut receive, mut send) = line.split();
    loop {
        tokio::select! {
            read = near.async_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, &mut from_agent)?)) => {
                let Ok(length) = read else { return };
                if send.write_all(&from_agent[..length]).await.is_err() {
                    return;
                }
            }
            read = receive.read(&mut from_board) => {
                let Ok(length @ 1..) = read else { return };
                // A port that nobody reads loses what comes.
                let _ = rustix::io::write(near.get_ref(), &from_board[..length]);
            }
        }
    }
}
