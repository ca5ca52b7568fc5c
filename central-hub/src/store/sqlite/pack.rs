//! Rollups as bytes: spans of time, cells, and their two layouts. A *minute* of one node is rewritten a few times
//! within the hour, so it is quick to merge; a *block* of one metric's day is written once and read for years, so it
//! is small: columns of differences, then zstd.

use simpul_wire::compress::{compress, decompress};

use crate::store::{Step, StoreError};

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 3_600_000;
pub(super) const DAY_MS: i64 = 86_400_000;
pub(super) const DAY_MINUTES: i64 = 1_440;

/// Most decimals tried before a value is kept as raw `f64`: sensors and percentages have at most four.
const DECIMALS_MAX: u8 = 4;
const RAW: u8 = 255;
const POWERS: [f64; DECIMALS_MAX as usize + 1] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0];

/// Whole numbers up to 2^53 are exact in `f64`.
const EXACT_MAX: i64 = 1 << 53;

impl Step {
    /// The width in milliseconds.
    pub fn width_ms(self) -> i64 {
        match self {
            Step::Minute => MINUTE_MS,
            Step::Hour => HOUR_MS,
            Step::Day => DAY_MS,
        }
    }
}

/// Readings of one metric over some span. `min`, `max` and `sum` mean nothing while `count` is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub count: u64,
    pub missing: u64,
}

impl Cell {
    pub(super) const EMPTY: Cell = Cell { min: f64::NAN, max: f64::NAN, sum: f64::NAN, count: 0, missing: 0 };

    pub(super) fn add(&mut self, value: f64) {
        self.merge(&Cell { min: value, max: value, sum: value, count: 1, missing: 0 });
    }

    pub(super) fn merge(&mut self, other: &Cell) {
        self.missing += other.missing;
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            (self.min, self.max, self.sum) = (other.min, other.max, other.sum);
        } else {
            (self.min, self.max) = (self.min.min(other.min), self.max.max(other.max));
            self.sum += other.sum;
        }
        self.count += other.count;
    }
}

/// Merge a cell into a list sorted by key.
pub(super) fn merge_into<K: Ord + Copy>(cells: &mut Vec<(K, Cell)>, key: K, cell: &Cell) {
    match cells.binary_search_by_key(&key, |(key, _)| *key) {
        Ok(at) => cells[at].1.merge(cell),
        Err(at) => cells.insert(at, (key, *cell)),
    }
}

/// A minute of one node: its metrics' cells, sorted by metric.
pub(super) fn encode_minute(cells: &[(u32, Cell)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(cells.len() * 12);
    let mut last = 0;
    for (metric, cell) in cells {
        put_varint(&mut out, u64::from(metric - last));
        last = *metric;
        put_cell(&mut out, cell);
    }
    out
}

/// The inverse of [`encode_minute`].
pub(super) fn decode_minute(bytes: &[u8]) -> Result<Vec<(u32, Cell)>, StoreError> {
    let mut reader = Reader(bytes);
    let mut cells = Vec::new();
    let mut metric = 0u32;
    while !reader.0.is_empty() {
        let step = u32::try_from(reader.varint()?).map_err(|_| damaged())?;
        metric = metric.checked_add(step).ok_or_else(damaged)?;
        cells.push((metric, reader.cell()?));
    }
    Ok(cells)
}

/// One cell alone.
pub(super) fn encode_cell(cell: &Cell) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    put_cell(&mut out, cell);
    out
}

/// The inverse of [`encode_cell`].
pub(super) fn decode_cell(bytes: &[u8]) -> Result<Cell, StoreError> {
    Reader(bytes).cell()
}

