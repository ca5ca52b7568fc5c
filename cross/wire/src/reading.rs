//! Records of the `reading` stream: measured values in column blocks, one a minute.
//!
//! A block's readings are numbered series by series: the first series' points in order of time, then the second's, so
//! a sub-range of sequence numbers is a sub-range of series and a block can be cut anywhere ([`ReadingBlock::slice`]).

use alloc::vec::Vec;

use minicbor::decode::{Decoder, Error};
use minicbor::encode::{Encoder, Write};
use minicbor::{Decode, Encode};

use crate::column::{TimeReader, ValueReader, VarintReader, encode_times, encode_values, push_unsigned};
use crate::error::to_vec;
use crate::limits::{READINGS_MAX, SERIES_MAX};
use crate::{Label, Missing, Stamp, Unit, WireError, metrics};

/// A measured value, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A finite number in the series' unit.
    Number(f64),
    /// The reason.
    Missing(Missing),
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Milliseconds since the boot of the block's base stamp.
    pub uptime_ms: u64,
    /// The value.
    pub value: Value,
}

/// The points of one metric, in order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What was measured, such as `cpu_used` or `optics.0.rx_power`; the unit stands beside it.
    pub metric: Label,
    /// Its unit.
    pub unit: Unit,
    /// The points.
    pub points: Vec<Point>,
}

/// The readings of about a minute, within one boot and with no clock step in between: a point's wall time is
/// `base.wall_ms + (uptime_ms - base.uptime_ms)`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadingBlock {
    /// The stamp that times are relative to.
    pub base: Stamp,
    /// The series; each has at least one point.
    pub series: Vec<Series>,
}

impl ReadingBlock {
    /// How many readings: the block takes as many sequence numbers.
    pub fn count(&self) -> usize {
        self.series.iter().map(|series| series.points.len()).sum()
    }

    /// The readings with index `from..to` in the block's order, as a block of its own.
    pub fn slice(&self, from: usize, to: usize) -> ReadingBlock {
        let mut start = 0;
        let mut series = Vec::new();
        for whole in &self.series {
            let length = whole.points.len();
            let (low, high) = (from.saturating_sub(start).min(length), to.saturating_sub(start).min(length));
            if low < high {
                series.push(Series {
                    metric: whole.metric.clone(),
                    unit: whole.unit,
                    points: whole.points[low..high].to_vec(),
                });
            }
            start += length;
        }
        ReadingBlock { base: self.base, series }
    }

    /// A point's Unix time in milliseconds, if the block has one.
    pub fn wall_ms(&self, point: &Point) -> Option<i64> {
        let offset = point.uptime_ms.wrapping_sub(self.base.uptime_ms) as i64;
        self.base.wall_ms.and_then(|wall| wall.checked_add(offset))
    }

    /// As CBOR.
    pub fn to_vec(&self) -> Vec<u8> {
        to_vec(self)
    }

    /// From CBOR.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        let mut budget = READINGS_MAX;
        decode_block(&mut Decoder::new(bytes), &mut budget)
    }
}

impl<C> Encode<C> for ReadingBlock {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(2)?;
        self.base.encode(e, ctx)?;
        e.array(self.series.len() as u64)?;
        let mut before = None;
        for series in &self.series {
            let times = encode_times(self.base.uptime_ms, series.points.iter().map(|point| point.uptime_ms));
            // Metrics of one machine are sampled together: an empty column says "as the series before".
            let same = before.as_ref() == Some(&times);
            encode_series(e, if same { &[] } else { &times }, series)?;
            before = Some(times);
        }
        Ok(())
    }
}

fn encode_series<W: Write>(
    e: &mut Encoder<W>,
    times: &[u8],
    series: &Series,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    let mut numbers = Vec::with_capacity(series.points.len());
    let mut missing = Vec::new();
    let mut gap = 0;
    for point in &series.points {
        match point.value {
            Value::Number(number) => {
                numbers.push(number);
                gap += 1;
            }
            Value::Missing(reason) => {
                push_unsigned(&mut missing, gap);
                missing.push(reason.number());
                gap = 0;
            }
        }
    }
    let values = encode_values(&numbers);
    e.array(if missing.is_empty() { 6 } else { 7 })?;
    match metrics::number(&series.metric) {
        Some(number) => e.u8(number)?,
        None => e.str(&series.metric)?,
    };
    e.u8(series.unit.number())?.u64(series.points.len() as u64)?;
    e.bytes(times)?;
    e.u8(values.decimals)?.bytes(&values.bytes)?;
    if !missing.is_empty() {
        e.bytes(&missing)?;
    }
    Ok(())
}

