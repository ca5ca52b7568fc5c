//! The checksum of batches, and of what agents store.

use crc::{CRC_32_ISCSI, Crc, Table};

/// CRC-32C (Castagnoli, RFC 3720). A static, so that a program holds its table of 16 KiB once.
pub static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
