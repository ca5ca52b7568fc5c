//! Idempotency keys of service records: which were seen, with what content, under which number.
//!
//! The keys of the head database are in memory (rebuilt by reading it at boot). When a database is sealed its keys go
//! to a file of their own, sorted. A filter of some KiB a file stays in memory and says no to nearly every key that is
//! not there; the others are one small read, at the place that a fan-out table of 1 KiB gives.
//! The file outlives its database by at least 48 h, so a client that retries late still gets its first answer.
//!
//! ```text
//! key/<database> = magic (8) | crc32c of the rest (u32) | epoch (16) | entries     little-endian
//! entry          = hash of the key (u64) | sequence number (u64) | hash of the content (u64)
//! ```
//!
//! Hashes are the first 64 bits of SHA-256. Two keys that share one *and* whose contents share one would be taken for
//! the same record: 2^-128 a pair.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use minicbor::Decoder;
use sha2::{Digest, Sha256};
use simpul_clock::Moment;
use simpul_wire::Epoch;
use simpul_wire::checksum::CRC32C;

use super::disk::{Disk, StoreError};
use super::key_filter::KeyFilter;

const MAGIC: &[u8; 8] = b"SMPLKEY2";
const HEAD_BYTES: usize = 8 + 4 + 16;
const ENTRY_BYTES: usize = 24;

/// How long a key is known after its record left the spool.
const REMEMBERED_FOR: Duration = Duration::from_secs(48 * 3_600);

/// Most key files kept without their database: at 1 MiB a database that is 16 MiB of service records, months of a busy
/// counter; it bounds them to about 4 MiB.
const GONE_FILES_MAX: usize = 16;

/// Largest key file: a database of 1 MiB holds fewer than 20,000 records of 50 bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// A key and a content, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyHash {
    pub key: u64,
    pub content: u64,
}

impl KeyHash {
    /// Of a service record's key and of the record as it travels; its stamp is no part of its content, since a retry
    /// comes later.
    pub fn of(key: &str, record: &[u8]) -> KeyHash {
        let mut content = Sha256::new();
        match stamp_of(record) {
            Some(stamp) => {
                content.update(&record[..stamp.start]);
                content.update(&record[stamp.end..]);
            }
            None => content.update(record),
        }
        KeyHash { key: first_64(&Sha256::digest(key)), content: first_64(&content.finalize()) }
    }
}

/// Where the stamp lies in an encoded service record: it is the first field, under the number 0.
fn stamp_of(record: &[u8]) -> Option<Range<usize>> {
    let mut decoder = Decoder::new(record);
    decoder.map().ok()?;
    if decoder.u8().ok()? != 0 {
        return None;
    }
    let start = decoder.position();
    decoder.skip().ok()?;
    Some(start..decoder.position())
}

fn first_64(digest: &[u8]) -> u64 {
    digest.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// A key that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub epoch: Epoch,
    pub seq: u64,
    pub content: u64,
}

struct KeyFile {
    number: u32,
    epoch: Epoch,
    /// How many entries have a first byte of at most the index.
    fanout: Box<[u32; 256]>,
    filter: KeyFilter,
    /// Since when its database is gone.
    gone: Option<Moment>,
}

/// All keys.
#[derive(Default)]
pub(crate) struct Keys {
    head: HashMap<u64, (u64, u64)>,
    files: Vec<KeyFile>,
}

fn name(number: u32) -> String {
    format!("key/{number:08}")
}

impl Keys {
    /// Read the key files. `here` says whether a database is still in the spool. A damaged file is as good as none: it is
    /// written anew from its database ([`Keys::has_file`]).
    pub fn load(disk: &mut dyn Disk, now: Moment, here: impl Fn(u32) -> bool) -> Result<Keys, StoreError> {
        let mut keys = Keys::default();
        for (file, _) in disk.list("key")? {
            let Ok(number) = file.parse::<u32>() else { continue };
            let bytes = disk.read(&name(number), 0, FILE_BYTES_MAX)?.unwrap_or_default();
            match parse(&bytes) {
                Some((epoch, fanout, filter)) => {
                    let gone = if here(number) { None } else { Some(now) };
                    keys.files.push(KeyFile { number, epoch, fanout, filter, gone });
                }
                None => disk.remove(&name(number))?,
            }
        }
        keys.files.sort_by_key(|file| file.number);
        Ok(keys)
    }

    /// Whether a sealed database has its key file.
    pub fn has_file(&self, number: u32) -> bool {
        self.files.iter().any(|file| file.number == number)
    }

