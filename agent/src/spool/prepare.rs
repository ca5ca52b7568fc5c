//! A record, checked and encoded as it travels, before it queues for the writer: what is wrong with it is said at once,
//! and the writer thread spends its time on the card.

use sha2::{Digest, Sha256};
use simpul_wire::Stream;
use simpul_wire::error::to_vec;
use simpul_wire::event::EventRecord;
use simpul_wire::limits::{IMAGE_BYTES_MAX, READINGS_MAX, SERIES_MAX};

use super::keys::KeyHash;
use super::{AppendError, NewRecord};

/// Largest service or event record: their texts are bounded to less than 4 KiB, and one alone must fit a payload.
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// Largest block of readings: the limit of 16,384 readings at eight bytes each. The uplink sends a large one in slices.
const BLOCK_BYTES_MAX: usize = 256 * 1024;

/// A record ready to be written.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub stream: Stream,
    pub bytes: Vec<u8>,
    /// How many sequence numbers it takes.
    pub count: u64,
    pub image: Option<Vec<u8>>,
    pub key: Option<KeyHash>,
    /// Boot and uptime at which it was made.
    pub made: (u32, u64),
}

impl Prepared {
    /// What it adds to its stream's bytes, about.
    pub fn cost_bytes(&self) -> u64 {
        (self.bytes.len() + self.image.as_ref().map_or(0, Vec::len)) as u64 + super::packet::VALUE_OVERHEAD_BYTES
    }

    /// An event.
    pub fn event(record: &EventRecord) -> Prepared {
        let made = (record.stamp.boot, record.stamp.uptime_ms);
        Prepared { stream: Stream::Event, bytes: to_vec(record), count: 1, image: None, key: None, made }
    }

    /// Check and encode.
    pub fn new(record: NewRecord) -> Result<Prepared, AppendError> {
        let prepared = match record {
            NewRecord::Service(record) => {
                let bytes = to_vec(&record);
                let key = Some(KeyHash::of(&record.key, &bytes));
                let made = (record.stamp.boot, record.stamp.uptime_ms);
                Prepared { stream: Stream::Service, bytes, count: 1, image: None, key, made }
            }
            NewRecord::Event(record) => Prepared::event(&record),
            NewRecord::Readings(block) => {
                let (count, series) = (block.count(), block.series.len());
                if count == 0 || block.series.iter().any(|series| series.points.is_empty()) {
                    return Err(AppendError::TooLarge("a block of readings needs a point in each series".to_string()));
                }
                limit("series in a block of readings", series, SERIES_MAX)?;
                limit("readings in a block", count, READINGS_MAX)?;
                let made = (block.base.boot, block.base.uptime_ms);
                let bytes = block.to_vec();
                Prepared { stream: Stream::Reading, bytes, count: count as u64, image: None, key: None, made }
            }
            NewRecord::Snapshot { meta, jpeg } => {
                limit("bytes of an image", jpeg.len(), IMAGE_BYTES_MAX as usize)?;
                let digest: [u8; 32] = Sha256::digest(&jpeg).into();
                if jpeg.is_empty() || jpeg.len() != meta.length as usize || digest != meta.sha256 {
                    return Err(AppendError::TooLarge("the image does not fit its length and SHA-256".to_string()));
                }
                let made = (meta.stamp.boot, meta.stamp.uptime_ms);
                let bytes = to_vec(&meta);
                Prepared { stream: Stream::Snapshot, bytes, count: 1, image: Some(jpeg), key: None, made }
            }
        };
        let bytes_max = if prepared.stream == Stream::Reading { BLOCK_BYTES_MAX } else { RECORD_BYTES_MAX };
        limit("bytes of a record", prepared.bytes.len(), bytes_max)?;
        Ok(prepared)
    }
}

fn limit(what: &str, size: usize, limit: usize) -> Result<(), AppendError> {
    if size > limit { Err(AppendError::TooLarge(format!("{what}: {size}, limit {limit}"))) } else { Ok(()) }
}
