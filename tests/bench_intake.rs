//! The hub's intake as it runs (decode, dedupe, commit before the acknowledgement, rollups) against prepared bare
//! inserts of the same readings, already decoded, into a table without a secondary index: interleaved pairs on an empty
//! store and on one with 30 days of history. The hub's clock stops when its rollups have caught up. Beside them, in each
//! round, a real mosquitto forwards the payloads that the store with history took ([`mosquitto`] says how), and the whole
//! hub takes as many over TLS ([`whole_hub`]).
//!
//! `SIMPUL_INTAKE_PAIRS` shortens a run for trying it out.
#![expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]

#[path = "bench_intake/mosquitto.rs"]
mod mosquitto;
#[path = "bench_intake/publisher.rs"]
mod publisher;
#[path = "bench_intake/whole_hub.rs"]
mod whole_hub;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;
use simpul_clock::Clock;
use simpul_hub::intake::{Counters, Intake};
use simpul_hub::mqtt::{Incoming, Outbox, Publish, Receipt, Transport};

use simpul_hub::store::{SqliteStore, Store, StoreConfig};
use simpul_testkit::process::target_directory;
use simpul_testkit::report::Report;
use simpul_wire::batch::seal;
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::topic::Topic;
use simpul_wire::{Epoch, NodeId, SeqRange, Stamp, Stream, Unit};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

/// A median district with three nodes a village, give or take.
const NODES: usize = 300;
const SENDERS: usize = 64;
const SERIES: u64 = 10;
const POINTS: u64 = 5;
const READINGS: u64 = SERIES * POINTS;
const STEP_MS: u64 = 10_000;
/// Batches of one node in one run: 6,000 batches, 300,000 readings in all.
const BATCHES: u64 = 20;
/// History: so many batches per node, spread over 30 days (two an hour).
const HISTORY_BATCHES: u64 = 30 * 24 * 2;
const DAY_MS: i64 = 86_400_000;
const SEED: u64 = 20_261_124;

/// A batch as it travels and as a baseline inserts it.
struct Made {
    node: NodeId,
    topic: String,
    payload: Bytes,
    rows: Vec<(i64, i64, i64, f64)>,
}

/// One node's readings, going on from batch to batch.
struct Source {
    node: NodeId,
    number: i64,
    next_seq: u64,
    values: Vec<f64>,
}

impl Source {
    fn batch(&mut self, random: &mut StdRng, at_ms: i64) -> Result<Made> {
        let uptime_ms = 1_000_000 + self.next_seq / SERIES * STEP_MS;
        let base = Stamp { boot: 1, uptime_ms, wall_ms: Some(at_ms) };
        let (mut series, mut rows) = (Vec::new(), Vec::new());
        for metric in 0..SERIES {
            let value = &mut self.values[metric as usize];
            let mut points = Vec::new();
            for i in 0..POINTS {
                *value += f64::from(random.random_range(-30..=30)) / 100.0;
                let number = (*value * 100.0).round() / 100.0;
                points.push(Point { uptime_ms: uptime_ms + i * STEP_MS, value: Value::Number(number) });
                rows.push((self.number, metric as i64, at_ms + (i * STEP_MS) as i64, number));
            }
            series.push(Series { metric: format!("sensor.{metric}").parse()?, unit: Unit::Celsius, points });
        }
        let block = ReadingBlock { base, series };
        let range = SeqRange::with_count(self.next_seq, READINGS).context("a range")?;
        self.next_seq += READINGS;
        let payload = seal(&self.node, Epoch::from_bytes([7; 16]), Stream::Reading, range, &[block.to_vec()]);
        let topic = Topic::Up(self.node.clone(), Stream::Reading).to_string();
        Ok(Made { node: self.node.clone(), topic, payload: payload.into(), rows })
    }
}

/// The hub from its transport inwards, with a fleet that sends to it.
struct Hub {
    store: Arc<SqliteStore>,
    incoming: mpsc::Sender<Incoming>,
    fleet: Vec<Source>,
    random: StdRng,
    next_ms: i64,
    _stop: watch::Sender<bool>,
    _tasks: [JoinHandle<()>; 2],
}

