//! The SFP cages, each on two wires of its own: every module answers to the same addresses.

use simpul_firmware::drivers::sff8472;
use simpul_firmware::runtime::Optics;
use simpul_firmware::sampling::OPTICS;
use simpul_wire::Missing;
use simpul_wire::board::{CAGES, Measured, ModuleFound};

use crate::two_wire::TwoWire;

/// The cages.
pub struct Cages([TwoWire; CAGES]);

impl Cages {
    /// Cage 0 first.
    pub fn new(wires: [TwoWire; CAGES]) -> Self {
        Cages(wires)
    }

    fn wires(&mut self, cage: u8) -> Result<&mut TwoWire, Missing> {
        self.0.get_mut(usize::from(cage)).ok_or(Missing::NotSupported)
    }
}

impl Optics for Cages {
    fn describe(&mut self, cage: u8) -> Result<ModuleFound, Missing> {
        sff8472::describe(self.wires(cage)?)
    }

    fn read(&mut self, cage: u8) -> [Measured; OPTICS] {
        match self.wires(cage).and_then(sff8472::read) {
            Ok(found) => [found.rx_power, found.tx_power, found.tx_bias, found.temperature, found.supply],
            Err(reason) => [reason.into(); OPTICS],
        }
    }
}
