//! Limits of the wire, in one place, each with its reason.

/// Largest payload of one publish. Twice the largest image part; a slow link (256 kbit/s) moves it in about 2 s.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// Largest body of a batch after decompression. Four times the payload: columns compress by 2-3, text by up to 4;
/// more is an attack or a fault, and the cap is what keeps a decoder's memory under a megabyte.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Most records in one batch of `service` or `event`: keeps decoded memory under a megabyte.
pub const RECORDS_MAX: usize = 1_024;

/// Most readings in one batch (all blocks together): 16,384 decoded points are 512 KiB.
pub const READINGS_MAX: usize = 16_384;

/// Most blocks of readings in one batch: one is a minute, so a batch covers at most about two hours.
pub const BLOCKS_MAX: usize = 128;

/// Most series in one block of readings.
pub const SERIES_MAX: usize = 256;

/// Largest image part (1-32 KiB, about 0.25 s at the measured rate).
pub const IMAGE_PART_BYTES_MAX: usize = 32 * 1024;

/// Largest image. A 4K camera's JPEG is 1-3 MB; more is a fault or not a snapshot.
pub const IMAGE_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// Most intervals that one set keeps for one (node, epoch, stream).
pub const INTERVALS_MAX: usize = 4_096;

/// Most epochs that a hub keeps for one node: a store is replaced a few times a year at worst.
pub const EPOCHS_MAX: usize = 100;

/// Most rejections or partial images in one acknowledgement.
pub const ACK_ITEMS_MAX: usize = 256;
