//! What a process costs in memory and processor time, as the kernel counts it.

use std::time::Duration;

use anyhow::{Context, Result};

/// Proportional set size in bytes now (`/proc/<id>/smaps_rollup`, field Pss).
pub fn pss_bytes(id: u32) -> Result<u64> {
    let path = format!("/proc/{id}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// The most that was ever resident, in bytes (`/proc/<id>/status`, field VmHWM). What is shared with other processes
/// counts in full, so the proportional peak is no higher; and no peak between two samples escapes it.
pub fn peak_resident_bytes(id: u32) -> Result<u64> {
    let path = format!("/proc/{id}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in status")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// The unit of processor times in `/proc`: the same on all machines that Linux runs on here.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time of all its threads so far (`/proc/<id>/stat`, fields utime and stime).
pub fn processor_time(id: u32) -> Result<Duration> {
    let path = format!("/proc/{id}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The program's name, in brackets, may hold anything.
    let (_, fields) = text.rsplit_once(')').context("no name in stat")?;
    let ticks = |field: usize| -> Result<u64> {
        Ok(fields.split_whitespace().nth(field).context("too few fields in stat")?.parse()?)
    };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 1_000 / TICKS_PER_SECOND))
}

/// Samples of a process's memory over a time.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<u64>);

impl Samples {
    /// Sample each `every` until `end` resolves.
    pub async fn until(id: u32, every: Duration, end: impl Future<Output = ()>) -> Result<Samples> {
        let mut samples = Samples::default();
        let mut ticks = tokio::time::interval(every);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(samples),
                _ = ticks.tick() => samples.0.push(pss_bytes(id)?),
            }
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The median in bytes; 0 without a sample.
    pub fn median_bytes(&self) -> u64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_size() {
        let id = std::process::id();
        let pss = pss_bytes(id).unwrap();
        assert!(pss > 100_000);
        assert!(peak_resident_bytes(id).unwrap() > 100_000);
    }

    #[test]
    fn work_takes_processor_time() {
        let id = std::process::id();
        let before = processor_time(id).unwrap();
        let worked = |_| processor_time(id).unwrap() >= before + Duration::from_millis(50);
        // Each look takes some microseconds.
        assert!((0..10_000_000).any(worked));
    }

    #[test]
    fn the_median_is_of_the_samples() {
        let samples = Samples(vec![5, 1, 9]);
        assert_eq!((samples.len(), samples.median_bytes()), (3, 5));
    }
}
