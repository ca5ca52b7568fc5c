//! The emulated I/O board: the real image of `firmware/boards/lm3s6965` in QEMU, with buttons to press, a module whose light
//! fades, a supply that fails, and a terminal that an agent opens like any serial port.
//!
//! | of the board | in the emulator |
//! |---|---|
//! | UART0 | a pseudo-terminal; [`EmulatedBoard::tty`] is a link to it that stays the same over restarts |
//! | buttons of desks 0-7 | port D, pins 0-7, high = pressed |
//! | lid switch | port A, pin 2, high = open |
//! | supply | port A, pin 3, high = mains are gone |
//! | relay | port B, pin 0, high = the coil has current, the load is off |
//! | SFP module | EEPROMs at 0x50 and 0x51 |
//! | journal | EEPROM of 4 KiB at 0x57 |
//! | serial | EEPROM at 0x5F, bytes 0x800-0x807, as an AT24CS32 has it |
//!
//! EEPROMs are files in the board's folder: what was written there survives a kill, as it would a power cut. Nothing else
//! does. Input lines rest low, so a board that nobody touches has free buttons, a closed lid and mains.
//!
//! The board that is bought runs in an emulator of its own: [`PicoBoard`].

mod bus;
mod control;
mod hand;
mod image;
mod module;
mod pico;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::process::{Launch, Process};
use crate::wait;
use control::{Qmp, Qtest};

pub use hand::{FADED_DBM, Hand, LIGHT_DBM, Orders, hand};
pub use image::image;
pub use module::{Module, PAGE_BYTES};
pub use pico::{PicoBoard, Standing, pico_image};

/// QEMU for the chip's instruction set.
const EMULATOR: &str = "qemu-system-arm";
/// QEMU needs half a second; a loaded machine gets more.
const START_MAX: Duration = Duration::from_secs(30);
/// A board whose clock stands still for so long does not run.
const STANDSTILL_MAX: Duration = Duration::from_secs(30);
/// After a press the button stays free for so long: longer than the firmware debounces, so that two presses are two.
const FREE_MS: u32 = 60;

/// Bus addresses, and the bytes of the EEPROM there. QEMU takes whole blocks of 512 bytes only; a module's page is the
/// first half of one.
const IDENTITY: (u8, usize) = (0x50, 512);
const DIAGNOSTICS: (u8, usize) = (0x51, 512);
const JOURNAL: (u8, usize) = (0x57, 4_096);
const SERIAL: (u8, usize) = (0x5F, 4_096);
/// Where the serial's EEPROM has it.
const SERIAL_AT: usize = 0x800;

/// Ports A and D as QEMU names them.
const PORT_A: &str = "/machine/unattached/device[8]";
const PORT_D: &str = "/machine/unattached/device[11]";
const TAMPER_PIN: u8 = 2;
const MAINS_LOST_PIN: u8 = 3;
/// Port B's data register with all pins selected, and the relay's bit in it.
const PORT_B_DATA: u32 = 0x4000_53FC;
const RELAY_BIT: u32 = 1 << 0;

/// What board to make.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its folder: made if it is not there. An earlier board's journal in it is gone on with.
    pub directory: PathBuf,
    /// Its serial; two boards never have the same.
    pub serial: [u8; 8],
    /// The module in cage 0, or an empty cage.
    pub module: Option<Module>,
    /// An existing folder for a folder with QEMU's sockets, whose paths may have 108 bytes at most; none: the system's
    /// for temporary files.
    pub sockets: Option<PathBuf>,
}

/// A board. Its process ends with it.
#[derive(Debug)]
pub struct EmulatedBoard {
    options: Options,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    control: Mutex<Control>,
    uptime_address: u32,
    /// Removed with the rest.
    _sockets: TempDir,
}

#[derive(Debug)]
struct Control {
    qmp: Qmp,
    qtest: Qtest,
}

