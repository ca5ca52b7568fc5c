//! Reads one sample of the machine from `/proc` and `/sys`. Blocking, each file bounded.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use simpul_clock::{Clock, Moment};
use simpul_wire::reading::Value;
use simpul_wire::{Label, Missing, Unit};

use super::{Machine, SYNC_INTERVAL};
use crate::sources::readings::Sample;

/// Longest file that is read: `/proc/stat` of a machine with many processors.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Most hwmon devices that are looked at: a board has a handful.
const MONITORS_MAX: usize = 32;
/// Bytes of a sector in the kernel's counters, whatever the device's own are (Documentation/block/stat.rst).
const SECTOR_BYTES: u64 = 512;

type Measured = Result<f64, Missing>;

/// What is remembered between samples.
#[derive(Debug)]
pub(super) struct Probe {
    machine: Machine,
    cpu: Option<(u64, u64)>,
    synced: Option<Moment>,
    /// The interface of the last default route: looked at still when the route is gone.
    interface: Option<String>,
}

impl Probe {
    pub(super) fn new(machine: Machine) -> Self {
        Probe { machine, cpu: None, synced: None, interface: None }
    }

    /// One sample. The fsync latency is in it when it is due.
    pub(super) fn sample(&mut self, clock: &Clock) -> Vec<Sample> {
        let mut samples = vec![
            sample("cpu_used", Unit::Percent, self.cpu_used()),
            sample("memory_used", Unit::Percent, self.memory_used()),
            sample("disk_free", Unit::Bytes, self.disk_free()),
            sample("card_written", Unit::Bytes, self.card_written()),
            sample("temperature", Unit::Celsius, self.temperature()),
            sample("undervoltage", Unit::Flag, undervoltage(&self.machine.sys)),
        ];
        let now = clock.now();
        if self.synced.is_none_or(|at| now.since(at) >= SYNC_INTERVAL) {
            self.synced = Some(now);
            let began = clock.now();
            let synced = self.sync().map(|()| clock.now().since(began).as_secs_f64() * 1_000.0);
            samples.push(sample("card_sync", Unit::Milliseconds, synced.map_err(|error| reason(&error))));
        }
        self.find_interface();
        samples.push(sample("link_received", Unit::Bytes, self.link("statistics/rx_bytes")));
        samples.push(sample("link_sent", Unit::Bytes, self.link("statistics/tx_bytes")));
        samples.push(sample("link_carrier", Unit::Flag, self.link("carrier").and_then(flag)));
        samples
    }

    /// Share of time that the processors were not idle, since the last sample.
    fn cpu_used(&mut self) -> Measured {
        let text = read(&self.machine.proc.join("stat"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("cpu ")).ok_or(Missing::Unreadable)?;
        let times: Vec<u64> = line.split_whitespace().take(8).map_while(|time| time.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal (proc_stat(5)).
        let [_, _, _, idle, waiting, ..] = times[..] else { return Err(Missing::Unreadable) };
        let (all, idle): (u64, u64) = (times.iter().sum(), idle + waiting);
        let last = self.cpu.replace((all, idle));
        let (last_all, last_idle) = last.ok_or(Missing::NotYet)?;
        // Idle time may go back a little (proc_stat(5)).
        let passed = all.checked_sub(last_all).filter(|passed| *passed > 0).ok_or(Missing::NotYet)?;
        let idle = idle.saturating_sub(last_idle).min(passed);
        Ok(tenths(100.0 * (passed - idle) as f64 / passed as f64))
    }

    fn memory_used(&self) -> Measured {
        let text = read(&self.machine.proc.join("meminfo"))?;
        let kib = |name: &str| -> Result<f64, Missing> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or(Missing::NotSupported)?;
            line.trim_end_matches("kB").trim().parse().map_err(|_| Missing::Unreadable)
        };
        let (total, available) = (kib("MemTotal:")?, kib("MemAvailable:")?);
        if total <= 0.0 || available > total {
            return Err(Missing::OutOfRange);
        }
        Ok(tenths(100.0 * (total - available) / total))
    }

    fn disk_free(&self) -> Measured {
        let stat = rustix::fs::statvfs(&self.machine.spool).map_err(|error| reason(&error.into()))?;
        Ok((stat.f_bavail * stat.f_frsize) as f64)
    }

    /// Bytes written to the whole device under the spool, since boot.
    fn card_written(&self) -> Measured {
        let device = std::fs::metadata(&self.machine.spool).map_err(|error| reason(&error))?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let entry = self.machine.sys.join(format!("dev/block/{major}:{minor}"));
        // The card wears as a whole: a partition's counter is only its own.
        let whole = if entry.join("partition").exists() { entry.join("..") } else { entry };
        let text = read(&whole.join("stat"))?;
        let sectors = text.split_whitespace().nth(6).and_then(|sectors| sectors.parse::<u64>().ok());
        Ok((sectors.ok_or(Missing::Unreadable)?.saturating_mul(SECTOR_BYTES)) as f64)
    }

    /// Write and fsync a few bytes.
    fn sync(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.machine.state)?;
        let path = self.machine.state.join("sync-probe");
        let mut file = File::options().create(true).truncate(false).write(true).open(path)?;
        file.rewind()?;
        file.write_all(b"written to measure how long an fsync takes\n")?;
        file.sync_data()
    }

