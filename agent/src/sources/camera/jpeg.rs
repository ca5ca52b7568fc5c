//! Is it a whole JPEG? And the same bytes without what is nobody's business. Pure; reads structure, not pixels.
//!
//! Cameras answer 200 with an XML error, an HTML page, or a picture that is a few bytes short; a content type says
//! nothing. Segments are walked (ITU-T T.81 annex B) from start to end marker. What comes behind the end marker (second
//! pictures, padding) is cut off, and segments that may hold place, owner or a thumbnail from before masking (APP1 Exif
//! and XMP, other APPn, comments) are left out; APP0 (density) and APP14 (colour transform) stay.

use std::ops::Range;

use super::entropy::Tables;

/// Most pixels of a picture: a 4K camera's; decoding holds 1 to 3 bytes each.
pub const PIXELS_MAX: u32 = 3_840 * 2_160;
/// Least width and height: below it there is no scene.
const SIDE_MIN: u16 = 16;
/// Longest excerpt of what came instead of a picture, in characters.
const EXCERPT_CHARS_MAX: usize = 60;

/// Why a body is no whole JPEG; the text is for people.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum NotJpeg {
    /// Nothing came.
    #[error("empty body")]
    Empty,
    /// XML or HTML, as an error in an answer with status 200.
    #[error("no JPEG but markup: {0}")]
    Markup(String),
    /// Something else.
    #[error("no JPEG: begins with bytes {0}")]
    Other(String),
    /// The end is missing.
    #[error("cut short: no end marker in {0} bytes")]
    CutShort(usize),
    /// A structure that no JPEG has.
    #[error("broken JPEG: {what} at byte {at}")]
    Broken {
        /// What.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// Blocks are missing, though the end marker is there.
    #[error("incomplete: {what} missing or damaged")]
    Incomplete {
        /// What.
        what: &'static str,
    },
    /// Too small or too large.
    #[error("wrong dimensions: {width}x{height}, 16x16 to 8294400 pixels are taken")]
    Dimensions {
        /// Width in pixels.
        width: u16,
        /// Height in pixels.
        height: u16,
    },
}

/// A whole JPEG's structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// The bytes to keep, in order.
    keep: Vec<Range<usize>>,
}

const START: u8 = 0xd8;
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;

/// Walk a body's segments.
///
/// # Errors
/// When it is not one whole JPEG of an acceptable size.
pub fn check(body: &[u8]) -> Result<Structure, NotJpeg> {
    if body.len() < 2 || body[..2] != [0xff, START] {
        return Err(not_jpeg(body));
    }
    let mut keep = Vec::from([Range { start: 0, end: 2 }]);
    let mut size = None;
    let mut tables = Tables::default();
    let mut at = 2;
    loop {
        let (marker, segment) = segment(body, at)?;
        let mut end = segment.end;
        match marker {
            END => {
                let (width, height) = size.ok_or(NotJpeg::Broken { what: "end before a frame", at })?;
                keep.push(segment.start..end);
                return Ok(Structure { width, height, keep });
            }
            SCAN => {
                end = scan_end(body, end)?;
                tables.scan(&body[segment.start + 4..segment.end], &body[segment.end..end])?;
            }
            // Frames of the kinds that a camera may send: baseline, extended, progressive.
            0xc0..=0xc2 if size.is_none() => size = Some(frame_size(body, &segment)?),
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Err(NotJpeg::Broken { what: "unsupported or second frame", at });
            }
            START => return Err(NotJpeg::Broken { what: "second start marker", at }),
            _ => {}
        }
        if marker != SCAN && segment.len() > 4 {
            let payload = &body[segment.start + 4..segment.end];
            tables.segment(marker, payload).map_err(|what| NotJpeg::Broken { what, at })?;
        }
        if !is_private(marker) {
            keep.push(segment.start..end);
        }
        at = end;
    }
}

impl Structure {
    /// The body without private segments and without what comes behind its end.
    pub fn stripped(&self, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.keep.iter().map(Range::len).sum());
        for range in &self.keep {
            out.extend_from_slice(&body[range.clone()]);
        }
        out
    }
}

/// APP1 to APP13, APP15 and comments.
fn is_private(marker: u8) -> bool {
    matches!(marker, 0xe1..=0xed | 0xef | 0xfe)
}