impl Hub {
    fn open(directory: &Path, clock: &Clock) -> Result<Hub> {
        let store = Arc::new(SqliteStore::open(StoreConfig::new(directory, 100 << 30), clock.clone())?);
        let (incoming, receiver) = mpsc::channel(1_024);
        let (outbox, mut outgoing) = Outbox::new(1_024);
        let drain = tokio::spawn(async move { while outgoing.recv().await.is_some() {} });
        let (live, _) = broadcast::channel(1_024);
        let (stop, stopped) = watch::channel(false);
        let intake = Intake {
            store: store.clone(),
            clock: clock.clone(),
            live,
            counters: Arc::new(Counters::default()),
            clock_synchronised: false,
        };
        let intake = tokio::spawn(intake.run(Transport { incoming: receiver, outbox }, stopped));
        let fleet = (0..NODES).map(|number| {
            let node = format!("35.12.{:02}.{:04}-01", number / 100, 2_000 + number % 100).parse()?;
            Ok(Source { node, number: number as i64, next_seq: 1, values: vec![20.0; SERIES as usize] })
        });
        let fleet = fleet.collect::<Result<_>>()?;
        let next_ms = clock.wall_ms() - DAY_MS / 24;
        let random = StdRng::seed_from_u64(SEED);
        Ok(Hub { store, incoming, fleet, random, next_ms, _stop: stop, _tasks: [drain, intake] })
    }

    /// `count` batches of every node, `step_ms` apart, the last of them an hour ago at the latest.
    fn make(&mut self, count: u64, from_ms: i64, step_ms: i64) -> Result<Vec<Made>> {
        let mut made = Vec::new();
        for batch in 0..count as i64 {
            for source in &mut self.fleet {
                made.push(source.batch(&mut self.random, from_ms + batch * step_ms)?);
            }
        }
        Ok(made)
    }

    /// The next batches of a run, right after those before.
    fn next(&mut self) -> Result<Vec<Made>> {
        let step_ms = (POINTS * STEP_MS) as i64;
        let made = self.make(BATCHES, self.next_ms, step_ms)?;
        self.next_ms += BATCHES as i64 * step_ms;
        Ok(made)
    }

    /// Send them from 64 senders, each waiting for its receipt; then wait for the rollups. Readings per second and how
    /// long each receipt took.
    async fn take(&self, made: &[Made]) -> Result<(f64, Vec<Duration>)> {
        let started = Instant::now();
        let senders = (0..SENDERS).map(|sender| async move {
            let mut waits = Vec::new();
            for made in made.iter().skip(sender).step_by(SENDERS) {
                let (receipt, done) = Receipt::new();
                let publish = Publish {
                    node: made.node.clone(),
                    topic: made.topic.clone(),
                    payload: made.payload.clone(),
                    retain: false,
                    receipt,
                };
                let sent = Instant::now();
                self.incoming.send(Incoming::Publish(publish)).await.ok().context("intake has ended")?;
                done.await.context("intake gave a batch up")?;
                waits.push(sent.elapsed());
            }
            anyhow::Ok(waits)
        });
        let waits: Vec<Duration> = try_join_all(senders).await?.into_iter().flatten().collect();
        while self.store.maintain(self.next_ms + DAY_MS / 24).await? {}
        let lag = self.store.usage().await?.rollup_lag_batches;
        anyhow::ensure!(lag == 0, "{lag} batches are not rolled up though maintenance has nothing to do");
        Ok(((made.len() as u64 * READINGS) as f64 / started.elapsed().as_secs_f64(), waits))
    }
}

