//! Rolling readings up: many points of a series become one mean each ten minutes. Pure.

use std::collections::BTreeMap;

use simpul_wire::limits::{READINGS_MAX, SERIES_MAX};
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::{Label, Missing, RangeSet, Stamp, Unit};

use super::packet::Item;

/// One mean covers so long: a day of a series is 144 points, enough for the room's curves.
const BUCKET_MS: u64 = 600_000;

/// Rolled up must be at most a half of what it was, else it was rolled up before and is dropped instead.
const WORTH_RATIO: usize = 2;

/// Points of one series in one bucket.
#[derive(Default)]
struct Bucket {
    sum: f64,
    numbers: u32,
    uptime_sum_ms: u128,
    points: u32,
    missing: Option<Missing>,
}

/// Boot and clock offset: points of one block share them, else their wall times would shift.
type Time = (u32, Option<i64>);

/// The buckets of one series, by time.
type Buckets = BTreeMap<u64, Bucket>;

/// Collects readings.
#[derive(Default)]
pub(crate) struct RollUp {
    bases: BTreeMap<Time, Stamp>,
    series: BTreeMap<Time, BTreeMap<(Label, u8), Buckets>>,
    points: usize,
}

impl RollUp {
    /// Add those readings of a stored block that are owed.
    pub fn add(&mut self, item: &Item, owed: &RangeSet) {
        let Ok(block) = ReadingBlock::from_slice(&item.bytes) else { return };
        let offset = block.base.wall_ms.map(|wall| wall.saturating_sub_unsigned(block.base.uptime_ms));
        let time = (block.base.boot, offset);
        self.bases.entry(time).or_insert(block.base);
        let mut seq = item.range.first();
        for series in &block.series {
            for point in &series.points {
                if owed.contains(seq) {
                    self.points += 1;
                    let buckets = self.series.entry(time).or_default();
                    let buckets = buckets.entry((series.metric.clone(), series.unit.number())).or_default();
                    let bucket = buckets.entry(point.uptime_ms / BUCKET_MS).or_default();
                    bucket.points += 1;
                    bucket.uptime_sum_ms += u128::from(point.uptime_ms);
                    match point.value {
                        Value::Number(number) => {
                            bucket.sum += number;
                            bucket.numbers += 1;
                        }
                        Value::Missing(reason) => bucket.missing = Some(reason),
                    }
                }
                seq += 1;
            }
        }
    }

    fn means(&self) -> usize {
        self.series.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum()
    }

    /// Whether rolling up makes it much smaller.
    pub fn is_worth_it(&self) -> bool {
        self.points > 0 && self.means() * WORTH_RATIO <= self.points
    }

    /// The means, in blocks. A bucket with no number keeps the reason.
    pub fn blocks(self) -> Vec<ReadingBlock> {
        let mut blocks = Vec::new();
        for (time, all) in self.series {
            let Some(&base) = self.bases.get(&time) else { continue };
            let mut block = ReadingBlock { base, series: Vec::new() };
            for ((metric, unit), buckets) in all {
                let Some(unit) = Unit::from_number(unit) else { continue };
                let points: Vec<Point> = buckets.values().map(mean).collect();
                if block.series.len() == SERIES_MAX || block.count() + points.len() > READINGS_MAX {
                    blocks.push(std::mem::replace(&mut block, ReadingBlock { base, series: Vec::new() }));
                }
                block.series.push(Series { metric, unit, points });
            }
            blocks.push(block);
        }
        blocks
    }
}

fn mean(bucket: &Bucket) -> Point {
    let uptime_ms = u64::try_from(bucket.uptime_sum_ms / u128::from(bucket.points.max(1))).unwrap_or(u64::MAX);
    let value = match bucket.numbers {
        0 => Value::Missing(bucket.missing.unwrap_or(Missing::NotYet)),
        // Rounded to what the column stores in few bytes; a mean needs no more than a thousandth.
        numbers => Value::Number((bucket.sum / f64::from(numbers) * 1_000.0).round() / 1_000.0),
    };
    Point { uptime_ms, value }
}

#[cfg(test)]
mod tests {
    use simpul_wire::SeqRange;

    use super::*;

    #[test]
    fn an_hour_of_readings_becomes_six_means_and_unknown_stays_unknown() {
        let point = |at: u64, value| Point { uptime_ms: at * 10_000, value };
        let known = (0..360).map(|at| point(at, Value::Number(at as f64))).collect();
        let dark = (0..360).map(|at| point(at, Value::Missing(Missing::NoLight))).collect();
        let series = |metric: &str, unit, points| Series { metric: metric.parse().unwrap(), unit, points };
        let base = Stamp { boot: 1, uptime_ms: 0, wall_ms: Some(5_000) };
        let block = ReadingBlock {
            base,
            series: vec![
                series("cpu_used", Unit::Percent, known),
                series("optics.0.rx_power", Unit::DecibelMilliwatts, dark),
            ],
        };
        let range = SeqRange::with_count(100, 720).unwrap();
        let mut rollup = RollUp::default();
        rollup.add(&Item { range, bytes: block.to_vec() }, &RangeSet::from_iter([range]));
        assert!(rollup.is_worth_it());
        let blocks = rollup.blocks();
        assert_eq!((blocks.len(), blocks[0].count(), blocks[0].base), (1, 12, base));
        assert_eq!(blocks[0].series[0].points[0], Point { uptime_ms: 295_000, value: Value::Number(29.5) });
        assert_eq!(blocks[0].series[1].points[5].value, Value::Missing(Missing::NoLight));
        let bytes = blocks[0].to_vec();
        let again_range = SeqRange::with_count(900, 12).unwrap();
        let mut again = RollUp::default();
        again.add(&Item { range: again_range, bytes }, &RangeSet::from_iter([again_range]));
        assert!(!again.is_worth_it());
    }
}