impl EmulatedBoard {
    /// Whether the emulator is there.
    pub fn is_possible() -> bool {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).any(|folder| folder.join(EMULATOR).is_file())
    }

    /// Build the image if need be, and start a board.
    pub async fn start(options: Options) -> anyhow::Result<EmulatedBoard> {
        let mut board = EmulatedBoard { options, running: None };
        board.power_on().await?;
        Ok(board)
    }

    /// Start the board again after [`EmulatedBoard::kill`], with the journal that it had. A running one is killed first.
    pub async fn power_on(&mut self) -> anyhow::Result<()> {
        self.kill();
        let image = tokio::task::spawn_blocking(image::built).await??;
        let folder = &self.options.directory;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let place = self.options.sockets.clone().unwrap_or_else(std::env::temp_dir);
        let sockets = tempfile::tempdir_in(place).context("cannot make a folder for QEMU's sockets")?;
        let (qmp_path, qtest_path) = (sockets.path().join("qmp"), sockets.path().join("qtest"));
        let listening = |path: &Path| format!("unix:{},server=on,wait=off", path.display());
        let mut launch = Launch::new("board", Path::new(EMULATOR), &self.log_path());
        for argument in ["-M", "lm3s6965evb", "-accel", "tcg", "-display", "none", "-monitor", "none", "-nic", "none"] {
            launch = launch.argument(argument);
        }
        // Stopped until both control sockets are connected: no input is missed.
        launch = launch.argument("-S").argument("-kernel").argument(image.path.to_string_lossy());
        launch = launch.argument("-serial").argument("pty");
        launch = launch.argument("-qmp").argument(listening(&qmp_path));
        launch =
            launch.argument("-qtest").argument(listening(&qtest_path)).argument("-qtest-log").argument("/dev/null");
        for (name, (address, bytes)) in self.parts()? {
            launch = launch
                .argument("-drive")
                .argument(format!("if=none,id={name},format=raw,file={}", folder.join(name).display()))
                .argument("-device")
                .argument(format!("at24c-eeprom,address={address:#x},rom-size={bytes},drive={name}"));
        }
        let mut process = launch.start()?;
        let connected = wait::until("QEMU's control sockets", START_MAX, || {
            let ended = process.poll_ended();
            let (qmp, qtest) = (&qmp_path, &qtest_path);
            async move {
                if let Some(status) = ended {
                    return Some(Err(anyhow::anyhow!("QEMU ended ({status})")));
                }
                Some(Ok((Qmp::connect(qmp).await.ok()?, Qtest::connect(qtest).await.ok()?)))
            }
        });
        let (mut qmp, qtest) = connected.await.flatten().with_context(|| process.log_tail())?;
        let terminal = qmp.serial_terminal().await?;
        remove(&self.tty())?;
        symlink(&terminal, self.tty()).with_context(|| format!("cannot link to {terminal}"))?;
        qmp.execute("cont").await?;
        let control = Mutex::new(Control { qmp, qtest });
        self.running = Some(Running { process, control, uptime_address: image.uptime_address, _sockets: sockets });
        Ok(())
    }

    /// The EEPROMs and their files, made or brought up to date.
    fn parts(&self) -> anyhow::Result<Vec<(&'static str, (u8, usize))>> {
        let mut parts = vec![("journal", JOURNAL), ("serial", SERIAL)];
        // As it leaves the factory: all ones.
        let journal = self.options.directory.join("journal");
        if !journal.exists() {
            write(&journal, &[0xFF; JOURNAL.1])?;
        }
        let mut serial = [0xFF; SERIAL.1];
        serial[SERIAL_AT..SERIAL_AT + 8].copy_from_slice(&self.options.serial);
        write(&self.options.directory.join("serial"), &serial)?;
        let module = self.options.module.as_ref();
        let pages = [
            ("identity", IDENTITY, module.map(|module| &module.identity)),
            ("diagnostics", DIAGNOSTICS, module.and_then(|module| module.diagnostics.as_ref())),
        ];
        for (name, part, page) in pages {
            let Some(page) = page else { continue };
            let mut bytes = vec![0; part.1];
            bytes[..PAGE_BYTES].copy_from_slice(page);
            write(&self.options.directory.join(name), &bytes)?;
            parts.push((name, part));
        }
        Ok(parts)
    }

    /// The terminal that an agent opens: a link in the board's folder, whose target changes with each start.
    pub fn tty(&self) -> PathBuf {
        self.options.directory.join("tty")
    }

    /// The board's folder.
    pub fn directory(&self) -> &Path {
        &self.options.directory
    }

    /// What QEMU said since the last start: where the terminal is, and what it misses of the machine (a network, a watchdog's
    /// first period).
    pub fn log(&self) -> String {
        self.running.as_ref().map(|running| running.process.log_text()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.options.directory.join("qemu.log")
    }

    fn running(&self) -> anyhow::Result<&Running> {
        self.running.as_ref().context("the board is off: power_on() first")
    }

    /// SIGKILL, as a power cut is to the board. Returns the folder, where its journal is. Does nothing to a board that is off.
    pub fn kill(&mut self) -> &Path {
        // The terminal's number may be somebody else's in a moment. A link that is not there is as good as removed.
        let _ = fs::remove_file(self.tty());
        self.running = None;
        &self.options.directory
    }

    /// Freeze the board for as long as nobody calls [`EmulatedBoard::thaw`]: it answers nothing, and its time stands still.
    pub async fn freeze(&self) -> anyhow::Result<()> {
        self.running()?.control.lock().await.qmp.execute("stop").await.map(drop)
    }

    /// Let a frozen board go on.
    pub async fn thaw(&self) -> anyhow::Result<()> {
        self.running()?.control.lock().await.qmp.execute("cont").await.map(drop)
    }

    /// Milliseconds since the board's start, by its own clock; the lower 32 bits.
    pub async fn uptime_ms(&self) -> anyhow::Result<u32> {
        let running = self.running()?;
        running.control.lock().await.qtest.read(running.uptime_address).await
    }

    /// Wait until the board's own clock has gone on for so long. Not this machine's: an emulator that gets no processor
    /// for 100 ms sees nothing of what happened in them.
    pub async fn let_pass(&self, ms: u32) -> anyhow::Result<()> {
        let from = self.uptime_ms().await?;
        let passed =
            wait::until("the board's clock to go on", STANDSTILL_MAX + Duration::from_millis(ms.into()), || async {
                match self.uptime_ms().await {
                    Ok(now) => (now.wrapping_sub(from) >= ms).then_some(Ok(())),
                    Err(error) => Some(Err(error)),
                }
            });
        passed.await?
    }

    /// Press the button of a desk (0-7) for so long by the board's clock, and let it go long enough that the next press
    /// is another one.
    pub async fn press(&self, desk: u8, hold: Duration) -> anyhow::Result<()> {
        self.set_button(desk, true).await?;
        self.let_pass(u32::try_from(hold.as_millis())?).await?;
        self.set_button(desk, false).await?;
        self.let_pass(FREE_MS).await
    }

    /// Push a desk's button down, or let it go.
    pub async fn set_button(&self, desk: u8, down: bool) -> anyhow::Result<()> {
        self.drive(PORT_D, desk, down).await
    }

    /// Open or close the lid.
    pub async fn set_tamper(&self, open: bool) -> anyhow::Result<()> {
        self.drive(PORT_A, TAMPER_PIN, open).await
    }

    /// Have the mains there or gone. The board itself runs on until [`EmulatedBoard::kill`].
    pub async fn set_power_good(&self, good: bool) -> anyhow::Result<()> {
        self.drive(PORT_A, MAINS_LOST_PIN, !good).await
    }

    async fn drive(&self, port: &str, pin: u8, high: bool) -> anyhow::Result<()> {
        self.running()?.control.lock().await.qtest.drive(port, pin, high).await
    }

    /// Whether the relay's coil has current, that is: the load is off.
    pub async fn relay_energised(&self) -> anyhow::Result<bool> {
        let data = self.running()?.control.lock().await.qtest.read(PORT_B_DATA).await?;
        Ok(data & RELAY_BIT != 0)
    }

    /// Change the received power that the module measures, from now on (until the next start, which has the module of the
    /// options again).
    pub async fn set_rx_power(&self, dbm: f64) -> anyhow::Result<()> {
        let bytes = module::tenth_microwatts(dbm).to_be_bytes();
        let mut control = self.running()?.control.lock().await;
        let Control { qmp, qtest } = &mut *control;
        bus::write(qmp, qtest, DIAGNOSTICS.0, module::RECEIVED_POWER_AT, &bytes).await
    }

    /// Put another module into the options: it is there from the next start on.
    pub fn change_module(&mut self, module: Option<Module>) {
        self.options.module = module;
    }
}

impl Drop for EmulatedBoard {
    fn drop(&mut self) {
        self.kill();
    }
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
