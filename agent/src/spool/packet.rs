//! How records lie in a database: several small ones to a packet, a large one cut into chunks, each packet checked by a
//! CRC-32C of its own.
//!
//! ```text
//! key   = first sequence number (u64) | chunk (u16)                        big-endian, so that keys sort by number
//! value = a chunk of: version (u8) | crc32c (u32) | length (u32) | items   little-endian; length and crc of the items
//! item  = count of sequence numbers (u32) | length (u32) | the record as it travels
//! ```
//!
//! A packet that is not whole (a torn write) is skipped: whether that is a loss is judged by comparing what is there
//! with what the witness says should be, never from a packet alone.

use simpul_wire::SeqRange;
use simpul_wire::checksum::CRC32C;

use super::disk::{Database, StoreError};

/// Largest value of a small group. sled keeps up to 17 values in one page and moves pages over a quarter of a segment
/// (16 KiB) into `blobs/`, without an fsync: 17 of these with their keys stay below that.
pub(crate) const CHUNK_BYTES_MAX: usize = 880;

/// Largest value of a large group: what sled still writes into its log as one message. Such values are kept where a page
/// is never written anew (`sled_trees.rs`).
pub(crate) const LARGE_CHUNK_BYTES_MAX: usize = 15_000;

/// A group of so many bytes is a large one. Smaller ones would leave more trees in a database than they save pages.
const LARGE_GROUP_BYTES_MIN: usize = 8 * 1024;

/// Bytes that a value costs beside its content: key and page headers, about.
pub(crate) const VALUE_OVERHEAD_BYTES: u64 = 24;

/// First step back in the search for a packet's beginning: about as many small records share one.
const STEP_BACK_MIN: u64 = 16;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 9;
const ITEM_HEAD_BYTES: usize = 8;

/// A stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its sequence numbers.
    pub range: SeqRange,
    /// The record as it travels.
    pub bytes: Vec<u8>,
}

/// A packet's values, ready to put.
pub(crate) struct Packet {
    pub entries: Vec<([u8; 10], Vec<u8>)>,
}

/// A key.
pub(crate) fn key(first: u64, chunk: u16) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&first.to_be_bytes());
    key[8..].copy_from_slice(&chunk.to_be_bytes());
    key
}

/// A key, taken apart.
pub(crate) fn parse_key(key: &[u8]) -> Option<(u64, u16)> {
    let first = u64::from_be_bytes(key.get(..8)?.try_into().ok()?);
    let chunk = u16::from_be_bytes(key.get(8..)?.try_into().ok()?);
    Some((first, chunk))
}

/// Pack items with consecutive numbers into packets: small ones together up to one chunk, a large one alone.
pub(crate) fn pack(items: &[(SeqRange, &[u8])]) -> Vec<Packet> {
    let group_bytes: usize = items.iter().map(|(_, bytes)| ITEM_HEAD_BYTES + bytes.len()).sum();
    let chunk_bytes = if group_bytes < LARGE_GROUP_BYTES_MIN { CHUNK_BYTES_MAX } else { LARGE_CHUNK_BYTES_MAX };
    let mut packets = Vec::new();
    let mut open: Option<(u64, u64, Vec<u8>)> = None;
    for &(range, bytes) in items {
        let fits = |end: u64, body: &Vec<u8>| {
            end + 1 == range.first() && HEAD_BYTES + body.len() + ITEM_HEAD_BYTES + bytes.len() <= chunk_bytes
        };
        if let Some((first, end, body)) = open.take() {
            if fits(end, &body) {
                open = Some((first, end, body));
            } else {
                packets.push(finish(first, &body, chunk_bytes));
            }
        }
        let (_, end, body) = open.get_or_insert_with(|| (range.first(), range.last(), Vec::new()));
        *end = range.last();
        // A record takes at most 16,384 numbers and 8 MiB: both fit.
        body.extend_from_slice(&u32::try_from(range.count()).unwrap_or(u32::MAX).to_le_bytes());
        body.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        body.extend_from_slice(bytes);
    }
    if let Some((first, _, body)) = open {
        packets.push(finish(first, &body, chunk_bytes));
    }
    packets
}

fn finish(first: u64, body: &[u8], chunk_bytes: usize) -> Packet {
    let mut whole = Vec::with_capacity(HEAD_BYTES + body.len());
    whole.push(VERSION);
    whole.extend_from_slice(&CRC32C.checksum(body).to_le_bytes());
    whole.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    whole.extend_from_slice(body);
    let entries = whole
        .chunks(chunk_bytes)
        .enumerate()
        .map(|(index, chunk)| (key(first, u16::try_from(index).unwrap_or(u16::MAX)), chunk.to_vec()))
        .collect();
    Packet { entries }
}