/// Decode one block; `budget` is how many readings may still be decoded, over all blocks of a batch.
pub(crate) fn decode_block(d: &mut Decoder<'_>, budget: &mut usize) -> Result<ReadingBlock, WireError> {
    let fields = definite(d)?;
    if fields < 2 {
        return Err(WireError::Malformed("block: two fields expected".into()));
    }
    let base = Stamp::decode(d, &mut ())?;
    let count = definite(d)?;
    if count > SERIES_MAX as u64 {
        return Err(WireError::TooLarge { what: "series in a block", size: count as usize, limit: SERIES_MAX });
    }
    let mut series: Vec<Series> = Vec::new();
    for _ in 0..count {
        let next = decode_series(d, base.uptime_ms, series.last(), budget)?;
        series.push(next);
    }
    for _ in 2..fields {
        d.skip()?;
    }
    Ok(ReadingBlock { base, series })
}

fn decode_series(
    d: &mut Decoder<'_>,
    base: u64,
    before: Option<&Series>,
    budget: &mut usize,
) -> Result<Series, WireError> {
    let fields = definite(d)?;
    if fields < 6 {
        return Err(WireError::Malformed("series: six fields expected".into()));
    }
    let metric = decode_metric(d)?;
    let unit_number = d.u8()?;
    let unit =
        Unit::from_number(unit_number).ok_or_else(|| WireError::Unsupported(alloc::format!("unit {unit_number}")))?;
    let count = usize::try_from(d.u64()?).unwrap_or(usize::MAX);
    if count > *budget {
        return Err(WireError::TooLarge { what: "readings in a batch", size: count, limit: READINGS_MAX });
    }
    if count == 0 {
        return Err(WireError::invalid("series without a reading"));
    }
    *budget -= count;
    let column = d.bytes()?;
    let same = before.filter(|before| column.is_empty() && before.points.len() == count);
    let mut times = TimeReader::new(base, column);
    let decimals = d.u8()?;
    let mut numbers = ValueReader::new(decimals, d.bytes()?)?;
    let missing = if fields > 6 { decode_missing(d.bytes()?, count)? } else { Vec::new() };
    for _ in 7..fields {
        d.skip()?;
    }
    let mut missing = missing.into_iter().peekable();
    // Columns go straight into the points: without a vector for each of them. A time takes
    // at least one byte, so the input bounds the allocation.
    let mut points = Vec::with_capacity(if same.is_some() { count } else { count.min(column.len()) });
    for index in 0..count {
        let uptime_ms = match same {
            Some(before) => before.points[index].uptime_ms,
            None => times.time()?,
        };
        let value = match missing.next_if(|(at, _)| *at == index) {
            Some((_, reason)) => Value::Missing(reason),
            None => Value::Number(numbers.value()?),
        };
        points.push(Point { uptime_ms, value });
    }
    times.end()?;
    numbers.end()?;
    Ok(Series { metric, unit, points })
}

fn decode_metric(d: &mut Decoder<'_>) -> Result<Label, WireError> {
    if d.datatype()? != minicbor::data::Type::U8 {
        return Ok(Label::decode(d, &mut ())?);
    }
    let number = d.u8()?;
    let name = metrics::name(number).ok_or_else(|| WireError::Unsupported(alloc::format!("metric {number}")))?;
    name.parse()
}

/// Positions and reasons of missing values, positions ascending.
fn decode_missing(bytes: &[u8], count: usize) -> Result<Vec<(usize, Missing)>, WireError> {
    let mut reader = VarintReader(bytes);
    let mut missing = Vec::new();
    let mut at = 0usize;
    while !reader.0.is_empty() {
        let gap = usize::try_from(reader.unsigned()?).unwrap_or(usize::MAX);
        let index = at
            .checked_add(gap)
            .filter(|index| *index < count)
            .ok_or_else(|| WireError::invalid("missing value behind the end"))?;
        let (&number, rest) =
            reader.0.split_first().ok_or_else(|| WireError::Malformed("column is too short".into()))?;
        reader.0 = rest;
        let reason =
            Missing::from_number(number).ok_or_else(|| WireError::Unsupported(alloc::format!("reason {number}")))?;
        missing.push((index, reason));
        at = index + 1;
    }
    Ok(missing)
}

pub(crate) fn definite(d: &mut Decoder<'_>) -> Result<u64, WireError> {
    d.array()?.ok_or_else(|| WireError::Malformed("array of definite length expected".into()))
}

impl<'b, C> Decode<'b, C> for ReadingBlock {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        let mut budget = READINGS_MAX;
        decode_block(d, &mut budget).map_err(|_| Error::message("block of readings"))
    }
}
