//! Columns of numbers as bytes: zigzag varints of differences. Lossless for every `u64` and `f64`.

use alloc::vec::Vec;

use crate::WireError;

/// Most decimals tried before a column of values falls back to raw `f64`.
const DECIMALS_MAX: u8 = 4;

/// The `decimals` of a column of raw `f64`.
const RAW: u8 = 255;

/// Whole numbers up to 2^53 are exact in `f64`.
const EXACT_MAX: i64 = 1 << 53;

const POWERS: [f64; DECIMALS_MAX as usize + 1] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0];

/// A column of values: decimals (0-4, or 255 for raw), and its bytes.
pub(crate) struct ValueColumn {
    pub decimals: u8,
    pub bytes: Vec<u8>,
}

/// Append `value` as zigzag varint (1 byte for -64..=63).
pub(crate) fn push_varint(out: &mut Vec<u8>, value: i64) {
    push_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Append `value` as varint (1 byte below 128).
pub(crate) fn push_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads varints from a slice.
pub(crate) struct VarintReader<'b>(pub &'b [u8]);

impl VarintReader<'_> {
    pub fn unsigned(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) =
                self.0.split_first().ok_or_else(|| WireError::Malformed("column is too short".into()))?;
            self.0 = rest;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Malformed("varint is too long".into()))
    }

    pub fn signed(&mut self) -> Result<i64, WireError> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub fn end(&self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Malformed("column is too long".into())) }
    }
}

/// Times as differences of differences, beginning from `base`: zeros for a steady interval.
pub(crate) fn encode_times(base: u64, times: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut last, mut step) = (base, 0i64);
    for time in times {
        // Wrapping keeps every pair of `u64` exact; the decoder wraps back.
        let delta = time.wrapping_sub(last) as i64;
        push_varint(&mut out, delta.wrapping_sub(step));
        (last, step) = (time, delta);
    }
    out
}

/// The inverse of [`encode_times`], time by time.
pub(crate) struct TimeReader<'b> {
    reader: VarintReader<'b>,
    last: u64,
    step: i64,
}

impl<'b> TimeReader<'b> {
    pub fn new(base: u64, bytes: &'b [u8]) -> Self {
        TimeReader { reader: VarintReader(bytes), last: base, step: 0 }
    }

    pub fn time(&mut self) -> Result<u64, WireError> {
        self.step = self.step.wrapping_add(self.reader.signed()?);
        self.last = self.last.wrapping_add(self.step as u64);
        Ok(self.last)
    }

    pub fn end(&self) -> Result<(), WireError> {
        self.reader.end()
    }
}

fn scaled(value: f64, decimals: u8) -> Option<i64> {
    let power = POWERS[decimals as usize];
    let scaled = value * power;
    // `as` saturates and truncates: the comparison of bits below refuses whatever that changed.
    let whole = (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i64;
    let exact = whole.abs() < EXACT_MAX && (whole as f64 / power).to_bits() == value.to_bits();
    exact.then_some(whole)
}

/// Values as differences of whole numbers at the fewest decimals that keep every bit, else as raw little-endian `f64`.
pub(crate) fn encode_values(values: &[f64]) -> ValueColumn {
    let mut bytes = Vec::with_capacity(values.len() * 2);
    'decimals: for decimals in 0..=DECIMALS_MAX {
        bytes.clear();
        let mut last = 0;
        for value in values {
            let Some(whole) = scaled(*value, decimals) else { continue 'decimals };
            push_varint(&mut bytes, whole - last);
            last = whole;
        }
        return ValueColumn { decimals, bytes };
    }
    bytes.clear();
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    ValueColumn { decimals: RAW, bytes }
}

/// The inverse of [`encode_values`], finite value by finite value.
pub(crate) struct ValueReader<'b> {
    reader: VarintReader<'b>,
    /// `None` for raw `f64`.
    power: Option<f64>,
    last: i64,
}

impl<'b> ValueReader<'b> {
    pub fn new(decimals: u8, bytes: &'b [u8]) -> Result<Self, WireError> {
        let power = match decimals {
            RAW => None,
            decimals => Some(*POWERS.get(decimals as usize).ok_or_else(|| WireError::invalid("decimals of a column"))?),
        };
        Ok(ValueReader { reader: VarintReader(bytes), power, last: 0 })
    }

    pub fn value(&mut self) -> Result<f64, WireError> {
        let Some(power) = self.power else {
            let chunk = self.reader.0.split_first_chunk::<8>();
            let (chunk, rest) = chunk.ok_or_else(|| WireError::Malformed("raw column has another length".into()))?;
            self.reader.0 = rest;
            return finite(f64::from_le_bytes(*chunk));
        };
        let whole = self.last.checked_add(self.reader.signed()?).filter(|whole| whole.abs() < EXACT_MAX);
        self.last = whole.ok_or_else(|| WireError::invalid("value"))?;
        Ok(self.last as f64 / power)
    }

    pub fn end(&self) -> Result<(), WireError> {
        self.reader.end()
    }
}

fn finite(value: f64) -> Result<f64, WireError> {
    if value.is_finite() { Ok(value) } else { Err(WireError::invalid("a reading that is no finite number")) }
}
