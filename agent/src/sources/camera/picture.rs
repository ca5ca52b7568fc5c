//! Pixels: decode, burn masks in, measure, encode again. Pure and CPU-bound: callers run it on a blocking thread, one
//! picture at a time, because a decoded 1080p picture is 2 MB (grey) or 6 MB (colour, only when masks are painted).

use std::ops::Range;

use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor, rgb_to_ycbcr};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::config::Mask;

/// Quality of re-encoded pictures: at 85 a camera's own artefacts outweigh the second encoding's.
const QUALITY: u8 = 85;
/// Columns and rows that the difference hash compares.
const HASH_COLUMNS: usize = 9;
const HASH_ROWS: usize = 8;

/// Why a JPEG has no pixels for us; the text is for people.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PictureError {
    /// It does not decode from start to end.
    #[error("does not decode: {0}")]
    Undecodable(String),
    /// Its colours are none that cameras send.
    #[error("unsupported colours: {0}")]
    Colours(String),
    /// It cannot be encoded again.
    #[error("cannot be encoded with its masks: {0}")]
    Unencodable(String),
}

/// A decoded picture.
#[derive(Debug, Clone)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    kind: Kind,
}

/// A picture's rows for the encoder. The encoder's own `encode` holds nine formats' code, three of which cameras send.
struct Rows<'a> {
    picture: &'a Picture,
    width: u16,
    height: u16,
}

