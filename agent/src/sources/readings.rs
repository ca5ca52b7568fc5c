//! Samples -> blocks of readings, one a minute. Pure: stamps come in, finished blocks go out; appending is the
//! caller's.
//!
//! A block lies within one boot and has no clock step in it, because its points are dated by its base stamp alone. A
//! power cut costs the open minute, which the room shows as a gap. Minutes are those of the uptime, so that all sources
//! of a node close theirs at once and the spool commits them together: apart, they wear the card three times as much.

use simpul_wire::limits::SERIES_MAX;
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::{Label, Stamp, Unit};

/// A block covers at most so long: the bound on what a power cut costs.
pub const BLOCK_MS: u64 = 60_000;

/// Most readings in a block, above the 600 a minute that the load budget has. With [`SERIES_MAX`] long names the block
/// still fits the wire's payload uncompressed; a fuller minute closes its block early.
pub const READINGS_PER_BLOCK_MAX: usize = 1_024;

/// Wall and monotonic clock may drift apart so far within a minute (slewing is at most 0.5 ms/s) before it is a step.
const STEP_MS: u64 = 250;

/// One measurement, without its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What was measured.
    pub metric: Label,
    /// Its unit.
    pub unit: Unit,
    /// The value, or why there is none.
    pub value: Value,
}

/// Collects the open minute.
#[derive(Debug, Default)]
pub struct Accumulator {
    open: Option<ReadingBlock>,
}

impl Accumulator {
    /// Add samples of one moment; returns the blocks that this closed (because the minute was over, the boot or the
    /// clock had changed, or the block was full), in order.
    pub fn add(&mut self, at: Stamp, samples: impl IntoIterator<Item = Sample>) -> Vec<ReadingBlock> {
        let mut closed = Vec::new();
        if self.open.as_ref().is_some_and(|open| !belongs(open.base, at)) {
            closed.extend(self.open.take());
        }
        for sample in samples {
            if self.open.as_ref().is_some_and(|open| !has_room(open, &sample)) {
                closed.extend(self.open.take());
            }
            let open = self.open.get_or_insert_with(|| ReadingBlock { base: at, series: Vec::new() });
            let point = Point { uptime_ms: at.uptime_ms, value: sample.value };
            match open.series.iter_mut().find(|series| is_of(series, &sample)) {
                Some(series) => series.points.push(point),
                None => {
                    open.series.push(Series { metric: sample.metric, unit: sample.unit, points: vec![point] });
                }
            }
        }
        closed
    }

    /// The block, if its minute is over.
    pub fn due(&mut self, now_uptime_ms: u64) -> Option<ReadingBlock> {
        if now_uptime_ms < self.due_at_ms()? {
            return None;
        }
        self.open.take()
    }

    /// Uptime at which [`Accumulator::due`] has a block.
    pub fn due_at_ms(&self) -> Option<u64> {
        self.open.as_ref().map(|open| (minute(open.base) + 1).saturating_mul(BLOCK_MS))
    }

    /// Whatever is open: before a stop in order.
    pub fn close(&mut self) -> Option<ReadingBlock> {
        self.open.take()
    }
}

fn is_of(series: &Series, sample: &Sample) -> bool {
    series.metric == sample.metric && series.unit == sample.unit
}

fn has_room(open: &ReadingBlock, sample: &Sample) -> bool {
    open.count() < READINGS_PER_BLOCK_MAX
        && (open.series.len() < SERIES_MAX || open.series.iter().any(|series| is_of(series, sample)))
}

/// The minute of the uptime that a stamp is in.
fn minute(stamp: Stamp) -> u64 {
    stamp.uptime_ms / BLOCK_MS
}

