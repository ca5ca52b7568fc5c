//! The SFP cages: one is on the shared bus, the other one is not there.

use simpul_firmware::drivers::sff8472;
use simpul_firmware::runtime::Optics;
use simpul_firmware::sampling::OPTICS;
use simpul_wire::Missing;
use simpul_wire::board::{Measured, ModuleFound};

use crate::shared_bus::SharedBus;

/// The cages.
#[derive(Debug)]
pub struct Cages<'a>(SharedBus<'a>);

impl<'a> Cages<'a> {
    /// Cage 0 on this bus.
    pub fn new(bus: SharedBus<'a>) -> Self {
        Cages(bus)
    }

    fn bus(&mut self, cage: u8) -> Result<&mut SharedBus<'a>, Missing> {
        if cage == 0 { Ok(&mut self.0) } else { Err(Missing::NotSupported) }
    }
}

impl Optics for Cages<'_> {
    fn describe(&mut self, cage: u8) -> Result<ModuleFound, Missing> {
        sff8472::describe(self.bus(cage)?)
    }

    fn read(&mut self, cage: u8) -> [Measured; OPTICS] {
        match self.bus(cage).and_then(sff8472::read) {
            Ok(found) => [found.rx_power, found.tx_power, found.tx_bias, found.temperature, found.supply],
            Err(reason) => [reason.into(); OPTICS],
        }
    }
}
