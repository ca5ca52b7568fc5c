//! zstd for batch bodies, bounded on the way in.

// zstd is for hosts; everything without this feature stays free of std.
extern crate std;

use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::WireError;
use crate::limits::BODY_BYTES_MAX;

/// Level 1: measured within 3 % of level 3's size on columns of readings, at a third of the time and memory.
const LEVEL: i32 = 1;

std::thread_local! {
    /// Kept per thread: making one asks the processor for its features (`cpuid`), which a virtual machine traps. That
    /// was 9 of the 13 microseconds of decoding a batch of 50 readings. About 100 KB, made on first use.
    static DECOMPRESSOR: RefCell<zstd_safe::DCtx<'static>> = RefCell::new(zstd_safe::DCtx::create());
}

/// Compress a body.
pub fn compress(body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(body.len())];
    match zstd_safe::compress(out.as_mut_slice(), body, LEVEL) {
        Ok(length) => {
            out.truncate(length);
            out
        }
        // The output holds the bound, so only an allocation inside zstd can fail.
        Err(code) => unreachable!("zstd: {}", zstd_safe::get_error_name(code)),
    }
}

/// Decompress a body; refused before anything is allocated if the frame says it is larger than the limit or does not
/// say how large it is.
pub fn decompress(frame: &[u8]) -> Result<Vec<u8>, WireError> {
    let malformed = |what: &str| WireError::Malformed(alloc::format!("zstd: {what}"));
    let size = match zstd_safe::get_frame_content_size(frame) {
        Ok(Some(size)) => usize::try_from(size).unwrap_or(usize::MAX),
        Ok(None) => return Err(malformed("frame without its content's size")),
        Err(_) => return Err(malformed("no frame")),
    };
    if size > BODY_BYTES_MAX {
        return Err(WireError::TooLarge { what: "decompressed body", size, limit: BODY_BYTES_MAX });
    }
    let mut out = vec![0; size];
    let length = DECOMPRESSOR
        .with_borrow_mut(|context| context.decompress(out.as_mut_slice(), frame))
        .map_err(|code| malformed(zstd_safe::get_error_name(code)))?;
    out.truncate(length);
    Ok(out)
}
