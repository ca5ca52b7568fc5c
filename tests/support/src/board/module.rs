//! What an SFP module's memory holds (SFF-8472): pages that a test puts into the emulated cage.

/// Bytes of a page.
pub const PAGE_BYTES: usize = 256;

/// Received power within page A2h, in 0.1 uW, big-endian (SFF-8472 table 9-11).
pub(super) const RECEIVED_POWER_AT: u8 = 104;

/// A module.
#[derive(Debug, Clone)]
pub struct Module {
    /// Page A0h: who it is.
    pub identity: [u8; PAGE_BYTES],
    /// Page A2h: what it measures. `None`: nothing answers there, as in a module without diagnostics.
    pub diagnostics: Option<[u8; PAGE_BYTES]>,
}

impl Module {
    /// A GPON class B+ stick that measures and calibrates by itself: +2.0 dBm out, `received_dbm` in, 40 C, 3.3 V, 12 mA.
    pub fn gpon(received_dbm: f64) -> Module {
        let mut identity = [0; PAGE_BYTES];
        // SFP, external identifier, SC connector (SFF-8024).
        identity[..3].copy_from_slice(&[0x03, 0x04, 0x01]);
        put_text(&mut identity[20..36], "SIMULASI");
        put_text(&mut identity[40..56], "ONU-BPLUS");
        // 1310 nm.
        identity[60..62].copy_from_slice(&1_310u16.to_be_bytes());
        put_text(&mut identity[68..84], "SIM0000001");
        put_text(&mut identity[84..92], "260101");
        // Diagnostics there, calibrated by the module, average power.
        identity[92] = 0x68;
        identity[94] = 0x08;
        let mut diagnostics = [0; PAGE_BYTES];
        // High alarm, low alarm, high warning, low warning of: temperature, supply, bias, sent power, received power.
        let limits: [[u16; 4]; 5] = [
            [degrees(95), degrees(-45), degrees(90), degrees(-40)],
            [36_000, 30_000, 35_000, 31_000],
            [45_000, 0, 40_000, 0],
            [tenth_microwatts(5.0), tenth_microwatts(0.0), tenth_microwatts(4.5), tenth_microwatts(0.5)],
            [tenth_microwatts(-7.0), tenth_microwatts(-28.0), tenth_microwatts(-8.0), tenth_microwatts(-27.0)],
        ];
        for (place, limit) in diagnostics.chunks_exact_mut(2).zip(limits.iter().flatten()) {
            place.copy_from_slice(&limit.to_be_bytes());
        }
        let measured = [degrees(40), 33_000, 6_000, tenth_microwatts(2.0), tenth_microwatts(received_dbm)];
        for (place, value) in diagnostics[96..106].chunks_exact_mut(2).zip(measured) {
            place.copy_from_slice(&value.to_be_bytes());
        }
        // Constants of one and nought, as a module that calibrates by itself has them.
        diagnostics[68..72].copy_from_slice(&1f32.to_be_bytes());
        for slope_at in [76, 80, 84, 88] {
            diagnostics[slope_at] = 1;
        }
        let mut module = Module { identity, diagnostics: Some(diagnostics) };
        module.seal();
        module
    }

    /// The same stick made without diagnostics: the identity says so and page A2h does not answer.
    pub fn without_diagnostics() -> Module {
        let mut module = Module::gpon(-20.0);
        module.identity[92] = 0;
        module.identity[94] = 0;
        module.diagnostics = None;
        module.seal();
        module
    }

    /// Pages full of nonsense, as a dirty connector or a dead memory gives; the same for the same seed.
    pub fn noise(seed: u64) -> Module {
        use rand::{RngExt, SeedableRng};
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let mut identity: [u8; PAGE_BYTES] = random.random();
        // Never a sum that happens to be right: 1 in 256 seeds would be.
        identity[63] = checksum(&identity[..63]).wrapping_add(1);
        Module { identity, diagnostics: Some(random.random()) }
    }

    /// Make the check sums right: after a change to a page.
    pub fn seal(&mut self) {
        self.identity[63] = checksum(&self.identity[..63]);
        self.identity[95] = checksum(&self.identity[64..95]);
        if let Some(diagnostics) = &mut self.diagnostics {
            diagnostics[95] = checksum(&diagnostics[..95]);
        }
    }
}

/// Received power as a module writes it: 0.1 uW, at most 6.5 mW.
pub(super) fn tenth_microwatts(dbm: f64) -> u16 {
    // `as` saturates, which is what a module's register does.
    (10f64.powf(dbm / 10.0) * 10_000.0).round() as u16
}

/// Degrees as a module writes them: 1/256 of one, two's complement.
fn degrees(celsius: i16) -> u16 {
    (celsius * 256) as u16
}

/// Low eight bits of the sum (CC_BASE, CC_EXT, CC_DMI).
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn put_text(place: &mut [u8], text: &str) {
    place.fill(b' ');
    place[..text.len()].copy_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_power_is_written_in_tenths_of_a_microwatt() {
        // -20 dBm is 10 uW; -29 dBm is 1.26 uW.
        assert_eq!((tenth_microwatts(-20.0), tenth_microwatts(-29.0), tenth_microwatts(20.0)), (100, 13, u16::MAX));
        let module = Module::gpon(-20.0);
        let diagnostics = module.diagnostics.unwrap();
        assert_eq!(diagnostics[104..106], [0, 100]);
        assert_eq!(diagnostics[96..98], [40, 0]);
        assert_eq!(module.identity[20..28], *b"SIMULASI");
    }

    #[test]
    fn noise_never_has_a_right_check_sum() {
        for seed in 0..1_000 {
            let module = Module::noise(seed);
            assert_ne!(module.identity[63], checksum(&module.identity[..63]), "seed {seed}");
        }
    }
}
