//! The board's I2C bus from outside: a stopped board's controller is borrowed to write into the EEPROM that plays a part.
//!
//! The board may have been stopped anywhere: between writing one of the controller's registers and the next, which are
//! therefore put back, or within a transfer, which is left to end first.

use anyhow::bail;

use super::control::{Qmp, Qtest};

const ADDRESS: u32 = 0x4002_0000;
const CONTROL: u32 = 0x4002_0004;
const DATA: u32 = 0x4002_0008;

const RUN: u32 = 1 << 0;
const START: u32 = 1 << 1;
const STOP: u32 = 1 << 2;
const ERROR: u32 = 1 << 1;
const BUS_BUSY: u32 = 1 << 6;

/// Nothing answers here.
const NOBODY: u32 = 0x7F;

/// Times that the board is let run on because it is within a transfer: it is for a small part of its time only.
const TRIES_MAX: u32 = 1_000;

/// Write `bytes` at byte `at` of the EEPROM with bus address `device` while the board stands still.
pub(super) async fn write(qmp: &mut Qmp, qtest: &mut Qtest, device: u8, at: u8, bytes: &[u8]) -> anyhow::Result<()> {
    for _ in 0..TRIES_MAX {
        qmp.execute("stop").await?;
        let status = qtest.read(CONTROL).await?;
        let written =
            if status & BUS_BUSY == 0 { Some(transfer(qtest, status, device, at, bytes).await) } else { None };
        qmp.execute("cont").await?;
        if let Some(written) = written {
            return written;
        }
    }
    bail!("the board's bus was busy {TRIES_MAX} times")
}

async fn transfer(qtest: &mut Qtest, status: u32, device: u8, at: u8, bytes: &[u8]) -> anyhow::Result<()> {
    let (address, data) = (qtest.read(ADDRESS).await?, qtest.read(DATA).await?);
    qtest.write(ADDRESS, u32::from(device) << 1).await?;
    // The emulated EEPROM takes two bytes of address.
    let all: Vec<u8> = [0, at].into_iter().chain(bytes.iter().copied()).collect();
    let last = all.len() - 1;
    let mut failed = false;
    for (index, byte) in all.into_iter().enumerate() {
        let first = if index == 0 { START } else { 0 };
        let end = if index == last { STOP } else { 0 };
        qtest.write(DATA, u32::from(byte)).await?;
        qtest.write(CONTROL, RUN | first | end).await?;
        failed |= qtest.read(CONTROL).await? & ERROR != 0;
    }
    if status & ERROR != 0 {
        // The board may be about to read how its own last transfer went: it failed, as this one does.
        qtest.write(ADDRESS, NOBODY << 1).await?;
        qtest.write(CONTROL, RUN | START | STOP).await?;
    }
    qtest.write(ADDRESS, address).await?;
    qtest.write(DATA, data).await?;
    if failed {
        bail!("no EEPROM answers at {device:#04x}");
    }
    Ok(())
}
