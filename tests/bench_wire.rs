//! Bytes per reading: readings of a committed random walk, in batches of 50 as they travel (header, checksum and
//! compression included), cut in three ways. The headline is the middle one: ten metrics, five samples each. Beside
//! them what readings cost on the wire as an agent really sends them ([`link`]): needs root, iproute2 and network
//! namespaces.

#[path = "bench_wire/link.rs"]
mod link;

use anyhow::{Context, Result};
use simpul_testkit::report::Report;
use simpul_wire::batch::{Batch, Body, seal};
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::{Epoch, NodeId, SeqRange, Stamp, Stream, Unit};

const WALK: &str = include_str!("data/random_walk.csv");
const STEP_MS: u64 = 10_000;
const BATCH_READINGS: usize = 50;

/// Names as long as an agent's own.
const METRICS: [&str; 20] = [
    "cpu_used",
    "memory_used",
    "disk_free",
    "card_written",
    "card_sync",
    "temperature",
    "supply_voltage",
    "battery_voltage",
    "link_received",
    "link_sent",
    "optics.0.rx_power",
    "optics.0.tx_power",
    "optics.0.tx_bias",
    "optics.0.temperature",
    "optics.0.supply",
    "optics.1.rx_power",
    "optics.1.tx_power",
    "optics.1.tx_bias",
    "optics.1.temperature",
    "optics.1.supply",
];

/// The walk as columns: `[metric][row]`.
fn walk() -> Result<Vec<Vec<f64>>> {
    let mut columns = vec![Vec::new(); METRICS.len()];
    for line in WALK.lines().filter(|line| !line.starts_with('#')) {
        for (column, text) in columns.iter_mut().zip(line.split(',')) {
            column.push(text.parse().with_context(|| format!("the walk has '{text}'"))?);
        }
    }
    Ok(columns)
}

/// A batch of `metrics` series of so many points that they are 50 readings, from row `row` on.
fn batch(walk: &[Vec<f64>], metrics: usize, first_metric: usize, row: usize) -> Result<(ReadingBlock, Vec<u8>)> {
    let node: NodeId = "35.12.07.2003-01".parse()?;
    let points = BATCH_READINGS / metrics;
    let base_uptime_ms = 3_600_000 + row as u64 * STEP_MS;
    let series = (first_metric..first_metric + metrics).map(|metric| {
        let point = |i: usize| Point {
            uptime_ms: base_uptime_ms + i as u64 * STEP_MS,
            value: Value::Number(walk[metric][row + i]),
        };
        Ok(Series { metric: METRICS[metric].parse()?, unit: Unit::Celsius, points: (0..points).map(point).collect() })
    });
    let base = Stamp { boot: 17, uptime_ms: base_uptime_ms, wall_ms: Some(1_795_000_000_000 + row as i64 * 10_000) };
    let block = ReadingBlock { base, series: series.collect::<Result<_>>()? };
    let range = SeqRange::with_count(1_000_000 + row as u64, BATCH_READINGS as u64).context("a range")?;
    let payload = seal(&node, Epoch::from_bytes([0x5a; 16]), Stream::Reading, range, &[block.to_vec()]);
    Ok((block, payload))
}

/// Mean bytes per reading over every batch that the walk makes, each decoded again and compared bit by bit.
fn bytes_per_reading(walk: &[Vec<f64>], metrics: usize) -> Result<(f64, u64)> {
    let (mut bytes, mut readings) = (0, 0u64);
    let points = BATCH_READINGS / metrics;
    for first_metric in (0..METRICS.len()).step_by(metrics) {
        for row in (0..=walk[0].len() - points).step_by(points) {
            let (block, payload) = batch(walk, metrics, first_metric, row)?;
            let back = Batch::open(&payload).map_err(|refused| refused.error)?.decode()?;
            anyhow::ensure!(back == Body::Reading(vec![block]), "a batch came back changed");
            bytes += payload.len();
            readings += BATCH_READINGS as u64;
        }
    }
    Ok((bytes as f64 / readings as f64, readings))
}

fn main() -> Result<()> {
    let walk = walk()?;
    let mut report = Report::new("wire", "cargo xtask bench wire", None);
    for (name, metrics) in [
        ("encoded_bytes_per_reading_one_metric", 1),
        ("encoded_bytes_per_reading", 10),
        ("encoded_bytes_per_reading_five_metrics", 5),
    ] {
        let (value, readings) = bytes_per_reading(&walk, metrics)?;
        report.figure(name, value, "B", readings).goal("<= 4.5");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let crossed = runtime.block_on(link::measure(&walk))?;
    let traffic = crossed.traffic;
    for (name, bytes) in [
        ("wire_bytes_per_reading", traffic.up + traffic.down),
        ("wire_up_bytes_per_reading", traffic.up),
        ("wire_down_bytes_per_reading", traffic.down),
    ] {
        report.figure(name, bytes as f64 / crossed.readings as f64, "B", crossed.readings);
    }
    report.finish()?;
    Ok(())
}
