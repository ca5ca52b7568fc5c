//! A card as blocks in memory: what a file system on it reads and writes in small pieces goes to the card in whole blocks,
//! in order, once. The first MiB comes from memory and stays there: it is written last, by [`super::write`].

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::medium::Medium;
use super::partitions::Partition;
use super::problem::Problem;

/// A page: what a device's cache and every raw device's sector divide.
const BLOCK_BYTES: usize = 4096;
/// 512 MiB of blocks: an agent and its configuration are some 10 MB, a boot partition's tables 1 MB.
const BLOCKS_MAX: usize = 128 * 1024;

/// The blocks of a card.
pub struct BlockCache<'c> {
    card: &'c mut dyn Medium,
    head: &'c mut Vec<u8>,
    blocks: BTreeMap<u64, Block>,
}

struct Block {
    bytes: Box<[u8]>,
    changed: bool,
}

impl<'c> BlockCache<'c> {
    /// The blocks of `card`, whose first bytes are `head`.
    pub fn new(card: &'c mut dyn Medium, head: &'c mut Vec<u8>) -> Self {
        BlockCache { card, head, blocks: BTreeMap::new() }
    }

    /// Write what changed behind the head, and forget everything. The caller syncs.
    pub fn flush(&mut self) -> Result<(), Problem> {
        for (number, block) in std::mem::take(&mut self.blocks) {
            if block.changed {
                let offset = number * BLOCK_BYTES as u64;
                // A card may end in the middle of a block, for its size is a multiple of 512 only.
                let room =
                    self.card.capacity_bytes().map_or(BLOCK_BYTES as u64, |capacity| capacity.saturating_sub(offset));
                let within = usize::try_from(room).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
                self.card.write_at(offset, &block.bytes[..within]).map_err(Problem::CardWrite)?;
            }
        }
        Ok(())
    }

    /// As [`BlockCache::flush`], and then read from the medium again.
    pub fn flush_and_forget(&mut self) -> Result<(), Problem> {
        self.flush()?;
        self.card.sync().map_err(Problem::CardWrite)?;
        self.card.forget_cached().map_err(Problem::CardRead)?;
        Ok(())
    }

    /// A partition as a file.
    pub fn slice(&mut self, partition: Partition) -> Slice<'_, 'c> {
        Slice { blocks: self, partition, position: 0 }
    }

    fn block(&mut self, number: u64) -> io::Result<&mut Block> {
        if !self.blocks.contains_key(&number) {
            if self.blocks.len() >= BLOCKS_MAX {
                return Err(io::Error::other("more of the card was changed than fits into memory"));
            }
            let mut bytes = vec![0; BLOCK_BYTES].into_boxed_slice();
            self.card.read_at(number * BLOCK_BYTES as u64, &mut bytes)?;
            self.blocks.insert(number, Block { bytes, changed: false });
        }
        self.blocks.get_mut(&number).ok_or_else(|| io::Error::other("a block vanished"))
    }

    /// Let `with` see one piece of the card at `offset` that lies within one block; how long it is.
    fn piece(&mut self, offset: u64, wanted: usize, write: bool, with: &mut dyn FnMut(&mut [u8])) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        if from < self.head.len() {
            let count = wanted.min(self.head.len() - from);
            with(&mut self.head[from..from + count]);
            return Ok(count);
        }
        let within = (offset % BLOCK_BYTES as u64) as usize;
        let count = wanted.min(BLOCK_BYTES - within);
        let block = self.block(offset / BLOCK_BYTES as u64)?;
        with(&mut block.bytes[within..within + count]);
        block.changed |= write;
        Ok(count)
    }
}

/// A partition as a file of fixed length.
pub struct Slice<'b, 'c> {
    blocks: &'b mut BlockCache<'c>,
    partition: Partition,
    position: u64,
}

impl Slice<'_, '_> {
    fn left(&self, wanted: usize) -> usize {
        usize::try_from(self.partition.length_bytes.saturating_sub(self.position)).unwrap_or(usize::MAX).min(wanted)
    }
}

impl Read for Slice<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = self.left(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let offset = self.partition.start_bytes + self.position;
        let count =
            self.blocks.piece(offset, wanted, false, &mut |bytes| buffer[..bytes.len()].copy_from_slice(bytes))?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Slice<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wanted = self.left(bytes.len());
        if wanted == 0 {
            return Ok(0);
        }
        let offset = self.partition.start_bytes + self.position;
        let count = self.blocks.piece(offset, wanted, true, &mut |into| into.copy_from_slice(&bytes[..into.len()]))?;
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // BlockCache::flush, once, at the end
    }
}

impl Seek for Slice<'_, '_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.partition.length_bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
