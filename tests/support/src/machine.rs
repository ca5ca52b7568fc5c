//! An emulated machine that boots from a card: QEMU without hardware help, a disk, a network card, a console, and, if wanted,
//! a serial port for the I/O board.
//!
//! QEMU's `-kernel` plays the part of a board's firmware: before each start, kernel, initramfs and command line are read from
//! the card's FAT, as a Raspberry Pi's do. So what the first boot changes in `cmdline.txt` counts for the second.
//!
//! The network is QEMU's own: the machine reaches this one's loopback at [`HOST`]; a port of its own is reached at one of ours.
//!
//! # What a kill is
//! [`Machine::kill`] is SIGKILL to QEMU: all that the machine had in its memory is gone, its page cache too. The disk is
//! `cache=writeback`: the machine sees a disk with a cache of its own, so it has to flush, and each flush is an fdatasync here.
//! `writethrough` and `directsync` would promise a disk that needs no flush, and hide one that is missing. What the machine
//! wrote and did not flush stays in this computer's memory and survives: a real card may lose that too, which the power cuts
//! of loop devices (`tests/power`) are for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::process::{Launch, Process};

/// This computer's loopback, as the machine sees it.
pub const HOST: &str = "10.0.2.2";

/// QEMU for this computer's instruction set: nothing but the agent's own package is foreign to it.
const EMULATOR: &str = "qemu-system-x86_64";
/// An early model without what is slow to emulate; the images' kernels take it.
const PROCESSOR: &str = "Nehalem";
const MEMORY: &str = "384M";
/// Where the first partition of the images begins.
const BOOT_AT_BYTES: u64 = 1 << 20;
/// The mitigations guard against other tenants of a real processor; emulated ones only cost time. systemd's own patience
/// (90 s for a disk to be seen) is for machines that nobody else keeps busy: beside a compiler emulation needs more. The
/// kernel's test of its timer counts ticks against cycles, and panics where this computer was busy just then. A panic ends
/// QEMU, by `-no-reboot`.
const MORE_COMMAND_LINE: &str = "mitigations=off no_timer_check panic=-1 systemd.default_device_timeout_sec=900 \
                                 systemd.default_timeout_start_sec=900";
/// What systemd says when it has given up: nobody needs to wait any longer.
const GIVEN_UP: &str = "You are in emergency mode";

/// A machine and its card. Its process ends with it.
#[derive(Debug)]
pub struct Machine {
    name: String,
    card: PathBuf,
    directory: PathBuf,
    forwards: Vec<(u16, u16)>,
    serial: Option<PathBuf>,
    command_line_more: String,
    process: Option<Process>,
}

impl Machine {
    /// Called `name` in messages, from `card` (a disk image or a block device), with its files in `directory`.
    pub fn new(name: &str, card: &Path, directory: &Path) -> Machine {
        Machine {
            name: name.to_owned(),
            card: card.to_owned(),
            directory: directory.to_owned(),
            forwards: Vec::new(),
            serial: None,
            command_line_more: String::new(),
            process: None,
        }
    }

    /// The machine's TCP port `inner` is reached at this computer's loopback, port `outer`.
    pub fn forward(mut self, outer: u16, inner: u16) -> Machine {
        self.forwards.push((outer, inner));
        self
    }

    /// Its second serial port (`/dev/ttyS1`, 115200 8N1) is wired to this terminal.
    pub fn serial(mut self, terminal: &Path) -> Machine {
        self.serial = Some(terminal.to_owned());
        self
    }

    /// Give the kernel more words.
    pub fn command_line(mut self, more: &str) -> Machine {
        self.command_line_more = more.to_owned();
        self
    }