/// The baseline: prepared inserts of decoded readings, 64 batches a commit, as many as senders wait at once.
fn bare(connection: &mut Connection, made: &[Made]) -> Result<f64> {
    let started = Instant::now();
    for group in made.chunks(SENDERS) {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO reading VALUES (?1, ?2, ?3, ?4)")?;
            for (node, metric, at_ms, value) in group.iter().flat_map(|made| &made.rows) {
                insert.execute((node, metric, at_ms, value))?;
            }
        }
        transaction.commit()?;
    }
    Ok((made.len() as u64 * READINGS) as f64 / started.elapsed().as_secs_f64())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

async fn bench(pairs: usize) -> Result<()> {
    let folder = tempfile::tempdir_in(target_directory()?).context("a folder on the disk that is measured")?;
    let clock = Clock::machine();
    let mut empty = Hub::open(&folder.path().join("empty"), &clock)?;
    let mut full = Hub::open(&folder.path().join("full"), &clock)?;
    let mut connection = Connection::open(folder.path().join("bare.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE reading (node INTEGER, metric INTEGER, at_ms INTEGER, value REAL)")?;

    println!("30 days of history, {NODES} nodes, {} readings", NODES as u64 * HISTORY_BATCHES * READINGS);
    // Day by day, so that memory stays small and days are sealed as they would be.
    let start_ms = full.next_ms - 30 * DAY_MS;
    let step_ms = 30 * DAY_MS / HISTORY_BATCHES as i64;
    for day in 0..30 {
        let made = full.make(HISTORY_BATCHES / 30, start_ms + day * DAY_MS, step_ms)?;
        full.take(&made).await?;
    }
    println!("{pairs} interleaved rounds of empty store, bare inserts, store with history, mosquitto, the whole hub");
    let (mut rates, mut against, mut history, mut waits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut bare_rates = Vec::new();
    let mut whole = whole_hub::WholeHub::start(folder.path(), &clock).await?;
    let (mut broker_rates, mut against_broker) = (Vec::new(), Vec::new());
    let (mut whole_rates, mut whole_against_broker) = (Vec::new(), Vec::new());
    for _ in 0..pairs {
        let (made_empty, made_full) = (empty.next()?, full.next()?);
        let (empty_rate, _) = empty.take(&made_empty).await?;
        let bare_rate = bare(&mut connection, &made_full)?;
        let (rate, took) = full.take(&made_full).await?;
        against.push(rate / bare_rate);
        history.push(rate / empty_rate);
        rates.push(rate);
        bare_rates.push(bare_rate);
        let broker_rate = mosquitto::forward(folder.path(), &made_full).await?;
        broker_rates.push(broker_rate);
        against_broker.push(rate / broker_rate);
        let whole_rate = whole.take().await?;
        whole_rates.push(whole_rate);
        whole_against_broker.push(whole_rate / broker_rate);
        waits.extend(took);
    }
    waits.sort_unstable();
    let n = pairs as u64;
    let mut report = Report::new("intake", "cargo xtask bench intake", Some(SEED));
    report.figure("intake_records_per_second", median(&rates), "readings/s", n).against(median(&bare_rates));
    report.figure("intake_vs_sqlite_ratio", median(&against), "ratio", n).goal(">= 1.5");
    report.figure("intake_history_ratio", median(&history), "ratio", n).goal(">= 0.8");
    report.figure("intake_vs_mosquitto_ratio", median(&against_broker), "ratio", n).goal(">= 0.5");
    report.figure("whole_hub_vs_mosquitto_ratio", median(&whole_against_broker), "ratio", n);
    report.figure("whole_hub_records_per_second", median(&whole_rates), "readings/s", n);
    report.figure("mosquitto_records_per_second", median(&broker_rates), "readings/s", n);
    let p99 = waits[(waits.len() - 1) * 99 / 100];
    report.figure("ack_p99_ms", p99.as_secs_f64() * 1_000.0, "ms", waits.len() as u64).goal("<= 50");
    report.finish()?;
    Ok(())
}

fn main() -> Result<()> {
    let pairs = std::env::var("SIMPUL_INTAKE_PAIRS").ok().and_then(|text| text.parse().ok()).unwrap_or(11);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(bench(pairs))
}
