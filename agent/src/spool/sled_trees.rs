//! The keys of one sled database, in two kinds of trees that are read as one.
//!
//! sled appends each value to its log, and writes a leaf anew when it splits (each ninth value of an ascending row) and
//! when ten messages make it up: three bytes written for each one put. So large values go to trees of their own, which
//! are left for the next before either happens: each is written once. Small values stay in the default tree, since a tree
//! costs some hundred bytes, and the more the more there are.

use std::collections::BTreeMap;
use std::ops::Bound;

use sled::{Db, IVec, Tree};

use super::packet::CHUNK_BYTES_MAX;

/// Puts into a large tree. sled writes a leaf anew with the tenth message that it is made of, its birth included.
const LARGE_PUTS_MAX: usize = 9;

/// A large tree is named so, and by its first key.
const LARGE: &[u8] = b"large-";

/// The trees of a database.
pub(super) struct Trees {
    db: Db,
    /// By the key they begin with; each ends before the next begins.
    large: BTreeMap<Vec<u8>, Tree>,
    /// How many values the last of them can still take. None when it is of an earlier run: who knows how many it has.
    left: usize,
}

impl Trees {
    /// Of an open database.
    pub fn of(db: Db) -> sled::Result<Trees> {
        let mut large = BTreeMap::new();
        for name in db.tree_names() {
            if let Some(first) = name.strip_prefix(LARGE) {
                large.insert(first.to_vec(), db.open_tree(&name)?);
            }
        }
        Ok(Trees { db, large, left: 0 })
    }

    /// Put a value.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> sled::Result<()> {
        if value.len() <= CHUNK_BYTES_MAX {
            return self.db.insert(key, value).map(drop);
        }
        let last = self.large.last_key_value().filter(|(first, _)| self.left > 0 && first.as_slice() < key);
        let tree = match last {
            Some((_, tree)) => tree.clone(),
            None => {
                let tree = self.db.open_tree([LARGE, key].concat())?;
                self.large.insert(key.to_vec(), tree.clone());
                self.left = LARGE_PUTS_MAX;
                tree
            }
        };
        self.left = self.left.saturating_sub(1);
        tree.insert(key, value).map(drop)
    }

    /// Hand everything to the file.
    pub fn flush(&self) -> sled::Result<()> {
        self.db.flush().map(drop)
    }

    /// Keys from `from` on, ascending.
    pub fn from<'a>(&'a self, from: &'a [u8]) -> impl Iterator<Item = sled::Result<(IVec, IVec)>> + 'a {
        let holds_from = self.large.range::<[u8], _>((Bound::Unbounded, Bound::Included(from))).next_back();
        let behind = self.large.range::<[u8], _>((Bound::Excluded(from), Bound::Unbounded));
        let mut large = holds_from.into_iter().chain(behind).flat_map(move |(_, tree)| tree.range(from..)).peekable();
        let mut small = self.db.range(from..).peekable();
        std::iter::from_fn(move || match (small.peek(), large.peek()) {
            (Some(Ok((small_key, _))), Some(Ok((large_key, _)))) if small_key <= large_key => small.next(),
            (Some(Err(_)), _) | (_, None) => small.next(),
            _ => large.next(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::super::packet::{LARGE_CHUNK_BYTES_MAX, key};
    use super::super::sled_disk::SEGMENT_BYTES;
    use super::*;

    fn open(folder: &Path) -> Trees {
        let config = sled::Config::new().path(folder).segment_size(SEGMENT_BYTES).flush_every_ms(None);
        config.open().and_then(Trees::of).unwrap()
    }

    fn log_bytes(folder: &Path) -> u64 {
        std::fs::metadata(folder.join("db")).unwrap().len()
    }

    fn blobs(folder: &Path) -> usize {
        std::fs::read_dir(folder.join("blobs")).unwrap().count()
    }

    #[test]
    fn large_and_small_values_are_read_as_one_row_from_every_key_over_restarts() {
        let seed = 11;
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let folder = tempfile::tempdir().unwrap();
        let (mut next, mut put) = (0, Vec::new());
        for _ in 0..5 {
            let mut trees = open(folder.path());
            for _ in 0..random.random_range(10..60) {
                next += random.random_range(1..100);
                let bytes = if random.random_bool(0.5) { 50 } else { random.random_range(881..=LARGE_CHUNK_BYTES_MAX) };
                let value = vec![next as u8; bytes];
                trees.put(&key(next, 0), &value).unwrap();
                put.push((key(next, 0).to_vec(), value));
            }
            trees.flush().unwrap();
            for from in [0, 1, next / 3, next / 2, next, next + 1]
                .into_iter()
                .chain((0..20).map(|_| random.random_range(0..next)))
            {
                let from = key(from, 0);
                let seen: Vec<_> =
                    trees.from(&from).map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())).unwrap()).collect();
                let expected: Vec<_> =
                    put.iter().filter(|(key, _)| key.as_slice() >= from.as_slice()).cloned().collect();
                assert!(seen == expected, "{} of {} from {from:?}", seen.len(), expected.len());
            }
        }
        assert_eq!(blobs(folder.path()), 0);
    }

    #[test]
    fn a_database_of_an_earlier_version_is_read_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let config = sled::Config::new().path(folder.path()).segment_size(SEGMENT_BYTES).flush_every_ms(None);
        let earlier = config.open().unwrap();
        for number in 0..100 {
            earlier.insert(key(number, 0), vec![1; CHUNK_BYTES_MAX]).unwrap();
        }
        drop(earlier);
        let mut trees = open(folder.path());
        trees.put(&key(100, 0), &[2; LARGE_CHUNK_BYTES_MAX]).unwrap();
        trees.put(&key(101, 0), &[3; 10]).unwrap();
        let seen: Vec<_> = trees.from(&key(40, 0)).map(|entry| entry.unwrap().0.to_vec()).collect();
        assert_eq!(seen, (40..102).map(|number| key(number, 0).to_vec()).collect::<Vec<_>>());
    }

    #[test]
    fn large_values_are_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut trees = open(folder.path());
        let mut bytes = 0;
        for group in 0..60 {
            for (chunk, length) in [LARGE_CHUNK_BYTES_MAX, 5_000].into_iter().enumerate() {
                trees.put(&key(group * 100 + chunk as u64 * 75, 0), &vec![7; length]).unwrap();
                bytes += length as u64;
            }
            trees.flush().unwrap();
        }
        let log = log_bytes(folder.path());
        assert!(log < bytes * 5 / 4, "{log} bytes for {bytes}");
        assert_eq!(blobs(folder.path()), 0);
    }
}
