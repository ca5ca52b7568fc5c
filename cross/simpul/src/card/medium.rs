//! What a card can do, as the writer sees it: positional reads and writes, and a sync. Devices, files and the tests' dying
//! cards are behind this.

use std::io;

/// A card, or a file that stands for one.
pub trait Medium {
    /// Write all of `bytes` at `offset`. Offsets and lengths are multiples of 512, except at the end of a file.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Read at `offset`, as much as there is.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Return when everything written is on the medium itself.
    fn sync(&mut self) -> io::Result<()>;
    /// Make the reads that follow come from the medium and not from memory; says how.
    fn forget_cached(&mut self) -> io::Result<ReadBack>;
    /// Its size; `None` for a file that grows as needed.
    fn capacity_bytes(&self) -> Option<u64>;
}

/// How what was written is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBack {
    /// Around the page cache (`O_DIRECT`).
    Direct,
    /// From a file opened anew after the system was asked to forget its copy: it may have kept some.
    Reopened,
}