    /// Switch it on.
    pub fn start(&mut self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.directory).with_context(|| format!("cannot create {}", self.directory.display()))?;
        let line = self.on_boot_partition("cmdline.txt")?.context("the card has no cmdline.txt")?;
        let line = String::from_utf8(line).context("the card's cmdline.txt is not text")?;
        let (kernel, initramfs) = (self.boot_file("vmlinuz")?, self.boot_file("initrd.img")?);
        let line = format!("{} {MORE_COMMAND_LINE} {}", line.trim(), self.command_line_more);
        let network: String =
            self.forwards.iter().map(|(outer, inner)| format!(",hostfwd=tcp:127.0.0.1:{outer}-:{inner}")).collect();
        let card = self.card.display();
        let mut launch = Launch::new(&self.name, Path::new(EMULATOR), &self.console())
            .argument("-nodefaults")
            .arguments(["-machine", "q35", "-accel", "tcg", "-cpu", PROCESSOR, "-smp", "1", "-m", MEMORY])
            .arguments(["-display", "none", "-no-reboot", "-serial", "stdio"])
            .arguments(["-drive", &format!("file={card},format=raw,if=none,id=card,cache=writeback")])
            .arguments(["-device", "virtio-blk-pci,drive=card"])
            .arguments(["-netdev", &format!("user,id=net{network}"), "-device", "virtio-net-pci,netdev=net"])
            .arguments(["-device", "virtio-rng-pci"])
            .arguments(["-kernel", &kernel.to_string_lossy(), "-initrd", &initramfs.to_string_lossy()])
            .arguments(["-append", line.trim()]);
        if let Some(serial) = &self.serial {
            let terminal = fs::canonicalize(serial).with_context(|| format!("no terminal {}", serial.display()))?;
            launch = launch
                .arguments(["-chardev", &format!("serial,id=board,path={}", terminal.display())])
                .arguments(["-serial", "chardev:board"]);
        }
        self.process = Some(launch.start()?);
        Ok(())
    }

    /// SIGKILL: the power goes. The card keeps what it has.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Wait until its console says `text`; the line. Fails at once, with the console's last lines, when QEMU ends without it.
    pub async fn wait_for_line(&mut self, text: &str, within: Duration) -> anyhow::Result<String> {
        self.process()?.wait_for_line(text, within).await
    }

    /// Wait until it switches itself off or would start anew: then start it again for that.
    pub async fn wait_for_end(&mut self, within: Duration) -> anyhow::Result<()> {
        let ended = self.process()?.wait_for_end(within).await?;
        let tail = self.process()?.log_tail();
        self.process = None;
        ensure!(ended.success(), "QEMU of {} ended with {ended}:\n{tail}", self.name);
        Ok(())
    }

    /// An error, with the console's last lines after it.
    pub fn explained(&self, error: anyhow::Error) -> anyhow::Error {
        match &self.process {
            Some(process) => error.context(format!("the console of {}:\n{}", self.name, process.log_tail())),
            None => error,
        }
    }

    /// What its console said since this start.
    pub fn console_text(&self) -> String {
        self.process.as_ref().map(Process::log_text).unwrap_or_default()
    }

    /// Whether systemd has given up starting it.
    pub fn has_given_up(&self) -> bool {
        self.console_text().contains(GIVEN_UP)
    }

    /// Whether QEMU runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.poll_ended().is_none())
    }

    /// A file on the card's boot partition; none if it is not there. While the machine is off.
    pub fn on_boot_partition(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let names = mtools("mdir", &["-b", "-i", &self.boot_partition(), "::"])?;
        let names = String::from_utf8_lossy(&names).into_owned();
        if !names.lines().any(|line| line.trim().trim_start_matches("::/").eq_ignore_ascii_case(name)) {
            return Ok(None);
        }
        mtools("mtype", &["-i", &self.boot_partition(), &format!("::{name}")]).map(Some)
    }

    /// The names on the card's boot partition. While the machine is off.
    pub fn boot_partition_names(&self) -> anyhow::Result<Vec<String>> {
        let names = mtools("mdir", &["-b", "-i", &self.boot_partition(), "::"])?;
        let names = String::from_utf8_lossy(&names).into_owned();
        Ok(names.lines().map(|line| line.trim().trim_start_matches("::/").to_owned()).collect())
    }

    fn boot_partition(&self) -> String {
        format!("{}@@{BOOT_AT_BYTES}", self.card.display())
    }

    fn boot_file(&self, name: &str) -> anyhow::Result<PathBuf> {
        let bytes = self.on_boot_partition(name)?.with_context(|| format!("the card has no {name}"))?;
        let path = self.directory.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().with_context(|| format!("{} is switched off", self.name))
    }
}

fn mtools(program: &str, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    // A boot partition that an emulated power cut left dirty is read all the same.
    let output = Command::new(program).args(arguments).env("MTOOLS_SKIP_CHECK", "1").output();
    let output = output.with_context(|| format!("cannot run {program} (mtools)"))?;
    if !output.status.success() {
        bail!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}
