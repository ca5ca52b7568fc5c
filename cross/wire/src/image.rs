//! Records of the `snapshot` stream: an image is one sequence number, sent in resumable parts.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::error::to_vec;
use crate::limits::{IMAGE_BYTES_MAX, IMAGE_PART_BYTES_MAX};
use crate::{Label, Stamp, WireError};

/// What is known of an image; travels with every part, so that a part alone can be placed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ImageMeta {
    /// When it was taken.
    #[n(0)]
    pub stamp: Stamp,
    /// The camera's id.
    #[n(1)]
    pub camera: Label,
    /// Length of the JPEG in bytes.
    #[n(2)]
    pub length: u32,
    /// SHA-256 of the JPEG, after masking.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub sha256: [u8; 32],
    /// Width in pixels.
    #[n(4)]
    pub width: u16,
    /// Height in pixels.
    #[n(5)]
    pub height: u16,
    /// Difference hash 9x8 of the scene.
    #[n(6)]
    pub dhash: u64,
    /// Share of the image under masks, in percent (100: everything is masked).
    #[n(7)]
    #[cbor(default)]
    pub masked_percent: u8,
    /// The scene differs from the image before it: kept when images are thinned.
    #[n(8)]
    #[cbor(default)]
    pub changed: bool,
    /// Made by a simulator.
    #[n(9)]
    #[cbor(default)]
    pub simulated: bool,
}

/// One part of an image: the body of a batch with [`crate::batch::Encoding::ImagePart`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ImagePart {
    /// The image.
    #[n(0)]
    pub meta: ImageMeta,
    /// Where `bytes` begin in the JPEG.
    #[n(1)]
    pub offset: u32,
    /// The bytes, 1 to 32 KiB.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

impl ImagePart {
    /// As CBOR.
    pub fn to_vec(&self) -> Vec<u8> {
        to_vec(self)
    }

    /// From CBOR, with lengths and offset checked against the image's length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        let part: ImagePart = minicbor::decode(bytes)?;
        if part.meta.length == 0 || part.meta.length > IMAGE_BYTES_MAX {
            return Err(WireError::TooLarge {
                what: "image",
                size: part.meta.length as usize,
                limit: IMAGE_BYTES_MAX as usize,
            });
        }
        if part.bytes.is_empty() || part.bytes.len() > IMAGE_PART_BYTES_MAX {
            return Err(WireError::TooLarge {
                what: "image part",
                size: part.bytes.len(),
                limit: IMAGE_PART_BYTES_MAX,
            });
        }
        match part.offset.checked_add(part.bytes.len() as u32) {
            Some(end) if end <= part.meta.length => Ok(part),
            _ => Err(WireError::invalid("image part ends behind the image")),
        }
    }
}
