//! What a synthetic camera sees: a yard with a bus that drives through it, the time, and SIMULASI across it.
//!
//! Pure: a moment gives a picture. Bus and cloud are big and quick enough that two pictures a few seconds apart differ
//! for a perceptual hash, not only byte by byte.

use jpeg_encoder::{ColorType, Encoder};
use time::{OffsetDateTime, UtcOffset};

use crate::font::{GLYPH_HEIGHT, GLYPH_WIDTH, glyph};

/// JPEG quality: what cameras send by default, about 25 kB for this scene.
const QUALITY: u8 = 80;
/// Time that the bus takes from edge to edge.
const BUS_CROSSING_MS: i64 = 15_000;
/// Time that the cloud takes, the other way.
const CLOUD_CROSSING_MS: i64 = 22_000;
/// WIB, the time of Java.
const WIB_HOURS: i8 = 7;

/// Size and place of a scene.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Written into the picture: the place's name.
    pub title: String,
    /// Varies colours between cameras.
    pub seed: u8,
}

struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    fn fill(&mut self, x: i64, y: i64, width: i64, height: i64, colour: [u8; 3]) {
        let clamp = |value: i64, limit: usize| usize::try_from(value.max(0)).unwrap_or(0).min(limit);
        let (left, right) = (clamp(x, self.width), clamp(x + width, self.width));
        for row in clamp(y, self.height)..clamp(y + height, self.height) {
            for pixel in self.rgb[(row * self.width + left) * 3..(row * self.width + right) * 3].chunks_exact_mut(3) {
                pixel.copy_from_slice(&colour);
            }
        }
    }

    fn text(&mut self, x: i64, y: i64, scale: i64, colour: [u8; 3], text: &str) {
        let step = (GLYPH_WIDTH as i64 + 1) * scale;
        for (place, character) in (0i64..).zip(text.chars()) {
            for (row, bits) in (0i64..GLYPH_HEIGHT as i64).zip(glyph(character)) {
                for column in
                    (0..GLYPH_WIDTH as i64).filter(|column| bits >> (GLYPH_WIDTH as i64 - 1 - column) & 1 == 1)
                {
                    self.fill(x + place * step + column * scale, y + row * scale, scale, scale, colour);
                }
            }
        }
    }
}

/// The picture at `wall_ms` (Unix milliseconds) as JPEG.
pub fn draw(scene: &Scene, wall_ms: i64) -> anyhow::Result<Vec<u8>> {
    let (width, height) = (usize::from(scene.width), usize::from(scene.height));
    let mut canvas = Canvas { width, height, rgb: vec![0; width * height * 3] };
    let (w, h) = (i64::from(scene.width), i64::from(scene.height));
    let horizon = h / 2;
    for row in 0..horizon {
        let shade = u8::try_from(90 + row * 110 / horizon.max(1)).unwrap_or(200);
        canvas.fill(0, row, w, 1, [shade, shade.saturating_add(20), 235]);
    }
    let cloud = w / 3;
    let cloud_x = w - wall_ms.rem_euclid(CLOUD_CROSSING_MS) * (w + cloud) / CLOUD_CROSSING_MS;
    canvas.fill(cloud_x, h / 10, cloud, h / 8, [250, 250, 250]);
    canvas.fill(cloud_x + cloud / 6, h / 16, cloud / 2, h / 5, [250, 250, 250]);
    canvas.fill(0, horizon, w, h - horizon, [120, 112, 96]);
    // The village office.
    canvas.fill(w / 8, h / 4, w / 4, h / 3, [225, 205, 170]);
    canvas.fill(w / 8 - w / 64, h / 4 - h / 16, w / 4 + w / 32, h / 16, [150, 60, 40]);
    canvas.fill(w / 5, h / 3 + h / 12, w / 16, h / 6, [90, 60, 40]);
    let colour = [60 + scene.seed.wrapping_mul(53) % 160, 40 + scene.seed.wrapping_mul(97) % 160, 150];
    let bus = w / 3;
    let bus_x = wall_ms.rem_euclid(BUS_CROSSING_MS) * (w + bus) / BUS_CROSSING_MS - bus;
    canvas.fill(bus_x, horizon, bus, h / 4, colour);
    canvas.fill(bus_x + bus / 12, horizon + h / 32, bus * 5 / 6, h / 12, [210, 230, 240]);
    for wheel in [bus / 6, bus * 2 / 3] {
        canvas.fill(bus_x + wheel, horizon + h / 4 - h / 32, bus / 8, h / 12, [30, 30, 30]);
    }
    let scale = (w / 320).max(1);
    let offset = UtcOffset::from_hms(WIB_HOURS, 0, 0)?;
    let local = OffsetDateTime::from_unix_timestamp(wall_ms.div_euclid(1000))?.to_offset(offset);
    let stamp = format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03} WIB",
        local.year(),
        u8::from(local.month()),
        local.day(),
        local.hour(),
        local.minute(),
        local.second(),
        wall_ms.rem_euclid(1000)
    );
    canvas.fill(0, 0, w, scale * 11, [0, 0, 0]);
    canvas.text(scale * 3, scale * 2, scale, [255, 255, 255], &stamp);
    canvas.fill(0, h - scale * 11, w, scale * 11, [0, 0, 0]);
    canvas.text(scale * 3, h - scale * 9, scale, [255, 255, 255], &scene.title);
    let large = scale * 4;
    let banner = 8 * (GLYPH_WIDTH as i64 + 1) * large;
    canvas.text((w - banner) / 2, h * 3 / 4 + scale, large, [255, 220, 0], "SIMULASI");
    encode(&canvas.rgb, scene)
}

/// A black picture: a covered or dead sensor.
pub fn black(scene: &Scene) -> anyhow::Result<Vec<u8>> {
    encode(&vec![0; usize::from(scene.width) * usize::from(scene.height) * 3], scene)
}

fn encode(rgb: &[u8], scene: &Scene) -> anyhow::Result<Vec<u8>> {
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, QUALITY).encode(rgb, scene.width, scene.height, ColorType::Rgb)?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> Scene {
        Scene { width: 640, height: 360, title: "PATEGALAN".to_owned(), seed: 1 }
    }

    #[test]
    fn a_moment_gives_one_picture_and_the_next_another() {
        let first = draw(&scene(), 1_790_000_000_000).unwrap();
        assert_eq!(first, draw(&scene(), 1_790_000_000_000).unwrap());
        assert_ne!(first, draw(&scene(), 1_790_000_000_001).unwrap());
        assert!(first.starts_with(&[0xff, 0xd8]) && first.ends_with(&[0xff, 0xd9]));
    }

    #[test]
    fn every_character_of_a_stamp_has_a_glyph() {
        let unknown = [0b11111; GLYPH_HEIGHT];
        for character in "0123456789-:./ ABCDEFGHIJKLMNOPQRSTUVWXYZ".chars() {
            assert_ne!(glyph(character), unknown, "{character:?}");
        }
    }
}