impl ImageBuffer for Rows<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        match self.picture.kind {
            Kind::Grey => JpegColorType::Luma,
            Kind::Ycbcr | Kind::Rgb => JpegColorType::Ycbcr,
        }
    }

    fn width(&self) -> u16 {
        self.width
    }

    fn height(&self) -> u16 {
        self.height
    }

    fn fill_buffers(&self, row: u16, [first, second, third, _]: &mut [Vec<u8>; 4]) {
        let Picture { width, pixels, kind, .. } = self.picture;
        let (line, components) = (usize::from(row) * width, if *kind == Kind::Grey { 1 } else { 3 });
        let line = &pixels[line * components..(line + width) * components];
        match kind {
            Kind::Grey => first.extend_from_slice(line),
            Kind::Ycbcr | Kind::Rgb => {
                for pixel in line.as_chunks::<3>().0 {
                    let &[y, cb, cr] = pixel;
                    let (y, cb, cr) = if *kind == Kind::Rgb { rgb_to_ycbcr(y, cb, cr) } else { (y, cb, cr) };
                    first.push(y);
                    second.push(cb);
                    third.push(cr);
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Grey,
    Ycbcr,
    Rgb,
}

/// What is measured of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measures {
    /// Difference hash 9x8, masks included as they are painted.
    pub dhash: u64,
    /// Bits of the hash that compare what is visible: neither of their cells is mostly masked.
    pub visible_bits: u32,
    /// Mean brightness of what is not masked, 0 to 255; `None`: everything is masked.
    pub mean: Option<f64>,
    /// Its variance.
    pub variance: f64,
    /// Share of the picture under masks, percent, rounded up; 100 only when nothing is left.
    pub masked_percent: u8,
}

impl Picture {
    /// Decode every pixel. With `colour` false only brightness is kept, at a third of the memory.
    ///
    /// # Errors
    /// When the data are damaged anywhere, or the colours are none that cameras send.
    pub fn decode(jpeg: &[u8], colour: bool) -> Result<Picture, PictureError> {
        let undecodable = |error: zune_jpeg::errors::DecodeErrors| PictureError::Undecodable(error.to_string());
        // Strict: a picture that ends early is an error and not grey below.
        let options = DecoderOptions::default().set_strict_mode(true);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
        decoder.decode_headers().map_err(undecodable)?;
        let kind = match (decoder.input_colorspace(), colour) {
            (Some(ColorSpace::Luma), _) | (Some(ColorSpace::YCbCr), false) => Kind::Grey,
            (Some(ColorSpace::YCbCr), true) => Kind::Ycbcr,
            (Some(ColorSpace::RGB), _) => Kind::Rgb,
            (other, _) => return Err(PictureError::Colours(format!("{other:?}"))),
        };
        let out = match kind {
            Kind::Grey => ColorSpace::Luma,
            Kind::Ycbcr => ColorSpace::YCbCr,
            Kind::Rgb => ColorSpace::RGB,
        };
        decoder.set_options(options.jpeg_set_out_colorspace(out));
        let pixels = decoder.decode().map_err(undecodable)?;
        let (width, height) = decoder.dimensions().unwrap_or_default();
        if width == 0 || height == 0 || pixels.len() != width * height * kind.bytes() {
            return Err(PictureError::Undecodable("pixels and dimensions do not fit".into()));
        }
        Ok(Picture { width, height, pixels, kind })
    }

    /// Paint masks black, edges rounded outwards.
    pub fn paint(&mut self, masks: &[Mask]) {
        let black = self.kind.black();
        for row in 0..self.height {
            for columns in masked_columns(masks, row, self.width, self.height) {
                let bytes = self.kind.bytes();
                let start = row * self.width;
                let line = &mut self.pixels[(start + columns.start) * bytes..(start + columns.end) * bytes];
                line.chunks_exact_mut(bytes).for_each(|pixel| pixel.copy_from_slice(&black[..bytes]));
            }
        }
    }

    /// Measure; `masks` are those that were painted.
    pub fn measure(&self, masks: &[Mask]) -> Measures {
        let mut cells = [[0_u64; HASH_COLUMNS]; HASH_ROWS];
        let mut counts = [[0_u64; HASH_COLUMNS]; HASH_ROWS];
        let mut open_counts = [[0_u64; HASH_COLUMNS]; HASH_ROWS];
        let (mut sum, mut squares, mut masked) = (0_u64, 0_u64, 0_u64);
        for row in 0..self.height {
            let hidden = masked_columns(masks, row, self.width, self.height);
            masked += hidden.iter().map(|columns| columns.len() as u64).sum::<u64>();
            let cell_row = row * HASH_ROWS / self.height;
            let mut next = hidden.iter().peekable();
            for column in 0..self.width {
                let luma = u64::from(self.luma(row * self.width + column));
                let cell = column * HASH_COLUMNS / self.width;
                cells[cell_row][cell] += luma;
                counts[cell_row][cell] += 1;
                while next.peek().is_some_and(|columns| columns.end <= column) {
                    next.next();
                }
                if next.peek().is_none_or(|columns| column < columns.start) {
                    sum += luma;
                    squares += luma * luma;
                    open_counts[cell_row][cell] += 1;
                }
            }
        }
        let (mut dhash, mut visible_bits) = (0, 0);
        for ((sums, counts), open) in cells.iter().zip(&counts).zip(&open_counts) {
            let visible = |cell: usize| 2 * open[cell] > counts[cell];
            for column in 0..HASH_COLUMNS - 1 {
                visible_bits += u32::from(visible(column) && visible(column + 1));
                // Compared as fractions: cells of a narrow picture differ in size.
                let (left, right) = (sums[column] * counts[column + 1], sums[column + 1] * counts[column]);
                dhash = dhash << 1 | u64::from(left < right);
            }
        }
        let total = (self.width * self.height) as u64;
        let open = (total - masked) as f64;
        let mean = (total > masked).then(|| sum as f64 / open);
        let variance = mean.map_or(0.0, |mean| (squares as f64 / open - mean * mean).max(0.0));
        let percent = (masked * 100).div_ceil(total).min(if masked == total { 100 } else { 99 });
        Measures { dhash, visible_bits, mean, variance, masked_percent: percent as u8 }
    }

    /// Encode, with chroma halved as cameras do.
    ///
    /// # Errors
    /// When the encoder refuses.
    pub fn encode(&self) -> Result<Vec<u8>, PictureError> {
        let unencodable = |error: jpeg_encoder::EncodingError| PictureError::Unencodable(error.to_string());
        let side = |side: usize| u16::try_from(side).map_err(|_| PictureError::Unencodable("too large".into()));
        let mut jpeg = Vec::with_capacity(self.width * self.height / 8);
        let mut encoder = Encoder::new(&mut jpeg, QUALITY);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        let rows = Rows { picture: self, width: side(self.width)?, height: side(self.height)? };
        encoder.encode_image(rows).map_err(unencodable)?;
        Ok(jpeg)
    }

    /// Brightness of a pixel (ITU-R BT.601 weights for RGB).
    fn luma(&self, index: usize) -> u8 {
        match self.kind {
            Kind::Grey => self.pixels[index],
            Kind::Ycbcr => self.pixels[3 * index],
            Kind::Rgb => {
                let [red, green, blue] = [0, 1, 2].map(|offset| u32::from(self.pixels[3 * index + offset]));
                ((299 * red + 587 * green + 114 * blue) / 1_000) as u8
            }
        }
    }
}

impl Kind {
    fn bytes(self) -> usize {
        if self == Kind::Grey { 1 } else { 3 }
    }

    fn black(self) -> [u8; 3] {
        if self == Kind::Ycbcr { [0, 128, 128] } else { [0; 3] }
    }
}

/// A mask over everything.
pub const EVERYTHING: [Mask; 1] = [Mask { x: 0, y: 0, width: 1_000, height: 1_000 }];

/// The masked columns of a row: ascending, merged, rounded outwards.
fn masked_columns(masks: &[Mask], row: usize, width: usize, height: usize) -> Vec<Range<usize>> {
    let pixels = |start: u16, length: u16, side: usize| {
        let (start, end) = (usize::from(start), usize::from(start) + usize::from(length));
        start * side / 1_000..(end * side).div_ceil(1_000).min(side)
    };
    let in_row = masks.iter().filter(|mask| pixels(mask.y, mask.height, height).contains(&row));
    let mut columns: Vec<Range<usize>> = in_row.map(|mask| pixels(mask.x, mask.width, width)).collect();
    columns.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in columns {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use jpeg_encoder::ColorType;

    use super::*;

    /// A colour picture of `width` x `height` with a gradient that `shift` moves.
    pub(crate) fn jpeg(width: u16, height: u16, shift: usize) -> Vec<u8> {
        let mut pixels = Vec::new();
        for row in 0..usize::from(height) {
            for column in 0..usize::from(width) {
                let wave = ((column + shift) as f64 / 17.0).sin() * 100.0 + 128.0;
                pixels.extend([wave as u8, (row * 255 / usize::from(height)) as u8, 200]);
            }
        }
        let mut jpeg = Vec::new();
        Encoder::new(&mut jpeg, 90).encode(&pixels, width, height, ColorType::Rgb).unwrap();
        jpeg
    }

    #[test]
    fn each_kind_of_picture_is_encoded_as_the_encoder_itself_would() {
        let (width, height) = (37, 21);
        for (kind, colour, components) in
            [(Kind::Grey, ColorType::Luma, 1), (Kind::Ycbcr, ColorType::Ycbcr, 3), (Kind::Rgb, ColorType::Rgb, 3)]
        {
            let pixels: Vec<u8> = (0..width * height * components).map(|at| (at * at / 7 % 256) as u8).collect();
            let mut wanted = Vec::new();
            let mut encoder = Encoder::new(&mut wanted, QUALITY);
            encoder.set_sampling_factor(SamplingFactor::F_2_2);
            encoder.encode(&pixels, width as u16, height as u16, colour).unwrap();
            assert!(Picture { width, height, pixels, kind }.encode().unwrap() == wanted, "{kind:?}");
        }
    }

    #[test]
    fn what_is_under_a_mask_is_gone_from_the_encoded_picture() {
        let masks =
            [Mask { x: 250, y: 500, width: 250, height: 250 }, Mask { x: 400, y: 600, width: 333, height: 400 }];
        let mut picture = Picture::decode(&jpeg(160, 120, 0), true).unwrap();
        picture.paint(&masks);
        let measures = picture.measure(&masks);
        // 6.25 % + 13.32 % - overlap 1.5 %, and a pixel more where edges are rounded outwards.
        assert!((18..=19).contains(&measures.masked_percent), "{measures:?}");
        let stored = Picture::decode(&picture.encode().unwrap(), true).unwrap();
        let mut hidden = 0;
        for row in 0..120 {
            for columns in masked_columns(&masks, row, 160, 120) {
                for column in columns {
                    // Ringing of the surrounding block's frequencies stays below what could show anything.
                    let luma = stored.luma(row * 160 + column);
                    let interior = masks.iter().any(|mask| {
                        let (x, y) = (column * 1_000 / 160, row * 1_000 / 120);
                        let inside = |at: usize, start: u16, length: u16| {
                            at >= usize::from(start) + 60 && at + 60 < usize::from(start) + usize::from(length)
                        };
                        inside(x, mask.x, mask.width) && inside(y, mask.y, mask.height)
                    });
                    if interior {
                        hidden += 1;
                        assert!(luma < 20, "row {row} column {column}: {luma}");
                    }
                }
            }
        }
        assert!(hidden > 500, "{hidden}");
    }

    #[test]
    fn a_mask_over_everything_leaves_nothing() {
        let mut picture = Picture::decode(&jpeg(64, 48, 0), true).unwrap();
        picture.paint(&EVERYTHING);
        let measures = picture.measure(&EVERYTHING);
        assert_eq!((measures.masked_percent, measures.mean, measures.dhash), (100, None, 0));
        assert_eq!(measures.visible_bits, 0);
        let stored = Picture::decode(&picture.encode().unwrap(), false).unwrap();
        assert!(stored.pixels.iter().all(|luma| *luma < 4));
    }

    #[test]
    fn the_hash_is_the_same_for_the_same_scene_and_far_for_another() {
        let hash = |jpeg: &[u8]| Picture::decode(jpeg, false).unwrap().measure(&[]).dhash;
        let scene = hash(&jpeg(320, 240, 0));
        assert_eq!((scene ^ hash(&jpeg(320, 240, 0))).count_ones(), 0);
        assert!((scene ^ hash(&jpeg(320, 240, 53))).count_ones() >= 10);
        // Another resolution of the same scene is the same scene.
        let large = Picture::decode(&jpeg(320, 240, 0), true).unwrap().measure(&[]).dhash;
        assert_eq!(scene, large, "colour or grey makes no difference");
    }

    #[test]
    fn bits_of_the_hash_that_touch_a_mask_compare_nothing_visible() {
        let left = [Mask { x: 0, y: 0, width: 500, height: 1_000 }];
        let mut picture = Picture::decode(&jpeg(180, 80, 0), true).unwrap();
        assert_eq!(picture.measure(&[]).visible_bits, 64);
        picture.paint(&left);
        // Half of nine columns: the middle one is half masked, which is not mostly visible; four and a border remain.
        assert_eq!(picture.measure(&left).visible_bits, 24);
    }

    #[test]
    fn no_damage_panics() {
        let body = jpeg(48, 48, 0);
        for at in (0..body.len()).step_by(3) {
            let mut body = body.clone();
            body[at] ^= 0x55;
            let _ = Picture::decode(&body, at % 2 == 0);
        }
    }

    #[test]
    fn rows_merge_overlapping_masks() {
        let mask = |x, width| Mask { x, y: 0, width, height: 1_000 };
        let merged = masked_columns(&[mask(500, 100), mask(0, 100), mask(50, 101)], 0, 100, 10);
        assert_eq!(merged, [0..16, 50..60]);
    }
}
