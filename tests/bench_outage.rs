//! After an outage: how old is what the room sees? An agent with a backlog of 1,000,000 readings, 20,000 service
//! records and 500 images comes back over a narrow link (`tc tbf`); meanwhile 500 fresh records are accepted by its API.
//! Measured is the time from the API's 200 until the hub's API shows the record, which is after its commit: an upper
//! bound by one poll. The backlog must drain to the last record.
//!
//! `SIMPUL_OUTAGE_KBIT` runs one rate only. Needs root, iproute2 and network namespaces.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use simpul_agent::config::Config;
use simpul_agent::spool::{NewRecord, Spool};
use simpul_clock::{Clock, Moment};
use simpul_testkit::hub::Hub;
use simpul_testkit::node::Node;
use simpul_testkit::report::Report;
use simpul_testkit::visitors::{Desk, Ledger};
use simpul_tests::line::Line;
use simpul_wire::image::ImageMeta;
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord};
use simpul_wire::{Stamp, Unit};

const READINGS: u64 = 1_000_000;
const BLOCK_SERIES: u64 = 20;
const BLOCK_POINTS: u64 = 50;
const SERVICE: u64 = 20_000;
const IMAGES: u64 = 500;
const IMAGE_BYTES: usize = 100_000;
const FRESH: u64 = 500;
/// The share of the link's time that fresh records are spread over: the backlog drains all the while.
const FRESH_SPREAD: f64 = 0.8;
const POLL_EVERY: Duration = Duration::from_millis(20);
/// The drain may take so many times what the bytes alone would.
const DRAIN_SLACK: f64 = 2.5;
const SEED: u64 = 20_261_124;

fn main() -> Result<()> {
    let only: Option<u32> = std::env::var("SIMPUL_OUTAGE_KBIT").ok().map(|text| text.parse()).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = Report::new("outage", "cargo xtask bench outage", Some(SEED));
    for (kilobits, suffix, goal) in [(2_000, "", "<= 1000"), (256, "_256kbit", "<= 2000")] {
        if only.is_some_and(|only| only != kilobits) {
            continue;
        }
        let outcome = runtime.block_on(run(kilobits))?;
        let mut ages = outcome.ages_ms;
        ages.sort_unstable();
        let at = |share: f64| ages[((ages.len() - 1) as f64 * share).round() as usize] as f64;
        let n = ages.len() as u64;
        report.figure(&format!("fresh_p99_ms{suffix}"), at(0.99), "ms", n).goal(goal);
        report.figure(&format!("fresh_p50_ms{suffix}"), at(0.5), "ms", n);
        report.figure(&format!("fresh_max_ms{suffix}"), at(1.0), "ms", n);
        report.figure(&format!("drain_s{suffix}"), outcome.drain.as_secs_f64(), "s", 1);
        report.figure(&format!("link_mib{suffix}"), outcome.link_bytes as f64 / 1_048_576.0, "MiB", 1);
    }
    report.finish()?;
    Ok(())
}

struct Outcome {
    ages_ms: Vec<u64>,
    drain: Duration,
    link_bytes: u64,
}

async fn run(kilobits: u32) -> Result<Outcome> {
    println!("{kilobits} kbit/s: making the backlog");
    let Line { hub, node, village, .. } = &mut Line::prepare(kilobits, "5 s")?;
    fill(node).await?;
    hub.start().await?;
    node.start().await?;
    println!("the link is up: {FRESH} fresh records while the backlog drains");

    let clock = Clock::machine();
    let begun = clock.now();
    let seconds = (IMAGES * IMAGE_BYTES as u64 * 8) as f64 / f64::from(kilobits) / 1_000.0;
    let pause = Duration::from_secs_f64(seconds * FRESH_SPREAD / FRESH as f64);
    let ledger = Ledger::default();
    let desk = Desk::new(node, "fresh", &ledger)?;
    let callers = async {
        let mut accepted = HashMap::new();
        let mut ticks = tokio::time::interval(pause);
        for _ in 0..FRESH {
            ticks.tick().await;
            let key = desk.count("ktp", 1).await?;
            accepted.insert(key, clock.now());
        }
        anyhow::Ok(accepted)
    };
    let deadline = begun + Duration::from_secs_f64(seconds * DRAIN_SLACK + 60.0);
    let (accepted, (shown, drained)) = tokio::try_join!(callers, watch(hub, &clock, deadline))?;
    let ages_ms = accepted
        .iter()
        .map(|(key, at)| {
            let shown = shown.get(key).with_context(|| format!("{key} never arrived"))?;
            Ok(u64::try_from(shown.since(*at).as_millis())?)
        })
        .collect::<Result<Vec<u64>>>()?;
    let traffic = village.traffic()?;
    Ok(Outcome { ages_ms, drain: drained.since(begun), link_bytes: traffic.up + traffic.down })
}