/// Visit the whole records from the one that holds `from` on, in order, until `visit` returns false.
pub(crate) fn walk(database: &dyn Database, from: u64, visit: &mut dyn FnMut(Item) -> bool) -> Result<(), StoreError> {
    // The packet that holds `from` may begin before it.
    let start = last_begun(database, from)?.unwrap_or(from);
    let mut whole: Vec<u8> = Vec::new();
    let (mut packet, mut next_chunk, mut done) = (0u64, 0u16, false);
    database.scan(&key(start, 0), &mut |raw, value| {
        let Some((first, chunk)) = parse_key(raw) else { return true };
        if chunk == 0 {
            whole.clear();
            (packet, next_chunk) = (first, 0);
        }
        if first != packet || chunk != next_chunk {
            // A chunk is missing: nothing of this packet counts.
            whole.clear();
            next_chunk = u16::MAX;
            return true;
        }
        next_chunk = next_chunk.saturating_add(1);
        whole.extend_from_slice(value);
        for item in items(first, &whole).unwrap_or_default() {
            if item.range.last() >= from && !done {
                done = !visit(item);
            }
        }
        !done
    })
}

/// Where the last packet begins that begins at `number` or before: back in growing steps until one does, then by halves.
fn last_begun(database: &dyn Database, number: u64) -> Result<Option<u64>, StoreError> {
    // None begins after `end`, up to `number`.
    let (mut step, mut end) = (0, number);
    let mut found = loop {
        let low = number.saturating_sub(step);
        match first_begun(database, low, end)? {
            Some(first) => break first,
            None if low == 0 => return Ok(None),
            None => (step, end) = (step.saturating_mul(2).max(STEP_BACK_MIN), low - 1),
        }
    };
    while found < end {
        let middle = end - (end - found) / 2;
        match first_begun(database, middle, end)? {
            Some(first) => found = first,
            None => end = middle - 1,
        }
    }
    Ok(Some(found))
}

/// Where the first packet begins that begins in `low..=high`.
fn first_begun(database: &dyn Database, low: u64, high: u64) -> Result<Option<u64>, StoreError> {
    let mut begun = None;
    database.scan(&key(low, 0), &mut |raw, _| {
        let Some((first, _)) = parse_key(raw) else { return true };
        begun = (first <= high).then_some(first);
        false
    })?;
    Ok(begun)
}

