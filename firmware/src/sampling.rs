//! Measuring in turn: asks for one short piece of work a step, so that nothing waits for a whole round, and makes readings
//! and module descriptions of the answers. These frames are not acknowledged: a lost one shows as a gap, and newer
//! readings replace older ones that were not sent.

use heapless::Vec;
use simpul_wire::Missing;
use simpul_wire::board::{
    CAGES, Measured, MissingNumber, Module, ModuleFound, READINGS_EVERY_MS, READINGS_PER_FRAME_MAX, Reading, Readings,
    Settings,
};

use crate::NEVER;

/// Measurements of one module: received power, sent power, laser bias, temperature, supply.
pub const OPTICS: usize = 5;

/// Numbers in [`simpul_wire::metrics`].
const SUPPLY_VOLTAGE: u8 = 10;
const BATTERY_VOLTAGE: u8 = 11;
/// Of each cage's first one; the others follow in the order of [`OPTICS`].
const CAGE_FIRST: [u8; CAGES] = [12, 17];

/// One piece of work: about 10 ms of a slow bus at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Measure supply and battery.
    Voltages,
    /// Read what the module in this cage says of itself.
    Module {
        /// Cage, from 0.
        cage: u8,
    },
    /// Measure the module in this cage.
    Optics {
        /// Cage, from 0.
        cage: u8,
    },
}

/// The answer to a [`Sample`].
#[derive(Debug, Clone, PartialEq)]
pub enum Sampled {
    /// Supply and battery in mV, or why not.
    Voltages {
        /// The supply behind the fuse.
        supply: Result<u32, Missing>,
        /// The battery.
        battery: Result<u32, Missing>,
    },
    /// What is in a cage.
    Module {
        /// Cage, from 0.
        cage: u8,
        /// The module, or why nothing is known of it.
        found: Result<ModuleFound, Missing>,
    },
    /// A module's measurements.
    Optics {
        /// Cage, from 0.
        cage: u8,
        /// In the order of [`OPTICS`].
        measured: [Measured; OPTICS],
    },
}

/// A round of measurements each [`READINGS_EVERY_MS`].
#[derive(Debug, Clone)]
pub struct Sampling {
    round_at_ms: u64,
    /// Work of this round that is done; the whole round is `PIECES`.
    piece: u8,
    /// An answer is awaited.
    asked: bool,
    voltages: [Measured; 2],
    optics: [[Measured; OPTICS]; CAGES],
    modules: [Option<Module>; CAGES],
    /// Cages whose module the agent has not been told of: bit 0 is cage 0.
    modules_due: u8,
    /// A whole round is there and was not sent; when it ended.
    ready_at_ms: Option<u64>,
}

/// Voltages, then two of each cage.
const PIECES: u8 = 1 + 2 * CAGES as u8;

impl Sampling {
    /// A first round begins at once.
    pub fn new(now_ms: u64) -> Sampling {
        Sampling {
            round_at_ms: now_ms,
            piece: 0,
            asked: false,
            voltages: [Missing::NotYet.into(); 2],
            optics: [[Missing::NotYet.into(); OPTICS]; CAGES],
            modules: [const { None }; CAGES],
            modules_due: 0,
            ready_at_ms: None,
        }
    }

    /// The agent greeted: it is told of every module, and gets a new round of readings.
    pub fn greeted(&mut self, now_ms: u64) {
        for (cage, module) in self.modules.iter().enumerate() {
            if module.is_some() {
                self.modules_due |= 1 << cage;
            }
        }
        if self.piece == 0 {
            self.round_at_ms = now_ms;
        }
    }

    /// Take an answer.
    pub fn answered(&mut self, sampled: &Sampled) {
        self.asked = false;
        match sampled {
            Sampled::Voltages { supply, battery } => {
                self.voltages =
                    [*supply, *battery].map(|value| value.map_or_else(Measured::from, Measured::Millivolts));
            }
            Sampled::Module { cage, found } => self.described(*cage, found.clone()),
            Sampled::Optics { cage, measured } => {
                if let Some(optics) = self.optics.get_mut(usize::from(*cage)) {
                    *optics = *measured;
                }
            }
        }
    }