/// The marker at `at` (fill bytes allowed before it) and its segment's bytes, marker included.
fn segment(body: &[u8], at: usize) -> Result<(u8, Range<usize>), NotJpeg> {
    let cut_short = NotJpeg::CutShort(body.len());
    let mut start = at;
    while body.get(start) == Some(&0xff) && body.get(start + 1) == Some(&0xff) {
        start += 1;
    }
    let (Some(&first), Some(&marker)) = (body.get(start), body.get(start + 1)) else { return Err(cut_short) };
    if first != 0xff || marker == 0 {
        return Err(NotJpeg::Broken { what: "no marker", at: start });
    }
    // Start, end and restart markers stand alone.
    if matches!(marker, START | END | 0xd0..=0xd7 | 0x01) {
        return Ok((marker, start..start + 2));
    }
    let (Some(&high), Some(&low)) = (body.get(start + 2), body.get(start + 3)) else { return Err(cut_short) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length < 2 {
        return Err(NotJpeg::Broken { what: "segment without length", at: start });
    }
    let end = start + 2 + length;
    if end > body.len() {
        return Err(cut_short);
    }
    Ok((marker, start..end))
}

/// Where the entropy-coded data behind a scan header end: at a marker that is neither stuffing nor a restart.
fn scan_end(body: &[u8], mut at: usize) -> Result<usize, NotJpeg> {
    loop {
        match (body.get(at), body.get(at + 1)) {
            (Some(0xff), Some(0x00 | 0xd0..=0xd7)) => at += 2,
            // A fill byte.
            (Some(0xff), Some(0xff)) => at += 1,
            (Some(0xff), Some(_)) => return Ok(at),
            (Some(_), _) => at += 1,
            (None, _) => return Err(NotJpeg::CutShort(body.len())),
        }
        if at >= body.len() {
            return Err(NotJpeg::CutShort(body.len()));
        }
    }
}

fn frame_size(body: &[u8], segment: &Range<usize>) -> Result<(u16, u16), NotJpeg> {
    let header = &body[segment.clone()];
    if header.len() < 10 {
        return Err(NotJpeg::Broken { what: "short frame header", at: segment.start });
    }
    let height = u16::from_be_bytes([header[5], header[6]]);
    let width = u16::from_be_bytes([header[7], header[8]]);
    if width < SIDE_MIN || height < SIDE_MIN || u32::from(width) * u32::from(height) > PIXELS_MAX {
        return Err(NotJpeg::Dimensions { width, height });
    }
    Ok((width, height))
}

fn not_jpeg(body: &[u8]) -> NotJpeg {
    if body.is_empty() {
        return NotJpeg::Empty;
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * EXCERPT_CHARS_MAX)]);
    let text = text.trim_start_matches(['\u{feff}', ' ', '\r', '\n', '\t']);
    if text.starts_with('<') {
        let excerpt: String =
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(EXCERPT_CHARS_MAX).collect();
        return NotJpeg::Markup(excerpt);
    }
    NotJpeg::Other(hex::encode(&body[..body.len().min(8)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small picture with an Exif segment, a comment, and bytes behind its end.
    fn picture() -> Vec<u8> {
        let mut jpeg = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 80);
        encoder.add_app_segment(1, b"Exif\0\0GPS of the village head's house".to_vec()).unwrap();
        let pixels: Vec<u8> = (0..32 * 24).map(|index| (index * 7 % 256) as u8).collect();
        encoder.encode(&pixels, 32, 24, jpeg_encoder::ColorType::Luma).unwrap();
        jpeg
    }

    #[test]
    fn a_whole_jpeg_is_kept_without_private_segments_and_trailing_bytes() {
        let mut body = picture();
        let whole = body.len();
        body.extend_from_slice(b"second picture");
        let structure = check(&body).unwrap();
        assert_eq!((structure.width, structure.height), (32, 24));
        let stripped = structure.stripped(&body);
        assert!(stripped.len() < whole);
        assert!(!stripped.windows(3).any(|window| window == b"GPS"));
        assert_eq!(check(&stripped).unwrap().stripped(&stripped), stripped, "nothing is left to strip");
    }

    #[test]
    fn each_cut_of_a_jpeg_is_refused_and_none_panics() {
        let body = picture();
        for length in 0..body.len() {
            let error = check(&body[..length]).unwrap_err();
            assert!(length < 2 || matches!(error, NotJpeg::CutShort(at) if at == length), "{length}: {error}");
        }
    }

    #[test]
    fn no_flipped_byte_panics() {
        let body = picture();
        for at in 0..body.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut body = body.clone();
                body[at] ^= flip;
                if let Ok(structure) = check(&body) {
                    structure.stripped(&body);
                }
            }
        }
    }

    #[test]
    fn dimensions_are_bounded() {
        for (width, height) in [(15, 24), (0, 0), (65_535, 65_535), (8_192, 1_024)] {
            let mut body = picture();
            let frame = body.windows(2).position(|window| window == [0xff, 0xc0]).unwrap();
            body[frame + 5..frame + 7].copy_from_slice(&u16::to_be_bytes(height));
            body[frame + 7..frame + 9].copy_from_slice(&u16::to_be_bytes(width));
            assert_eq!(check(&body), Err(NotJpeg::Dimensions { width, height }));
        }
    }
}
