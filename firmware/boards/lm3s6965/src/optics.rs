//! The SFP cage on the shared bus.

use simpul_firmware::runtime::Optics;
use simpul_firmware::sampling::OPTICS;
use simpul_wire::Missing;
use simpul_wire::board::{Measured, ModuleFound};

use crate::shared_bus::SharedBus;

pub struct Cages<'a>(SharedBus<'a>);

impl<'a> Cages<'a> {
    pub fn new(bus: SharedBus<'a>) -> Self { Cages(bus) }
}
impl Optics for Cages<'_> {
    fn describe(&mut self, _cage: u8) -> Result<ModuleFound, Missing> { Err(Missing::NotYet) }
    fn read(&mut self, _: u8) -> [Measured; OPTICS] { let _ = self.0; [Missing::NotYet.into(); OPTICS] }
}
