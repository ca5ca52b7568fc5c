//! The pure half of whoever is at the other end of a board's link: the agent in a cabinet, `simpul board` on a bench.

mod image;
mod update;

pub use image::{FILE_BYTES_MAX, IMAGE_BYTES_MAX, Image, ImageError};
pub use update::{Effect, Remember, Tried, Updater};

/// A version as people write it, such as `0.1.0`.
pub fn version_text([major, minor, patch]: [u8; 3]) -> alloc::string::String {
    alloc::format!("{major}.{minor}.{patch}")
}