    /// Look a key up, newest first.
    pub fn find(&self, disk: &dyn Disk, epoch: Epoch, key: u64) -> Result<Option<Known>, StoreError> {
        if let Some(&(seq, content)) = self.head.get(&key) {
            return Ok(Some(Known { epoch, seq, content }));
        }
        for file in self.files.iter().rev().filter(|file| file.filter.may_hold(key)) {
            let first_byte = usize::from(key.to_be_bytes()[0]);
            let from = if first_byte == 0 { 0 } else { file.fanout[first_byte - 1] as usize };
            let to = file.fanout[first_byte] as usize;
            if from == to {
                continue;
            }
            let offset = (HEAD_BYTES + from * ENTRY_BYTES) as u64;
            let bytes = disk.read(&name(file.number), offset, (to - from) * ENTRY_BYTES)?.unwrap_or_default();
            if let Some((_, seq, content)) = entries(&bytes).find(|(entry, ..)| *entry == key) {
                return Ok(Some(Known { epoch: file.epoch, seq, content }));
            }
        }
        Ok(None)
    }

    /// Remember a committed record of the head.
    pub fn insert(&mut self, hash: KeyHash, seq: u64) {
        self.head.insert(hash.key, (seq, hash.content));
    }

    /// Forget the head's keys: its database is read anew, or gone.
    pub fn clear_head(&mut self) {
        self.head = HashMap::new();
    }

    /// The head is sealed: its keys go to a file.
    pub fn seal(&mut self, disk: &mut dyn Disk, epoch: Epoch, number: u32) -> Result<(), StoreError> {
        let entries = self.head.iter().map(|(key, (seq, content))| (*key, *seq, *content)).collect();
        self.write(disk, epoch, number, entries)?;
        self.clear_head();
        Ok(())
    }

    /// Write a database's key file.
    pub fn write(
        &mut self,
        disk: &mut dyn Disk,
        epoch: Epoch,
        number: u32,
        mut entries: Vec<(u64, u64, u64)>,
    ) -> Result<(), StoreError> {
        entries.sort_unstable();
        let mut rest = epoch.as_bytes().to_vec();
        for (key, seq, content) in &entries {
            for field in [key, seq, content] {
                rest.extend_from_slice(&field.to_le_bytes());
            }
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&CRC32C.checksum(&rest).to_le_bytes());
        bytes.extend_from_slice(&rest);
        disk.replace(&name(number), &bytes)?;
        self.files.retain(|file| file.number != number);
        let fanout = fanout(entries.iter().map(|entry| entry.0));
        let filter = KeyFilter::of(entries.iter().map(|entry| entry.0));
        self.files.push(KeyFile { number, epoch, fanout, filter, gone: None });
        self.files.sort_by_key(|file| file.number);
        Ok(())
    }

    /// A database left the spool in order: its keys stay a while.
    pub fn database_gone(&mut self, number: u32, now: Moment) {
        if let Some(file) = self.files.iter_mut().find(|file| file.number == number) {
            file.gone.get_or_insert(now);
        }
    }

    /// A database was set aside: its records are not accepted any more, so its keys are not known any more.
    pub fn forget(&mut self, disk: &mut dyn Disk, number: u32) -> Result<(), StoreError> {
        self.files.retain(|file| file.number != number);
        disk.remove(&name(number))
    }

    /// Drop what has been remembered for long enough.
    pub fn expire(&mut self, disk: &mut dyn Disk, now: Moment) -> Result<(), StoreError> {
        let mut gone: Vec<(Moment, u32)> =
            self.files.iter().filter_map(|file| file.gone.map(|since| (since, file.number))).collect();
        gone.sort_unstable();
        let surplus = gone.len().saturating_sub(GONE_FILES_MAX);
        for (at, (since, number)) in gone.into_iter().enumerate() {
            if at < surplus || now.since(since) > REMEMBERED_FOR {
                self.forget(disk, number)?;
            }
        }
        Ok(())
    }
}

fn entries(bytes: &[u8]) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
    let (whole, _) = bytes.as_chunks::<ENTRY_BYTES>();
    whole.iter().map(|entry| {
        let field = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&entry[at..at + 8]);
            u64::from_le_bytes(number)
        };
        (field(0), field(8), field(16))
    })
}

fn fanout(sorted: impl Iterator<Item = u64>) -> Box<[u32; 256]> {
    let mut counts = Box::new([0u32; 256]);
    for key in sorted {
        counts[usize::from(key.to_be_bytes()[0])] += 1;
    }
    let mut sum = 0;
    for count in counts.iter_mut() {
        sum += *count;
        *count = sum;
    }
    counts
}

fn parse(bytes: &[u8]) -> Option<(Epoch, Box<[u32; 256]>, KeyFilter)> {
    let (magic, rest) = bytes.split_at_checked(8)?;
    let (crc, rest) = rest.split_at_checked(4)?;
    if magic != MAGIC || CRC32C.checksum(rest) != u32::from_le_bytes(crc.try_into().ok()?) {
        return None;
    }
    let (epoch, body) = rest.split_at_checked(16)?;
    let keys: Vec<u64> = entries(body).map(|entry| entry.0).collect();
    let filter = KeyFilter::of(keys.iter().copied());
    Some((Epoch::from_bytes(epoch.try_into().ok()?), fanout(keys.into_iter()), filter))
}