/// Whether a stamp can be dated by a base: same boot, in its minute, no clock step in between.
fn belongs(base: Stamp, at: Stamp) -> bool {
    let Some(passed_ms) = at.uptime_ms.checked_sub(base.uptime_ms) else { return false };
    let same_clock = match (base.wall_ms, at.wall_ms) {
        (Some(base), Some(at)) => at.saturating_sub(base).abs_diff(passed_ms as i64) <= STEP_MS,
        (None, None) => true,
        _ => false,
    };
    base.boot == at.boot && minute(base) == minute(at) && same_clock
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::Missing;

    fn stamp(boot: u32, uptime_ms: u64, wall_ms: Option<i64>) -> Stamp {
        Stamp { boot, uptime_ms, wall_ms }
    }

    fn sample(metric: &str, value: f64) -> Sample {
        Sample { metric: metric.parse().unwrap(), unit: Unit::Celsius, value: Value::Number(value) }
    }

    #[test]
    fn a_minute_becomes_one_block_with_its_series_in_order() {
        let mut readings = Accumulator::default();
        for second in 0..6 {
            let at = stamp(1, 5_000 + second * 10_000, Some(1_000_000 + second as i64 * 10_000));
            assert!(readings.add(at, [sample("a", second as f64), sample("b", 0.5)]).is_empty());
        }
        assert_eq!(readings.due_at_ms(), Some(60_000));
        assert_eq!(readings.due(59_999), None);
        let block = readings.due(60_000).unwrap();
        assert_eq!((block.base.uptime_ms, block.count(), block.series.len()), (5_000, 12, 2));
        assert_eq!(block.series[0].points[5], Point { uptime_ms: 55_000, value: Value::Number(5.0) });
        assert_eq!(readings.due_at_ms(), None);
        assert_eq!(ReadingBlock::from_slice(&block.to_vec()).unwrap(), block);
    }

    #[test]
    fn sources_that_began_at_different_moments_close_at_the_same_one() {
        let due_at_ms = |began_ms| {
            let mut readings = Accumulator::default();
            readings.add(stamp(1, began_ms, None), [sample("a", 1.0)]);
            readings.due_at_ms()
        };
        for began_ms in [120_000, 121_500, 179_999] {
            assert_eq!(due_at_ms(began_ms), Some(180_000), "began at {began_ms} ms");
        }
    }

    #[test]
    fn a_boot_change_or_a_clock_step_splits_the_block() {
        for (next, splits) in [
            (stamp(1, 2_000, Some(2_000)), false),
            (stamp(1, 2_000, Some(2_200)), false),
            (stamp(1, 2_000, Some(2_300)), true),
            (stamp(1, 2_000, Some(1_700)), true),
            (stamp(1, 2_000, None), true),
            (stamp(2, 2_000, Some(2_000)), true),
            (stamp(1, 500, Some(500)), true),
            (stamp(1, 59_999, Some(59_999)), false),
            (stamp(1, 60_000, Some(60_000)), true),
        ] {
            let mut readings = Accumulator::default();
            readings.add(stamp(1, 1_000, Some(1_000)), [sample("a", 1.0)]);
            let closed = readings.add(next, [sample("a", 2.0)]);
            assert_eq!(closed.len(), usize::from(splits), "{next:?}");
            assert_eq!(readings.close().unwrap().count(), if splits { 1 } else { 2 }, "{next:?}");
        }
    }

    #[test]
    fn a_full_block_closes_early_and_nothing_is_dropped() {
        let mut readings = Accumulator::default();
        let at = stamp(1, 0, None);
        let mut closed = readings.add(at, (0..1_500).map(|index| sample("a", f64::from(index))));
        closed.extend(readings.add(at, (0..300).map(|index| sample(&format!("m{index}"), 0.0))));
        closed.extend(readings.close());
        assert_eq!(closed.iter().map(ReadingBlock::count).sum::<usize>(), 1_800);
        for block in &closed {
            assert!(block.count() <= READINGS_PER_BLOCK_MAX && block.series.len() <= SERIES_MAX);
        }
    }

    #[test]
    fn the_fullest_block_fits_one_payload() {
        let mut readings = Accumulator::default();
        for moment in 0..4_u64 {
            let samples = (0..SERIES_MAX as u64).map(|index| Sample {
                metric: format!("{index:096}").parse().unwrap(),
                unit: Unit::Volts,
                value: Value::Number(1.0 / (7 * index + 3 * moment + 1) as f64),
            });
            assert!(readings.add(stamp(1, moment * 14_000, None), samples).is_empty());
        }
        let block = readings.close().unwrap();
        assert_eq!(block.count(), READINGS_PER_BLOCK_MAX);
        let size = block.to_vec().len();
        assert!(size < simpul_wire::limits::PAYLOAD_BYTES_MAX - 1_024, "{size} bytes");
    }

    #[test]
    fn one_metric_in_two_units_is_two_series_and_a_missing_value_stays_a_reason() {
        let mut readings = Accumulator::default();
        let at = stamp(1, 0, None);
        let missing = Sample { unit: Unit::Percent, value: Value::Missing(Missing::Timeout), ..sample("a", 0.0) };
        readings.add(at, [sample("a", 1.0), missing]);
        let block = readings.close().unwrap();
        assert_eq!(block.series.len(), 2);
        assert_eq!(block.series[1].points[0].value, Value::Missing(Missing::Timeout));
    }
}
