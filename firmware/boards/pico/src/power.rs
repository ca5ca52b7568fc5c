//! The supply's comparator. Its falling edge is an interrupt: the loop polls at once, wherever in a tick it falls, and a
//! poll begins with the supply.
//!
//! The interrupt decides nothing. The poll reads the level, so what is over before that (within some 5 µs) is noise and no
//! outage; `simpul_firmware::supply` makes one gasp of whatever follows within seconds. A line that swings for ever costs
//! one interrupt and one poll a tick: the interrupt switches itself off, and the tick switches it on again.

use core::sync::atomic::{AtomicBool, Ordering};

use embassy_rp::Peri;
use embassy_rp::gpio::{Input, Pull};
use embassy_rp::interrupt::{self, InterruptExt};
use embassy_rp::pac::IO_BANK0;
use embassy_rp::peripherals::PIN_11;

/// Registers of the pins' interrupts have eight pins each (RP2040 datasheet 2.19.6.1).
const WORD: usize = 11 / 8;
const PLACE: usize = 11 % 8;
/// This core, the first one.
const CORE: usize = 0;

/// From the interrupt to the loop.
static FELL: AtomicBool = AtomicBool::new(false);

/// The pin, and its interrupt from the first tick on.
pub fn good(pin: Peri<'static, PIN_11>) -> Input<'static> {
    // An unwired comparator says that mains are there.
    let pin = Input::new(pin, Pull::Up);
    interrupt::IO_IRQ_BANK0.unpend();
    // SAFETY: the handler below exists and shares one atomic with the loop.
    unsafe { interrupt::IO_IRQ_BANK0.enable() };
    pin
}

/// Listen (again). An edge before this is forgotten: the tick that calls it looks at the level, too.
pub fn listen() {
    IO_BANK0.intr(WORD).write(|w| w.set_edge_low(PLACE, true));
    IO_BANK0.int_proc(CORE).inte(WORD).write(|w| w.set_edge_low(PLACE, true));
}

/// Whether the level fell since this was asked.
pub fn take_fall() -> bool {
    let fell = FELL.load(Ordering::Relaxed);
    if fell {
        // One that falls just now is seen by the poll that comes of this one.
        FELL.store(false, Ordering::Relaxed);
    }
    fell
}

#[cortex_m_rt::interrupt]
fn IO_IRQ_BANK0() {
    IO_BANK0.int_proc(CORE).inte(WORD).write(|_| {});
    FELL.store(true, Ordering::Relaxed);
}