    fn temperature(&self) -> Measured {
        let celsius = number(&self.machine.sys.join("class/thermal/thermal_zone0/temp"))? / 1_000.0;
        // What silicon survives; a sensor that is not connected says -273 or 255.
        if (-60.0..=150.0).contains(&celsius) { Ok(tenths(celsius)) } else { Err(Missing::OutOfRange) }
    }

    fn find_interface(&mut self) {
        let Ok(text) = read(&self.machine.proc.join("net/route")) else { return };
        let routes = text.lines().skip(1).map(|line| line.split_whitespace());
        let default = routes.filter_map(|mut fields| Some((fields.next()?, fields.next()?)));
        let name = default.filter(|(_, destination)| *destination == "00000000").map(|(name, _)| name).next();
        if let Some(name) = name.filter(|name| !name.contains('/')) {
            self.interface = Some(name.to_owned());
        }
    }

    fn link(&self, file: &str) -> Measured {
        let interface = self.interface.as_ref().ok_or(Missing::NotYet)?;
        number(&self.machine.sys.join("class/net").join(interface).join(file))
    }
}

/// The Raspberry Pi's supply monitor, if there is one.
pub(super) fn undervoltage(sys: &Path) -> Measured {
    let monitors = match std::fs::read_dir(sys.join("class/hwmon")) {
        Ok(monitors) => monitors,
        Err(error) => return Err(reason(&error)),
    };
    for monitor in monitors.flatten().take(MONITORS_MAX) {
        if read(&monitor.path().join("name")).is_ok_and(|name| name.trim() == "rpi_volt") {
            return number(&monitor.path().join("in0_lcrit_alarm")).and_then(flag);
        }
    }
    Err(Missing::NotSupported)
}

fn sample(metric: &str, unit: Unit, value: Measured) -> Sample {
    let value = match value {
        Ok(number) if number.is_finite() => Value::Number(number),
        Ok(_) => Value::Missing(Missing::OutOfRange),
        Err(reason) => Value::Missing(reason),
    };
    Sample { metric: Label::clipped(metric), unit, value }
}

/// More digits are noise, and cost bytes.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn flag(number: f64) -> Measured {
    if number == 0.0 || number == 1.0 { Ok(number) } else { Err(Missing::OutOfRange) }
}

fn number(path: &Path) -> Measured {
    read(path)?.trim().parse().map_err(|_| Missing::Unreadable)
}

fn read(path: &Path) -> Result<String, Missing> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    read.map(|_| text).map_err(|error| reason(&error))
}

/// Why a file of the kernel's could not be read.
fn reason(error: &io::Error) -> Missing {
    match error.kind() {
        io::ErrorKind::NotFound => Missing::NotSupported,
        io::ErrorKind::PermissionDenied => Missing::Forbidden,
        // An interface that is switched off has no carrier to tell of.
        io::ErrorKind::InvalidInput => Missing::DeviceOff,
        io::ErrorKind::TimedOut => Missing::Timeout,
        _ => Missing::Unreadable,
    }
}
