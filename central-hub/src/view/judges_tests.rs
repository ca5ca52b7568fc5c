//! Receivers followed from a real store, minute by minute and after a restart.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_clock::Clock;
use simpul_wire::event::{EventBody, EventRecord, OpticsLimits};
use simpul_wire::reading::{Point, ReadingBlock, Series};
use simpul_wire::{Epoch, Missing, SeqRange, Stamp, Unit};
use tempfile::TempDir;

use super::super::optics::Level;
use super::*;
use crate::store::{Content, Outcome, Records, SqliteStore, StoreConfig, Upload};

/// 2026-11-20T00:00:00Z.
const START_MS: i64 = 1_795_132_800_000;

/// A store of one node, and what follows it.
struct Bench {
    store: SqliteStore,
    notable: Notable,
    judges: Judges,
    next_seq: u64,
    _folder: TempDir,
}

fn node() -> NodeId {
    "35.12.07.2003-01".parse().unwrap()
}

fn stamp(at_ms: i64) -> Stamp {
    Stamp { boot: 1, uptime_ms: (at_ms - START_MS + 86_400_000).unsigned_abs(), wall_ms: Some(at_ms) }
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig { ballast_bytes: 0, ..StoreConfig::new(folder.path().join("store"), 1 << 30) };
        let store = SqliteStore::open(config, Clock::held(START_MS)).unwrap();
        Bench { store, notable: Notable::default(), judges: Judges::default(), next_seq: 1, _folder: folder }
    }

    async fn commit(&mut self, count: u64, raw: Vec<u8>, records: Records) {
        let range = SeqRange::with_count(self.next_seq, count).unwrap();
        self.next_seq += count;
        let content = Content::Batch { epoch: Epoch::from_bytes([1; 16]), range, raw: Bytes::from(raw), records };
        let outcomes = self.store.commit(vec![Upload { node: node(), received_ms: START_MS, content }]).await.unwrap();
        assert!(matches!(outcomes[..], [Outcome::Committed { .. }]), "{outcomes:?}");
    }

    /// Readings of cage 0, ten seconds apart from `at_ms` on, in one block.
    async fn measure(&mut self, at_ms: i64, values: &[Value]) {
        let base = stamp(at_ms);
        let point = |(index, value): (u64, &Value)| Point { uptime_ms: base.uptime_ms + index * 10_000, value: *value };
        let points = (0..).zip(values).map(point).collect();
        let series = Series { metric: rx_power(0).parse().unwrap(), unit: Unit::DecibelMilliwatts, points };
        let blocks = vec![ReadingBlock { base, series: vec![series] }];
        self.commit(values.len() as u64, simpul_wire::error::to_vec(&blocks), Records::Reading(blocks)).await;
    }

    async fn module(&mut self, at_ms: i64, serial: &str, receive_limits: Option<OpticsLimits>) {
        let module = OpticsModule {
            vendor: "ACME".parse().unwrap(),
            part: "GPON".parse().unwrap(),
            serial: serial.parse().unwrap(),
            wavelength_nm: 1_490,
            measures: true,
            receive_limits,
        };
        let body = EventBody::Optics { cage: 0, module: Some(module), missing: None };
        self.commit(1, Vec::new(), Records::Event(vec![EventRecord { stamp: stamp(at_ms), body }])).await;
    }

    async fn follow(&mut self) {
        self.notable.follow(&self.store).await.unwrap();
        let latest = self.store.latest_readings(None).await.unwrap();
        self.judges.follow(&self.store, &latest, &self.notable).await.unwrap();
    }

    fn judged(&self) -> Judged {
        self.judges.of(&node(), 0).map(|(judged, _)| judged).unwrap_or_default()
    }

    /// What a hub that starts now makes of the same store.
    async fn judged_by_a_new_start(&mut self) -> Judged {
        let (notable, judges) = (std::mem::take(&mut self.notable), std::mem::take(&mut self.judges));
        self.follow().await;
        let judged = self.judged();
        (self.notable, self.judges) = (notable, judges);
        judged
    }

    async fn maintain(&self) {
        while self.store.maintain(START_MS).await.unwrap() {}
    }
}

fn numbers<const N: usize>(values: [f64; N]) -> [Value; N] {
    values.map(Value::Number)
}

