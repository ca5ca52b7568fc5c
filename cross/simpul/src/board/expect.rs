//! What a board is wired to: from `--expect`, else what its settings say.

use simpul_wire::board::{CAGES, DESKS, Settings};

/// What is wired, and so what is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// Buttons at desks 1 to so many, as bits from desk 1.
    pub desks: u8,
    /// SFP cages, as bits.
    pub cages: u8,
    /// A relay.
    pub relay: bool,
    /// A lid switch.
    pub tamper: bool,
    /// The 12 V input's divider.
    pub supply: bool,
    /// A battery, at the second divider.
    pub battery: bool,
}

/// A lead battery of 12 V is nearly empty below this: what a board is given that has none set.
const BATTERY_LOW_MV: u16 = 11_000;

impl Expect {
    /// Read a list such as `buttons=4,sfp,relay,tamper,supply`.
    ///
    /// # Errors
    /// The word that is not understood.
    pub fn parse(text: &str) -> Result<Expect, String> {
        let mut expect = Expect { desks: 0, cages: 0, relay: false, tamper: false, supply: false, battery: false };
        for word in text.split(',').map(str::trim) {
            let (name, number) = match word.split_once('=') {
                Some((name, number)) => (name, Some(number.parse::<usize>().map_err(|_| word.to_owned())?)),
                None => (word, None),
            };
            let most = |max: usize, default: usize| {
                let count = number.unwrap_or(default);
                if (1..=max).contains(&count) { Ok(ones(count)) } else { Err(word.to_owned()) }
            };
            match (name, number) {
                ("buttons", _) => expect.desks = most(DESKS, 1)?,
                ("sfp", _) => expect.cages = most(CAGES, 1)?,
                ("relay", None) => expect.relay = true,
                ("tamper", None) => expect.tamper = true,
                ("supply", None) => expect.supply = true,
                ("battery", None) => expect.battery = true,
                _ => return Err(word.to_owned()),
            }
        }
        Ok(expect)
    }

    /// What a board's own settings say; supply and lid are always there.
    pub fn of(settings: &Settings) -> Expect {
        Expect {
            desks: settings.desks,
            cages: settings.cages & ones(CAGES),
            relay: settings.relay,
            tamper: true,
            supply: true,
            battery: settings.battery_low_mv != 0,
        }
    }

    /// The settings of a board that is wired so. What is not wiring stays as it is.
    pub fn settings(&self, before: &Settings) -> Settings {
        let battery_low_mv = match (self.battery, before.battery_low_mv) {
            (true, 0) => BATTERY_LOW_MV,
            (true, set) => set,
            (false, _) => 0,
        };
        Settings { desks: self.desks, cages: self.cages, relay: self.relay, battery_low_mv, ..*before }
    }
}

/// The lowest `count` bits.
fn ones(count: usize) -> u8 {
    (0..count.min(8)).fold(0, |bits, bit| bits | 1 << bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_a_wrong_word_is_named() {
        let all = Expect::parse("buttons=4, sfp=2,relay,tamper,supply,battery").unwrap();
        let wired = Expect { desks: 0b1111, cages: 0b11, relay: true, tamper: true, supply: true, battery: true };
        assert_eq!(all, wired);
        assert_eq!(Expect::parse("buttons=8,sfp").map(|expect| (expect.desks, expect.cages)), Ok((0xFF, 1)));
        for wrong in ["buttons=0", "buttons=9", "buttons=x", "sfp=3", "relay=1", "lid", ""] {
            assert_eq!(Expect::parse(&format!("supply,{wrong}")), Err(wrong.to_owned()));
        }
    }

    #[test]
    fn settings_are_made_of_the_wiring_and_keep_the_rest() {
        let before = Settings { long_press_ms: 2_000, ..Settings::default() };
        let wired = Expect::parse("buttons=2,relay,battery").unwrap();
        let settings = wired.settings(&before);
        let wanted = Settings { long_press_ms: 2_000, desks: 0b11, cages: 0, battery_low_mv: 11_000, relay: true };
        assert_eq!(settings, wanted);
        assert_eq!(wired.settings(&Settings { battery_low_mv: 10_800, ..settings }).battery_low_mv, 10_800);
        assert_eq!(Expect::of(&settings), Expect { tamper: true, supply: true, ..wired });
    }
}
