//! `cargo xtask bench spool`: durable appends through the spool against a raw log with fdatasync, interleaved, and how
//! long a read waits while appends go on.
#![expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use simpul_agent::config::SpoolConfig;
use simpul_agent::spool::{NewRecord, Spool};
use simpul_clock::Clock;
use simpul_testkit::process::target_directory;
use simpul_testkit::report::Report;
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord, VisitOutcome};
use simpul_wire::{SeqRange, Stamp, Stream};

/// Pairs of runs; odd, so that the median is one of them.
const PAIRS: usize = 11;
/// Flushes a run.
const FLUSHES: usize = 50;
/// Records a flush: the case that the goal is set for.
const RECORDS: usize = 100;

fn record(number: usize) -> ServiceRecord {
    let body = ServiceBody::Visit {
        service: "ktp-perekaman-baru".parse().expect("a label"),
        desk: "loket-3".parse().ok(),
        ticket: format!("A-{number:08}").parse().ok(),
        waited_s: Some(640),
        served_s: Some(300),
        outcome: VisitOutcome::Served,
    };
    let key = format!("9b2e61d0-4c1f-4a57-8e0e-{number:012}-kiosk-3-desa-situbondo-barat").parse().expect("a label");
    let stamp = Stamp { boot: 3, uptime_ms: 86_400_000 + number as u64, wall_ms: Some(1_790_000_000_000) };
    ServiceRecord { stamp, key, origin: Origin::Api, simulated: true, body }
}

fn config(folder: &Path) -> SpoolConfig {
    SpoolConfig {
        directory: folder.to_path_buf(),
        service_bytes_max: 64 << 20,
        event_bytes_max: 16 << 20,
        reading_bytes_max: 64 << 20,
        snapshot_bytes_max: 64 << 20,
        kept_bytes_max: 16 << 20,
        kept_for: Duration::from_secs(48 * 3_600),
        ballast_bytes: 4 << 20,
        hardware_serial: Some("bench".to_string()),
    }
}

/// Append `records`, 100 at a time, each 100 at once. Returns records per second.
async fn through_the_spool(spool: &Spool, records: Vec<ServiceRecord>) -> anyhow::Result<f64> {
    let (count, started) = (records.len(), Instant::now());
    let mut records = records.into_iter();
    loop {
        let tasks: Vec<_> = records
            .by_ref()
            .take(RECORDS)
            .map(|record| {
                let spool = spool.clone();
                tokio::spawn(async move { spool.append(NewRecord::Service(record)).await })
            })
            .collect();
        if tasks.is_empty() {
            return Ok(count as f64 / started.elapsed().as_secs_f64());
        }
        for task in tasks {
            task.await??;
        }
    }
}

/// Write the same bytes to a log, with an fdatasync each 100. Returns records per second.
fn through_a_log(log: &mut File, records: &[Vec<u8>]) -> anyhow::Result<f64> {
    let started = Instant::now();
    for group in records.chunks(RECORDS) {
        log.write_all(&group.concat())?;
        log.sync_data()?;
    }
    Ok(records.len() as f64 / started.elapsed().as_secs_f64())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn bench() -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(target_directory()?).context("a folder on the disk that is measured")?;
    let (spool, _) = Spool::open(&config(&folder.path().join("spool")), Clock::machine())?;
    let mut log = OpenOptions::new().create(true).append(true).open(folder.path().join("log"))?;
    let (mut spools, mut logs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let numbers = pair * FLUSHES * RECORDS..(pair + 1) * FLUSHES * RECORDS;
        let records: Vec<ServiceRecord> = numbers.map(record).collect();
        let encoded: Vec<Vec<u8>> = records.iter().map(simpul_wire::error::to_vec).collect();
        // Which goes first changes, so that neither always meets a warmer disk.
        let (through_log, through_spool) = if pair % 2 == 0 {
            let log = through_a_log(&mut log, &encoded)?;
            (log, through_the_spool(&spool, records).await?)
        } else {
            let spool = through_the_spool(&spool, records).await?;
            (through_a_log(&mut log, &encoded)?, spool)
        };
        spools.push(through_spool);
        logs.push(through_log);
        ratios.push(through_spool / through_log);
    }
    let mut waits = Vec::new();
    let first = PAIRS * FLUSHES * RECORDS;
    for round in 0..200 {
        let appends: Vec<_> = (0..10)
            .map(|at| {
                let (spool, record) = (spool.clone(), record(first + round * 10 + at));
                tokio::spawn(async move { spool.append(NewRecord::Service(record)).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let started = Instant::now();
        let from = SeqRange::with_count(round as u64 * 20, 1_000).context("a range")?;
        spool.read(spool.state().borrow().epoch, Stream::Service, from, 16 * 1024, 100).await?;
        waits.push(started.elapsed().as_secs_f64() * 1_000.0);
        for append in appends {
            append.await??;
        }
    }
    waits.sort_by(f64::total_cmp);
    let mut report = Report::new("bench_spool", "cargo xtask bench spool", None);
    let (spool_rate, log_rate) = (median(&mut spools), median(&mut logs));
    let records = (PAIRS * FLUSHES * RECORDS) as u64;
    report.figure("spool_records_per_second", spool_rate, "records/s", records).against(log_rate);
    report.figure("spool_append_ratio", median(&mut ratios), "ratio", PAIRS as u64).goal(">= 0.7");
    report.figure("spool_read_p50_ms", waits[waits.len() / 2], "ms", waits.len() as u64);
    report.figure("spool_read_p99_ms", waits[waits.len() * 99 / 100], "ms", waits.len() as u64);
    report.finish()?;
    spool.close().await?;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(bench())
}