/// Cells of one metric, sorted by index within the day: columns, then zstd.
pub(super) fn encode_cells(cells: &[(u16, Cell)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(cells.len() * 8);
    put_varint(&mut out, cells.len() as u64);
    let mut last = 0;
    for (index, _) in cells {
        put_varint(&mut out, u64::from(index - last));
        last = *index;
    }
    cells.iter().for_each(|(_, cell)| put_varint(&mut out, cell.count));
    cells.iter().for_each(|(_, cell)| put_varint(&mut out, cell.missing));
    let valued = || cells.iter().map(|(_, cell)| cell).filter(|cell| cell.count > 0);
    put_column(&mut out, &valued().map(|cell| cell.min).collect::<Vec<_>>());
    // A single reading is its own largest and its own sum.
    let several = || valued().filter(|cell| cell.count > 1);
    put_column(&mut out, &several().map(|cell| cell.max).collect::<Vec<_>>());
    put_column(&mut out, &several().map(|cell| cell.sum).collect::<Vec<_>>());
    compress(&out)
}

/// The inverse of [`encode_cells`].
pub(super) fn decode_cells(bytes: &[u8]) -> Result<Vec<(u16, Cell)>, StoreError> {
    let bytes = decompress(bytes)?;
    let mut reader = Reader(&bytes);
    let length = usize::try_from(reader.varint()?).map_err(|_| damaged())?;
    if length > bytes.len() {
        return Err(damaged());
    }
    let mut cells = Vec::with_capacity(length);
    let mut index = 0u16;
    for _ in 0..length {
        let step = u16::try_from(reader.varint()?).map_err(|_| damaged())?;
        index = index.checked_add(step).ok_or_else(damaged)?;
        cells.push((index, Cell::EMPTY));
    }
    for (_, cell) in &mut cells {
        cell.count = reader.varint()?;
    }
    for (_, cell) in &mut cells {
        cell.missing = reader.varint()?;
    }
    let valued = cells.iter().filter(|(_, cell)| cell.count > 0).count();
    let several = cells.iter().filter(|(_, cell)| cell.count > 1).count();
    let mut min = reader.column(valued)?.into_iter();
    let mut max = reader.column(several)?.into_iter();
    let mut sum = reader.column(several)?.into_iter();
    for (_, cell) in cells.iter_mut().filter(|(_, cell)| cell.count > 0) {
        cell.min = min.next().ok_or_else(damaged)?;
        (cell.max, cell.sum) = (cell.min, cell.min);
        if cell.count > 1 {
            cell.max = max.next().ok_or_else(damaged)?;
            cell.sum = sum.next().ok_or_else(damaged)?;
        }
    }
    Ok(cells)
}

fn damaged() -> StoreError {
    StoreError::Backend("a stored rollup cannot be read".into())
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn put_cell(out: &mut Vec<u8>, cell: &Cell) {
    put_varint(out, cell.count);
    put_varint(out, cell.missing);
    if cell.count > 0 {
        put_number(out, cell.min);
    }
    if cell.count > 1 {
        put_number(out, cell.max);
        put_number(out, cell.sum);
    }
}

/// The value as a whole number at so many decimals, if that keeps every bit.
fn scaled(value: f64, decimals: u8) -> Option<i64> {
    let power = POWERS[decimals as usize];
    let whole = (value * power).round() as i64;
    let exact = whole.abs() < EXACT_MAX && (whole as f64 / power).to_bits() == value.to_bits();
    exact.then_some(whole)
}

/// One number: decimals and a whole number, or 255 and its bits.
pub(super) fn put_number(out: &mut Vec<u8>, value: f64) {
    // Two decimals first: most sensors have them or fewer, and then it is the only try.
    for decimals in [2, 0, 4] {
        if let Some(whole) = scaled(value, decimals) {
            out.push(decimals);
            put_signed(out, whole);
            return;
        }
    }
    out.push(RAW);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A column: the decimals that suit most, the exceptions (position and bits), then differences of whole numbers.
fn put_column(out: &mut Vec<u8>, values: &[f64]) {
    let misses = |decimals: u8| values.iter().filter(|value| scaled(**value, decimals).is_none()).count();
    let mut best = (usize::MAX, 0);
    for decimals in 0..=DECIMALS_MAX {
        best = best.min((misses(decimals), decimals));
        if best.0 == 0 {
            break;
        }
    }
    let decimals = best.1;
    out.push(decimals);
    put_varint(out, best.0 as u64);
    let mut after = 0;
    for (index, value) in values.iter().enumerate() {
        if scaled(*value, decimals).is_none() {
            put_varint(out, (index - after) as u64);
            out.extend_from_slice(&value.to_le_bytes());
            after = index;
        }
    }
    let mut last = 0i64;
    for whole in values.iter().filter_map(|value| scaled(*value, decimals)) {
        put_signed(out, whole - last);
        last = whole;
    }
}

/// Reads what the `put_` functions wrote.
pub(super) struct Reader<'b>(pub &'b [u8]);

impl Reader<'_> {
    pub(super) fn byte(&mut self) -> Result<u8, StoreError> {
        let (byte, rest) = self.0.split_first().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub(super) fn varint(&mut self) -> Result<u64, StoreError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged())
    }

    pub(super) fn signed(&mut self) -> Result<i64, StoreError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn bits(&mut self) -> Result<f64, StoreError> {
        let (bits, rest) = self.0.split_first_chunk::<8>().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(f64::from_le_bytes(*bits))
    }

    pub(super) fn number(&mut self) -> Result<f64, StoreError> {
        match self.byte()? {
            RAW => self.bits(),
            decimals => {
                let power = POWERS.get(decimals as usize).ok_or_else(damaged)?;
                Ok(self.signed()? as f64 / power)
            }
        }
    }

    fn cell(&mut self) -> Result<Cell, StoreError> {
        let mut cell = Cell { count: self.varint()?, missing: self.varint()?, ..Cell::EMPTY };
        if cell.count > 0 {
            cell.min = self.number()?;
            (cell.max, cell.sum) = (cell.min, cell.min);
        }
        if cell.count > 1 {
            cell.max = self.number()?;
            cell.sum = self.number()?;
        }
        Ok(cell)
    }

    fn column(&mut self, length: usize) -> Result<Vec<f64>, StoreError> {
        let power = *POWERS.get(self.byte()? as usize).ok_or_else(damaged)?;
        let exceptions = self.varint()?;
        if exceptions > length as u64 {
            return Err(damaged());
        }
        let mut values: Vec<Option<f64>> = vec![None; length];
        let mut index = 0usize;
        for _ in 0..exceptions {
            let step = usize::try_from(self.varint()?).map_err(|_| damaged())?;
            index = index.checked_add(step).ok_or_else(damaged)?;
            *values.get_mut(index).ok_or_else(damaged)? = Some(self.bits()?);
        }
        let mut last = 0i64;
        let mut out = Vec::with_capacity(length);
        for value in values {
            out.push(match value {
                Some(value) => value,
                None => {
                    last = last.checked_add(self.signed()?).ok_or_else(damaged)?;
                    last as f64 / power
                }
            });
        }
        Ok(out)
    }
}
