//! Where a board's flash has what: read by the image, by its loader and by what makes the files to flash.

/// Bytes of an erase sector.
pub const SECTOR_BYTES: u32 = 4096;

/// Sectors of the loader's journal: two, so that one is whole while the other is erased.
pub const STATE_SECTORS: usize = 2;

/// Offsets from the flash's start, all of them multiples of [`SECTOR_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The image that runs.
    pub active: u32,
    /// What an update writes.
    pub second: u32,
    /// What ran before the trial.
    pub former: u32,
    /// Bytes of each slot.
    pub slot_bytes: u32,
}

/// The Raspberry Pi Pico's loader's journal: behind 12 KiB of boot stage and loader.
pub const PICO_STATE: u32 = 12 * 1024;

/// The Raspberry Pi Pico's slots. 64 KiB are twice the image's budget. The flash has room for a third slot, so nothing is
/// ever swapped: each step of the loader is a copy that can be done again.
pub const PICO: Layout = Layout { active: 64 * 1024, second: 128 * 1024, former: 192 * 1024, slot_bytes: 64 * 1024 };
