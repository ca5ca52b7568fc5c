//! Stamps for records: boot number and uptime always, wall time only while the machine's clock is synchronised.

use simpul_clock::Clock;
use simpul_wire::Stamp;

/// Makes stamps. Clones share the boot number.
#[derive(Debug, Clone)]
pub struct Stamper {
    boot: u32,
    clock: Clock,
}

impl Stamper {
    /// `boot` comes from the spool's witness.
    pub fn new(boot: u32, clock: Clock) -> Self {
        Stamper { boot, clock }
    }

    /// A stamp of now.
    pub fn now(&self) -> Stamp {
        Stamp { boot: self.boot, uptime_ms: self.clock.now().as_millis(), wall_ms: Some(self.clock.wall_ms()) }
    }
}
