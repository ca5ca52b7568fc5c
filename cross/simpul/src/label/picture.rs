//! One label as a PNG at 300 dpi, for label printers and for looking at.

use std::io;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use super::{Face, HEIGHT_MM, WIDTH_MM};

const DOTS_PER_MM: f32 = 300.0 / 25.4;
const MARGIN_MM: f32 = 4.0;
const QR_MM: f32 = 27.0;
/// A letter's width in parts of its height, in the one font there is.
const LETTER_WIDTH: f32 = get_raster_width(FontWeight::Bold, RasterHeight::Size32) as f32 / 32.0;

struct Canvas {
    wide: usize,
    high: usize,
    /// 255 is paper.
    dots: Vec<u8>,
}

/// The PNG's bytes.
pub fn draw(face: &Face) -> io::Result<Vec<u8>> {
    let (wide, high) = ((WIDTH_MM * DOTS_PER_MM).round() as usize, (HEIGHT_MM * DOTS_PER_MM).round() as usize);
    let mut canvas = Canvas { wide, high, dots: vec![255; wide * high] };
    let (text_x, middle) = (canvas.code(face), high as f32 / 2.0);
    let room = wide as f32 - text_x - MARGIN_MM * DOTS_PER_MM;
    let fit = |text: &str, size_mm: f32| (room / LETTER_WIDTH / text.chars().count() as f32).min(size_mm * DOTS_PER_MM);
    let size = face.village.iter().map(|line| fit(line, 6.2)).fold(f32::MAX, f32::min);
    let node_size = fit(&face.node, 5.0);
    let gap = 0.8 * DOTS_PER_MM;
    let serial_size = face.serial.as_ref().map(|serial| fit(serial, 4.0));
    let height = face.village.len() as f32 * size + gap + node_size + serial_size.map_or(0.0, |size| size + gap);
    let mut y = middle - height / 2.0;
    for line in &face.village {
        canvas.text(line, FontWeight::Bold, text_x, y, size);
        y += size;
    }
    y += gap;
    canvas.text(&face.node, FontWeight::Bold, text_x, y, node_size);
    if let (Some(serial), Some(size)) = (&face.serial, serial_size) {
        canvas.text(serial, FontWeight::Regular, text_x, y + node_size + gap, size);
    }
    encode(&canvas)
}

impl Canvas {
    /// The QR code, in whole dots a module; where the text begins.
    fn code(&mut self, face: &Face) -> f32 {
        let module = (QR_MM * DOTS_PER_MM) as usize / face.modules_wide;
        let side = module * face.modules_wide;
        let (left, top) = ((MARGIN_MM * DOTS_PER_MM) as usize, (self.high - side) / 2);
        for (index, _) in face.modules.iter().enumerate().filter(|(_, dark)| **dark) {
            let (x, y) = (left + index % face.modules_wide * module, top + index / face.modules_wide * module);
            for row in y..y + module {
                self.dots[row * self.wide + x..row * self.wide + x + module].fill(0);
            }
        }
        // The code's own quiet zone is four modules wide.
        (left + side + 4 * module) as f32
    }

    /// A line whose box begins at `x`, `y` and is `size` dots high: the font's 32-dot raster, smoothly enlarged.
    fn text(&mut self, text: &str, weight: FontWeight, x: f32, y: f32, size: f32) {
        let scale = size / 32.0;
        let mut left = x;
        for letter in text.chars() {
            let Some(raster) = get_raster(letter, weight, RasterHeight::Size32)
                .or_else(|| get_raster('?', weight, RasterHeight::Size32))
            else {
                continue;
            };
            let ink = |column: isize, row: isize| {
                let row = usize::try_from(row).ok().and_then(|row| raster.raster().get(row));
                let dot = usize::try_from(column).ok().zip(row).and_then(|(column, row)| row.get(column));
                f32::from(dot.copied().unwrap_or(0))
            };
            let (wide, high) = ((raster.width() as f32 * scale).ceil() as usize, size.ceil() as usize);
            for (row, column) in (0..high).flat_map(|row| (0..wide).map(move |column| (row, column))) {
                let (u, v) = ((column as f32 + 0.5) / scale - 0.5, (row as f32 + 0.5) / scale - 0.5);
                let (u0, v0) = (u.floor(), v.floor());
                let (du, dv) = (u - u0, v - v0);
                let (u0, v0) = (u0 as isize, v0 as isize);
                let value = (ink(u0, v0) * (1.0 - du) + ink(u0 + 1, v0) * du) * (1.0 - dv)
                    + (ink(u0, v0 + 1) * (1.0 - du) + ink(u0 + 1, v0 + 1) * du) * dv;
                let (to_x, to_y) = (left as usize + column, y as usize + row);
                if to_x < self.wide && to_y < self.high {
                    let dot = &mut self.dots[to_y * self.wide + to_x];
                    *dot = (*dot).min(255 - value as u8);
                }
            }
            left += raster.width() as f32 * scale;
        }
    }
}

fn encode(canvas: &Canvas) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, canvas.wide as u32, canvas.high as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    // Label programs take the size in millimetres from this: 300 dpi in dots a metre.
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: 11_811, yppu: 11_811, unit: png::Unit::Meter }));
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(&canvas.dots).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(bytes)
}
