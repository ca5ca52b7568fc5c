//! Taking stock of a database: reading all of it to learn what it holds.

use simpul_wire::event::EventRecord;
use simpul_wire::image::ImageMeta;
use simpul_wire::reading::ReadingBlock;
use simpul_wire::service::ServiceRecord;
use simpul_wire::{RangeSet, Stamp, Stream};

use super::disk::{Database, StoreError};
use super::keys::KeyHash;
use super::packet::{VALUE_OVERHEAD_BYTES, walk};

/// What a database holds.
#[derive(Default)]
pub(crate) struct Stock {
    pub held: RangeSet,
    pub bytes: u64,
    /// Number, boot and uptime of its records, thinned by the row that takes them.
    pub made: Vec<(u64, u32, u64)>,
    /// Hashes of the keys of service records, with their numbers.
    pub keys: Vec<(KeyHash, u64)>,
}

/// Read all of a database.
pub(crate) fn take_stock(database: &dyn Database, stream: Stream) -> Result<Stock, StoreError> {
    let mut stock = Stock::default();
    walk(database, 0, &mut |item| {
        stock.held.insert(item.range);
        stock.bytes += item.bytes.len() as u64 + VALUE_OVERHEAD_BYTES;
        if let Some(stamp) = stamp(stream, &item.bytes) {
            stock.made.push((item.range.first(), stamp.boot, stamp.uptime_ms));
        }
        if stream == Stream::Service
            && let Ok(record) = minicbor::decode::<ServiceRecord>(&item.bytes)
        {
            stock.keys.push((KeyHash::of(&record.key, &item.bytes), item.range.first()));
        }
        true
    })?;
    Ok(stock)
}

/// When a record was made, if it can be read.
fn stamp(stream: Stream, bytes: &[u8]) -> Option<Stamp> {
    match stream {
        Stream::Service => minicbor::decode::<ServiceRecord>(bytes).ok().map(|record| record.stamp),
        Stream::Event => minicbor::decode::<EventRecord>(bytes).ok().map(|record| record.stamp),
        Stream::Reading => ReadingBlock::from_slice(bytes).ok().map(|block| block.base),
        Stream::Snapshot => minicbor::decode::<ImageMeta>(bytes).ok().map(|meta| meta.stamp),
    }
}
