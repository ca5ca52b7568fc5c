//! Readings: rollups exact at any moment, before and after they are rolled up and sealed.

use std::collections::BTreeMap;

use rand::RngExt;
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::{Missing, Unit};

use super::maintain;
use super::make::*;
use crate::store::{RollupPoint, Step, Store};

const METRICS: [&str; 3] = ["cpu_used", "disk_used", "optics.0.rx_power"];

/// By start of span: smallest, largest, sum, values, missing.
type Model = BTreeMap<i64, (f64, f64, f64, u64, u64)>;

pub async fn a_recut_stream_adds_up_at_any_moment(store: &dyn Store) {
    let mut random = random("a_recut_stream_adds_up_at_any_moment");
    // Two days and a bit: sealed days, and one that is open.
    let from_ms = NOW_MS - 2 * DAY_MS - 90 * MINUTE_MS;
    let blocks = blocks(&mut random, from_ms, 300);
    let more = super::make::blocks(&mut random, NOW_MS - 30 * MINUTE_MS, 60);
    let blocks: Vec<ReadingBlock> = blocks.into_iter().chain(more).collect();
    let last = blocks.iter().map(|block| block.count() as u64).sum();
    let cuts = cuts(&mut random, last, 200, 3);
    let mut arrived = vec![false; last as usize + 1];
    for group in cuts.chunks(5) {
        let uploads = group.iter().map(|range| cut("n-1", &blocks, *range)).collect();
        commit(store, uploads).await;
        for range in group {
            arrived[range.first() as usize..=range.last() as usize].fill(true);
        }
        match random.random_range(0..8) {
            0 => maintain(store, NOW_MS + 3 * DAY_MS).await,
            1 | 2 => drop(store.maintain(NOW_MS).await.unwrap()),
            3 => check(store, &blocks, &arrived).await,
            _ => {}
        }
    }
    assert!(arrived[1..].iter().all(|arrived| *arrived));
    check(store, &blocks, &arrived).await;
    maintain(store, NOW_MS + 3 * DAY_MS).await;
    assert_eq!(store.usage().await.unwrap().rollup_lag_batches, 0);
    check(store, &blocks, &arrived).await;
}

pub async fn the_newest_reading_is_the_newest_by_date(store: &dyn Store) {
    let at = |at_ms: i64, value: f64| one(clocked(at_ms), vec![Value::Number(value)]);
    let newest = async |store: &dyn Store| {
        let rows = store.latest_readings(Some(node("n-1"))).await.unwrap();
        assert_eq!(rows.len(), 1);
        (rows[0].at_ms, rows[0].value, rows[0].unit)
    };
    commit(store, vec![readings("n-1", range(1, 1), vec![at(NOW_MS, 1.5)])]).await;
    assert_eq!(newest(store).await, (NOW_MS, Value::Number(1.5), Unit::Celsius));
    maintain(store, NOW_MS).await;
    // Older data that comes later does not replace it; newer does, rolled up or not.
    commit(store, vec![readings("n-1", range(2, 2), vec![at(NOW_MS - HOUR_MS, 9.0)])]).await;
    assert_eq!(newest(store).await.0, NOW_MS);
    maintain(store, NOW_MS).await;
    assert_eq!(newest(store).await.0, NOW_MS);
    commit(store, vec![readings("n-1", range(3, 3), vec![at(NOW_MS + 1, 2.25)])]).await;
    assert_eq!(newest(store).await, (NOW_MS + 1, Value::Number(2.25), Unit::Celsius));
    commit(store, vec![readings("n-2", range(1, 1), vec![at(NOW_MS, 4.0)])]).await;
    assert_eq!(store.latest_readings(None).await.unwrap().len(), 2);
    assert!(store.latest_readings(Some(node("n-3"))).await.unwrap().is_empty());
}

pub async fn missing_is_counted_and_never_a_number(store: &dyn Store) {
    let values = vec![Value::Missing(Missing::NoLight); 3];
    commit(store, vec![readings("n-1", range(1, 3), vec![one(clocked(NOW_MS), values)])]).await;
    for maintained in [false, true] {
        if maintained {
            maintain(store, NOW_MS + 3 * DAY_MS).await;
        }
        for step in [Step::Minute, Step::Hour, Step::Day] {
            let points = points(store, "temperature", step).await;
            assert_eq!(points.len(), 1);
            assert_eq!((points[0].count, points[0].missing), (0, 3));
            assert!(points[0].min.is_nan() && points[0].max.is_nan() && points[0].sum.is_nan());
        }
        let latest = store.latest_readings(None).await.unwrap();
        assert_eq!(latest[0].value, Value::Missing(Missing::NoLight));
    }
}