/// The items of a packet; `None` while it is not whole, or its checksum does not fit.
fn items(first: u64, whole: &[u8]) -> Option<Vec<Item>> {
    let (head, body) = whole.split_at_checked(HEAD_BYTES)?;
    let (version, rest) = head.split_first()?;
    let crc = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
    let length = u32::from_le_bytes(rest.get(4..)?.try_into().ok()?) as usize;
    if *version != VERSION || body.len() != length || CRC32C.checksum(body) != crc {
        return None;
    }
    let (mut items, mut body, mut next) = (Vec::new(), body, first);
    while !body.is_empty() {
        let count = u32::from_le_bytes(body.get(..4)?.try_into().ok()?);
        let length = u32::from_le_bytes(body.get(4..8)?.try_into().ok()?) as usize;
        let range = SeqRange::with_count(next, u64::from(count))?;
        items.push(Item { range, bytes: body.get(8..8 + length)?.to_vec() });
        body = &body[8 + length..];
        next = range.last() + 1;
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Keys in order, and how often they were scanned.
    #[derive(Default)]
    struct Sorted {
        entries: BTreeMap<Vec<u8>, Vec<u8>>,
        scans: Cell<u32>,
    }

    impl Database for Sorted {
        fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
            self.entries.insert(key.to_vec(), value.to_vec());
            Ok(())
        }

        fn scan(&self, from: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
            self.scans.set(self.scans.get() + 1);
            let mut entries = self.entries.range(from.to_vec()..);
            while entries.next().is_some_and(|(key, value)| visit(key, value)) {}
            Ok(())
        }

        fn sync(&mut self) -> Result<(), StoreError> {
            Ok(())
        }
    }

    /// Numbers close together, far apart, and at both ends of what a number can be.
    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0..200u64, 1_000_000..1_000_200u64, any::<u64>(), Just(u64::MAX)]
    }

    proptest! {
        #[test]
        fn the_packet_that_begins_last_before_a_number_is_found_in_few_scans(
            begins in prop::collection::btree_set((number(), 0..3u16), 0..60),
            asked in prop::collection::vec(number(), 1..8),
        ) {
            let mut database = Sorted::default();
            database.put(b"foreign", b"").unwrap();
            begins.iter().for_each(|(first, chunk)| database.put(&key(*first, *chunk), b"").unwrap());
            for number in asked {
                let last = begins.range(..=(number, u16::MAX)).next_back().map(|(first, _)| *first);
                database.scans.set(0);
                prop_assert_eq!(last_begun(&database, number).unwrap(), last);
                // Twice the bits of a number: there and back.
                prop_assert!(database.scans.get() <= 128, "{} scans", database.scans.get());
            }
        }
    }

    fn slices(items: &[(SeqRange, Vec<u8>)]) -> Vec<(SeqRange, &[u8])> {
        items.iter().map(|(range, bytes)| (*range, bytes.as_slice())).collect()
    }

    #[test]
    fn a_number_within_a_packet_or_at_its_beginning_is_found_where_it_lies() {
        let mut database = Sorted::default();
        let small: Vec<(SeqRange, Vec<u8>)> = (5..80).map(|seq| (SeqRange::one(seq), vec![seq as u8; 60])).collect();
        for packet in pack(&slices(&small)) {
            packet.entries.iter().for_each(|(key, value)| database.put(key, value).unwrap());
        }
        for from in 0..90 {
            let mut seen = Vec::new();
            database.scans.set(0);
            walk(&database, from, &mut |item| {
                seen.push(item.range.first());
                true
            })
            .unwrap();
            assert_eq!(seen, (from.max(5)..80).collect::<Vec<u64>>(), "from {from}");
            assert!(database.scans.get() <= 9, "{} scans from {from}", database.scans.get());
        }
    }

    #[test]
    fn keys_sort_by_number_then_chunk() {
        assert!(key(1, 9) < key(2, 0) && key(2, 0) < key(2, 1) && key(255, 0) < key(256, 0));
        assert_eq!(parse_key(&key(7, 3)), Some((7, 3)));
        assert_eq!(parse_key(b"short"), None);
    }

    #[test]
    fn small_records_share_a_packet_and_large_ones_are_cut() {
        let small: Vec<(SeqRange, Vec<u8>)> = (0..20).map(|seq| (SeqRange::one(seq), vec![seq as u8; 100])).collect();
        let packets = pack(&slices(&small));
        assert_eq!(packets.len(), 3);
        let large = pack(&[(SeqRange::with_count(9, 600).unwrap(), vec![1; 3_000].as_slice())]);
        assert_eq!((large.len(), large[0].entries.len()), (1, 4));
        assert!(large[0].entries.iter().all(|(_, value)| value.len() <= CHUNK_BYTES_MAX));
    }

    #[test]
    fn a_large_group_is_packed_into_few_values_that_hold_all_of_it() {
        let group: Vec<(SeqRange, Vec<u8>)> = (0..100).map(|seq| (SeqRange::one(seq), vec![seq as u8; 190])).collect();
        let packets = pack(&slices(&group));
        let values: Vec<usize> =
            packets.iter().flat_map(|packet| &packet.entries).map(|(_, value)| value.len()).collect();
        assert_eq!(values.len(), 2, "{values:?}");
        assert!(values.iter().all(|bytes| *bytes <= LARGE_CHUNK_BYTES_MAX), "{values:?}");
        let mut database = Sorted::default();
        packets.iter().flat_map(|packet| &packet.entries).for_each(|(key, value)| database.put(key, value).unwrap());
        let mut seen = Vec::new();
        walk(&database, 30, &mut |item| {
            seen.push((item.range, item.bytes));
            true
        })
        .unwrap();
        assert_eq!(seen, group[30..]);
    }

    #[test]
    fn a_packet_with_a_flipped_bit_or_a_missing_end_holds_nothing() {
        let packet = pack(&[(SeqRange::one(4), b"hello".as_slice())]).remove(0);
        let whole = &packet.entries[0].1;
        assert_eq!(items(4, whole).unwrap()[0].bytes, b"hello");
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            assert_eq!(items(4, &bad), None, "byte {at}");
        }
        assert_eq!(items(4, &whole[..whole.len() - 1]), None);
    }
}
