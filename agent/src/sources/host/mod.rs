//! The machine itself: processor, memory, disk, card wear, temperature, supply, link, as readings.
//!
//! `probe` reads `/proc` and `/sys`; this file samples at its interval, collects minutes, and appends them. What
//! cannot be read is missing with its reason, never 0.
//!
//! | metric | unit | from |
//! |---|---|---|
//! | `cpu_used`, `memory_used` | % | `/proc/stat` between samples, `/proc/meminfo` |
//! | `disk_free` | B | the spool's file system |
//! | `card_written` | B since boot | the block device under the spool, whole |
//! | `card_sync` | ms | a write and an fsync each [`SYNC_INTERVAL`] |
//! | `temperature` | °C | the first thermal zone |
//! | `undervoltage` | flag | the Raspberry Pi's supply monitor |
//! | `link_received`, `link_sent`, `link_carrier` | B since boot, flag | the interface of the default route |

use std::path::{Path, PathBuf};
use std::time::Duration;

use simpul_clock::Clock;
use simpul_wire::Missing;
use simpul_wire::event::{EventBody, EventRecord, PowerCondition};
use simpul_wire::reading::{ReadingBlock, Value};
use tokio::sync::watch;

use self::probe::Probe;
use super::readings::{Accumulator, Sample};
use super::{Sink, told};
use crate::config::HostConfig;
use crate::spool::NewRecord;
use crate::stamper::Stamper;

mod probe;

/// The card's fsync latency is measured this often: each costs about 32 KiB of wear with its journal, 5 MB a day.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(600);

/// Where the machine is looked at; tests put a tree of their own there.
#[derive(Debug, Clone)]
pub struct Machine {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// The spool's directory: its disk is the one that matters.
    pub spool: PathBuf,
    /// Where the fsync probe writes; on the spool's disk.
    pub state: PathBuf,
}

impl Machine {
    /// This machine.
    pub fn this(spool: &Path, state: &Path) -> Self {
        Machine { proc: "/proc".into(), sys: "/sys".into(), spool: spool.into(), state: state.into() }
    }
}

/// Sample until `shutdown` becomes true; then the open minute is appended.
pub async fn run<S: Sink>(
    config: &HostConfig,
    machine: Machine,
    sink: S,
    stamper: Stamper,
    clock: Clock,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut host = Host { sink, stamper, readings: Accumulator::default(), undervoltage: false, lost: 0 };
    let mut probe = Some(Probe::new(machine));
    let mut next = clock.now();
    loop {
        let now = clock.now();
        let due_ms = host.readings.due_at_ms().map(|due| due.saturating_sub(host.stamper.now().uptime_ms));
        let wait = next.since(now).min(due_ms.map_or(Duration::MAX, |due| Duration::from_millis(due) + super::AFTER));
        tokio::select! {
            () = told(&mut shutdown) => break,
            () = tokio::time::sleep(wait) => {}
        }
        let now = clock.now();
        if now >= next {
            // From the planned moment, unless that is past: after a long stall samples are not made up for.
            next = (next + config.interval).max(now);
            let mut own = probe.take().unwrap_or_else(|| unreachable!("the probe comes back with each sample"));
            let own_clock = clock.clone();
            let sampled = tokio::task::spawn_blocking(move || {
                let samples = own.sample(&own_clock);
                (own, samples)
            });
            let Ok((own, samples)) = sampled.await else {
                tracing::error!("the machine's readings ended: a probe was broken off");
                return;
            };
            probe = Some(own);
            host.take(samples).await;
        }
        let uptime_ms = host.stamper.now().uptime_ms;
        if let Some(block) = host.readings.due(uptime_ms) {
            host.append(block).await;
        }
    }
    if let Some(block) = host.readings.close() {
        host.append(block).await;
    }
}

/// Whether the machine's supply voltage is too low, by its own monitor under `sys`.
///
/// # Errors
/// Why that is not known; [`Missing::NotSupported`]: there is no monitor.
pub fn undervoltage(sys: &Path) -> Result<bool, Missing> {
    probe::undervoltage(sys).map(|low| low != 0.0)
}

struct Host<S> {
    sink: S,
    stamper: Stamper,
    readings: Accumulator,
    undervoltage: bool,
    lost: u64,
}

impl<S: Sink> Host<S> {
    async fn take(&mut self, samples: Vec<Sample>) {
        let stamp = self.stamper.now();
        let undervoltage = samples.iter().find(|sample| sample.metric.as_str() == "undervoltage");
        let low = undervoltage.is_some_and(|sample| sample.value == Value::Number(1.0));
        if low && !self.undervoltage {
            let body = EventBody::Power { condition: PowerCondition::Undervoltage, outage_ms: None };
            if let Err(error) = self.sink.append(NewRecord::Event(EventRecord { stamp, body })).await {
                tracing::warn!(%error, "undervoltage could not be stored");
            }
        }
        self.undervoltage = low;
        for block in self.readings.add(stamp, samples) {
            self.append(block).await;
        }
    }

    async fn append(&mut self, block: ReadingBlock) {
        let count = block.count() as u64;
        if let Err(error) = self.sink.append(NewRecord::Readings(block)).await {
            self.lost += count;
            tracing::error!(%error, count, lost = self.lost, "a minute of the machine's readings was lost");
        }
    }
}
