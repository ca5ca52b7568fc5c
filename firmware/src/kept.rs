//! What a board keeps over a power cut, as a fixed number of bytes. Where and how those are stored is `journal`'s.
//!
//! ```text
//! 0      1     5                          69            71     72     73              75     76       77       93
//! version boot  8 * (short u32, long u32)  long_press_ms desks  cages  battery_low_mv  relay  pending  order id
//! ```
//!
//! All numbers are little-endian. There is no checksum in here: a slot of the journal has one over these bytes and its
//! own sequence number.

use simpul_wire::board::{DESKS, DeskTotals, Settings};

/// Bytes of one [`Kept`]: with a slot's sequence number and checksum it stays within 128, an EEPROM's page or half a
/// flash page.
pub const KEPT_BYTES: usize = 93;

/// Layout of the bytes. Another layout is another version, and an unknown one is not guessed at.
const VERSION: u8 = 1;

/// What a board keeps over a power cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// How often the board has started.
    pub boot: u32,
    /// Totals since the board was made; they only grow.
    pub totals: [DeskTotals; DESKS],
    /// What the agent told the board to work by.
    pub settings: Settings,
    /// The order for whose sake the load is off: if the board starts with one, that order was interrupted.
    pub relay_pending: Option<[u8; 16]>,
}

impl Kept {
    /// The bytes to store.
    pub fn to_bytes(&self) -> [u8; KEPT_BYTES] {
        let mut bytes = [0; KEPT_BYTES];
        let mut to = Writer { bytes: &mut bytes, at: 0 };
        to.put(&[VERSION]);
        to.put(&self.boot.to_le_bytes());
        for desk in &self.totals {
            to.put(&desk.short.to_le_bytes());
            to.put(&desk.long.to_le_bytes());
        }
        to.put(&self.settings.long_press_ms.to_le_bytes());
        to.put(&[self.settings.desks, self.settings.cages]);
        to.put(&self.settings.battery_low_mv.to_le_bytes());
        to.put(&[u8::from(self.settings.relay), u8::from(self.relay_pending.is_some())]);
        to.put(&self.relay_pending.unwrap_or_default());
        bytes
    }

    /// Read bytes that [`Kept::to_bytes`] made. `None` for an unknown version or a flag that is neither yes nor no:
    /// such bytes were not written by this layout, whatever their checksum says.
    pub fn from_bytes(bytes: &[u8; KEPT_BYTES]) -> Option<Kept> {
        let mut from = Reader { bytes };
        if from.take::<1>()? != [VERSION] {
            return None;
        }
        let boot = u32::from_le_bytes(from.take()?);
        let mut totals = [DeskTotals::default(); DESKS];
        for desk in &mut totals {
            desk.short = u32::from_le_bytes(from.take()?);
            desk.long = u32::from_le_bytes(from.take()?);
        }
        let long_press_ms = u16::from_le_bytes(from.take()?);
        let [desks, cages] = from.take()?;
        let battery_low_mv = u16::from_le_bytes(from.take()?);
        let [relay, pending] = from.take()?;
        let id = from.take()?;
        Some(Kept {
            boot,
            totals,
            settings: Settings { long_press_ms, desks, cages, battery_low_mv, relay: flag(relay)? },
            relay_pending: flag(pending)?.then_some(id),
        })
    }
}

fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

struct Writer<'a> {
    bytes: &'a mut [u8; KEPT_BYTES],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, field: &[u8]) {
        let end = self.at + field.len();
        if let Some(place) = self.bytes.get_mut(self.at..end) {
            place.copy_from_slice(field);
        }
        self.at = end;
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Kept {
        let mut totals = [DeskTotals::default(); DESKS];
        for (desk, number) in totals.iter_mut().zip(1u32..) {
            *desk = DeskTotals { short: number * 0x0101_0101, long: number << 24 };
        }
        Kept {
            boot: 0x0403_0201,
            totals,
            settings: Settings {
                long_press_ms: 1_500,
                desks: 0b1010_0101,
                cages: 0b11,
                battery_low_mv: 11_000,
                relay: true,
            },
            relay_pending: Some([0xA5; 16]),
        }
    }

    #[test]
    fn what_was_kept_is_read_back() {
        let plain = Kept { relay_pending: None, ..full() };
        for kept in [full(), plain, Kept::default()] {
            assert_eq!(Kept::from_bytes(&kept.to_bytes()), Some(kept));
        }
    }

    #[test]
    fn the_bytes_are_the_documented_ones() {
        let bytes = full().to_bytes();
        assert_eq!(bytes[..5], [1, 1, 2, 3, 4], "version, boot");
        assert_eq!(bytes[5..13], [1, 1, 1, 1, 0, 0, 0, 1], "desk 0");
        assert_eq!(bytes[61..69], [8, 8, 8, 8, 0, 0, 0, 8], "desk 7");
        assert_eq!(bytes[69..77], [0xDC, 0x05, 0xA5, 0x03, 0xF8, 0x2A, 1, 1], "settings, pending");
        assert_eq!(bytes[77..], [0xA5; 16], "order");
    }

    #[test]
    fn an_unknown_version_and_a_flag_that_is_no_flag_are_not_read() {
        for (at, byte) in [(0, 0), (0, 2), (0, 0xFF), (75, 2), (76, 0xFF)] {
            let mut bytes = full().to_bytes();
            bytes[at] = byte;
            assert_eq!(Kept::from_bytes(&bytes), None, "byte {at} = {byte}");
        }
    }
}
