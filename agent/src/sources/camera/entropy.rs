//! Is every block of a baseline JPEG there? Walks the entropy-coded data (ITU-T T.81 annex F) without making pixels.
//!
//! Decoders fill what is missing with grey and call it done, so a picture whose transmission skipped a piece, with its
//! end marker in place, would pass as whole. Here each scan must hold exactly the blocks that its frame declares.
//! Progressive pictures (few cameras send them) are left to the decoder.

use super::jpeg::NotJpeg;

/// Bytes behind the last block that are taken for padding.
const PADDING_BYTES_MAX: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Component {
    id: u8,
    across: usize,
    down: usize,
}

/// A Huffman table in canonical form.
#[derive(Debug, Clone)]
struct Huffman {
    /// By length 1 to 16: the first code, how many, and where their symbols begin.
    lengths: [(u32, u32, usize); 16],
    symbols: Vec<u8>,
}

/// What segments before a scan define.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    components: Vec<Component>,
    width: usize,
    height: usize,
    restart_interval: usize,
    progressive: bool,
}

impl Tables {
    /// A segment's payload (behind its length).
    pub fn segment(&mut self, marker: u8, payload: &[u8]) -> Result<(), &'static str> {
        match marker {
            0xc4 => self.huffman(payload),
            0xdd => {
                let interval = payload.first_chunk::<2>().ok_or("short restart interval")?;
                self.restart_interval = usize::from(u16::from_be_bytes(*interval));
                Ok(())
            }
            0xc0..=0xc2 => self.frame(marker, payload),
            _ => Ok(()),
        }
    }

    fn huffman(&mut self, mut payload: &[u8]) -> Result<(), &'static str> {
        while let Some((&head, rest)) = payload.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or("short Huffman table")?;
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            let symbols = rest.get(..total).filter(|_| total <= 256).ok_or("short Huffman table")?;
            payload = &rest[total..];
            let (mut code, mut at, mut lengths) = (0_u32, 0, [(0, 0, 0); 16]);
            for (length, count) in lengths.iter_mut().zip(counts) {
                *length = (code, u32::from(*count), at);
                code = (code + u32::from(*count)) << 1;
                at += usize::from(*count);
            }
            let tables = if head >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let slot = tables.get_mut(usize::from(head & 0x0f)).ok_or("Huffman table number")?;
            *slot = Some(Huffman { lengths, symbols: symbols.to_vec() });
        }
        Ok(())
    }

    fn frame(&mut self, marker: u8, payload: &[u8]) -> Result<(), &'static str> {
        self.progressive = marker == 0xc2;
        let (head, components) = payload.split_first_chunk::<6>().ok_or("short frame header")?;
        self.height = usize::from(u16::from_be_bytes([head[1], head[2]]));
        self.width = usize::from(u16::from_be_bytes([head[3], head[4]]));
        let count = usize::from(head[5]);
        if count == 0 || count > 4 || components.len() < 3 * count {
            return Err("components of the frame");
        }
        self.components = components[..3 * count]
            .chunks_exact(3)
            .map(|part| Component { id: part[0], across: usize::from(part[1] >> 4), down: usize::from(part[1] & 0x0f) })
            .collect();
        let sampled = |component: &Component| (1..=4).contains(&component.across) && (1..=4).contains(&component.down);
        if self.components.iter().all(sampled) { Ok(()) } else { Err("sampling factors") }
    }

    /// A scan: its header's payload, and its data up to the next marker (restart markers inside).
    ///
    /// # Errors
    /// When blocks are missing, a code is none, or too much is left over.
    pub fn scan(&self, header: &[u8], data: &[u8]) -> Result<(), NotJpeg> {
        if self.progressive {
            return Ok(());
        }
        let incomplete = |what| NotJpeg::Incomplete { what };
        let count = header.first().map_or(0, |count| usize::from(*count));
        let selectors = header.get(1..1 + 2 * count).filter(|_| count > 0).ok_or(incomplete("scan header"))?;
        let mut parts = Vec::new();
        for selector in selectors.chunks_exact(2) {
            let component = self.components.iter().find(|component| component.id == selector[0]);
            let component = *component.ok_or(incomplete("component of a scan"))?;
            let dc = self.dc.get(usize::from(selector[1] >> 4)).and_then(Option::as_ref);
            let ac = self.ac.get(usize::from(selector[1] & 0x0f)).and_then(Option::as_ref);
            parts.push((component, dc.ok_or(incomplete("Huffman table"))?, ac.ok_or(incomplete("Huffman table"))?));
        }
        let across_max = self.components.iter().map(|component| component.across).max().unwrap_or(1);
        let down_max = self.components.iter().map(|component| component.down).max().unwrap_or(1);
        let units = match parts.as_slice() {
            // A scan of one component counts its own blocks, whatever its sampling.
            [(only, ..)] => {
                let (width, height) = (self.width * only.across, self.height * only.down);
                width.div_ceil(8 * across_max) * height.div_ceil(8 * down_max)
            }
            _ => self.width.div_ceil(8 * across_max) * self.height.div_ceil(8 * down_max),
        };
        let single = parts.len() == 1;
        let mut bits = Bits { data, at: 0, held: 0, count: 0 };
        let mut restart = 0;
        for unit in 0..units {
            if self.restart_interval > 0 && unit > 0 && unit % self.restart_interval == 0 {
                bits.restart(restart).ok_or(incomplete("restart marker"))?;
                restart = (restart + 1) % 8;
            }
            for (component, dc, ac) in &parts {
                let blocks = if single { 1 } else { component.across * component.down };
                for _ in 0..blocks {
                    bits.block(dc, ac).ok_or(incomplete("picture data"))?;
                }
            }
        }
        if data.len().saturating_sub(bits.at) > PADDING_BYTES_MAX {
            return Err(incomplete("picture data"));
        }
        Ok(())
    }
}