/// When each fresh record was first shown by the hub, and when it had everything.
async fn watch(hub: &Hub, clock: &Clock, deadline: Moment) -> Result<(HashMap<String, Moment>, Moment)> {
    let mut shown = HashMap::new();
    let mut cursor = None;
    let mut ticks = tokio::time::interval(POLL_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for tick in 0u64.. {
        ticks.tick().await;
        let (rows, next) = hub.rows("/api/v1/service-records", cursor).await?;
        cursor = next;
        let now = clock.now();
        for row in rows {
            let key = row["key"].as_str().unwrap_or_default();
            if key.starts_with("fresh-") {
                shown.entry(key.to_owned()).or_insert(now);
            }
        }
        if tick % 50 == 0 {
            let have = have(hub).await?;
            if tick % 1_500 == 0 {
                println!("at the hub: {have:?}");
            }
            if have == [("event", have[0].1), ("service", SERVICE + FRESH), ("reading", READINGS), ("snapshot", IMAGES)]
            {
                return Ok((shown, now));
            }
            if now > deadline {
                bail!("the backlog did not drain in time: the hub has {have:?}");
            }
        }
    }
    unreachable!("the ticks never end")
}

async fn have(hub: &Hub) -> Result<[(&'static str, u64); 4]> {
    let overview = hub.get("/api/v1/overview").await?;
    let streams = overview["nodes"][0]["streams"].clone();
    let count = |name: &'static str| {
        let rows = streams.as_array().into_iter().flatten().filter(|stream| stream["stream"] == name);
        (name, rows.filter_map(|stream| stream["have_records"].as_u64()).sum())
    };
    Ok(["event", "service", "reading", "snapshot"].map(count))
}

/// Append the backlog with the agent's own spool, before the agent runs.
async fn fill(node: &Node) -> Result<()> {
    let config = Config::load(&node.directory().join("agent.toml"))?;
    let clock = Clock::machine();
    let (spool, opened) = Spool::open(&config.spool, clock.clone())?;
    let mut random = StdRng::seed_from_u64(SEED);
    let stamp = |uptime_ms: u64| Stamp { boot: opened.boot, uptime_ms, wall_ms: Some(clock.wall_ms()) };

    for block in 0..READINGS / (BLOCK_SERIES * BLOCK_POINTS) {
        let base = stamp(block * 60_000);
        let series = (0..BLOCK_SERIES).map(|metric| {
            let mut value = 20.0 + metric as f64;
            let points = (0..BLOCK_POINTS).map(|i| {
                value += f64::from(random.random_range(-30..=30)) / 100.0;
                let number = (value * 100.0f64).round() / 100.0;
                Point { uptime_ms: base.uptime_ms + i * 1_200, value: Value::Number(number) }
            });
            Series {
                metric: format!("sensor.{metric}").parse().unwrap_or_default(),
                unit: Unit::Celsius,
                points: points.collect(),
            }
        });
        let block = ReadingBlock { base, series: series.collect() };
        spool.append(NewRecord::Readings(block)).await?;
    }
    let service = (0..SERVICE).map(|number| {
        let body = ServiceBody::Count { service: "ktp".parse()?, desk: None, delta: 1, total: Some(number + 1) };
        let key = format!("old-{number}").parse()?;
        Ok(ServiceRecord { stamp: stamp(number * 1_000), key, origin: Origin::Api, simulated: true, body })
    });
    let service: Vec<ServiceRecord> = service.collect::<Result<_>>()?;
    for group in service.chunks(500) {
        try_join_all(group.iter().map(|record| spool.append(NewRecord::Service(record.clone())))).await?;
    }
    for number in 0..IMAGES {
        let mut jpeg = vec![0; IMAGE_BYTES];
        random.fill_bytes(&mut jpeg);
        let meta = ImageMeta {
            stamp: stamp(number * 60_000),
            camera: "kamera-1".parse()?,
            length: u32::try_from(jpeg.len())?,
            sha256: Sha256::digest(&jpeg).into(),
            width: 1920,
            height: 1080,
            dhash: random.random(),
            masked_percent: 0,
            changed: true,
            simulated: true,
        };
        spool.append(NewRecord::Snapshot { meta, jpeg }).await?;
    }
    spool.close().await?;
    Ok(())
}