#[tokio::test]
async fn a_level_is_left_beyond_the_hysteresis_only_and_a_restart_changes_nothing() {
    let mut bench = Bench::new();
    let steps = [
        (-20.0, Level::Good),
        (-27.5, Level::Critical),
        (-26.5, Level::Critical),
        (-25.5, Level::Weak),
        (-24.5, Level::Weak),
        (-23.5, Level::Good),
        (-24.5, Level::Good),
    ];
    for (minute, (dbm, expected)) in (0..).zip(steps) {
        bench.measure(START_MS + minute * MINUTE_MS, &numbers([dbm])).await;
        bench.follow().await;
        assert_eq!(bench.judged().level, Some(expected), "{dbm} dBm in minute {minute}");
        assert_eq!(bench.judged_by_a_new_start().await, bench.judged(), "{dbm} dBm in minute {minute}");
    }
    assert_eq!(bench.judged().since_ms, START_MS + 5 * MINUTE_MS);
    assert_eq!(bench.judged().before, Some(Level::Weak));
}

#[tokio::test]
async fn whatever_is_measured_a_restart_comes_to_the_same_judgement() {
    let seed = std::env::var("SIMPUL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("SIMPUL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut bench = Bench::new();
    // Blocks begin anywhere in a minute and are not looked at each time; the hub rolls up now and then.
    let mut at_ms = START_MS + random.random_range(0..MINUTE_MS);
    for _ in 0..120 {
        let values: Vec<Value> = (0..random.random_range(1..7))
            .map(|_| match random.random_range(0..10) {
                0 => Value::Missing(Missing::NoLight),
                1 => Value::Missing(Missing::Timeout),
                _ => Value::Number(f64::from(random.random_range(-300..-60)) / 10.0),
            })
            .collect();
        bench.measure(at_ms, &values).await;
        at_ms += MINUTE_MS * random.random_range(1..3);
        if random.random_ratio(1, 2) {
            bench.follow().await;
            assert_eq!(bench.judged_by_a_new_start().await, bench.judged());
        }
        if random.random_ratio(1, 8) {
            bench.maintain().await;
        }
    }
}

#[tokio::test]
async fn a_new_module_is_judged_by_its_own_limits_and_not_by_its_predecessors_past() {
    let mut bench = Bench::new();
    bench.module(START_MS, "A", None).await;
    bench.measure(START_MS + MINUTE_MS, &numbers([-28.0])).await;
    bench.follow().await;
    assert_eq!(bench.judged().level, Some(Level::Critical));
    let own = OpticsLimits {
        low_alarm_cdbm: -3_000,
        low_warning_cdbm: -2_850,
        high_warning_cdbm: -900,
        high_alarm_cdbm: -700,
    };
    let came_ms = START_MS + 2 * MINUTE_MS + 30_000;
    bench.module(came_ms, "B", Some(own)).await;
    bench.measure(came_ms + 5_000, &numbers([-28.0])).await;
    bench.follow().await;
    let (judged, limits) = bench.judges.of(&node(), 0).unwrap();
    assert_eq!((judged.level, judged.before, limits.own), (Some(Level::Good), None, true));
    // The same module said again (its node restarted) is no new one.
    bench.measure(START_MS + 3 * MINUTE_MS, &numbers([-28.6])).await;
    bench.module(START_MS + 3 * MINUTE_MS + 1, "B", Some(own)).await;
    bench.measure(START_MS + 4 * MINUTE_MS, &numbers([-28.0])).await;
    bench.follow().await;
    assert_eq!(bench.judged().level, Some(Level::Weak));
    assert_eq!(bench.judged_by_a_new_start().await, bench.judged());
}

#[tokio::test]
async fn darkness_says_since_when_and_light_is_judged_from_where_it_was() {
    let mut bench = Bench::new();
    bench.measure(START_MS, &numbers([-27.5])).await;
    for minute in 1..4 {
        bench.measure(START_MS + minute * MINUTE_MS, &[Value::Missing(Missing::NoLight)]).await;
    }
    bench.follow().await;
    let dark = bench.judged();
    assert_eq!((dark.level, dark.dark_since_ms), (Some(Level::Critical), Some(START_MS + MINUTE_MS)));
    bench.measure(START_MS + 4 * MINUTE_MS, &numbers([-26.5])).await;
    bench.follow().await;
    assert_eq!((bench.judged().level, bench.judged().dark_since_ms), (Some(Level::Critical), None));
}

#[tokio::test]
async fn a_receiver_that_never_gave_a_reading_is_not_judged() {
    let mut bench = Bench::new();
    bench.module(START_MS, "A", None).await;
    bench.follow().await;
    assert_eq!(bench.judges.of(&node(), 0), None);
}
