//! A picture in the terminal: two pixels a character (the upper half block, fore- and background in 24-bit colour), where
//! the terminal says that it has the colours; else nothing, and the caller says it in words.

use std::fmt::Write as _;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Largest side of a picture that is decoded: a hostile header must not take the memory.
const SIDE_MAX: usize = 8_192;

/// Whether a terminal with this environment shows 24-bit colours.
pub fn has_colours(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let says = variable("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit");
    // Windows Terminal says it in its own way.
    is_terminal && variable("NO_COLOR").is_none() && (says || variable("WT_SESSION").is_some())
}

/// A decoded picture.
struct Pixels {
    wide: usize,
    high: usize,
    rgb: Vec<u8>,
}

fn decode(jpeg: &[u8]) -> Option<Pixels> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(SIDE_MAX)
        .set_max_height(SIDE_MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    let rgb = decoder.decode().ok()?;
    let (wide, high) = decoder.dimensions()?;
    (wide > 0 && high > 0 && rgb.len() == wide * high * 3).then_some(Pixels { wide, high, rgb })
}

impl Pixels {
    /// The mean of a rectangle, in parts of the picture.
    fn mean(&self, (column, columns): (usize, usize), (row, rows): (usize, usize)) -> [u8; 3] {
        let span = |at: usize, of: usize, size: usize| {
            let from = at * size / of;
            from..((at + 1) * size / of).max(from + 1).min(size)
        };
        let (mut sum, mut count) = ([0u64; 3], 0u64);
        for y in span(row, rows, self.high) {
            for x in span(column, columns, self.wide) {
                let at = (y * self.wide + x) * 3;
                if let Some(pixel) = self.rgb.get(at..at + 3) {
                    for (sum, part) in sum.iter_mut().zip(pixel) {
                        *sum += u64::from(*part);
                    }
                    count += 1;
                }
            }
        }
        sum.map(|sum| (sum / count.max(1)) as u8)
    }
}

/// The picture as lines of at most `columns_max` characters and `lines_max` lines; nothing if it cannot be decoded.
pub fn draw(jpeg: &[u8], columns_max: usize, lines_max: usize) -> Option<String> {
    let pixels = decode(jpeg)?;
    // A half block is about square.
    let columns = columns_max.min(lines_max * 2 * pixels.wide / pixels.high).max(1);
    let rows = (columns * pixels.high / pixels.wide / 2 * 2).max(2);
    let mut out = String::new();
    for row in (0..rows).step_by(2) {
        for column in 0..columns {
            let [r, g, b] = pixels.mean((column, columns), (row, rows));
            let [r2, g2, b2] = pixels.mean((column, columns), (row + 1, rows));
            // Writing into a String does not fail.
            let _ = write!(out, "\x1b[38;2;{r};{g};{b}m\x1b[48;2;{r2};{g2};{b2}m\u{2580}");
        }
        out.push_str("\x1b[0m\n");
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::red_and_blue;

    #[test]
    fn a_picture_keeps_its_colours_and_its_shape() {
        let drawn = draw(&red_and_blue(), 8, 24).unwrap();
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.matches('\u{2580}').count() == 8 && line.ends_with("\x1b[0m")));
        let colour = |cell: &str| -> Vec<u16> {
            cell.split("38;2;")
                .nth(1)
                .unwrap()
                .split('m')
                .next()
                .unwrap()
                .split(';')
                .map(|n| n.parse().unwrap())
                .collect()
        };
        let cells: Vec<&str> = lines[1].split_inclusive('\u{2580}').collect();
        let (left, right) = (colour(cells[0]), colour(cells[7]));
        assert!(left[0] > 200 && left[2] < 60 && right[2] > 200 && right[0] < 60, "{left:?} {right:?}");
    }

    #[test]
    fn what_is_no_picture_is_not_drawn() {
        assert_eq!(draw(b"", 80, 24), None);
        assert_eq!(draw(b"<html>", 80, 24), None);
        assert_eq!(draw(&red_and_blue()[..40], 80, 24), None);
    }

    #[test]
    fn colours_are_sent_only_where_the_terminal_says_so() {
        let with =
            |name: &'static str, value: &'static str| move |asked: &str| (asked == name).then(|| value.to_owned());
        assert!(has_colours(true, with("COLORTERM", "truecolor")));
        assert!(!has_colours(false, with("COLORTERM", "truecolor")));
        assert!(!has_colours(true, with("COLORTERM", "yes")));
        assert!(has_colours(true, with("WT_SESSION", "1")));
        assert!(!has_colours(true, |name| ["COLORTERM", "NO_COLOR"].contains(&name).then(|| "24bit".into())));
    }
}
