//! interim
use crate::two_wire::TwoWire;
use simpul_firmware::runtime::Optics;
use simpul_firmware::sampling::OPTICS;
use simpul_wire::Missing;
use simpul_wire::board::*;
pub struct Cages([TwoWire; CAGES]);
impl Cages {
    pub fn new(c: [TwoWire; CAGES]) -> Self {
        Cages(c)
    }
}
impl Optics for Cages {
    fn describe(&mut self, cage: u8) -> Result<ModuleFound, Missing> {
        use embedded_hal::i2c::I2c;
        let mut b = [0; 96];
        let _ = self.0[cage as usize % 2].write_read(0x50, &[0], &mut b);
        Err(Missing::NotYet)
    }
    fn read(&mut self, _: u8) -> [Measured; OPTICS] {
        [Missing::NotYet.into(); OPTICS]
    }
}