    fn described(&mut self, cage: u8, found: Result<ModuleFound, Missing>) {
        let module = Some(Module { cage, found: found.map_err(MissingNumber) });
        if let Some(known) = self.modules.get_mut(usize::from(cage))
            && *known != module
        {
            *known = module;
            self.modules_due |= 1 << cage;
        }
    }

    /// The next piece of work, if it is time.
    pub fn next_sample(&mut self, now_ms: u64, settings: &Settings) -> Option<Sample> {
        if self.asked || now_ms < self.round_at_ms {
            return None;
        }
        while self.piece < PIECES {
            let piece = self.piece;
            self.piece += 1;
            let Some(of_cages) = piece.checked_sub(1) else {
                self.asked = true;
                return Some(Sample::Voltages);
            };
            let cage = of_cages / 2;
            if settings.cages & (1 << cage) == 0 {
                self.unwired(cage);
                continue;
            }
            self.asked = true;
            return Some(if of_cages % 2 == 0 { Sample::Module { cage } } else { Sample::Optics { cage } });
        }
        self.piece = 0;
        self.ready_at_ms = Some(now_ms);
        self.round_at_ms = now_ms + READINGS_EVERY_MS;
        None
    }

    fn unwired(&mut self, cage: u8) {
        if let Some(optics) = self.optics.get_mut(usize::from(cage)) {
            *optics = [Missing::NotSupported.into(); OPTICS];
        }
        if let Some(module) = self.modules.get_mut(usize::from(cage)) {
            *module = None;
        }
    }

    /// A module that the agent has not been told of. It is taken as sent.
    pub fn next_module(&mut self) -> Option<Module> {
        let cage = (0..CAGES).find(|cage| self.modules_due & (1 << cage) != 0)?;
        self.modules_due &= !(1 << cage);
        self.modules.get(cage)?.clone()
    }

    /// The module's frame was cut off: tell again.
    pub fn module_again(&mut self, cage: u8) {
        self.modules_due |= 1 << cage;
    }

    /// The last round, if it was not sent. It is taken as sent.
    pub fn next_readings(&mut self) -> Option<Readings> {
        let at_ms = self.ready_at_ms.take()?;
        let mut items = Vec::<Reading, READINGS_PER_FRAME_MAX>::new();
        let voltages = [SUPPLY_VOLTAGE, BATTERY_VOLTAGE].into_iter().zip(self.voltages);
        let optics = CAGE_FIRST.into_iter().zip(self.optics).flat_map(|(first, measured)| (first..).zip(measured));
        for (metric, value) in voltages.chain(optics) {
            // There is room for all: the capacity is counted by the same constants.
            let _ = items.push(Reading { metric, value });
        }
        Some(Readings { at_ms, items })
    }

    /// When the next piece of work is due; the answer to the last one wakes its asker by itself.
    pub fn next_ms(&self) -> u64 {
        if self.asked { NEVER } else { self.round_at_ms }
    }

    /// Whether a frame waits for the line.
    pub fn has_frames(&self) -> bool {
        self.modules_due != 0 || self.ready_at_ms.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::metrics;

    #[test]
    fn the_numbers_are_those_of_the_well_known_metrics() {
        assert_eq!(metrics::name(SUPPLY_VOLTAGE), Some("supply_voltage"));
        assert_eq!(metrics::name(BATTERY_VOLTAGE), Some("battery_voltage"));
        for (cage, first) in CAGE_FIRST.into_iter().enumerate() {
            for (number, what) in (first..).zip(["rx_power", "tx_power", "tx_bias", "temperature", "supply"]) {
                assert_eq!(metrics::name(number), Some(std::format!("optics.{cage}.{what}").as_str()));
            }
        }
    }
}
