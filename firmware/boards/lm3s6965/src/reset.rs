//! Starting anew: on purpose, by the watchdog, and why it happened the last time.
//!
//! The emulated chip's own reset cause register tells nothing, so the board keeps a word in the last bytes of its memory,
//! which the linker leaves alone and which survives a reset but not a power cut.

use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
use simpul_firmware::runtime::Watchdog;
use simpul_wire::board::ResetReason;

use crate::clock::CORE_HZ;
use crate::mmio::Register;

/// The word. `memory.x` keeps it out of the linker's reach.
const NOTE: Register = Register::at(0x2000_FFF0);
/// The firmware runs. Found at a start: it did not end by itself, so the watchdog ended it.
const RUNNING: u32 = 0x5250_4D53;
/// The firmware asked for the reset.
const ASKED: u32 = 0x4150_4D53;

/// The watchdog (datasheet 11): counts down twice, then resets.
const WATCHDOG_LOAD: Register = Register::at(0x4000_0000);
const WATCHDOG_CONTROL: Register = Register::at(0x4000_0008);
const WATCHDOG_CLEAR: Register = Register::at(0x4000_000C);
const INTERRUPT_AND_RESET: u32 = 0b11;
const CLOCK_GATE_0: Register = Register::at(0x400F_E100);
const GATE_WATCHDOG: u32 = 1 << 3;

/// A countdown: with two of them a hung board is back within 8 s, and an emulator on a busy machine is not taken for
/// one that hangs.
const COUNTDOWN_S: u32 = 4;

/// Why the board started. Call once, at the start.
pub fn reason() -> ResetReason {
    let note = NOTE.read();
    NOTE.write(RUNNING);
    match note {
        RUNNING => ResetReason::Watchdog,
        ASKED => ResetReason::Software,
        _ => ResetReason::PowerOn,
    }
}

/// The watchdog, running.
#[derive(Debug)]
pub struct Dog(());

impl Dog {
    /// Begin to watch.
    pub fn start() -> Self {
        CLOCK_GATE_0.set(GATE_WATCHDOG);
        WATCHDOG_LOAD.write(CORE_HZ * COUNTDOWN_S);
        WATCHDOG_CONTROL.write(INTERRUPT_AND_RESET);
        Dog(())
    }
}

impl Watchdog for Dog {
    fn feed(&mut self) {
        // Any write ends the first countdown's interrupt and loads the counter again.
        WATCHDOG_CLEAR.write(0);
    }
}

/// Start anew.
pub fn restart() -> ! {
    NOTE.write(ASKED);
    SCB::sys_reset()
}

/// The firmware has no panic that is meant; if there is one, the agent is told by the reset's reason, and counting goes
/// on from the journal.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    restart()
}
