//! What a process costs: its proportional set size, as the kernel counts it.

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

    /// The largest in bytes; 0 without a sample.
    pub fn peak_bytes(&self) -> u64 {
        self.0.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_size() {
        assert!(pss_bytes(std::process::id()).unwrap() > 100_000);
    }

    #[test]
    fn median_and_peak_are_of_the_samples() {
        let samples = Samples(vec![5, 1, 9]);
        assert_eq!((samples.len(), samples.median_bytes(), samples.peak_bytes()), (3, 5, 9));
    }
}
