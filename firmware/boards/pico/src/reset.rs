//! Why the chip started, and how it starts anew when the firmware cannot go on.

use core::panic::PanicInfo;

use embassy_rp::Peri;
use embassy_rp::pac;
use embassy_rp::peripherals::WATCHDOG;
use embassy_rp::watchdog::Watchdog as HalWatchdog;
use embassy_time::Duration;
use simpul_firmware::runtime::Watchdog;
use simpul_wire::board::ResetReason;

/// The longest that the loop may take. Its slowest step, an erase of flash, takes 0.4 s at worst; the chip counts up to
/// 8.3 s.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Why the chip started (RP2040 datasheet 2.12.7 and 4.7.6). The watchdog's register comes first: the other one still
/// tells of the start before. Power-on and brown-out are one bit.
pub fn reason() -> ResetReason {
    let watchdog = pac::WATCHDOG.reason().read();
    let chip = pac::VREG_AND_CHIP_RESET.chip_reset().read();
    if watchdog.timer() {
        ResetReason::Watchdog
    } else if watchdog.force() {
        ResetReason::Software
    } else if chip.had_run() {
        ResetReason::Pin
    } else if chip.had_por() {
        ResetReason::PowerOn
    } else {
        ResetReason::Unknown
    }
}

/// The chip's watchdog, running.
pub struct Dog(HalWatchdog);

impl Dog {
    /// Start it: from now on a loop that hangs ends in a reset, which also lets go of the relay.
    pub fn start(watchdog: Peri<'static, WATCHDOG>) -> Self {
        let mut dog = HalWatchdog::new(watchdog);
        dog.start(TIMEOUT);
        Dog(dog)
    }
}

impl Watchdog for Dog {
    fn feed(&mut self) {
        self.0.feed(TIMEOUT);
    }
}

/// Start anew on purpose. Tells [`reason`] so.
pub fn restart() {
    pac::WATCHDOG.ctrl().modify(|w| w.set_trigger(true));
}

/// Wait for the watchdog rather than start anew at once: a start writes the boot number into flash, and a panic that
/// comes back with each start would wear a sector out within hours instead of years.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    loop {
        core::hint::spin_loop();
    }
}
