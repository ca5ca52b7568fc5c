//! An emulator's control sockets, one line a message. QEMU has two: QMP (stop, continue, questions) and qtest (registers,
//! memory, input lines), which also works beside ordinary emulation.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Emulators answer in milliseconds; a loaded machine gets more.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A socket with one line a message.
#[derive(Debug)]
pub(super) struct Lines(BufReader<UnixStream>);

impl Lines {
    pub(super) async fn connect(path: &Path) -> anyhow::Result<Lines> {
        let stream =
            UnixStream::connect(path).await.with_context(|| format!("cannot connect to {}", path.display()))?;
        Ok(Lines(BufReader::new(stream)))
    }

    pub(super) async fn send(&mut self, line: &str) -> anyhow::Result<()> {
        let mut bytes = line.as_bytes().to_vec();
        bytes.push(b'\n');
        self.0.get_mut().write_all(&bytes).await.context("the emulator does not take a command")
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let length =
            timeout(ANSWER_MAX, self.0.read_line(&mut line)).await.context("the emulator does not answer")??;
        if length == 0 {
            bail!("the emulator is gone");
        }
        Ok(line)
    }
}

/// The QEMU Machine Protocol: JSON.
#[derive(Debug)]
pub(super) struct Qmp(Lines);

impl Qmp {
    /// Connect and agree on capabilities.
    pub(super) async fn connect(path: &Path) -> anyhow::Result<Qmp> {
        let mut qmp = Qmp(Lines::connect(path).await?);
        qmp.0.next().await?;
        qmp.execute("qmp_capabilities").await?;
        Ok(qmp)
    }

    /// Have a command done; what it returns. Events that come meanwhile are passed over.
    pub(super) async fn execute(&mut self, command: &str) -> anyhow::Result<Value> {
        self.0.send(&json!({ "execute": command }).to_string()).await?;
        loop {
            let mut answer: Value = serde_json::from_str(&self.0.next().await?).context("QMP that is not JSON")?;
            if let Some(returned) = answer.get_mut("return") {
                return Ok(returned.take());
            }
            if let Some(error) = answer.get("error") {
                bail!("QMP refuses {command}: {error}");
            }
        }
    }

    /// Path of the terminal that the first serial port is.
    pub(super) async fn serial_terminal(&mut self) -> anyhow::Result<String> {
        let devices = self.execute("query-chardev").await?;
        let names = devices.as_array().into_iter().flatten().filter_map(|device| device["filename"].as_str());
        let path = names.filter_map(|name| name.strip_prefix("pty:")).next();
        path.map(str::to_owned).with_context(|| format!("no terminal among {devices}"))
    }
}

/// QEMU's test protocol: words.
#[derive(Debug)]
pub(super) struct Qtest(Lines);

impl Qtest {
    /// Connect.
    pub(super) async fn connect(path: &Path) -> anyhow::Result<Qtest> {
        Ok(Qtest(Lines::connect(path).await?))
    }

    async fn ask(&mut self, command: &str) -> anyhow::Result<String> {
        self.0.send(command).await?;
        let answer = self.0.next().await?;
        let rest = answer.trim().strip_prefix("OK").with_context(|| format!("qtest answers {command:?}: {answer}"))?;
        Ok(rest.trim().to_owned())
    }

    /// Read a 32-bit word of the chip's address space.
    pub(super) async fn read(&mut self, address: u32) -> anyhow::Result<u32> {
        let answer = self.ask(&format!("readl {address:#x}")).await?;
        let word = answer.trim_start_matches("0x");
        let word = u64::from_str_radix(word, 16).with_context(|| format!("qtest reads {answer:?}"))?;
        u32::try_from(word).context("a word of more than 32 bits")
    }

    /// Write a 32-bit word of the chip's address space.
    pub(super) async fn write(&mut self, address: u32, value: u32) -> anyhow::Result<()> {
        self.ask(&format!("writel {address:#x} {value:#x}")).await.map(drop)
    }

    /// Drive an input line of a device.
    pub(super) async fn drive(&mut self, device: &str, line: u8, high: bool) -> anyhow::Result<()> {
        self.ask(&format!("set_irq_in {device} unnamed-gpio-in {line} {}", u8::from(high))).await.map(drop)
    }
}
