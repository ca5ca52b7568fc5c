//! How wide Helvetica-Bold's letters are, in thousandths of its size: a PDF's own fonts come without their measures.

/// Letters 32 to 126.
const WIDTHS: [u16; 95] = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611,
    556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389,
    280, 389, 584,
];

/// The width of `text` at `size`, in the unit of `size`.
pub fn width(text: &str, size: f32) -> f32 {
    let thousandths: u32 = text
        .chars()
        // Others (é, ü) are about as wide as a digit.
        .map(|letter| {
            (letter as usize).checked_sub(32).and_then(|at| WIDTHS.get(at)).map_or(611, |width| u32::from(*width))
        })
        .sum();
    thousandths as f32 * size / 1_000.0
}

/// The largest size up to `size_max` at which `text` is at most `room` wide.
pub fn fit(text: &str, room: f32, size_max: f32) -> f32 {
    let full = width(text, size_max);
    if full > room { size_max * room / full } else { size_max }
}