pub async fn late_data_seals_its_day_again(store: &dyn Store) {
    let day_ms = NOW_MS - 5 * DAY_MS;
    let at = |offset_ms: i64, value: f64| one(clocked(day_ms + offset_ms), vec![Value::Number(value)]);
    commit(store, vec![readings("n-1", range(1, 1), vec![at(0, 1.0)])]).await;
    maintain(store, NOW_MS).await;
    maintain(store, NOW_MS + HOUR_MS).await;
    for (seq, offset_ms, value) in [(2, 30_000, 3.0), (3, 7 * HOUR_MS, -2.0)] {
        commit(store, vec![readings("n-1", range(seq, seq), vec![at(offset_ms, value)])]).await;
        maintain(store, NOW_MS + HOUR_MS).await;
        maintain(store, NOW_MS + 2 * HOUR_MS).await;
    }
    let whole = points(store, "temperature", Step::Day).await;
    let expected = RollupPoint { at_ms: day_ms, min: -2.0, max: 3.0, sum: 2.0, count: 3, missing: 0 };
    assert_eq!(whole, [expected]);
    let minutes = points(store, "temperature", Step::Minute).await;
    assert_eq!(
        minutes.iter().map(|point| (point.at_ms - day_ms, point.count)).collect::<Vec<_>>(),
        [(0, 2), (7 * HOUR_MS, 1)]
    );
}

/// A block of one metric.
pub fn one(base: simpul_wire::Stamp, values: Vec<Value>) -> ReadingBlock {
    let uptime_ms = base.uptime_ms;
    let points = values.into_iter().map(|value| Point { uptime_ms, value }).collect();
    let series = Series { metric: "temperature".parse().unwrap(), unit: Unit::Celsius, points };
    ReadingBlock { base, series: vec![series] }
}

/// All of a metric of `n-1`.
pub async fn points(store: &dyn Store, metric: &str, step: Step) -> Vec<RollupPoint> {
    let (from_ms, to_ms) = (NOW_MS - 400 * DAY_MS, NOW_MS + 400 * DAY_MS);
    store.readings(node("n-1"), metric.into(), step, from_ms, to_ms).await.unwrap()
}

async fn check(store: &dyn Store, blocks: &[ReadingBlock], arrived: &[bool]) {
    for metric in METRICS {
        for step in [Step::Minute, Step::Hour, Step::Day] {
            let found: Model = points(store, metric, step)
                .await
                .into_iter()
                .map(|point| (point.at_ms, (point.min, point.max, point.sum, point.count, point.missing)))
                .collect();
            let expected = model(blocks, arrived, metric, step.width_ms());
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{metric} {step:?}");
        }
    }
    // A part of it: spans that begin in it.
    let (from_ms, to_ms) = (NOW_MS - 2 * DAY_MS - 1, NOW_MS - 2 * DAY_MS + 95 * MINUTE_MS);
    let part = store.readings(node("n-1"), METRICS[0].into(), Step::Hour, from_ms, to_ms).await.unwrap();
    let all = model(blocks, arrived, METRICS[0], HOUR_MS);
    assert_eq!(part.len(), all.range(from_ms..to_ms).count());
}

fn model(blocks: &[ReadingBlock], arrived: &[bool], metric: &str, width_ms: i64) -> Model {
    let mut model = Model::new();
    let mut seq = 0;
    for block in blocks {
        for series in &block.series {
            for point in &series.points {
                seq += 1;
                if series.metric.as_str() != metric || !arrived[seq] {
                    continue;
                }
                let at_ms = block.wall_ms(point).unwrap();
                let empty = (f64::NAN, f64::NAN, f64::NAN, 0, 0);
                let span = model.entry(at_ms.div_euclid(width_ms) * width_ms).or_insert(empty);
                match point.value {
                    Value::Missing(_) => span.4 += 1,
                    Value::Number(value) if span.3 == 0 => (span.0, span.1, span.2, span.3) = (value, value, value, 1),
                    Value::Number(value) => {
                        *span = (span.0.min(value), span.1.max(value), span.2 + value, span.3 + 1, span.4);
                    }
                }
            }
        }
    }
    model
}