/// Bits of a scan, stuffing removed; ends at a marker.
struct Bits<'d> {
    data: &'d [u8],
    at: usize,
    held: u32,
    count: u32,
}

impl Bits<'_> {
    /// Skip one block; `None`: it is not there.
    fn block(&mut self, dc: &Huffman, ac: &Huffman) -> Option<()> {
        let size = self.symbol(dc)?;
        self.skip(u32::from(size))?;
        let mut position = 1;
        while position < 64 {
            let symbol = self.symbol(ac)?;
            let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 0x0f));
            match (run, size) {
                (15, 0) => position += 16,
                (_, 0) => break,
                _ => {
                    position += run + 1;
                    if position > 64 {
                        return None;
                    }
                    self.skip(size)?;
                }
            }
        }
        Some(())
    }

    fn symbol(&mut self, table: &Huffman) -> Option<u8> {
        let mut code = 0;
        for (first, count, symbols) in &table.lengths {
            code = code << 1 | self.bit()?;
            let offset = code.wrapping_sub(*first);
            if offset < *count {
                return table.symbols.get(symbols + offset as usize).copied();
            }
        }
        None
    }

    fn bit(&mut self) -> Option<u32> {
        if self.count == 0 {
            self.fill()?;
        }
        self.count -= 1;
        Some(self.held >> self.count & 1)
    }

    fn skip(&mut self, mut bits: u32) -> Option<()> {
        while bits > 0 {
            if self.count == 0 {
                self.fill()?;
            }
            let step = bits.min(self.count);
            self.count -= step;
            bits -= step;
        }
        Some(())
    }

    fn fill(&mut self) -> Option<()> {
        let byte = *self.data.get(self.at)?;
        if byte == 0xff {
            if self.data.get(self.at + 1) != Some(&0) {
                return None;
            }
            self.at += 1;
        }
        self.at += 1;
        (self.held, self.count) = (u32::from(byte), 8);
        Some(())
    }

    /// Go behind the restart marker that must stand here.
    fn restart(&mut self, number: u8) -> Option<()> {
        self.count = 0;
        while self.data.get(self.at..self.at + 2)? == [0xff, 0xff] {
            self.at += 1;
        }
        if self.data[self.at..self.at + 2] != [0xff, 0xd0 + number] {
            return None;
        }
        self.at += 2;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::jpeg::{NotJpeg, check};
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    fn noise(pixels: usize) -> Vec<u8> {
        let mut state = 1_u32;
        (0..pixels)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    #[test]
    fn whole_pictures_of_every_sampling_and_restart_interval_pass() {
        for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2] {
            for restart in [0, 1, 7] {
                for (width, height) in [(16_u16, 16_u16), (33, 17), (100, 75)] {
                    let mut jpeg = Vec::new();
                    let mut encoder = Encoder::new(&mut jpeg, 70);
                    encoder.set_sampling_factor(sampling);
                    encoder.set_restart_interval(restart);
                    let pixels = noise(usize::from(width) * usize::from(height) * 3);
                    encoder.encode(&pixels, width, height, ColorType::Rgb).unwrap();
                    check(&jpeg).unwrap_or_else(|error| panic!("{sampling:?} {restart} {width}x{height}: {error}"));
                }
            }
        }
        for optimized in [false, true] {
            let mut jpeg = Vec::new();
            let mut encoder = Encoder::new(&mut jpeg, 70);
            encoder.set_optimized_huffman_tables(optimized);
            encoder.encode(&noise(64 * 48), 64, 48, ColorType::Luma).unwrap();
            check(&jpeg).unwrap();
        }
    }

    #[test]
    fn a_picture_with_a_piece_missing_is_refused_though_its_end_marker_stands() {
        let mut jpeg = Vec::new();
        Encoder::new(&mut jpeg, 90).encode(&noise(160 * 120 * 3), 160, 120, ColorType::Rgb).unwrap();
        let scan = jpeg.windows(2).position(|window| window == [0xff, 0xda]).unwrap() + 14;
        let end = jpeg.len() - 2;
        for piece in [40, 100, 1_460] {
            for start in [scan + 10, scan + 2_000, end - piece] {
                let mut cut = jpeg.clone();
                cut.drain(start..start + piece);
                let refused = matches!(check(&cut), Err(NotJpeg::Incomplete { .. } | NotJpeg::Broken { .. }));
                assert!(refused, "{piece} bytes missing at {start} of {end}: {:?}", check(&cut));
            }
        }
    }
}
